//! The accounts of a build without books: the one balance that the page heap acts upon.

use core::sync::atomic::{AtomicUsize, Ordering};

use super::delta::Delta;
use super::kinds::Account;
use super::moved::Moved;
use super::offsets::AccountOffsets;

/// How many bytes spans with objects have.
pub struct Accounts {
    heap_in_use: AtomicUsize,
}

impl Accounts {
    /// Nothing in use.
    #[allow(clippy::new_without_default, reason = "a const constructor is the only one wanted")]
    pub const fn new() -> Accounts {
        Accounts { heap_in_use: AtomicUsize::new(0) }
    }

    /// The balance of [`Account::HeapInUse`] in bytes, and 0 for any other.
    pub fn get(&self, account: Account) -> usize {
        if account == Account::HeapInUse { self.heap_in_use.load(Ordering::Relaxed) } else { 0 }
    }

    /// Nowhere.
    pub fn offsets(&self) -> AccountOffsets {
        AccountOffsets { balances: 0, mapped_ready: 0 }
    }

    /// 0.
    pub fn mapped_ready(&self) -> usize {
        0
    }

    /// 0.
    pub fn total(&self) -> usize {
        0
    }

    /// 0.
    pub fn peaks(&self) -> [usize; 2] {
        [0; 2]
    }

    /// Nothing.
    #[inline]
    pub fn mapped(&self, _account: Account, _n: usize, _delta: &mut Delta) {}

    /// Nothing.
    #[inline]
    pub fn unmapped(&self, _account: Account, _n: usize, _delta: &mut Delta) {}

    /// `n` bytes changed from one account to another.
    #[inline]
    pub fn transfer(&self, from: Account, to: Account, n: usize, _delta: &mut Delta) {
        if to == Account::HeapInUse {
            self.heap_in_use.fetch_add(n, Ordering::Relaxed);
        }
        if from == Account::HeapInUse {
            self.heap_in_use.fetch_sub(n, Ordering::Relaxed);
        }
    }

    /// Gives the balance what a cache moved.
    pub fn settle(&self, moved: &Moved) {
        self.heap_in_use.fetch_add(moved.take() as usize, Ordering::Relaxed);
    }

    /// Nothing.
    #[inline]
    pub fn became_ready(&self, _n: usize, _delta: &mut Delta) {}

    /// Nothing.
    #[inline]
    pub fn no_longer_ready(&self, _n: usize, _delta: &mut Delta) {}
}
