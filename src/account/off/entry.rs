//! Entries of a build without books: nothing.

use crate::size_class::Class;

/// What happened to one class; nobody asks.
#[derive(Clone, Copy, Default, Debug)]
pub struct ClassEntry {
    /// As with books.
    pub allocs: usize,
    /// As with books.
    pub frees: usize,
    /// As with books.
    pub received: usize,
    /// As with books.
    pub span_bytes: isize,
    /// As with books.
    pub vacant: isize,
}

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
