//! Functions that run at the start and the end of the process: for the loader, and `_exit`.

use core::arch::global_asm;
use core::ffi::c_int;

use crossfoot::os::Linux;
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

// The function behind `_exit` and `_Exit`: `build.rs` exports it by these names, in the shared object only. In the
// archive, the libc's own `exit` would come through here, after the report was written.
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

/// Ends the process without the program's exit handlers. The libc's own calls of `_exit` do not come here: those of its
/// `exit`, and of `posix_spawn` in a child that cannot execute its program.
extern "C" fn exit_at_once(status: c_int) -> ! {
    process::at_immediate_exit();
    Linux::exit(status)
}
