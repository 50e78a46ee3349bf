//! Accounts in a build without statistics: only the balance that the page heap's decisions use.

use core::sync::atomic::{AtomicUsize, Ordering};

use super::delta::Delta;
use super::kinds::Account;
use super::moved::Moved;
use super::offsets::AccountOffsets;

/// The number of bytes in spans that hold objects.
pub struct Accounts {
    heap_in_use: AtomicUsize,
}

impl Accounts {
    /// Returns accounts with nothing in use.
    #[allow(clippy::new_without_default, reason = "a const constructor is the only one wanted")]
    pub const fn new() -> Accounts {
        Accounts { heap_in_use: AtomicUsize::new(0) }
    }

    /// Returns the balance of [`Account::HeapInUse`] in bytes, and 0 for any other account.
    pub fn get(&self, account: Account) -> usize {
        if account == Account::HeapInUse { self.heap_in_use.load(Ordering::Relaxed) } else { 0 }
    }

    /// Returns no addresses: zeros.
    pub fn offsets(&self) -> AccountOffsets {
        AccountOffsets { balances: 0, mapped_ready: 0 }
    }

    /// Returns 0.
    pub fn mapped_ready(&self) -> usize {
        0
    }

    /// Returns 0.
    pub fn total(&self) -> usize {
        0
    }

    /// Returns zeros.
    pub fn peaks(&self) -> [usize; 2] {
        [0; 2]
    }

    /// Does nothing.
    #[inline]
    pub fn mapped(&self, _account: Account, _n: usize, _delta: &mut Delta) {}

    /// Does nothing.
    #[inline]
    pub fn unmapped(&self, _account: Account, _n: usize, _delta: &mut Delta) {}

    /// Moves `n` bytes from one account to another.
    #[inline]
    pub fn transfer(&self, from: Account, to: Account, n: usize, _delta: &mut Delta) {
        if to == Account::HeapInUse {
            self.heap_in_use.fetch_add(n, Ordering::Relaxed);
        }
        if from == Account::HeapInUse {
            self.heap_in_use.fetch_sub(n, Ordering::Relaxed);
        }
    }

    /// Adds what a cache moved to the balance.
    pub fn settle(&self, moved: &Moved) {
        self.heap_in_use.fetch_add(moved.take() as usize, Ordering::Relaxed);
    }

    /// Does nothing.
    #[inline]
    pub fn became_ready(&self, _n: usize, _delta: &mut Delta) {}

    /// Does nothing.
    #[inline]
    pub fn no_longer_ready(&self, _n: usize, _delta: &mut Delta) {}
}
