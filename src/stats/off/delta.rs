//! Entries of a build without books: nothing.

use super::kinds::ClassDelta;
use crate::size_class::Class;

/// No movements.
pub struct Delta;

impl Delta {
    /// An entry.
    #[allow(clippy::new_without_default, reason = "an empty entry is made where it is filled")]
    pub const fn new() -> Delta {
        Delta
    }

    /// Nothing.
    #[inline]
    pub fn add(&mut self, _total: impl Into<usize>, _n: isize) {}

    /// Nothing.
    #[inline]
    pub fn class(&mut self, _class: Class, _e: ClassDelta) {}

    /// Always.
    pub fn is_empty(&self) -> bool {
        true
    }
}
