//! C++'s `operator new` and `operator delete`, under the names of the Itanium ABI. They have the semantics of the
//! standard's replaceable operators. An operator that the standard defines by another one calls that one, even if the
//! program has replaced it. Without memory, the new-handler is called and the request repeated, until there is memory,
//! no handler, or an exception. Without a handler, `std::bad_alloc` is thrown.
//!
//! C++ programs call them on any thread. They allocate and free through `crossfoot::process`.
//!
//! The functions in Rust here must not call anything that may throw: this object is built with `panic=abort`, and a
//! frame of Rust must not be unwound. So each function that an exception may pass through is assembly with unwind
//! tables.
//!
//! Each operator has a second, hidden symbol (`crossfoot_own…`). It differs from the public symbol's address exactly if
//! the program has replaced the operator.

mod exceptions;

use core::arch::naked_asm;
use core::ffi::c_void;
use core::ptr::{null, null_mut};

use crossfoot::{arch, process};

use crate::names;
use exceptions::{catching, find, thrower};

/// Allocates for `operator new`. Returns null without memory.
extern "C" fn allocate(size: usize) -> *mut c_void {
    process::allocate(size).cast()
}

/// Allocates for the aligned `operator new`. Returns null without memory, and for an alignment that is no power of two.
extern "C" fn allocate_aligned(size: usize, align: usize) -> *mut c_void {
    if align.is_power_of_two() { names::aligned(align, size) } else { null_mut() }
}

/// Returns the program's new-handler. Returns null if it has none, and if `align` is no power of two, because no
/// handler can help then.
extern "C" fn handler(align: usize) -> *const c_void {
    let get = find(arch::get_new_handler(), c"_ZSt15get_new_handlerv");
    if get.is_null() || !align.is_power_of_two() {
        return null();
    }
    // SAFETY: the symbol is C++'s `std::get_new_handler`, of this type, which does not throw.
    unsafe { core::mem::transmute::<*const c_void, unsafe extern "C" fn() -> *const c_void>(get)() }
}

/// Frees for `operator delete`.
extern "C" fn release(p: *mut c_void) {
    // SAFETY: C++ calls `operator delete` for live objects and null.
    unsafe { process::free(p.cast()) }
}

/// Frees for `operator delete` with a size.
extern "C" fn release_sized(p: *mut c_void, size: usize) {
    // SAFETY: as above. C++ gives the size of the allocation.
    unsafe { process::free_sized(p.cast(), size, 0, "operator delete") }
}

/// Frees for `operator delete` with a size and an alignment.
extern "C" fn release_aligned(p: *mut c_void, size: usize, align: usize) {
    // SAFETY: as above.
    unsafe { process::free_sized(p.cast(), size, align, "operator delete") }
}

/// Takes (size, alignment). While there is a new-handler and no memory, calls the handler and tries again. Returns the
/// object, or null if there is no handler. An exception of the handler passes through.
#[unsafe(naked)]
unsafe extern "C-unwind" fn retry() {
    naked_asm!(
        ".cfi_startproc",
        "push rbx",
        ".cfi_adjust_cfa_offset 8",
        ".cfi_rel_offset rbx, 0",
        "push r12",
        ".cfi_adjust_cfa_offset 8",
        ".cfi_rel_offset r12, 0",
        "push rax",
        ".cfi_adjust_cfa_offset 8",
        "mov rbx, rdi",
        "mov r12, rsi",
        "2:",
        "mov rdi, r12",
        "call {handler}",
        "test rax, rax",
        "je 3f",
        "call rax",
        "mov rdi, rbx",
        "mov rsi, r12",
        "call {allocate}",
        "test rax, rax",
        "je 2b",
        "3:",
        "add rsp, 8",
        ".cfi_adjust_cfa_offset -8",
        "pop r12",
        ".cfi_adjust_cfa_offset -8",
        ".cfi_restore r12",
        "pop rbx",
        ".cfi_adjust_cfa_offset -8",
        ".cfi_restore rbx",
        "ret",
        ".cfi_endproc",
        handler = sym handler,
        allocate = sym allocate_aligned,
    )
}

/// Takes (size, alignment). Does what [`retry`] does, and throws `std::bad_alloc` instead of returning null.
#[unsafe(naked)]
unsafe extern "C-unwind" fn retry_or_throw() {
    naked_asm!(
        ".cfi_startproc",
        "push rdi",
        ".cfi_adjust_cfa_offset 8",
        "call {retry}",
        "test rax, rax",
        "je 2f",
        "pop rdi",
        ".cfi_adjust_cfa_offset -8",
        "ret",
        "2:",
        ".cfi_adjust_cfa_offset 8",
        "mov rdi, qword ptr [rsp]",
        "call {thrower}",
        "pop rdi",
        ".cfi_adjust_cfa_offset -8",
        // A jump, so that the exception is thrown from the caller's frame.
        "jmp rax",
        ".cfi_endproc",
        retry = sym retry,
        thrower = sym thrower,
    )
}

/// Defines operators. Each has a second, hidden symbol, which names this definition even if the program has replaced
/// the operator.
macro_rules! operators {
    ($($(#[$doc:meta])* $name:ident = $symbol:literal: [$($line:expr),+] $($key:ident = $value:path),*;)+) => {$(
        $(#[$doc])*
        ///
        /// # Safety
        /// As C++ says of this operator.
        #[unsafe(naked)]
        #[unsafe(export_name = $symbol)]
        pub unsafe extern "C-unwind" fn $name() {
            naked_asm!(
                concat!(".globl crossfoot_own", $symbol),
                concat!(".hidden crossfoot_own", $symbol),
                concat!("crossfoot_own", $symbol, ":"),
                ".cfi_startproc",
                $($line,)+
                ".cfi_endproc",
                $($key = sym $value,)*
            )
        }
    )+};
}

/// Jumps to another operator: this one is defined by it.
macro_rules! as_other {
    ($other:literal) => {
        concat!("jmp qword ptr [rip + ", $other, "@GOTPCREL]")
    };
}

/// Jumps to the label 8 if the program has replaced the operator.
macro_rules! if_replaced {
    ($other:literal) => {
        concat!(
            "lea rax, [rip + crossfoot_own",
            $other,
            "]\n",
            "cmp rax, qword ptr [rip + ",
            $other,
            "@GOTPCREL]\n",
            "jne 8f"
        )
    };
}

/// The label 8: calls the program's operator, and returns null if that throws.
macro_rules! catching_other {
    ($other:literal) => {
        concat!("8:\n", "mov rdx, qword ptr [rip + ", $other, "@GOTPCREL]\n", "jmp {catching}")
    };
}

operators! {
    /// `operator new(size_t)`.
    new = "_Znwm": [
        "push rdi",
        ".cfi_adjust_cfa_offset 8",
        "call {allocate}",
        "pop rdi",
        ".cfi_adjust_cfa_offset -8",
        "test rax, rax",
        "je 2f",
        "ret",
        "2:",
        "mov esi, 1",
        "jmp {failed}"
    ] allocate = allocate, failed = retry_or_throw;

    /// `operator new[](size_t)`.
    new_array = "_Znam": [as_other!("_Znwm")];

    /// `operator new(size_t, nothrow_t const&)`.
    new_nothrow = "_ZnwmRKSt9nothrow_t": [
        if_replaced!("_Znwm"),
        "push rdi",
        ".cfi_adjust_cfa_offset 8",
        "call {allocate}",
        "pop rdi",
        ".cfi_adjust_cfa_offset -8",
        "test rax, rax",
        "je 2f",
        "ret",
        "2:",
        "mov esi, 1",
        "lea rdx, [rip + {retry}]",
        "jmp {catching}",
        catching_other!("_Znwm")
    ] allocate = allocate, retry = retry, catching = catching;

    /// `operator new[](size_t, nothrow_t const&)`.
    new_array_nothrow = "_ZnamRKSt9nothrow_t": [
        if_replaced!("_Znam"),
        "jmp crossfoot_own_ZnwmRKSt9nothrow_t",
        catching_other!("_Znam")
    ] catching = catching;

    /// `operator new(size_t, align_val_t)`.
    new_aligned = "_ZnwmSt11align_val_t": [
        "push rdi",
        ".cfi_adjust_cfa_offset 8",
        "push rsi",
        ".cfi_adjust_cfa_offset 8",
        "push rax",
        ".cfi_adjust_cfa_offset 8",
        "call {allocate}",
        "pop rsi",
        ".cfi_adjust_cfa_offset -8",
        "pop rsi",
        ".cfi_adjust_cfa_offset -8",
        "pop rdi",
        ".cfi_adjust_cfa_offset -8",
        "test rax, rax",
        "je {failed}",
        "ret"
    ] allocate = allocate_aligned, failed = retry_or_throw;

    /// `operator new[](size_t, align_val_t)`.
    new_array_aligned = "_ZnamSt11align_val_t": [as_other!("_ZnwmSt11align_val_t")];

    /// `operator new(size_t, align_val_t, nothrow_t const&)`.
    new_aligned_nothrow = "_ZnwmSt11align_val_tRKSt9nothrow_t": [
        if_replaced!("_ZnwmSt11align_val_t"),
        "push rdi",
        ".cfi_adjust_cfa_offset 8",
        "push rsi",
        ".cfi_adjust_cfa_offset 8",
        "push rax",
        ".cfi_adjust_cfa_offset 8",
        "call {allocate}",
        "pop rsi",
        ".cfi_adjust_cfa_offset -8",
        "pop rsi",
        ".cfi_adjust_cfa_offset -8",
        "pop rdi",
        ".cfi_adjust_cfa_offset -8",
        "test rax, rax",
        "je 2f",
        "ret",
        "2:",
        "lea rdx, [rip + {retry}]",
        "jmp {catching}",
        catching_other!("_ZnwmSt11align_val_t")
    ] allocate = allocate_aligned, retry = retry, catching = catching;

    /// `operator new[](size_t, align_val_t, nothrow_t const&)`.
    new_array_aligned_nothrow = "_ZnamSt11align_val_tRKSt9nothrow_t": [
        if_replaced!("_ZnamSt11align_val_t"),
        "jmp crossfoot_own_ZnwmSt11align_val_tRKSt9nothrow_t",
        catching_other!("_ZnamSt11align_val_t")
    ] catching = catching;

    /// `operator delete(void*)`.
    delete = "_ZdlPv": ["jmp {release}"] release = release;

    /// `operator delete[](void*)`.
    delete_array = "_ZdaPv": [as_other!("_ZdlPv")];

    /// `operator delete(void*, nothrow_t const&)`.
    delete_nothrow = "_ZdlPvRKSt9nothrow_t": [as_other!("_ZdlPv")];

    /// `operator delete[](void*, nothrow_t const&)`.
    delete_array_nothrow = "_ZdaPvRKSt9nothrow_t": [as_other!("_ZdaPv")];

    /// `operator delete(void*, size_t)`. Checks the size, if the program has not replaced `operator delete(void*)`.
    delete_sized = "_ZdlPvm": [
        if_replaced!("_ZdlPv"),
        "jmp {release}",
        "8:",
        as_other!("_ZdlPv")
    ] release = release_sized;

    /// `operator delete[](void*, size_t)`.
    delete_array_sized = "_ZdaPvm": [
        if_replaced!("_ZdaPv"),
        "jmp crossfoot_own_ZdlPvm",
        "8:",
        as_other!("_ZdaPv")
    ];

    /// `operator delete(void*, align_val_t)`.
    delete_aligned = "_ZdlPvSt11align_val_t": ["jmp {release}"] release = release;

    /// `operator delete[](void*, align_val_t)`.
    delete_array_aligned = "_ZdaPvSt11align_val_t": [as_other!("_ZdlPvSt11align_val_t")];

    /// `operator delete(void*, align_val_t, nothrow_t const&)`.
    delete_aligned_nothrow = "_ZdlPvSt11align_val_tRKSt9nothrow_t": [as_other!("_ZdlPvSt11align_val_t")];

    /// `operator delete[](void*, align_val_t, nothrow_t const&)`.
    delete_array_aligned_nothrow = "_ZdaPvSt11align_val_tRKSt9nothrow_t": [as_other!("_ZdaPvSt11align_val_t")];

    /// `operator delete(void*, size_t, align_val_t)`.
    delete_sized_aligned = "_ZdlPvmSt11align_val_t": [
        if_replaced!("_ZdlPvSt11align_val_t"),
        "jmp {release}",
        "8:",
        // The operator without a size takes the alignment as its second argument.
        "mov rsi, rdx",
        as_other!("_ZdlPvSt11align_val_t")
    ] release = release_aligned;

    /// `operator delete[](void*, size_t, align_val_t)`.
    delete_array_sized_aligned = "_ZdaPvmSt11align_val_t": [
        if_replaced!("_ZdaPvSt11align_val_t"),
        "jmp crossfoot_own_ZdlPvmSt11align_val_t",
        "8:",
        "mov rsi, rdx",
        as_other!("_ZdaPvSt11align_val_t")
    ];
}
