//! Numbers of system calls of CPUs that Linux got after 2011: `asm-generic/unistd.h`.

use super::cpu::syscall4;

/// `rt_sigaction`.
pub const SYS_RT_SIGACTION: usize = 134;
/// `rt_sigprocmask`.
pub const SYS_RT_SIGPROCMASK: usize = 135;
/// `rt_sigpending`.
pub const SYS_RT_SIGPENDING: usize = 136;
/// `rt_sigtimedwait`.
pub const SYS_RT_SIGTIMEDWAIT: usize = 137;
/// `prctl`.
pub const SYS_PRCTL: usize = 167;
/// `getcwd`.
pub const SYS_GETCWD: usize = 17;
/// `tgkill`.
pub const SYS_TGKILL: usize = 131;
/// `kill`.
pub const SYS_KILL: usize = 129;
/// `exit_group`.
pub const SYS_EXIT_GROUP: usize = 94;
/// `clock_gettime`.
pub const SYS_CLOCK_GETTIME: usize = 113;
/// `madvise`.
pub const SYS_MADVISE: usize = 233;
/// `mincore`.
pub const SYS_MINCORE: usize = 232;
/// `ioctl`: a descriptor, a request, an argument.
pub const SYS_IOCTL: usize = 29;
/// `kcmp`.
pub const SYS_KCMP: usize = 272;

/// Calls `poll`, which these CPUs have as `ppoll`: descriptors, how many, milliseconds to wait.
///
/// # Safety
/// `descriptors` points to `count` values of `struct pollfd`.
pub unsafe fn poll(descriptors: usize, count: usize, millis: usize) -> isize {
    const SYS_PPOLL: usize = 73;
    // Linux writes to it how much is left.
    let mut time = [millis / 1000, millis % 1000 * 1_000_000];
    // SAFETY: the caller's promise; the time is of this frame. Without a set of signals its size does not count.
    unsafe { syscall4(SYS_PPOLL, descriptors, count, (&raw mut time).expose_provenance(), 0) }
}
