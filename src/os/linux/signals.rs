//! Signal masks of the calling thread.

use super::base::Linux;
use crate::arch;

/// `SIG_UNBLOCK` of `signal.h`.
pub(super) const SIG_UNBLOCK: usize = 1;
/// `SIG_BLOCK` of `signal.h`.
const SIG_BLOCK: usize = SIG_UNBLOCK - 1;
/// `SIG_SETMASK` of `signal.h`.
const SIG_SETMASK: usize = SIG_UNBLOCK + 1;
/// `SIGPIPE` of `signal.h`.
const SIGPIPE: usize = 13;
/// `SIGXFSZ` of `signal.h`.
const SIGXFSZ: usize = 25;

impl Linux {
    /// Returns whether the calling thread blocks a signal, as it does in a signal handler.
    pub fn blocks_signals() -> bool {
        let mut set = 0u64;
        // SAFETY: the call writes a mask of this frame, and changes nothing.
        let done =
            unsafe { arch::syscall4(arch::SYS_RT_SIGPROCMASK, SIG_UNBLOCK, 0, (&raw mut set).expose_provenance(), 8) };
        done == 0 && set != 0
    }

    /// Runs `f`, which writes, with the signals of failed writes blocked: `SIGPIPE` for a pipe without a reader, `SIGXFSZ`
    /// above the limit on file sizes. They would end a program that did not write anything itself.
    pub fn without_signals<E>(f: impl FnOnce() -> Result<(), E>) -> Result<(), E> {
        let ours = (1u64 << (SIGPIPE - 1)) | (1 << (SIGXFSZ - 1));
        let (mut pending, mut mask) = (0u64, 0u64);
        let at = |word: *const u64| word.expose_provenance();
        // SAFETY: the calls read and write words of this frame.
        unsafe {
            arch::syscall3(arch::SYS_RT_SIGPENDING, at(&raw mut pending), 8, 0);
            arch::syscall4(arch::SYS_RT_SIGPROCMASK, SIG_BLOCK, at(&raw const ours), at(&raw mut mask), 8);
        }
        let done = f();
        if done.is_err() {
            // Takes the signals that `f` raised. Those that were pending before are the program's.
            let (sent, now) = (ours & !pending, [0usize; 2]);
            // SAFETY: as above; the timeout is zero.
            unsafe {
                arch::syscall4(arch::SYS_RT_SIGTIMEDWAIT, at(&raw const sent), 0, now.as_ptr().expose_provenance(), 8)
            };
        }
        // SAFETY: as above.
        unsafe { arch::syscall4(arch::SYS_RT_SIGPROCMASK, SIG_SETMASK, at(&raw const mask), 0, 8) };
        done
    }
}
