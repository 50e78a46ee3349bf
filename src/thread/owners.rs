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
pub(super) struct Owners([Cell<*mut Cache>; LISTS]);

impl Owners {
    /// None.
    pub(super) const fn new() -> Owners {
        Owners([const { Cell::new(null_mut()) }; LISTS])
    }

    fn list(&self, thread: usize) -> &Cell<*mut Cache> {
        // Thread pointers are far apart and aligned: the upper bits of a product depend on all of their bits.
        let hash = (thread as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> (u64::BITS - LISTS.ilog2());
        &self.0[hash as usize % LISTS]
    }

    /// Returns the cache that a thread with this thread pointer had in this process, and did not give back.
    pub(super) fn find(&self, thread: usize, process: i32) -> Option<&'static Cache> {
        let mut at = self.list(thread).get();
        // SAFETY: caches are never unmapped.
        while let Some(cache) = unsafe { at.as_ref() } {
            if cache.thread.get() == thread && cache.process.get() == process {
                return Some(cache);
            }
            at = cache.next_by_thread.get();
        }
        None
    }

    /// Notes whose the cache is now; it is not noted.
    pub(super) fn note(&self, cache: &Cache, thread: usize, process: i32) {
        let list = self.list(thread);
        cache.thread.set(thread);
        cache.process.set(process);
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
        self.0.iter().for_each(|list| list.set(null_mut()));
    }
}
