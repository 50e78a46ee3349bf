//! The end of the process.

use rustix::thread;

use super::base::Linux;
use super::signals::SIG_UNBLOCK;
use crate::arch;

/// `SIGABRT` of `signal.h`.
const SIGABRT: usize = 6;

impl Linux {
    /// Ends the process with `status`, without running exit handlers.
    pub fn exit(status: i32) -> ! {
        // SAFETY: exit_group takes a number and never returns.
        unsafe { arch::syscall3(arch::SYS_EXIT_GROUP, status as usize, 0, 0) };
        // A seccomp filter refused the exit itself; the caller must not go on.
        arch::trap()
    }

    /// Ends the process by `SIGABRT`, sent to the calling thread, so that a core dump shows this thread. Works whether the
    /// signal is blocked, ignored or handled, as C's `abort` does.
    pub fn abort() -> ! {
        send_abort();
        Linux::abort_unhandled()
    }

    /// Ends the process as [`Linux::abort`] does, but does not run the program's handler.
    pub fn abort_unhandled() -> ! {
        // `struct sigaction` of the system call, with the default action: handler, flags, restorer, mask.
        let default = [0u64; 4];
        // SAFETY: the call reads an action of this frame.
        unsafe { arch::syscall4(arch::SYS_RT_SIGACTION, SIGABRT, (&raw const default).expose_provenance(), 0, 8) };
        send_abort();
        arch::trap()
    }
}

/// Unblocks `SIGABRT` and sends it to the calling thread.
fn send_abort() {
    let set = 1u64 << (SIGABRT - 1);
    let (pid, thread) = (Linux::pid() as usize, thread::gettid().as_raw_nonzero().get() as usize);
    // SAFETY: the first call reads a mask of this frame; the second may run a handler of the program.
    unsafe {
        arch::syscall4(arch::SYS_RT_SIGPROCMASK, SIG_UNBLOCK, (&raw const set).expose_provenance(), 0, 8);
        arch::syscall3(arch::SYS_TGKILL, pid, thread, SIGABRT);
    }
}
