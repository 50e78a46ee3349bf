//! Functions that run at the start and the end of the process, for the loader.

use core::ffi::c_int;

use crossfoot::process;

/// Runs at the exit of the process, after the program's own destructors.
#[unsafe(link_section = ".text.startup")]
extern "C" fn fini() {
    process::at_process_exit();
}

/// Registers [`init`] with the loader. The options are read at the start, because a program may close standard error
/// before it allocates, or exit without allocating.
#[used]
#[unsafe(link_section = ".init_array")]
static INIT: extern "C" fn() = init;

/// Runs at the start of the process.
#[unsafe(link_section = ".text.startup")]
extern "C" fn init() {
    process::at_process_start();
}

/// Registers [`fini`] with the loader.
#[used]
#[unsafe(link_section = ".fini_array")]
static FINI: extern "C" fn() = fini;

/// Claims the exit report of the process `pid`. Returns 1, or 0 if another Crossfoot allocator in the process has
/// claimed it. Only such allocators call this, through `dlsym`.
#[unsafe(no_mangle)]
pub extern "C" fn crossfoot_claim_report(pid: c_int) -> c_int {
    c_int::from(process::claim_report(pid))
}
