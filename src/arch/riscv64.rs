//! riscv64 (with the extensions of RV64GC).

use core::arch::{asm, naked_asm};
use core::ffi::c_void;

use super::block::{THREAD_BLOCK, ThreadBlock};

/// The bits of an address that a process gets, at least and at most.
pub const ADDRESS_BITS: [u32; 2] = [38, 47];
/// The size of a physical page, if the CPU has only one.
pub const PHYSICAL_PAGE: Option<usize> = Some(4096);

/// Returns this thread's block.
#[inline(always)]
pub(super) fn thread_block() -> *mut ThreadBlock {
    let block: *mut ThreadBlock;
    // SAFETY: adds the block's offset, which the linker or the loader wrote to the global offset table, to the thread
    // pointer.
    unsafe {
        asm!("la.tls.ie {0}, {s}", "add {0}, {0}, tp", out(reg) block, s = sym THREAD_BLOCK,
            options(pure, readonly, nostack, preserves_flags));
    }
    block
}

/// Returns the thread id: the thread pointer, a multiple of eight and not zero.
#[inline(always)]
pub fn thread_id() -> usize {
    let thread_id: usize;
    // SAFETY: every thread of every libc has its own thread pointer, which stays.
    unsafe { asm!("mv {0}, tp", out(reg) thread_id, options(pure, nomem, nostack, preserves_flags)) };
    thread_id
}

/// Does nothing: the prefetch instruction is in an extension that not every CPU has.
#[inline(always)]
pub fn prefetch(_address: *const u8) {}

/// Returns the stack pointer.
#[inline(always)]
pub fn stack_pointer() -> usize {
    let pointer: usize;
    // SAFETY: reads a register.
    unsafe { asm!("mv {0}, sp", out(reg) pointer, options(nomem, nostack, preserves_flags)) };
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
    naked_asm!(include_str!("switch/riscv64.s"))
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
    // SAFETY: the Linux system call convention; the kernel changes only a0.
    unsafe {
        asm!("ecall", in("a7") number, inlateout("a0") a as isize => result, in("a1") b, in("a2") c, in("a3") d,
            options(nostack));
    }
    result
}

/// Returns the time counter. It counts up, at the same rate on all CPUs.
#[inline(always)]
pub fn ticks() -> u64 {
    let ticks: u64;
    // SAFETY: Linux lets programs read the counter.
    unsafe { asm!("rdtime {0}", out(reg) ticks, options(nomem, nostack, preserves_flags)) };
    ticks
}

/// Ends the process by an illegal instruction.
pub fn trap() -> ! {
    // SAFETY: the instruction never continues.
    unsafe { asm!("unimp", options(noreturn, nostack)) }
}

/// Loads the address of a symbol, declared by `binding`, from the global offset table.
macro_rules! weak_address {
    ($symbol:literal, $binding:expr) => {{
        let address: *const core::ffi::c_void;
        // SAFETY: reads the symbol's entry in the global offset table. Each object file of this crate declares the
        // symbol, since it is declared where it is used.
        unsafe {
            core::arch::asm!(concat!($binding, $symbol), concat!("2: auipc {0}, %got_pcrel_hi(", $symbol, ")"),
                "ld {0}, %pcrel_lo(2b)({0})", out(reg) address, options(pure, readonly, nostack, preserves_flags));
        }
        address
    }};
}
pub(super) use weak_address;
