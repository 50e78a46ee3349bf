//! riscv64.

use core::arch::{asm, naked_asm};

/// The first instruction.
#[unsafe(naked)]
#[unsafe(no_mangle)]
unsafe extern "C" fn _start() {
    naked_asm!(
        "li s0, 0",
        "mv a0, sp",
        "andi sp, sp, -16",
        "tail {start}",
        start = sym super::start,
    )
}

/// Makes a thread that calls `run` with `shared`. Returns its number, or a negative error number.
///
/// # Safety
/// `stack`, a multiple of 16, ends a stack that is the new thread's; the other arguments are as `clone(2)` wants them.
#[unsafe(naked)]
pub unsafe extern "C" fn clone<T>(
    flags: usize,
    stack: usize,
    number: *mut u32,
    pointer: usize,
    run: unsafe extern "C" fn(*mut T) -> !,
    shared: *mut T,
) -> isize {
    naked_asm!(
        "addi a1, a1, -16",
        "sd a4, 0(a1)",
        "sd a5, 8(a1)",
        "mv a4, a2",
        "li a7, 220",
        "ecall",
        "bnez a0, 2f",
        "li s0, 0",
        "ld a1, 0(sp)",
        "ld a0, 8(sp)",
        "addi sp, sp, 16",
        "jalr a1",
        "unimp",
        "2: ret",
    )
}

/// Ends the process.
pub fn exit(status: i32) -> ! {
    // SAFETY: `exit_group` does not return.
    unsafe { asm!("ecall", in("a7") 94usize, in("a0") status, options(noreturn, nostack)) }
}

/// Ends this thread.
pub fn exit_thread() -> ! {
    let status = 0;
    // SAFETY: `exit` does not return.
    unsafe { asm!("ecall", in("a7") 93usize, in("a0") status, options(noreturn, nostack)) }
}

/// Sets this thread's pointer.
///
/// # Safety
/// The storage there is laid out.
pub unsafe fn set_thread_pointer(pointer: usize) {
    // SAFETY: the register is the program's.
    unsafe { asm!("mv tp, {0}", in(reg) pointer, options(nostack)) };
}

/// Whether the word at the thread pointer is the thread pointer.
pub const POINTS_TO_ITSELF: bool = false;

/// Returns the thread pointer and the address of thread-local storage, of `memory` bytes aligned to `align`, for a thread
/// that has room for them from `at` on.
pub fn layout(at: usize, memory: usize, align: usize) -> (usize, usize) {
    let _ = memory;
    let pointer = at.next_multiple_of(align);
    (pointer, pointer)
}

/// The argument of `clone` for the thread pointer: the pointer itself.
pub struct PointerArgument(usize);

impl PointerArgument {
    pub fn new(pointer: usize) -> PointerArgument {
        PointerArgument(pointer)
    }

    pub fn argument(&self) -> usize {
        self.0
    }
}
