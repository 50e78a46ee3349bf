//! What a cache moves in its own hand.

use core::sync::atomic::{AtomicIsize, Ordering};

use super::delta::Delta;
use super::kinds::{Account, Total};

/// What one cache moved from [`Account::HeapFree`] to [`Account::HeapInUse`] for spans of small objects, less what it
/// moved back, and the accounts do not have yet: so its moves need no locked instruction. Written by the owner, read
/// by anyone. All-zero bytes are nothing moved.
#[repr(transparent)]
pub struct Moved(AtomicIsize);

impl Moved {
    /// Nothing moved.
    #[allow(clippy::new_without_default, reason = "a const constructor is the only one wanted")]
    pub const fn new() -> Moved {
        Moved(AtomicIsize::new(0))
    }

    /// `n` free bytes came into use, or where it is negative went out of use. Owner only.
    #[inline]
    pub fn move_free_in_use(&self, n: isize, delta: &mut Delta) {
        self.0.store(self.0.load(Ordering::Relaxed) + n, Ordering::Relaxed);
        delta.add(Total::of(Account::HeapInUse), n);
        delta.add(Total::of(Account::HeapFree), -n);
    }

    /// What the accounts do not have yet.
    pub fn get(&self) -> isize {
        self.0.load(Ordering::Relaxed)
    }

    /// The same, which the accounts have from now on. Owner only.
    pub(super) fn take(&self) -> isize {
        let n = self.get();
        self.0.store(0, Ordering::Relaxed);
        n
    }
}
