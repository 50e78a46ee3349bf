//! What runs when the process starts and exits.

use core::arch::global_asm;
use core::ffi::c_int;

use crossfoot::os::Linux;
use crossfoot::process;

#[unsafe(link_section = ".text.startup")]
extern "C" fn fini() {
    process::at_process_exit();
}

/// Runs when the process starts. A program may close standard error before it allocates, or exit without allocating.
#[used]
#[unsafe(link_section = ".init_array")]
static INIT: extern "C" fn() = init;

#[unsafe(link_section = ".text.startup")]
extern "C" fn init() {
    process::at_process_start();
}

/// The loader runs this after the program's own destructors.
#[used]
#[unsafe(link_section = ".fini_array")]
static FINI: extern "C" fn() = fini;

/// Claims the exit report of the process `pid`: 1, or 0 if another allocator of Crossfoot's in the process has. Called by
/// those, and by nobody else.
#[unsafe(no_mangle)]
pub extern "C" fn crossfoot_claim_report(pid: c_int) -> c_int {
    c_int::from(process::claim_report(pid))
}

// `_exit` and `_Exit`, in the shared object alone: `build.rs` exports this function by those names. In the archive they
// would make the libc's own `exit` come through here, after the report was written.
#[cfg(target_arch = "x86_64")]
global_asm!(
    ".pushsection .text.crossfoot_exit,\"ax\",@progbits",
    ".globl crossfoot_exit",
    ".hidden crossfoot_exit",
    ".type crossfoot_exit,@function",
    "crossfoot_exit: jmp {exit}",
    ".size crossfoot_exit, . - crossfoot_exit",
    ".popsection",
    exit = sym exit_at_once,
);

/// Ends the process, without the program's own exit handlers. The libc's own calls do not come here: its `exit`, a child of
/// `posix_spawn` that finds no program.
extern "C" fn exit_at_once(status: c_int) -> ! {
    process::at_immediate_exit();
    Linux::exit(status)
}
