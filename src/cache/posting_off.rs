//! What a cache counts in a build without books: nothing.

use super::record::{Cache, ClassState};
use crate::account::ClassEntry;
use crate::central::Central;
use crate::os::Os;
use crate::size_class::Class;
use crate::span::Span;

/// Nothing.
pub(super) struct Tally;

impl Tally {
    pub(super) const fn new() -> Tally {
        Tally
    }

    #[inline(always)]
    pub(super) fn count(&self) {}
}

/// Nothing.
pub(super) struct Posted;

impl Posted {
    pub(super) const fn new() -> Posted {
        Posted
    }
}

impl Cache {
    /// 0.
    pub fn allocs(&self, _class: Class) -> usize {
        0
    }

    /// 0.
    pub fn posted(&self, _class: Class) -> usize {
        0
    }

    /// 0.
    pub fn unposted_frees(&self, _class: Class) -> usize {
        0
    }

    /// 0.
    pub fn unposted_received(&self, _class: Class) -> usize {
        0
    }

    /// Nothing.
    pub fn post_all<O: Os>(&self, _central: &Central<O>) {}

    #[inline(always)]
    pub(super) fn count_frees(&self, span: &Span) {
        span.count_freed();
    }

    #[inline(always)]
    pub(super) fn count_taken(&self, _state: &ClassState, _n: u32) {}

    #[inline(always)]
    pub(super) fn post_next<O: Os>(&self, _central: &Central<O>) {}

    #[inline(always)]
    pub(super) fn count_received(&self, _class: Class, _n: u32) {}

    #[inline(always)]
    pub(super) fn post_sometimes<O: Os>(&self, _central: &Central<O>, _class: Class) {}

    #[inline(always)]
    pub(super) fn counted(&self, _class: Class) -> ClassEntry {
        ClassEntry::default()
    }

    #[inline(always)]
    pub(super) fn post_any<O: Os>(&self, _central: &Central<O>, _class: Class) {}
}
