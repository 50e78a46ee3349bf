//! Where this thread's cache is.
//!
//! The faces and `thread` use it for the one kernel that is bound to the process; `lock` keeps
//! the ranks that this thread holds here, in checked builds.
//!
//! One load of a thread-local word; no lock, no allocation, no libc.
//!
//! Invariant: the word is null or points to the cache that this thread owns.

use crate::arch;

/// This thread's cache, or null if it has none yet.
#[inline(always)]
pub fn cache<T>() -> *mut T {
    core::ptr::with_exposed_provenance_mut(arch::thread_word())
}

/// Says that this thread owns `cache` from now on; null: none.
#[inline]
pub fn set_cache<T>(cache: *const T) {
    arch::set_thread_word(cache.expose_provenance());
}

/// The locks that this thread holds; zero bytes in a new thread.
#[cfg(debug_assertions)]
pub fn held<T>() -> *mut T {
    const { assert!(size_of::<T>() <= arch::HELD_BYTES && align_of::<T>() <= 8) };
    arch::held_bytes().cast()
}
