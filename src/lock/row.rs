//! Locks held without a guard, across a fork.
//!
//! The handler that runs before a fork returns with the locks held. Another handler releases them in the
//! parent and in the child. So no guard can span the time between. A fork holds locks that no other thread
//! may hold together: whole rows of one rank, such as the centrals, and ranks without a declared order. This
//! is safe because it takes the ranks in one line, [`Order::sorted`], which respects the declared order. The
//! checker records a row as one lock, with the address of its first.
//!
//! A fork inside the allocator bypasses the checker: its thread already holds locks out of this line. If that
//! could make it wait for ever, it does not wait.
//!
//! [`Order::sorted`]: super::Order::sorted

use super::fork::Fork;
use super::held;
use super::mutex::Mutex;
use crate::os::Platform;

/// Takes every lock of a row of one rank and keeps it until [`let_go_row`]. Skips the locks that this thread
/// holds, and those that a fork inside the allocator cannot wait for. Only a forking thread calls it, row
/// after row in the sorted line, so that no two threads each hold a part of a row.
pub fn hold_row<'a, P: Platform, T: 'a>(row: impl IntoIterator<Item = &'a Mutex<P, T>>, fork: &Fork) {
    for (i, mutex) in row.into_iter().enumerate() {
        if i == 0 && !fork.is_inside() {
            held::note_in_line(mutex.rank(), mutex.address());
        }
        mutex.hold_for_fork(fork);
    }
}

/// Releases the locks that [`hold_row`] took. In the child, marks the locks that other threads held as
/// abandoned.
///
/// # Safety
/// This thread, or the parent's thread that forked this process, took these locks by [`hold_row`] for this
/// fork with the same first lock, and has not released them since.
pub unsafe fn let_go_row<'a, P: Platform, T: 'a>(
    row: impl IntoIterator<Item = &'a Mutex<P, T>>,
    fork: &Fork,
    child: bool,
) {
    for (i, mutex) in row.into_iter().enumerate() {
        if i == 0 && !fork.is_inside() {
            held::release(mutex.rank(), mutex.address());
        }
        // SAFETY: `hold_row` borrowed nothing from the lock.
        unsafe { mutex.release_after_fork(fork, child) };
    }
}
