//! What a cache counts in a build without books: nothing.

use super::record::Cache;
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

    /// Nothing.
    pub fn post_all<O: Os>(&self, _central: &Central<O>) {}

    #[inline(always)]
    pub(super) fn count_frees(&self, _span: &Span) {}

    #[inline(always)]
    pub(super) fn post_sometimes<O: Os>(&self, _central: &Central<O>, _class: Class) {}

    #[inline(always)]
    pub(super) fn post<O: Os>(&self, _central: &Central<O>, _class: Class, _span: Option<&Span>, _more: ClassEntry) {}
}

/// Nothing.
#[inline(always)]
pub(super) fn take_back(_span: &Span) {}
