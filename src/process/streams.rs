//! The lock of glibc's list of streams, around a fork (glibc bug 19431).
//!
//! The lock order of glibc is: list, stream, allocator. A thread in `fflush(NULL)` holds the list's lock and waits for a
//! stream's; a thread in `getline` holds the stream's and waits for the allocator. glibc's `fork` takes the list's lock
//! after all handlers of `pthread_atfork`, which take our locks: a deadlock. So our handler takes the list's lock first.

use core::ffi::{c_char, c_void};
use core::mem::transmute;

use crate::arch;

/// Returns whether the process has never had a second thread, by glibc's `__libc_single_threaded`.
pub(super) fn is_single_threaded() -> bool {
    let single: *const c_char = arch::libc_single_threaded().cast();
    // SAFETY: null, or glibc's variable of this type, which glibc writes when a thread is created.
    !single.is_null() && unsafe { single.read_volatile() } != 0
}

/// Returns whether a fork takes the lock: there is glibc's list, and the process may have several threads. With one
/// thread, glibc's `fork` skips the lock too, so that a signal handler may fork whatever it interrupted.
pub(super) fn are_shared() -> bool {
    !arch::libc_single_threaded().is_null() && !arch::io_list_lock().is_null() && !is_single_threaded()
}

/// Takes the list's lock. It is recursive; glibc's `fork` takes it once more a moment later.
pub(super) fn lock() {
    call(arch::io_list_lock());
}

/// Releases the lock, in the parent.
pub(super) fn unlock() {
    call(arch::io_list_unlock());
}

/// Resets the lock, in the child. glibc has reset it before, so a release here would make its counter wrong.
pub(super) fn reset() {
    call(arch::io_list_resetlock());
}

/// Calls `function` unless it is null.
fn call(function: *const c_void) {
    if !function.is_null() {
        // SAFETY: the symbol is glibc's function without arguments and result.
        unsafe { transmute::<*const c_void, unsafe extern "C" fn()>(function)() }
    }
}
