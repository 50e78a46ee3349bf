//! i686.

use core::arch::{asm, naked_asm};
use core::sync::atomic::{AtomicU32, Ordering};

/// The first instruction.
#[unsafe(naked)]
#[unsafe(no_mangle)]
unsafe extern "C" fn _start() {
    naked_asm!(
        "xor ebp, ebp",
        "mov eax, esp",
        "and esp, -16",
        "sub esp, 12",
        "push eax",
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
        "push ebx",
        "push esi",
        "push edi",
        "mov ebx, [esp + 16]",
        "mov ecx, [esp + 20]",
        "mov edx, [esp + 24]",
        "mov esi, [esp + 28]",
        "mov edi, edx",
        "mov eax, [esp + 36]",
        "mov [ecx - 16], eax",
        "mov eax, [esp + 32]",
        "mov [ecx - 12], eax",
        "sub ecx, 16",
        "mov eax, 120",
        "int 0x80",
        "test eax, eax",
        "jnz 2f",
        "xor ebp, ebp",
        "mov eax, [esp + 4]",
        "call eax",
        "ud2",
        "2: pop edi",
        "pop esi",
        "pop ebx",
        "ret",
    )
}

/// Ends the process.
pub fn exit(status: i32) -> ! {
    // SAFETY: `exit_group` does not return.
    unsafe { asm!("int 0x80", in("eax") 252, in("ebx") status, options(noreturn, nostack)) }
}

/// Ends this thread.
pub fn exit_thread() -> ! {
    let status = 0;
    // SAFETY: `exit` does not return.
    unsafe { asm!("int 0x80", in("eax") 1, in("ebx") status, options(noreturn, nostack)) }
}

/// The entry of the thread's descriptor table, which all threads use, each for itself.
static ENTRY: AtomicU32 = AtomicU32::new(u32::MAX);

/// Sets this thread's pointer: the base of a segment, which `gs` names.
///
/// # Safety
/// The storage there is laid out.
pub unsafe fn set_thread_pointer(pointer: usize) {
    let mut wanted = PointerArgument::new(pointer);
    // SAFETY: `set_thread_area` writes the number of a free entry; the entry is this thread's own.
    unsafe {
        asm!("int 0x80", inlateout("eax") 243 => _, in("ebx") &raw mut wanted, options(nostack));
        asm!("mov gs, {0:e}", in(reg) wanted.entry * 8 + 3, options(nostack));
    }
    ENTRY.store(wanted.entry, Ordering::Relaxed);
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

/// `struct user_desc` of `asm/ldt.h`: a segment of 4 GiB, readable and writable, whose base is the thread pointer.
#[repr(C)]
pub struct PointerArgument {
    entry: u32,
    base: u32,
    limit: u32,
    /// 32-bit, limit in pages, useable.
    flags: u32,
}

impl PointerArgument {
    pub fn new(pointer: usize) -> PointerArgument {
        PointerArgument { entry: ENTRY.load(Ordering::Relaxed), base: pointer as u32, limit: 0xf_ffff, flags: 0x51 }
    }

    pub fn argument(&self) -> usize {
        core::ptr::from_ref(self).addr()
    }
}
