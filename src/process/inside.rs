//! Whether this thread is inside the allocator: for what a signal handler does that may have interrupted it there.
//!
//! A fork and the end of the process ask. Neither may wait for a lock of its own thread, nor touch what is half done.

use super::ALLOCATOR;
use crate::cache::Cache;
use crate::isolated;
use crate::local;
use crate::lock;
use crate::mem_stats::Balance;

/// Whether the calling thread is inside the allocator: in a slow path, with a lock held, in an entry of the books, in a
/// reading, in a fork, or where it gets or loses its cache. A signal handler interrupted it there.
///
/// The fast paths leave no sign. They hold no lock, and what they leave undone for an instant is one object.
pub fn this_thread() -> bool {
    // SAFETY: it is null or this thread's cache.
    let cache = unsafe { local::cache::<Cache>().as_ref() };
    cache.is_some_and(|cache| cache.is_inside() || cache.writer().is_inside())
        || local::is_busy()
        || local::is_forking()
        || local::is_dying()
        || local::stack() != 0
        || isolated::is_held_by_this_thread()
        || ALLOCATOR.is_held_by_this_thread()
}

/// Whether the calling thread can neither wait for the allocator's locks nor compare its structures: it is inside, or
/// nobody will ever release some of the locks.
pub(super) fn is_interrupted() -> bool {
    this_thread() || lock::has_abandoned()
}

/// As [`super::crossfoot_with`], but objects are not compared: a signal handler may have interrupted one of the few
/// instructions of a fast path between which an object is neither live nor free.
pub(super) fn crossfoot_without_objects<R>(f: impl FnOnce(Option<&Balance>) -> R) -> R {
    super::on_system_stack(|| {
        // SAFETY: it is null or this thread's cache.
        if let Some(cache) = unsafe { local::cache::<Cache>().as_ref() } {
            let _inside = cache.enter(|| ("a check of the books", 0));
            cache.post_all(ALLOCATOR.caches().central());
        }
        // Of a thread that is not known to own the only cache in use, no object is looked at.
        f(ALLOCATOR.crossfoot(None).as_ref())
    })
}

/// Hands `f` what a check of the books can say at an exit inside the allocator or beside other threads: a snapshot, the
/// last complete one if there is no other, and the identities within that. Waits at most 10 ms, for another reader.
///
/// `f` runs on a stack of its own, and may not allocate. The process ends afterwards.
pub(super) fn crossfoot_at_once<R>(f: impl FnOnce(Option<&Balance>) -> R) -> R {
    let interrupted = is_interrupted();
    // A reading that a handler on a small alternate stack interrupted has a stack, which the handler may not use.
    let stack = local::stack();
    local::set_exiting(true);
    local::set_stack(0);
    let result = super::on_system_stack(|| f(ALLOCATOR.crossfoot_at_once(interrupted).as_ref()));
    local::set_stack(stack);
    local::set_exiting(false);
    result
}
