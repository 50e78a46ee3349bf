//! The order of start-up, and what happens around a fork.
//!
//! A [`Kernel`] is everything: one system, its heap, its caches, its books. The faces bind one to
//! the process (`global`); tests make as many as they like.
//!
//! Start-up happens in the first allocation, under the boot lock: books, then page heap, then the
//! caller's cache. It reads no environment; the face does and hands the options in.
//!
//! Invariant: until start-up has succeeded, every lookup of an address finds nothing and no cache exists.

use core::sync::atomic::{AtomicBool, Ordering};

use crate::cache::Cache;
use crate::lock::{Mutex, Rank, hold_row, let_go_row};
use crate::mem_stats::{self, Balance};
use crate::metrics::Reading;
use crate::os::{Os, OsError};
use crate::thread::Caches;

/// An allocator: everything, in one value. It takes no memory before its first allocation.
pub struct Kernel<O: Os> {
    caches: Caches<O>,
    /// Whether start-up was tried before. Its lock is the boot lock.
    tried: Mutex<O, bool>,
    ready: AtomicBool,
}

impl<O: Os> Kernel<O> {
    /// An allocator on `os` that has nothing yet.
    pub const fn new(os: O) -> Kernel<O> {
        Kernel { caches: Caches::new(os), tried: Mutex::new(Rank::Boot, false), ready: AtomicBool::new(false) }
    }

    /// The caches and everything below them.
    #[inline(always)]
    pub fn caches(&self) -> &Caches<O> {
        &self.caches
    }

    /// The system.
    pub fn os(&self) -> &O {
        self.caches.central().heap().vm().os()
    }

    /// Starts the kernel up if that has not happened. An error leaves it as it was; another call tries again.
    ///
    /// # Safety
    /// The kernel stays where it is from now on, for as long as anything of it is used.
    pub unsafe fn boot(&self) -> Result<(), OsError> {
        if self.ready.load(Ordering::Acquire) {
            return Ok(());
        }
        let mut tried = self.tried.lock();
        if self.ready.load(Ordering::Acquire) {
            return Ok(());
        }
        let first = !core::mem::replace(&mut *tried, true);
        // SAFETY: the caller's promise; `first` is said once.
        unsafe { self.caches.boot(first) }?;
        self.ready.store(true, Ordering::Release);
        Ok(())
    }

    /// A cache for a thread that has none; starts the kernel up if need be.
    ///
    /// # Safety
    /// As for [`Kernel::boot`].
    pub unsafe fn adopt(&self) -> Result<&Cache, OsError> {
        // SAFETY: the caller's promise.
        unsafe { self.boot() }?;
        self.caches.adopt()
    }

    /// Before a fork: takes every lock in rank order, so that the child finds each free and what it protects whole.
    pub fn before_fork(&self) {
        hold_row([&self.tried]);
        self.caches.hold_for_fork();
    }

    /// After a fork, in the parent and in the child.
    ///
    /// # Safety
    /// This thread, or in the child the one that forked, called [`Kernel::before_fork`] and nothing since.
    pub unsafe fn after_fork(&self, child: bool) {
        // SAFETY: the caller's promise.
        unsafe {
            self.caches.release_after_fork(child);
            let_go_row([&self.tried]);
        }
    }

    /// Checks every identity; see [`mem_stats::crossfoot`]. `None` before start-up.
    pub fn crossfoot(&self, cache: Option<&Cache>, quiet: bool) -> Option<Balance> {
        self.ready.load(Ordering::Acquire).then(|| mem_stats::crossfoot(&self.caches, cache, quiet))
    }

    /// What metrics are computed from, in the process `pid`.
    pub fn reading<'a>(&self, balance: &'a Balance, pid: i32) -> Reading<'a> {
        let (central, heap) = (self.caches.central().contention(), self.caches.central().heap().contention());
        let contention = (central.0 + heap.0, central.1 + heap.1);
        Reading { balance, pid, contention, stale: self.caches.central().heap().books().stale_reads() }
    }
}
