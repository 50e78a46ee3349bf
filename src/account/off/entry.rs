//! Entries of a build without books: nothing.

use super::kinds::ClassEntry;
use crate::size_class::Class;

/// No movements.
pub struct Entry;

impl Entry {
    /// An entry.
    #[allow(clippy::new_without_default, reason = "an empty entry is made where it is filled")]
    pub const fn new() -> Entry {
        Entry
    }

    /// Nothing.
    #[inline]
    pub fn add(&mut self, _total: impl Into<usize>, _n: isize) {}

    /// Nothing.
    #[inline]
    pub fn class(&mut self, _class: Class, _e: ClassEntry) {}

    /// Always.
    pub fn is_empty(&self) -> bool {
        true
    }
}
