//! Gives a thread its cache, in its first allocation.

use super::instance::{ALLOCATOR, own_cache};
use super::{environment, fork, hooks, inside, startup, thread_exit};
use crate::cache::Cache;
use crate::isolated;
use crate::local;
use crate::os::{Linux, OsError};

/// Returns the calling thread's cache. Adopts one if the thread has none. Returns `None` if there is no memory for one.
#[inline]
pub(super) fn cache() -> Option<&'static Cache> {
    match own_cache() {
        Some(cache) => Some(cache),
        None => adopt().ok(),
    }
}

/// Starts the allocator if this is the first call in the process, and gives the calling thread a cache: a retired one, or
/// a new one.
#[cold]
#[inline(never)]
pub(super) fn adopt() -> Result<&'static Cache, OsError> {
    startup::begin();
    let busy = inside::busy("malloc");
    // Options come first: they restrict the system calls of the start, and choose the heap's base address.
    environment::read_options();
    // SAFETY: the allocator is a static; the thread id is the thread pointer.
    let (cache, found) = unsafe { ALLOCATOR.adopt_for(local::thread_id(), Linux::pid) }?;
    isolated::list_on_stats_page(&ALLOCATOR);
    local::set_cache(cache);
    if local::ended() {
        // The libc may run no second round of destructors for this thread.
        cache.exit_rounds.set(thread_exit::ROUNDS);
    }
    if !found {
        cache.set_thread_id(local::thread_id());
    }
    drop(busy);
    fork::register();
    hooks::keep();
    thread_exit::register(cache);
    Ok(cache)
}
