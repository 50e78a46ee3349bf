//! aarch64.

use core::arch::{asm, naked_asm};

/// The first instruction.
#[unsafe(naked)]
#[unsafe(no_mangle)]
unsafe extern "C" fn _start() {
    naked_asm!(
        "mov x29, #0",
        "mov x30, #0",
        "mov x0, sp",
        "b {start}",
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
        "sub x1, x1, #16",
        "stp x4, x5, [x1]",
        "mov x4, x2",
        "mov x8, #220",
        "svc #0",
        "cbnz x0, 2f",
        "mov x29, #0",
        "mov x30, #0",
        "ldp x1, x0, [sp], #16",
        "blr x1",
        "udf #0",
        "2: ret",
    )
}

/// Ends the process.
pub fn exit(status: i32) -> ! {
    // SAFETY: `exit_group` does not return.
    unsafe { asm!("svc #0", in("x8") 94usize, in("w0") status, options(noreturn, nostack)) }
}

/// Ends this thread.
pub fn exit_thread() -> ! {
    let status = 0;
    // SAFETY: `exit` does not return.
    unsafe { asm!("svc #0", in("x8") 93usize, in("w0") status, options(noreturn, nostack)) }
}

/// Sets this thread's pointer.
///
/// # Safety
/// The storage there is laid out.
pub unsafe fn set_thread_pointer(pointer: usize) {
    // SAFETY: the register is the program's.
    unsafe { asm!("msr tpidr_el0, {0}", in(reg) pointer, options(nostack)) };
}

/// Whether the word at the thread pointer is the thread pointer.
pub const POINTS_TO_ITSELF: bool = false;

/// Returns the thread pointer and the address of thread-local storage, of `memory` bytes aligned to `align`, for a thread
/// that has room for them from `at` on.
pub fn layout(at: usize, memory: usize, align: usize) -> (usize, usize) {
    let _ = memory;
    let pointer = at.next_multiple_of(align);
    (pointer, pointer + (2 * size_of::<usize>()).next_multiple_of(align))
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
