//! armv7, hard float.

use core::arch::{asm, naked_asm};

/// The first instruction.
#[unsafe(naked)]
#[unsafe(no_mangle)]
unsafe extern "C" fn _start() {
    naked_asm!(
        "mov r11, #0",
        "mov lr, #0",
        "mov r0, sp",
        "bic sp, sp, #15",
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
        "push {{r4, r7}}",
        "ldr r4, [sp, #8]",
        "ldr r12, [sp, #12]",
        "sub r1, r1, #16",
        "str r4, [r1]",
        "str r12, [r1, #4]",
        "mov r4, r2",
        "mov r7, #120",
        "svc #0",
        "cmp r0, #0",
        "bne 2f",
        "mov r11, #0",
        "ldr r1, [sp]",
        "ldr r0, [sp, #4]",
        "add sp, sp, #16",
        "blx r1",
        "udf #0",
        "2: pop {{r4, r7}}",
        "bx lr",
    )
}

/// Ends the process.
pub fn exit(status: i32) -> ! {
    // SAFETY: `exit_group` does not return.
    unsafe { asm!("mov r7, #248", "svc #0", in("r0") status, options(noreturn, nostack)) }
}

/// Ends this thread.
pub fn exit_thread() -> ! {
    // SAFETY: `exit` does not return.
    unsafe { asm!("mov r7, #1", "svc #0", in("r0") 0, options(noreturn, nostack)) }
}

/// Unwind tables refer to them; nothing unwinds here.
#[unsafe(no_mangle)]
extern "C" fn __aeabi_unwind_cpp_pr0() {}
#[unsafe(no_mangle)]
extern "C" fn __aeabi_unwind_cpp_pr1() {}
#[unsafe(no_mangle)]
extern "C" fn __aeabi_unwind_cpp_pr2() {}

/// Sets this thread's pointer.
///
/// # Safety
/// The storage there is laid out.
pub unsafe fn set_thread_pointer(pointer: usize) {
    // `__ARM_NR_set_tls`: programs cannot write the register.
    const SET_TLS: usize = 0xf_0005;
    // SAFETY: the call sets a register. r7 is kept, since it may be the frame pointer.
    unsafe {
        asm!("mov {kept}, r7", "mov r7, {number}", "svc #0", "mov r7, {kept}", kept = out(reg) _,
            number = in(reg) SET_TLS, inlateout("r0") pointer => _, options(nostack));
    }
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
