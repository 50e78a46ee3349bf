//! aarch64 (little-endian).

use core::arch::{asm, naked_asm};
use core::ffi::c_void;

use super::block::{THREAD_BLOCK, ThreadBlock};

#[cfg(target_pointer_width = "32")]
compile_error!("crossfoot: aarch64 with 32-bit pointers (ILP32) is not supported; build for aarch64 or armv7");

/// The bits of an address that a process gets, at least and at most.
pub const ADDRESS_BITS: [u32; 2] = [36, 48];
/// The size of a physical page, if the CPU has only one.
pub const PHYSICAL_PAGE: Option<usize> = None;

/// Returns this thread's block.
#[inline(always)]
pub(super) fn thread_block() -> *mut ThreadBlock {
    let block: *mut ThreadBlock;
    // SAFETY: adds the block's offset, which the linker or the loader wrote to the global offset table, to the thread
    // pointer.
    unsafe {
        asm!("adrp {0}, :gottprel:{s}", "ldr {0}, [{0}, :gottprel_lo12:{s}]", "mrs {1}, tpidr_el0", "add {0}, {0}, {1}",
            out(reg) block, out(reg) _, s = sym THREAD_BLOCK, options(pure, readonly, nostack, preserves_flags));
    }
    block
}

/// Returns the thread id: the thread pointer, a multiple of eight and not zero.
#[inline(always)]
pub fn thread_id() -> usize {
    let thread_id: usize;
    // SAFETY: every thread of every libc has its own thread pointer, which stays.
    unsafe { asm!("mrs {0}, tpidr_el0", out(reg) thread_id, options(pure, nomem, nostack, preserves_flags)) };
    thread_id
}

/// Prefetches the cache line of `address`, which may be any address.
#[inline(always)]
pub fn prefetch(address: *const u8) {
    // SAFETY: a prefetch of any address never faults and changes nothing.
    unsafe { asm!("prfm pldl1keep, [{0}]", in(reg) address, options(nostack, preserves_flags, readonly)) };
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
    naked_asm!(include_str!("switch/aarch64.s"))
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
    // SAFETY: the Linux system call convention; the kernel changes only x0.
    unsafe {
        asm!("svc #0", in("x8") number, inlateout("x0") a as isize => result, in("x1") b, in("x2") c, in("x3") d,
            options(nostack));
    }
    result
}

/// Returns the virtual counter. It counts up, at the same rate on all CPUs.
#[inline(always)]
pub fn ticks() -> u64 {
    let ticks: u64;
    // SAFETY: Linux lets programs read the counter.
    unsafe { asm!("mrs {0}, cntvct_el0", out(reg) ticks, options(nomem, nostack, preserves_flags)) };
    ticks
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
            core::arch::asm!(concat!($binding, $symbol), concat!("adrp {0}, :got:", $symbol),
                concat!("ldr {0}, [{0}, :got_lo12:", $symbol, "]"), out(reg) address,
                options(pure, readonly, nostack, preserves_flags));
        }
        address
    }};
}
pub(super) use weak_address;
