//! armv7 in ARM mode (little-endian).

use core::arch::{asm, naked_asm};
use core::ffi::c_void;

use super::block::{THREAD_BLOCK, ThreadBlock};

// The section is not linked: its instructions make the assembler refuse other variants. No `cfg` of stable Rust tells
// them apart.
core::arch::global_asm!(
    ".pushsection .crossfoot.variant,\"e\",%progbits",
    "dmb ish @ crossfoot supports ARMv7 and later, which have this barrier: build for armv7-unknown-linux-gnueabihf",
    "rsc r0, r0, r0 @ crossfoot is built in ARM mode, not Thumb: build for armv7-unknown-linux-gnueabihf",
    ".popsection",
);

/// The bits of an address that a process gets, at least and at most.
pub const ADDRESS_BITS: [u32; 2] = [32, 32];
/// The size of a physical page, if the CPU has only one.
pub const PHYSICAL_PAGE: Option<usize> = None;

/// Returns this thread's block.
#[inline(always)]
pub(super) fn thread_block() -> *mut ThreadBlock {
    let block: *mut ThreadBlock;
    // SAFETY: adds the block's offset, which the linker or the loader wrote to the global offset table, to the thread
    // pointer.
    unsafe {
        asm!("ldr {0}, 3f", "2: ldr {0}, [pc, {0}]", "mrc p15, 0, {1}, c13, c0, 3", "add {0}, {0}, {1}", "b 4f",
            "3: .word {s}(gottpoff)+(.-2b-8)", "4:", out(reg) block, out(reg) _, s = sym THREAD_BLOCK,
            options(pure, readonly, nostack, preserves_flags));
    }
    block
}

/// Returns the thread id: the thread pointer, a multiple of eight and not zero.
#[inline(always)]
pub fn thread_id() -> usize {
    let thread_id: usize;
    // SAFETY: every thread of every libc has its own thread pointer, which stays.
    unsafe { asm!("mrc p15, 0, {0}, c13, c0, 3", out(reg) thread_id, options(pure, nomem, nostack, preserves_flags)) };
    thread_id
}

/// Prefetches the cache line of `address`, which may be any address.
#[inline(always)]
pub fn prefetch(address: *const u8) {
    // SAFETY: a prefetch of any address never faults and changes nothing.
    unsafe { asm!("pld [{0}]", in(reg) address, options(nostack, preserves_flags, readonly)) };
}

/// Returns the stack pointer.
#[inline(always)]
pub fn stack_pointer() -> usize {
    let pointer: usize;
    // SAFETY: reads a register.
    unsafe { asm!("mov {0}, sp", out(reg) pointer, options(nomem, nostack, preserves_flags)) };
    pointer
}

/// Calls `function` with `argument` on another stack, which ends at `top`. An unwinder finds the caller behind it.
///
/// # Safety
/// The memory below `top`, a multiple of 16, is an unused stack, large enough for the function; the function may
/// be called with the argument.
#[unsafe(naked)]
pub unsafe extern "C-unwind" fn on_stack(
    function: unsafe extern "C-unwind" fn(*mut c_void),
    argument: *mut c_void,
    top: *mut c_void,
) {
    naked_asm!(include_str!("switch/armv7.s"), options(raw))
}

/// Makes a system call that rustix lacks (`os/linux/mod.rs` lists them). Returns a value, or a negative error number.
///
/// # Safety
/// The call with these arguments must be sound.
pub unsafe fn syscall3(number: usize, a: usize, b: usize, c: usize) -> isize {
    // SAFETY: the caller's promise; a call of three arguments ignores the fourth.
    unsafe { syscall4(number, a, b, c, 0) }
}

/// As [`syscall3`], with four arguments.
///
/// # Safety
/// The call with these arguments must be sound.
pub unsafe fn syscall4(number: usize, a: usize, b: usize, c: usize, d: usize) -> isize {
    let result: isize;
    // SAFETY: the Linux system call convention; the kernel changes only r0. r7, which holds the number, may be the frame
    // pointer, so it is kept in another register.
    unsafe {
        asm!("mov {kept}, r7", "mov r7, {number}", "svc #0", "mov r7, {kept}", kept = out(reg) _, number = in(reg) number,
            inlateout("r0") a as isize => result, in("r1") b, in("r2") c, in("r3") d, options(nostack));
    }
    result
}

/// `rt_sigaction`.
pub const SYS_RT_SIGACTION: usize = 174;
/// `rt_sigprocmask`.
pub const SYS_RT_SIGPROCMASK: usize = 175;
/// `rt_sigpending`.
pub const SYS_RT_SIGPENDING: usize = 176;
/// `rt_sigtimedwait`.
pub const SYS_RT_SIGTIMEDWAIT: usize = 177;
/// `prctl`.
pub const SYS_PRCTL: usize = 172;
/// `getcwd`.
pub const SYS_GETCWD: usize = 183;
/// `tgkill`.
pub const SYS_TGKILL: usize = 268;
/// `kill`.
pub const SYS_KILL: usize = 37;
/// `exit_group`.
pub const SYS_EXIT_GROUP: usize = 248;
/// `clock_gettime`.
pub const SYS_CLOCK_GETTIME: usize = 263;
/// `madvise`.
pub const SYS_MADVISE: usize = 220;
/// `mincore`.
pub const SYS_MINCORE: usize = 219;
/// `ioctl`: a descriptor, a request, an argument.
pub const SYS_IOCTL: usize = 54;
/// `kcmp`.
pub const SYS_KCMP: usize = 378;

/// Calls `poll`: descriptors, how many, milliseconds to wait.
///
/// # Safety
/// `descriptors` points to `count` values of `struct pollfd`.
pub unsafe fn poll(descriptors: usize, count: usize, millis: usize) -> isize {
    const SYS_POLL: usize = 168;
    // SAFETY: the caller's promise.
    unsafe { syscall3(SYS_POLL, descriptors, count, millis) }
}

/// Returns the time in nanoseconds: not every armv7 CPU has a counter that programs may read.
pub fn ticks() -> u64 {
    const CLOCK_MONOTONIC: usize = 1;
    let mut time = [0usize; 2];
    // SAFETY: Linux writes seconds and nanoseconds, two words.
    unsafe { syscall3(SYS_CLOCK_GETTIME, CLOCK_MONOTONIC, (&raw mut time).expose_provenance(), 0) };
    time[0] as u64 * 1_000_000_000 + time[1] as u64
}

/// Ends the process by an illegal instruction.
pub fn trap() -> ! {
    // SAFETY: the instruction never continues.
    unsafe { asm!("udf #0", options(noreturn, nostack)) }
}

/// Loads the address of a symbol, declared by `binding`, from the global offset table.
macro_rules! weak_address {
    ($symbol:literal, $binding:expr) => {{
        let address: *const core::ffi::c_void;
        // SAFETY: reads the symbol's entry in the global offset table. Each object file of this crate declares the
        // symbol, since it is declared where it is used.
        unsafe {
            core::arch::asm!(concat!($binding, $symbol), "ldr {0}, 3f", "2: ldr {0}, [pc, {0}]", "b 4f",
                concat!("3: .word ", $symbol, "(GOT_PREL)+(.-2b-8)"), "4:", out(reg) address,
                options(pure, readonly, nostack, preserves_flags));
        }
        address
    }};
}
pub(super) use weak_address;
