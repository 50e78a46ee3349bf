//! Functions that the loader or the libc calls when the process starts and exits.

use core::ffi::{c_char, c_int};

use super::instance::ALLOCATOR;
use super::{environment, exit, fork, pin};
use crate::arch;

/// Runs when the process exits by `exit`, after the program's own destructors.
#[used]
#[unsafe(link_section = ".fini_array")]
static FINI: extern "C" fn() = fini;

// The section is where compilers put code of the start, so a process that never allocates maps no other code of ours.
#[unsafe(link_section = ".text.startup")]
extern "C" fn fini() {
    // A process that never allocated here may have linked the crate for something else.
    if ALLOCATOR.is_ready() {
        exit::at_exit();
    }
}

/// Runs when the process starts, before constructors without a priority or with a larger number. Fork handlers that the
/// program registers later may allocate.
#[used]
#[unsafe(link_section = ".init_array.00050")]
static INIT: unsafe extern "C" fn(c_int, *const *const c_char, *const *const c_char) = init;

/// # Safety
/// If [`passes_environment`] returns true, `environment` is null or a list of C strings that a null ends.
#[unsafe(link_section = ".text.startup")]
unsafe extern "C" fn init(_count: c_int, _arguments: *const *const c_char, environment: *const *const c_char) {
    // Tests of allocators of their own hold locks around a fork.
    if !cfg!(feature = "testing") {
        // No lock is taken before the first allocation, so the handlers find no misuse before `startup::begin` has run.
        fork::register();
        pin::pin();
        if passes_environment() && !environment.is_null() {
            // SAFETY: the caller's promise.
            unsafe { environment::scan_environment(environment) };
        }
    }
}

/// Returns whether functions in `.init_array` get the arguments of `main`: glibc passes them; POSIX does not define it.
fn passes_environment() -> bool {
    !arch::gnu_get_libc_version().is_null()
}

/// Keeps [`INIT`] and [`FINI`] in the program: a linker takes an object file from a library only if something names it.
#[inline]
pub(super) fn keep() {
    core::hint::black_box((&INIT, &FINI));
}
