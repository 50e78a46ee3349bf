//! Maps thread pointers to caches, to find a cache that an exited thread did not give back.
//!
//! A thread that first frees in the last round of its destructors gets a cache that no destructor gives back. The next
//! thread with the same thread pointer proves that the earlier one has exited, and takes its cache over.

use core::cell::Cell;
use core::ptr::null_mut;

use crate::cache::Cache;

/// The number of lists.
const LISTS: usize = 64;

/// Caches of threads, by thread pointer. The caches' lock protects it.
pub(super) struct Owners {
    lists: [Cell<*mut Cache>; LISTS],
    /// The process id, or 0 before it is needed. A child that was forked without the libc has its parent's here, which differs
    /// from its own, so it finds no cache.
    process: Cell<i32>,
}

impl Owners {
    /// Returns an empty map.
    pub(super) const fn new() -> Owners {
        Owners { lists: [const { Cell::new(null_mut()) }; LISTS], process: Cell::new(0) }
    }

    fn list(&self, thread: usize) -> &Cell<*mut Cache> {
        // Thread pointers are far apart and aligned: the upper bits of a product depend on all of their bits.
        let hash = (thread as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> (u64::BITS - LISTS.ilog2());
        &self.lists[hash as usize % LISTS]
    }

    /// Returns the cache that a thread with this thread pointer had in this process and did not give back. Calls `process` only
    /// if there may be one.
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

    /// Adds a cache that is not in the map. The `first` cache of a process is added without a process id, and is never found:
    /// that saves a system call at the start.
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

    /// Removes a cache.
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

    /// Removes all caches, in the child of a fork: their threads may have been anywhere in their fast paths.
    pub(super) fn clear(&self) {
        self.lists.iter().for_each(|list| list.set(null_mut()));
        self.process.set(0);
    }
}
