//! Whether the calling thread is inside the allocator. A signal handler that interrupted it there must neither wait for a
//! lock of its own thread nor touch a structure that is half changed. Forks and exits ask.

use super::instance::{ALLOCATOR, own_cache};
use crate::isolated;
use crate::local::{self, Busy};
use crate::lock;
use crate::report;

/// Returns whether the calling thread is inside the allocator: in a slow path, with a lock held, while it posts to the
/// statistics or reads them, in a fork, or while it gets or loses its cache. Then the caller is a signal handler.
///
/// The fast paths leave no mark. They hold no lock, and an interrupted fast path leaves at most one object neither live
/// nor free.
pub fn this_thread() -> bool {
    own_cache().is_some_and(|cache| cache.is_inside() || cache.writer().is_inside())
        || local::is_busy()
        || local::is_forking()
        || local::is_dying()
        || local::stack() != 0
        || isolated::is_held_by_this_thread()
        || ALLOCATOR.is_held_by_this_thread()
}

/// Returns whether the calling thread must not wait for locks or compare structures: it is inside the allocator, or a lock
/// was abandoned and will never be released.
pub(super) fn is_interrupted() -> bool {
    this_thread() || lock::has_abandoned()
}

/// Marks the calling thread as busy until the result is dropped: it gets or loses its cache, or uses the shared one. A
/// signal handler that calls `function` meanwhile would deadlock on a lock of its own thread; the process aborts instead.
#[inline]
pub(super) fn busy(function: &str) -> Busy {
    match Busy::begin() {
        Some(busy) => busy,
        None => report::fatal(format_args!("crossfoot: {function}: called by a signal handler inside the allocator")),
    }
}
