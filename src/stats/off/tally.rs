//! The counter of allocations in a build without statistics: empty.

/// A counter without content.
pub struct Tally;

impl Tally {
    /// Returns a counter.
    #[allow(clippy::new_without_default, reason = "a const constructor is the only one wanted")]
    pub const fn new() -> Tally {
        Tally
    }

    /// Does nothing.
    #[inline(always)]
    pub fn count(&self) {}

    /// Returns 0.
    #[inline(always)]
    pub fn get(&self) -> usize {
        0
    }
}

/// The addresses that the tallies of one writer would have.
#[derive(Clone, Copy)]
pub struct Tallies {
    /// The tally of the first class.
    pub first: *const Tally,
    /// The distance in bytes from one tally to the next.
    pub stride: usize,
}
