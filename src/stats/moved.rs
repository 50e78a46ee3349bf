//! The pages that a cache took into use, or back, without the page heap's lock.

use core::sync::atomic::{AtomicIsize, Ordering};

use super::delta::Delta;
use super::kinds::{Account, Total};

/// The bytes that one cache moved from [`Account::HeapFree`] to [`Account::HeapInUse`] for spans of small objects,
/// minus the bytes that it moved back, as far as the accounts do not contain them yet. So a move needs no atomic
/// read-modify-write.
///
/// Written by the owner, read by any thread. All-zero bytes mean that nothing was moved.
#[repr(transparent)]
pub struct Moved(AtomicIsize);

impl Moved {
    /// Returns a value for a cache that has moved nothing.
    #[allow(clippy::new_without_default, reason = "a const constructor is the only one wanted")]
    pub const fn new() -> Moved {
        Moved(AtomicIsize::new(0))
    }

    /// Moves `n` free bytes into use, or `-n` bytes out of use if `n` is negative. Owner only.
    #[inline]
    pub fn move_free_in_use(&self, n: isize, delta: &mut Delta) {
        self.0.store(self.0.load(Ordering::Relaxed) + n, Ordering::Relaxed);
        delta.add(Total::of(Account::HeapInUse), n);
        delta.add(Total::of(Account::HeapFree), -n);
    }

    /// Returns the bytes that the accounts do not contain yet.
    pub fn get(&self) -> isize {
        self.0.load(Ordering::Relaxed)
    }

    /// Returns the bytes that the accounts do not contain yet, and resets them to 0. Owner only.
    pub(super) fn take(&self) -> isize {
        let n = self.get();
        self.0.store(0, Ordering::Relaxed);
        n
    }
}
