//! Locks held without a guard, across a fork.
//!
//! The handler that runs before a fork returns with the locks held, and another one releases them
//! in the parent and in the child, so no guard can span the time between. It holds what nobody else
//! may hold together: whole rows of one rank, the centrals, and ranks between which no order is
//! declared. That is safe since it takes the ranks in one line, [`Order::sorted`], which keeps the
//! declared order. For the checker a row is one lock, known by its first.
//!
//! The checker is not asked by a fork inside the allocator: the thread holds locks out of this line, and where that
//! could make it wait for ever, it does not wait.
//!
//! [`Order::sorted`]: super::Order::sorted

use super::fork::Fork;
use super::held;
use super::mutex::Mutex;
use crate::os::Platform;

/// Takes every lock of a row, all of one rank, and keeps them until [`let_go_row`]: all but those that this thread holds,
/// and those that a fork inside the allocator cannot wait for. Only the thread
/// that forks calls it, row after row in the line of ranks, so that no two threads hold parts of a row.
pub fn hold_row<'a, P: Platform, T: 'a>(row: impl IntoIterator<Item = &'a Mutex<P, T>>, fork: &Fork) {
    for (i, mutex) in row.into_iter().enumerate() {
        if i == 0 && !fork.is_inside() {
            held::note_in_line(mutex.rank(), mutex.address());
        }
        mutex.hold_for_fork(fork);
    }
}

/// Releases what [`hold_row`] took. In the child, what other threads hold is nobody's from now on.
///
/// # Safety
/// This thread, or the thread of the parent that forked this process, took these locks by
/// [`hold_row`] for this fork, the same one first, and has not released them since.
pub unsafe fn let_go_row<'a, P: Platform, T: 'a>(
    row: impl IntoIterator<Item = &'a Mutex<P, T>>,
    fork: &Fork,
    child: bool,
) {
    for (i, mutex) in row.into_iter().enumerate() {
        if i == 0 && !fork.is_inside() {
            held::release(mutex.rank(), mutex.address());
        }
        // SAFETY: `hold_row` lent nothing from the lock.
        unsafe { mutex.release_after_fork(fork, child) };
    }
}
