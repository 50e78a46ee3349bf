//! `_exit` and `_Exit`, in the shared object only.

use core::arch::global_asm;
use core::ffi::c_int;

use crossfoot::os::Linux;
use crossfoot::process;

// The function behind `_exit` and `_Exit`: `build.rs` exports it by these names, in the shared object only. In the
// archive, the libc's own `exit` would come through here, after the report was written.
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
