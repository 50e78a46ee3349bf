//! x86-64.

use core::arch::{asm, naked_asm};
use core::ffi::c_void;

use super::block::{THREAD_BLOCK, ThreadBlock};

#[cfg(target_pointer_width = "32")]
compile_error!("crossfoot: x32 (64-bit x86 with 32-bit pointers) is not supported; build for i686 or x86-64");

/// The bits of an address that a process gets, at least and at most. Linux gives more only on demand.
pub const ADDRESS_BITS: [u32; 2] = [47, 47];
/// The size of a physical page, if the CPU has only one.
pub const PHYSICAL_PAGE: Option<usize> = Some(4096);

/// Returns this thread's word: the address of [`EMPTY_CACHE`](super::block::EMPTY_CACHE) in a new thread.
#[inline(always)]
pub fn thread_word() -> usize {
    let word: usize;
    // SAFETY: initial-exec is valid in programs and in objects loaded at start; the symbol is a
    // 16-byte aligned TLS object whose first field is the word. Only this thread writes it, through
    // `set_thread_word`, which counts as a write to any memory, so the compiler reloads after it.
    unsafe {
        asm!("mov {0}, qword ptr [rip + {s}@GOTTPOFF]", "mov {0}, qword ptr fs:[{0}]", out(reg) word,
            s = sym THREAD_BLOCK, options(pure, readonly, nostack, preserves_flags));
    }
    word
}

/// Sets this thread's word.
#[inline]
pub fn set_thread_word(word: usize) {
    // SAFETY: as in `thread_word`; the store is to this thread's own block.
    unsafe {
        asm!("mov {0}, qword ptr [rip + {s}@GOTTPOFF]", "mov qword ptr fs:[{0}], {1}", out(reg) _, in(reg) word,
            s = sym THREAD_BLOCK, options(nostack, preserves_flags));
    }
}

/// Returns the thread id: the address that the ABI keeps at `fs:[0]`, a multiple of eight and not zero. It takes one
/// instruction, the word two.
#[inline(always)]
pub fn thread_id() -> usize {
    let thread_id: usize;
    // SAFETY: every thread of every libc has its own address there, which the ABI demands and which stays.
    unsafe { asm!("mov {0}, qword ptr fs:[0]", out(reg) thread_id, options(pure, readonly, nostack, preserves_flags)) };
    thread_id
}

/// Returns whether the word at `base + distance` is `value`. Compares it in memory, which saves the fast path a register
/// and an instruction. It has the guarantees of a relaxed atomic load.
///
/// # Safety
/// The word can be read.
#[inline(always)]
pub unsafe fn is_word(base: *const u8, distance: usize, value: usize) -> bool {
    // SAFETY: the caller's promise; the load is one instruction.
    unsafe {
        asm!("cmp qword ptr [{base} + {distance}], {value}", "jne {other}", base = in(reg) base,
            distance = in(reg) distance, value = in(reg) value, other = label { return false },
            options(nostack, readonly));
    }
    true
}

/// Prefetches the cache line of `address`, which may be any address.
#[inline(always)]
pub fn prefetch(address: *const u8) {
    // SAFETY: a prefetch of any address faults never and changes nothing.
    unsafe { asm!("prefetcht0 byte ptr [{0}]", in(reg) address, options(nostack, preserves_flags, readonly)) };
}

/// Returns this thread's block.
#[inline]
pub(super) fn thread_block() -> *mut ThreadBlock {
    let block: *mut ThreadBlock;
    // SAFETY: reads the thread pointer, which the ABI keeps at fs:[0], and the block's offset from it.
    unsafe {
        asm!("mov {0}, qword ptr fs:[0]", "add {0}, qword ptr [rip + {s}@GOTTPOFF]", out(reg) block,
            s = sym THREAD_BLOCK, options(pure, readonly, nostack));
    }
    block
}

/// Returns the stack pointer.
#[inline(always)]
pub fn stack_pointer() -> usize {
    let pointer: usize;
    // SAFETY: reads a register.
    unsafe { asm!("mov {0}, rsp", out(reg) pointer, options(nomem, nostack, preserves_flags)) };
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
    naked_asm!(include_str!("switch/x86_64.s"), options(att_syntax, raw))
}

/// Makes a system call that rustix lacks (`os/linux/mod.rs` lists them). Returns a value, or a negative error number.
///
/// # Safety
/// The call with these arguments must be sound.
pub unsafe fn syscall3(number: usize, a: usize, b: usize, c: usize) -> isize {
    let result: isize;
    // SAFETY: the Linux system call convention; the kernel changes only rax, rcx and r11.
    unsafe {
        asm!("syscall", inlateout("rax") number as isize => result, in("rdi") a, in("rsi") b, in("rdx") c,
            lateout("rcx") _, lateout("r11") _, options(nostack));
    }
    result
}

/// As [`syscall3`], with four arguments.
///
/// # Safety
/// The call with these arguments must be sound.
pub unsafe fn syscall4(number: usize, a: usize, b: usize, c: usize, d: usize) -> isize {
    let result: isize;
    // SAFETY: the Linux system call convention; the kernel changes only rax, rcx and r11.
    unsafe {
        asm!("syscall", inlateout("rax") number as isize => result, in("rdi") a, in("rsi") b, in("rdx") c,
            in("r10") d, lateout("rcx") _, lateout("r11") _, options(nostack));
    }
    result
}

/// `rt_sigaction`.
pub const SYS_RT_SIGACTION: usize = 13;
/// `rt_sigprocmask`.
pub const SYS_RT_SIGPROCMASK: usize = 14;
/// `rt_sigpending`.
pub const SYS_RT_SIGPENDING: usize = 127;
/// `rt_sigtimedwait`.
pub const SYS_RT_SIGTIMEDWAIT: usize = 128;
/// `prctl`.
pub const SYS_PRCTL: usize = 157;
/// `getcwd`.
pub const SYS_GETCWD: usize = 79;
/// `tgkill`.
pub const SYS_TGKILL: usize = 234;
/// `kill`.
pub const SYS_KILL: usize = 62;
/// `exit_group`.
pub const SYS_EXIT_GROUP: usize = 231;
/// `clock_gettime`.
pub const SYS_CLOCK_GETTIME: usize = 228;
/// `madvise`.
pub const SYS_MADVISE: usize = 28;
/// `mincore`.
pub const SYS_MINCORE: usize = 27;
/// `ioctl`: a descriptor, a request, an argument.
pub const SYS_IOCTL: usize = 16;
/// `kcmp`.
pub const SYS_KCMP: usize = 312;

/// Returns the time-stamp counter. It counts up, as a rule at the same rate on all CPUs; nothing is guaranteed.
#[inline(always)]
pub fn ticks() -> u64 {
    // SAFETY: every x86-64 CPU has the instruction.
    unsafe { core::arch::x86_64::_rdtsc() }
}

/// Ends the process by an illegal instruction.
pub fn trap() -> ! {
    // SAFETY: `ud2` never continues.
    unsafe { asm!("ud2", options(noreturn, nostack)) }
}

/// Calls `poll`: descriptors, how many, milliseconds to wait.
///
/// # Safety
/// `descriptors` points to `count` values of `struct pollfd`.
pub unsafe fn poll(descriptors: usize, count: usize, millis: usize) -> isize {
    const SYS_POLL: usize = 7;
    // SAFETY: the caller's promise.
    unsafe { syscall3(SYS_POLL, descriptors, count, millis) }
}

/// Loads the address of a symbol, declared by `binding`, from the global offset table.
macro_rules! weak_address {
    ($symbol:literal, $binding:expr) => {{
        let address: *const core::ffi::c_void;
        // SAFETY: reads the symbol's entry in the global offset table. Each object file of this crate declares the
        // symbol, since it is declared where it is used.
        unsafe {
            core::arch::asm!(concat!($binding, $symbol), concat!("mov {0}, qword ptr [rip + ", $symbol, "@GOTPCREL]"),
                out(reg) address, options(pure, readonly, nostack, preserves_flags));
        }
        address
    }};
}
pub(super) use weak_address;
