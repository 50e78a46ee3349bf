//! The counter of a slot that the fast path of an allocation counts in, and where a writer's readers find it.

use crate::sync::{AtomicUsize, Ordering, constant};

/// How many objects a slot has handed out. Written by the owner only, read by anyone.
#[repr(transparent)]
pub struct Tally(AtomicUsize);

impl Tally {
    constant! {
        /// None.
        #[allow(clippy::new_without_default, reason = "a const constructor is the only one wanted")]
        pub fn new() -> Self {
            Tally(AtomicUsize::new(0))
        }
    }

    /// Counts one more. The owner is the only writer: a load and a store, no atomic read-modify-write.
    #[inline(always)]
    pub fn count(&self) {
        self.0.store(self.0.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
    }

    /// Returns the count: exact for the owner, and for whoever knows that the owner is quiet.
    #[inline(always)]
    pub fn get(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

/// Where the tallies of one writer lie: that of class `i` is `i * stride` bytes behind the first one.
#[derive(Clone, Copy)]
pub struct Tallies {
    /// The tally of the first class.
    pub first: *const Tally,
    /// Bytes from one to the next.
    pub stride: usize,
}
