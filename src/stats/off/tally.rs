//! The counter of a slot in a build without books: nothing.

/// Nothing.
pub struct Tally;

impl Tally {
    /// Nothing.
    #[allow(clippy::new_without_default, reason = "a const constructor is the only one wanted")]
    pub const fn new() -> Tally {
        Tally
    }

    /// Counts nothing.
    #[inline(always)]
    pub fn count(&self) {}

    /// Returns 0.
    #[inline(always)]
    pub fn get(&self) -> usize {
        0
    }
}

/// Where the tallies of one writer would lie.
#[derive(Clone, Copy)]
pub struct Tallies {
    /// The tally of the first class.
    pub first: *const Tally,
    /// Bytes from one to the next.
    pub stride: usize,
}
