//! Which cache a running thread has, by its thread pointer: so that a cache whose thread ended without a word is found.
//!
//! A thread that first frees in the last round of its destructors gets a cache that no destructor gives back. The next
//! thread with the same thread pointer knows that the earlier one is gone, and goes on with its cache.

use core::cell::Cell;
use core::ptr::null_mut;

use crate::cache::Cache;

/// How many lists there are.
const LISTS: usize = 64;

/// Caches of threads, by thread pointer. The caches' lock protects it.
pub(super) struct Owners {
    lists: [Cell<*mut Cache>; LISTS],
    /// The process, from when it was first asked for; 0: it was not. A child that was forked past the libc has its
    /// parent's here, and finds no cache: it compares that with its own number.
    process: Cell<i32>,
}

impl Owners {
    /// None.
    pub(super) const fn new() -> Owners {
        Owners { lists: [const { Cell::new(null_mut()) }; LISTS], process: Cell::new(0) }
    }

    fn list(&self, thread: usize) -> &Cell<*mut Cache> {
        // Thread pointers are far apart and aligned: the upper bits of a product depend on all of their bits.
        let hash = (thread as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> (u64::BITS - LISTS.ilog2());
        &self.lists[hash as usize % LISTS]
    }

    /// Returns the cache that a thread with this thread pointer had in this process, and did not give back. The system is
    /// asked for the process only where there may be one.
    pub(super) fn find(&self, thread: usize, process: fn() -> i32) -> Option<&'static Cache> {
        let mut at = self.list(thread).get();
        // SAFETY: caches are never unmapped.
        while let Some(cache) = unsafe { at.as_ref() } {
            if cache.thread.get() == thread && cache.process.get() == process() {
                return Some(cache);
            }
            at = cache.next_by_thread.get();
        }
        None
    }

    /// Notes whose the cache is now; it is not noted. Where it is the `first` one, nobody asks for the process, and the
    /// cache is never found: a start asks the system for as little as it can.
    pub(super) fn note(&self, cache: &Cache, thread: usize, process: fn() -> i32, first: bool) {
        if self.process.get() == 0 && !first {
            self.process.set(process());
        }
        let list = self.list(thread);
        cache.thread.set(thread);
        cache.process.set(self.process.get());
        cache.next_by_thread.set(list.get());
        list.set(core::ptr::from_ref(cache).cast_mut());
    }

    /// Forgets whose the cache was.
    pub(super) fn forget(&self, cache: &Cache) {
        let mut link = self.list(cache.thread.replace(0));
        // SAFETY: caches are never unmapped.
        while let Some(at) = unsafe { link.get().as_ref() } {
            if core::ptr::eq(at, cache) {
                link.set(cache.next_by_thread.replace(null_mut()));
                return;
            }
            link = &at.next_by_thread;
        }
    }

    /// Forgets all: in the child of a fork, whose caches' threads may have been anywhere in their fast paths.
    pub(super) fn clear(&self) {
        self.lists.iter().for_each(|list| list.set(null_mut()));
        self.process.set(0);
    }
}
