//! The accounts of a build without books: the one balance that the page heap acts upon.

use core::sync::atomic::{AtomicIsize, AtomicUsize, Ordering};

use super::entry::Entry;
use super::kinds::Account;

/// What one cache moved, for the one balance.
pub struct Moved(AtomicIsize);

impl Moved {
    /// Nothing moved.
    #[allow(clippy::new_without_default, reason = "a const constructor is the only one wanted")]
    pub const fn new() -> Moved {
        Moved(AtomicIsize::new(0))
    }

    /// `n` free bytes came into use.
    #[inline]
    pub fn move_free_in_use(&self, n: isize, _entry: &mut Entry) {
        self.0.store(self.0.load(Ordering::Relaxed) + n, Ordering::Relaxed);
    }

    /// What the balance does not have yet.
    pub fn get(&self) -> isize {
        self.0.load(Ordering::Relaxed)
    }
}

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

    /// 0.
    pub fn mapped_ready(&self) -> usize {
        0
    }

    /// 0.
    pub fn total(&self) -> usize {
        0
    }

    /// Nothing.
    #[inline]
    pub fn mapped(&self, _account: Account, _n: usize, _entry: &mut Entry) {}

    /// Nothing.
    #[inline]
    pub fn unmapped(&self, _account: Account, _n: usize, _entry: &mut Entry) {}

    /// `n` bytes changed from one account to another.
    #[inline]
    pub fn transfer(&self, from: Account, to: Account, n: usize, _entry: &mut Entry) {
        if to == Account::HeapInUse {
            self.heap_in_use.fetch_add(n, Ordering::Relaxed);
        }
        if from == Account::HeapInUse {
            self.heap_in_use.fetch_sub(n, Ordering::Relaxed);
        }
    }

    /// Gives the balance what a cache moved.
    pub fn settle(&self, moved: &Moved) {
        self.heap_in_use.fetch_add(moved.0.load(Ordering::Relaxed) as usize, Ordering::Relaxed);
        moved.0.store(0, Ordering::Relaxed);
    }

    /// Nothing.
    #[inline]
    pub fn became_ready(&self, _n: usize, _entry: &mut Entry) {}

    /// Nothing.
    #[inline]
    pub fn ceased_ready(&self, _n: usize, _entry: &mut Entry) {}
}
