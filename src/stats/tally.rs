//! The counter of allocations that the fast path increments, and where a writer's readers find it.

use crate::sync::{AtomicUsize, Ordering, constant};

/// The number of objects allocated from a cache's free list. Written by the owner only, read by any thread.
#[repr(transparent)]
pub struct Tally(AtomicUsize);

impl Tally {
    constant! {
        /// Returns a counter at zero.
        #[allow(clippy::new_without_default, reason = "a const constructor is the only one wanted")]
        pub fn new() -> Self {
            Tally(AtomicUsize::new(0))
        }
    }

    /// Counts an allocation. The owner is the only writer, so a load and a store are enough: no atomic
    /// read-modify-write.
    #[inline(always)]
    pub fn count(&self) {
        self.0.store(self.0.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
    }

    /// Returns the count. It is exact for the owner, and for a caller that knows that the owner does not allocate.
    #[inline(always)]
    pub fn get(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

/// The addresses of the tallies of one writer: class `i` has `first + i * stride`.
#[derive(Clone, Copy)]
pub struct Tallies {
    /// The tally of the first class.
    pub first: *const Tally,
    /// The distance in bytes from one tally to the next.
    pub stride: usize,
}
