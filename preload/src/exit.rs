//! What runs when the process starts and exits.

use core::ffi::c_int;

use kernel::global;

#[unsafe(link_section = ".text.startup")]
extern "C" fn fini() {
    global::at_exit_of_any();
}

/// Runs when the process starts. A program may close standard error before it allocates, or exit without allocating.
#[used]
#[unsafe(link_section = ".init_array")]
static INIT: extern "C" fn() = init;

#[unsafe(link_section = ".text.startup")]
extern "C" fn init() {
    global::at_start_of_any();
}

/// The loader runs this after the program's own destructors.
#[used]
#[unsafe(link_section = ".fini_array")]
static FINI: extern "C" fn() = fini;

/// Claims the exit report of the process `pid`: 1, or 0 if another allocator of Crossfoot's in the process has. Called by
/// those, and by nobody else.
#[unsafe(no_mangle)]
pub extern "C" fn crossfoot_claim_report(pid: c_int) -> c_int {
    c_int::from(global::claim_report(pid))
}
