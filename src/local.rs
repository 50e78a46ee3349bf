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

/// Whether this thread gave its cache back because it ends. It may still free, and even allocate.
pub fn ended() -> bool {
    arch::thread_flag() != 0
}

/// Says that this thread gave its cache back because it ends.
pub fn set_ended() {
    arch::set_thread_flag(1);
}

/// The locks that this thread holds; zero bytes in a new thread.
#[cfg(debug_assertions)]
pub fn held<T>() -> *mut T {
    const { assert!(size_of::<T>() <= arch::HELD_BYTES && align_of::<T>() <= 8) };
    arch::held_bytes().cast()
}
