//! x86-64: initial-exec thread-local storage, the `syscall` instruction, weak references.

use core::arch::{asm, naked_asm};
use core::ffi::c_void;
use core::sync::atomic::AtomicUsize;

/// The thread's block of storage, in the section that the linker and the loader copy for every
/// thread. Never referenced from Rust: its address here is an offset, not memory.
#[repr(C, align(16))]
struct ThreadBlock {
    word: &'static EmptyCache,
    flag: usize,
    stack: usize,
    held: [u8; HELD_BYTES],
}

/// How many zero bytes [`EMPTY_CACHE`] has.
pub const EMPTY_CACHE_BYTES: usize = 16 * 1024;

/// Zero bytes, which nobody writes.
#[repr(align(128))]
pub struct EmptyCache(
    #[allow(dead_code, reason = "read through the thread word")] [AtomicUsize; EMPTY_CACHE_BYTES / size_of::<usize>()],
);

/// What the word of a new thread points to, so that it always points to something.
pub static EMPTY_CACHE: EmptyCache =
    EmptyCache([const { AtomicUsize::new(0) }; EMPTY_CACHE_BYTES / size_of::<usize>()]);

/// Room for the held-lock checker; nothing in release builds.
#[cfg(debug_assertions)]
pub const HELD_BYTES: usize = 512;
/// Room for the held-lock checker; nothing in release builds.
#[cfg(not(debug_assertions))]
pub const HELD_BYTES: usize = 8;

// Loaders fill the block's image in before they copy it: they relocate it like other data.
#[unsafe(link_section = ".tdata.crossfoot")]
static THREAD_BLOCK: ThreadBlock = ThreadBlock { word: &EMPTY_CACHE, flag: 0, stack: 0, held: [0; HELD_BYTES] };

/// This thread's word: the address of [`EMPTY_CACHE`] in a new thread.
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

/// What tells this thread from all others that run: the address that the ABI keeps at `fs:[0]`, a multiple of eight and
/// not zero. One instruction, where the word needs two.
#[inline(always)]
pub fn thread_id() -> usize {
    let thread_id: usize;
    // SAFETY: every thread of every libc has its own address there, which the ABI demands and which stays.
    unsafe { asm!("mov {0}, qword ptr fs:[0]", out(reg) thread_id, options(pure, readonly, nostack, preserves_flags)) };
    thread_id
}

/// Whether the word at `base` and `distance` more bytes is `value`: compared where it lies, which saves the fast path a
/// register and an instruction. As good as a relaxed atomic load.
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

/// Asks for the line of memory at `address`, because it is touched soon. Any address may be asked for.
#[inline(always)]
pub fn prefetch(address: *const u8) {
    // SAFETY: a prefetch of any address faults never and changes nothing.
    unsafe { asm!("prefetcht0 byte ptr [{0}]", in(reg) address, options(nostack, preserves_flags, readonly)) };
}

/// This thread's block.
#[inline]
fn thread_block() -> *mut ThreadBlock {
    let block: *mut ThreadBlock;
    // SAFETY: reads the thread pointer, which the ABI keeps at fs:[0], and the block's offset from it.
    unsafe {
        asm!("mov {0}, qword ptr fs:[0]", "add {0}, qword ptr [rip + {s}@GOTTPOFF]", out(reg) block,
            s = sym THREAD_BLOCK, options(pure, readonly, nostack));
    }
    block
}

/// A flag of this thread, for slow paths: 0 in a new thread.
pub fn thread_flag() -> usize {
    // SAFETY: the block is this thread's own, alive as long as the thread.
    unsafe { (*thread_block()).flag }
}

/// Sets this thread's flag.
pub fn set_thread_flag(flag: usize) {
    // SAFETY: the block is this thread's own, alive as long as the thread.
    unsafe { (*thread_block()).flag = flag }
}

/// A second word of this thread's, for `system_stack`: 0 in a new thread.
pub fn thread_stack() -> usize {
    // SAFETY: the block is this thread's own, alive as long as the thread.
    unsafe { (*thread_block()).stack }
}

/// Sets this thread's second word.
pub fn set_thread_stack(stack: usize) {
    // SAFETY: the block is this thread's own, alive as long as the thread.
    unsafe { (*thread_block()).stack = stack }
}

/// Where the stack is that this thread runs on.
#[inline(always)]
pub fn stack_pointer() -> usize {
    let pointer: usize;
    // SAFETY: reads a register.
    unsafe { asm!("mov {0}, rsp", out(reg) pointer, options(nomem, nostack, preserves_flags)) };
    pointer
}

/// Calls `function` with `argument` on another stack, which ends at `top`. Whoever unwinds finds the caller behind it.
///
/// # Safety
/// The memory below `top`, a multiple of 16, is a stack that nobody uses, large enough for the function; the function may
/// be called with the argument.
#[unsafe(naked)]
pub unsafe extern "C-unwind" fn on_stack(
    function: unsafe extern "C-unwind" fn(*mut c_void),
    argument: *mut c_void,
    top: *mut c_void,
) {
    naked_asm!(include_str!("switch/x86_64.s"), options(att_syntax, raw))
}

/// This thread's bytes for the held-lock checker, zero in a new thread, aligned to 8.
#[inline]
pub fn held_bytes() -> *mut u8 {
    // SAFETY: the field lies inside the block.
    unsafe { (&raw mut (*thread_block()).held).cast() }
}

/// A raw system call, for the few that rustix lacks (listed in `os/linux/mod.rs`). Returns what the
/// kernel returned: a negative error number or a value.
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
/// `poll`.
pub const SYS_POLL: usize = 7;
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

/// A clock that is read without a call: it counts up, at the same pace on all CPUs as a rule, and promises nothing.
#[inline(always)]
pub fn ticks() -> u64 {
    // SAFETY: every x86-64 CPU has the instruction.
    unsafe { core::arch::x86_64::_rdtsc() }
}

/// Stops this thread at once by an illegal instruction.
pub fn trap() -> ! {
    // SAFETY: `ud2` never continues.
    unsafe { asm!("ud2", options(noreturn, nostack)) }
}

/// The binding of a reference to a function that the archive of musl's libc must be searched for. A linker takes nothing
/// from an archive for a weak reference, and a static program that is linked with musl has the functions only if
/// something refers to them otherwise.
#[cfg(target_env = "musl")]
macro_rules! searched {
    () => {
        ".globl "
    };
}
#[cfg(not(target_env = "musl"))]
macro_rules! searched {
    () => {
        ".weak "
    };
}

macro_rules! weak {
    ($(#[$doc:meta])* $name:ident, $symbol:literal) => {
        weak!($(#[$doc])* $name, $symbol, ".weak ");
    };
    ($(#[$doc:meta])* $name:ident, $symbol:literal, $binding:expr) => {
        $(#[$doc])*
        #[inline]
        pub fn $name() -> *const c_void {
            let address: *const c_void;
            // SAFETY: reads the symbol's entry in the global offset table, which the linker fills
            // with the symbol's address or with zero where nobody defines it.
            unsafe {
                // Declared weak where it is used: each object file of this crate needs to know.
                asm!(concat!($binding, $symbol), concat!("mov {0}, qword ptr [rip + ", $symbol, "@GOTPCREL]"), out(reg) address,
                    options(pure, readonly, nostack, preserves_flags));
            }
            address
        }
    };
}

weak!(
    /// Where the libc's `pthread_key_create` lies, or null without one.
    pthread_key_create, "pthread_key_create", searched!());
weak!(
    /// Where the libc's `pthread_setspecific` lies, or null without one.
    pthread_setspecific, "pthread_setspecific", searched!());
weak!(
    /// Where glibc's `__register_atfork` lies, or null without it.
    register_atfork, "__register_atfork");
weak!(
    /// Where glibc's `gnu_get_libc_version` lies, or null in a program without glibc.
    gnu_get_libc_version, "gnu_get_libc_version");
weak!(
    /// Where the libc's `pthread_atfork` lies, or null: glibc has it in programs that use it themselves.
    pthread_atfork, "pthread_atfork", searched!());
weak!(
    /// Returns the address of musl's `__fork_handler`, which only programs that are linked statically see, or null.
    fork_handler, "__fork_handler");
weak!(
    /// Where the libc's `__errno_location` lies, or null without one.
    errno_location, "__errno_location");
weak!(
    /// Where glibc's `__cxa_at_quick_exit` lies, or null without it.
    cxa_at_quick_exit, "__cxa_at_quick_exit");
weak!(
    /// Where the libc's variable `environ` lies, or null without one.
    environ, "environ");
weak!(
    /// Where the libc's `getauxval` lies, or null without one.
    getauxval, "getauxval");
weak!(
    /// Where the libc's `fflush` lies, or null without one.
    fflush, "fflush");
weak!(
    /// Where glibc's `__libc_single_threaded` lies, or null without it.
    libc_single_threaded, "__libc_single_threaded");
weak!(
    /// Where glibc's `_IO_list_lock` lies, or null without it.
    io_list_lock, "_IO_list_lock");
weak!(
    /// Where glibc's `_IO_list_unlock` lies, or null without it.
    io_list_unlock, "_IO_list_unlock");
weak!(
    /// Where glibc's `_IO_list_resetlock` lies, or null without it.
    io_list_resetlock, "_IO_list_resetlock");
weak!(
    /// Where the libc's `fwrite` lies, or null without one.
    fwrite, "fwrite");
weak!(
    /// Where the libc's `dlsym` lies, or null: in a static program glibc has it only if the program uses it itself.
    dlsym, "dlsym");
weak!(
    /// Where the dynamic section of this object lies, or null in a static program.
    dynamic_section, "_DYNAMIC");
weak!(
    /// Where C++'s `std::get_new_handler` lies, or null without it.
    get_new_handler, "_ZSt15get_new_handlerv");
weak!(
    /// Where the function of libstdc++ and libc++ lies that throws `std::bad_alloc`, or null without one.
    throw_bad_alloc, "_ZSt17__throw_bad_allocv");
weak!(
    /// Where C++'s `__cxa_allocate_exception` lies, or null without it.
    cxa_allocate_exception, "__cxa_allocate_exception");
weak!(
    /// Where C++'s `__cxa_throw` lies, or null without it.
    cxa_throw, "__cxa_throw");
weak!(
    /// Where the type information of `std::bad_alloc` lies, or null without it.
    bad_alloc_type, "_ZTISt9bad_alloc");
weak!(
    /// Where the virtual functions of `std::bad_alloc` lie, or null without them.
    bad_alloc_functions, "_ZTVSt9bad_alloc");
weak!(
    /// Where C++'s `__gxx_personality_v0` lies, or null without it.
    gxx_personality, "__gxx_personality_v0");
weak!(
    /// Where C++'s `__cxa_begin_catch` lies, or null without it.
    cxa_begin_catch, "__cxa_begin_catch");
weak!(
    /// Where C++'s `__cxa_end_catch` lies, or null without it.
    cxa_end_catch, "__cxa_end_catch");
