//! Functions for static programs that are linked with musl.

use core::ffi::c_int;

use crossfoot::process;

/// Takes or releases the allocator's locks around a fork. In a static program musl's `fork` calls it, after its own
/// locks, if the process has several threads: with -1 before the fork, after it with 0 in the parent and 1 in the
/// child.
#[unsafe(no_mangle)]
pub extern "C" fn __malloc_atfork(when: c_int) {
    process::at_fork_of_libc(when);
}

/// Registers [`init`] with the libc.
#[used]
#[unsafe(link_section = ".init_array")]
static INIT: extern "C" fn() = init;

/// Runs at the start of the process.
#[unsafe(link_section = ".text.startup")]
extern "C" fn init() {
    process::let_libc_fork();
}
