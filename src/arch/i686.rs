//! i686 with SSE2.

use core::arch::{asm, naked_asm};
use core::ffi::c_void;

use super::block::{THREAD_BLOCK, ThreadBlock};

#[cfg(not(target_feature = "sse2"))]
compile_error!("crossfoot: x86 without SSE2 is not supported; build for i686-unknown-linux-gnu");

/// The bits of an address that a process gets, at least and at most.
pub const ADDRESS_BITS: [u32; 2] = [32, 32];
/// The size of a physical page, if the CPU has only one.
pub const PHYSICAL_PAGE: Option<usize> = Some(4096);

/// Returns this thread's block.
#[inline(always)]
pub(super) fn thread_block() -> *mut ThreadBlock {
    let block: *mut ThreadBlock;
    // SAFETY: adds the block's offset, which the linker or the loader wrote to the global offset table, to the thread
    // pointer.
    unsafe {
        asm!("call 2f", "2: popl {0}", "3: addl $_GLOBAL_OFFSET_TABLE_+(3b-2b), {0}", "movl {s}@GOTNTPOFF({0}), {0}",
            "addl %gs:0, {0}", out(reg) block, s = sym THREAD_BLOCK, options(pure, readonly, att_syntax));
    }
    block
}

/// Returns the thread id: the thread pointer, a multiple of eight and not zero.
#[inline(always)]
pub fn thread_id() -> usize {
    let thread_id: usize;
    // SAFETY: every thread of every libc has its own thread pointer, which stays.
    unsafe { asm!("mov {0}, dword ptr gs:[0]", out(reg) thread_id, options(pure, readonly, nostack, preserves_flags)) };
    thread_id
}

/// Prefetches the cache line of `address`, which may be any address.
#[inline(always)]
pub fn prefetch(address: *const u8) {
    // SAFETY: a prefetch of any address never faults and changes nothing.
    unsafe { asm!("prefetcht0 byte ptr [{0}]", in(reg) address, options(nostack, preserves_flags, readonly)) };
}

/// Returns the stack pointer.
#[inline(always)]
pub fn stack_pointer() -> usize {
    let pointer: usize;
    // SAFETY: reads a register.
    unsafe { asm!("mov {0}, esp", out(reg) pointer, options(nomem, nostack, preserves_flags)) };
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
    naked_asm!(include_str!("switch/i686.s"), options(att_syntax, raw))
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
    // SAFETY: the Linux system call convention; the kernel changes only eax. LLVM keeps esi for itself, so the fourth
    // argument is exchanged with it and back.
    unsafe {
        asm!("xchg esi, {d}", "int 0x80", "xchg esi, {d}", d = inout(reg) d => _, inlateout("eax") number as isize => result,
            in("ebx") a, in("ecx") b, in("edx") c, options(nostack));
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
pub const SYS_TGKILL: usize = 270;
/// `kill`.
pub const SYS_KILL: usize = 37;
/// `exit_group`.
pub const SYS_EXIT_GROUP: usize = 252;
/// `clock_gettime`.
pub const SYS_CLOCK_GETTIME: usize = 265;
/// `madvise`.
pub const SYS_MADVISE: usize = 219;
/// `mincore`.
pub const SYS_MINCORE: usize = 218;
/// `ioctl`: a descriptor, a request, an argument.
pub const SYS_IOCTL: usize = 54;
/// `kcmp`.
pub const SYS_KCMP: usize = 349;

/// Calls `poll`: descriptors, how many, milliseconds to wait.
///
/// # Safety
/// `descriptors` points to `count` values of `struct pollfd`.
pub unsafe fn poll(descriptors: usize, count: usize, millis: usize) -> isize {
    const SYS_POLL: usize = 168;
    // SAFETY: the caller's promise.
    unsafe { syscall3(SYS_POLL, descriptors, count, millis) }
}

/// Returns the time-stamp counter. It counts up, as a rule at the same rate on all CPUs; nothing is guaranteed.
#[inline(always)]
pub fn ticks() -> u64 {
    // SAFETY: every CPU with SSE2 has the instruction.
    unsafe { core::arch::x86::_rdtsc() }
}

/// Ends the process by an illegal instruction.
pub fn trap() -> ! {
    // SAFETY: the instruction never continues.
    unsafe { asm!("ud2", options(noreturn, nostack)) }
}

/// Loads the address of a symbol, declared by `binding`, from the global offset table.
macro_rules! weak_address {
    ($symbol:literal, $binding:expr) => {{
        let address: *const core::ffi::c_void;
        // SAFETY: reads the symbol's entry in the global offset table. Each object file of this crate declares the
        // symbol, since it is declared where it is used.
        unsafe {
            core::arch::asm!(concat!($binding, $symbol), "call 2f", "2: popl {0}",
                "3: addl $_GLOBAL_OFFSET_TABLE_+(3b-2b), {0}", concat!("movl ", $symbol, "@GOT({0}), {0}"),
                out(reg) address, options(pure, readonly, att_syntax));
        }
        address
    }};
}
pub(super) use weak_address;
