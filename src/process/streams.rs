//! glibc's list of streams, around a fork.
//!
//! A thread in `fflush(NULL)` or `fclose` has the list's lock and waits for a stream's; a thread in `getline` has the
//! stream's and waits for the allocator. glibc's `fork` takes the list's lock for itself, before those of its own allocator
//! but after every handler of `pthread_atfork`, ours too: so ours takes it first, or the three wait for each other (glibc
//! bug 19431).

use core::ffi::{c_char, c_void};
use core::mem::transmute;

use crate::arch;

/// Whether the libc says that this process has one thread only, and never had another.
pub(super) fn is_single_threaded() -> bool {
    let single: *const c_char = arch::libc_single_threaded().cast();
    // SAFETY: null, or glibc's variable of this type, which it writes to when a thread is made.
    !single.is_null() && unsafe { single.read_volatile() } != 0
}

/// Whether [`lock`] takes the lock: where there is glibc's list, and other threads that can hold its lock. With one thread
/// only, nobody can; and glibc leaves the lock alone then, so that a signal handler may fork whatever it interrupted.
pub(super) fn are_shared() -> bool {
    !arch::libc_single_threaded().is_null() && !arch::io_list_lock().is_null() && !is_single_threaded()
}

/// Takes the lock of the list of streams, as glibc's `fork` does a moment later once more: it counts.
pub(super) fn lock() {
    call(arch::io_list_lock());
}

/// Releases it, in the parent.
pub(super) fn unlock() {
    call(arch::io_list_unlock());
}

/// Makes it a lock that nobody holds, in the child, as glibc has done in a process with several threads: one of a thread
/// that is not there any more may have been meant. Another release would make it count wrong.
pub(super) fn reset() {
    call(arch::io_list_resetlock());
}

fn call(function: *const c_void) {
    if !function.is_null() {
        // SAFETY: the symbol is glibc's function without arguments and result.
        unsafe { transmute::<*const c_void, unsafe extern "C" fn()>(function)() }
    }
}
