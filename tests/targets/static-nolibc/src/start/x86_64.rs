//! x86-64.

use core::arch::{asm, naked_asm};

/// The first instruction.
#[unsafe(naked)]
#[unsafe(no_mangle)]
unsafe extern "C" fn _start() {
    naked_asm!(
        "xor ebp, ebp",
        "mov rdi, rsp",
        "and rsp, -16",
        "call {start}",
        "ud2",
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
        "sub rsi, 16",
        "mov [rsi], r8",
        "mov [rsi + 8], r9",
        "mov r10, rdx",
        "mov r8, rcx",
        "mov eax, 56",
        "syscall",
        "test rax, rax",
        "jnz 2f",
        "xor ebp, ebp",
        "pop rax",
        "pop rdi",
        "call rax",
        "ud2",
        "2: ret",
    )
}

/// Ends the process.
pub fn exit(status: i32) -> ! {
    // SAFETY: `exit_group` does not return.
    unsafe { asm!("syscall", in("rax") 231usize, in("edi") status, options(noreturn, nostack)) }
}

/// Ends this thread.
pub fn exit_thread() -> ! {
    let status = 0;
    // SAFETY: `exit` does not return.
    unsafe { asm!("syscall", in("rax") 60usize, in("edi") status, options(noreturn, nostack)) }
}

/// Sets this thread's pointer.
///
/// # Safety
/// The storage there is laid out.
pub unsafe fn set_thread_pointer(pointer: usize) {
    const ARCH_SET_FS: usize = 0x1002;
    // SAFETY: `arch_prctl` sets a register; the kernel changes rax, rcx and r11.
    unsafe {
        asm!("syscall", inlateout("rax") 158usize => _, in("rdi") ARCH_SET_FS, in("rsi") pointer, lateout("rcx") _,
            lateout("r11") _, options(nostack));
    }
}

/// Whether the word at the thread pointer is the thread pointer.
pub const POINTS_TO_ITSELF: bool = true;

/// Returns the thread pointer and the address of thread-local storage, of `memory` bytes aligned to `align`, for a thread
/// that has room for them from `at` on.
pub fn layout(at: usize, memory: usize, align: usize) -> (usize, usize) {
    let block = at.next_multiple_of(align);
    let pointer = block + memory.next_multiple_of(align);
    // The storage ends at the pointer, and its offset is a multiple of the alignment.
    (pointer, block)
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
