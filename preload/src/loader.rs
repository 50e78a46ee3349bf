//! `dlopen` without `RTLD_DEEPBIND`, for the shared object alone: `build.rs` exports [`crossfoot_dlopen`] by that name.
//!
//! With the flag, a library binds to the libc's `malloc` and `free` before this object's. Each side then frees objects
//! of the other. So the flag is cleared, unless the option `deepbind:keep` is set. A library that is opened without the
//! flag binds to the program's symbols first, for all names. `dlmopen` is left alone.
//!
//! A program that links the archive gets the same with `-Wl,--defsym=dlopen=crossfoot_dlopen`.

use core::arch::global_asm;
use core::ffi::{CStr, c_char, c_int, c_void};
use core::ptr::{null, null_mut};
use core::sync::atomic::{AtomicPtr, Ordering};

use crossfoot::{arch, process};

/// `RTLD_DEEPBIND` of glibc's `dlfcn.h`.
const DEEPBIND: c_int = 8;
/// `RTLD_NEXT` of `dlfcn.h`: searches the objects loaded after this one.
const NEXT: *mut c_void = usize::MAX as *mut c_void;

// The loader finds the caller's RUNPATH, `$ORIGIN` and namespace by the return address. So this function ends with a
// jump to the real one, with the caller's return address on the stack.
#[cfg(target_arch = "x86_64")]
global_asm!(
    ".pushsection .text.crossfoot_dlopen,\"ax\",@progbits",
    ".globl crossfoot_dlopen",
    ".hidden crossfoot_dlopen",
    ".type crossfoot_dlopen,@function",
    "crossfoot_dlopen:",
    ".cfi_startproc",
    "push rdi",
    ".cfi_adjust_cfa_offset 8",
    "sub rsp, 16",
    ".cfi_adjust_cfa_offset 16",
    "mov edi, esi",
    "call {plan}",
    "add rsp, 16",
    ".cfi_adjust_cfa_offset -16",
    "pop rdi",
    ".cfi_adjust_cfa_offset -8",
    "test rax, rax",
    "jz 2f",
    "mov esi, edx",
    "jmp rax",
    "2: ret",
    ".cfi_endproc",
    ".size crossfoot_dlopen, . - crossfoot_dlopen",
    ".popsection",
    plan = sym plan,
);

/// The function that the call continues with, and its mode.
#[repr(C)]
struct Plan {
    /// The real `dlopen`, or null.
    real: *const c_void,
    /// The mode to call it with.
    mode: usize,
}

/// Returns the next `dlopen` after this object's, and the mode to call it with. The function is null if there is none.
/// `dlerror` then tells why.
extern "C" fn plan(mode: c_int) -> Plan {
    let clear = mode & DEEPBIND != 0 && !process::keeps_deepbind();
    let mode = if clear { mode & !DEEPBIND } else { mode };
    Plan { real: real(), mode: mode as usize }
}

/// Returns the next `dlopen`. The first call finds it by `dlsym`.
fn real() -> *const c_void {
    static REAL: AtomicPtr<c_void> = AtomicPtr::new(null_mut());
    let known = REAL.load(Ordering::Relaxed);
    if !known.is_null() {
        return known;
    }
    let find = arch::dlsym();
    if find.is_null() {
        return null();
    }
    type Find = unsafe extern "C" fn(*mut c_void, *const c_char) -> *mut c_void;
    const NAME: &CStr = c"dlopen";
    // SAFETY: the symbol is the libc's `dlsym`, of this type. The name ends with a null byte.
    let found = unsafe { core::mem::transmute::<*const c_void, Find>(find)(NEXT, NAME.as_ptr()) };
    // A race is harmless: every thread finds the same address.
    REAL.store(found, Ordering::Relaxed);
    found
}
