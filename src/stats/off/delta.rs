//! Entries in a build without statistics: empty.

use super::kinds::ClassDelta;
use crate::size_class::Class;

/// An entry without content.
pub struct Delta;

impl Delta {
    /// Returns an entry.
    #[allow(clippy::new_without_default, reason = "an empty entry is made where it is filled")]
    pub const fn new() -> Delta {
        Delta
    }

    /// Does nothing.
    #[inline]
    pub fn add(&mut self, _total: impl Into<usize>, _n: isize) {}

    /// Does nothing.
    #[inline]
    pub fn class(&mut self, _class: Class, _e: ClassDelta) {}

    /// Returns `true`.
    pub fn is_empty(&self) -> bool {
        true
    }
}
