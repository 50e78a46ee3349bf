//! C++'s `operator new` and `operator delete`, under the names of the Itanium ABI.
//!
//! They do what the standard says of the ones that a program may replace: an operator that the standard defines by
//! another one calls that one, the program's if it has replaced it. Where there is no memory, the new-handler is
//! called until it ends the matter, and without one `std::bad_alloc` is thrown.
//!
//! Whatever an exception may pass through is assembly with unwind tables: this object is built to abort, and no
//! frame of Rust may be unwound. The functions in Rust here do not call what may throw.

use core::arch::naked_asm;
use core::ffi::{CStr, c_char, c_int, c_void};
use core::ptr::{null, null_mut};

use kernel::{arch, global, report};

use crate::names;

/// C++ libraries of which a program may load one after this object was loaded.
const LIBRARIES: [&CStr; 2] = [c"libstdc++.so.6", c"libc++.so.1"];
/// `RTLD_LAZY | RTLD_NOLOAD` of `dlfcn.h`: what is loaded already.
const LOADED: c_int = 1 | 4;

/// Where the function `name` is: where the linker found it, or in a C++ library that was loaded later.
fn find(linked: *const c_void, name: &CStr) -> *const c_void {
    type Open = unsafe extern "C" fn(*const c_char, c_int) -> *mut c_void;
    type Find = unsafe extern "C" fn(*mut c_void, *const c_char) -> *const c_void;
    let find = arch::dlsym();
    if !linked.is_null() || find.is_null() {
        return linked;
    }
    // SAFETY: the symbol is the libc's function of this type; null stands for everything that was loaded globally.
    let (find, open) = unsafe {
        let find = core::mem::transmute::<*const c_void, Find>(find);
        // Not by a weak reference: about one in a static program, the linker warns.
        (find, find(null_mut(), c"dlopen".as_ptr()))
    };
    if open.is_null() {
        return null();
    }
    // SAFETY: it is the libc's function of this type.
    let open = unsafe { core::mem::transmute::<*const c_void, Open>(open) };
    for library in LIBRARIES {
        // SAFETY: names that end with a null byte; a library that is found stays loaded.
        unsafe {
            let library = open(library.as_ptr(), LOADED);
            let function = if library.is_null() { null() } else { find(library, name.as_ptr()) };
            if !function.is_null() {
                return function;
            }
        }
    }
    null()
}

extern "C" fn allocate(size: usize) -> *mut c_void {
    global::allocate(size).cast()
}

extern "C" fn allocate_aligned(size: usize, align: usize) -> *mut c_void {
    if align.is_power_of_two() { names::aligned(align, size) } else { null_mut() }
}

/// The program's new-handler. Null: it has none, or none could help, because `align` is no alignment.
extern "C" fn handler(align: usize) -> *const c_void {
    let get = find(arch::get_new_handler(), c"_ZSt15get_new_handlerv");
    if get.is_null() || !align.is_power_of_two() {
        return null();
    }
    // SAFETY: the symbol is C++'s function of this type, which does not throw.
    unsafe { core::mem::transmute::<*const c_void, unsafe extern "C" fn() -> *const c_void>(get)() }
}

/// The function that throws `std::bad_alloc`. Without one the process ends.
extern "C" fn thrower(size: usize) -> *const c_void {
    let parts =
        [arch::cxa_allocate_exception(), arch::cxa_throw(), arch::bad_alloc_type(), arch::bad_alloc_functions()];
    // A static program that catches `std::bad_alloc` has these, but need not have the function.
    if arch::throw_bad_alloc().is_null() && parts.iter().all(|part| !part.is_null()) {
        return throw_by_hand as *const c_void;
    }
    let throw = find(arch::throw_bad_alloc(), c"_ZSt17__throw_bad_allocv");
    if throw.is_null() {
        report::fatal(format_args!("crossfoot: operator new({size}): out of memory"));
    }
    throw
}

extern "C" fn release(p: *mut c_void) {
    // SAFETY: `operator delete` is for live objects and null, by C++'s rules.
    unsafe { global::free(p.cast()) }
}

extern "C" fn release_sized(p: *mut c_void, size: usize) {
    // SAFETY: as above; the size is the one that was asked for.
    unsafe { global::free_sized(p.cast(), size, 0, "operator delete") }
}

extern "C" fn release_aligned(p: *mut c_void, size: usize, align: usize) {
    // SAFETY: as above.
    unsafe { global::free_sized(p.cast(), size, align, "operator delete") }
}

/// Takes (size, alignment). Calls the new-handler and tries again, as long as there is one and no memory. Returns
/// the object, or null where there is no handler. What the handler throws passes through.
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

/// Takes (size, alignment). As [`retry`], but throws instead of returning null.
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
        // The exception comes from the caller's frame.
        "jmp rax",
        ".cfi_endproc",
        retry = sym retry,
        thrower = sym thrower,
    )
}

/// Throws `std::bad_alloc`, of which all parts are there: an object that is only a pointer to its functions, which in
/// the Itanium ABI begin 16 bytes into their table.
#[unsafe(naked)]
unsafe extern "C-unwind" fn throw_by_hand() {
    naked_asm!(
        ".cfi_startproc",
        "push rax",
        ".cfi_adjust_cfa_offset 8",
        ".weak __cxa_allocate_exception, _ZTVSt9bad_alloc, _ZTISt9bad_alloc, __cxa_throw",
        "mov edi, 8",
        "call qword ptr [rip + __cxa_allocate_exception@GOTPCREL]",
        "mov rcx, qword ptr [rip + _ZTVSt9bad_alloc@GOTPCREL]",
        "add rcx, 16",
        "mov qword ptr [rax], rcx",
        "mov rdi, rax",
        "mov rsi, qword ptr [rip + _ZTISt9bad_alloc@GOTPCREL]",
        // Its destructor, if it has one, does nothing that matters.
        "xor edx, edx",
        "pop rcx",
        ".cfi_adjust_cfa_offset -8",
        "jmp qword ptr [rip + __cxa_throw@GOTPCREL]",
        ".cfi_endproc",
    )
}

/// Takes (size, alignment, function). Calls the function with both; null if it throws, whatever it throws. The table
/// behind it is the form of `__gxx_personality_v0`: of the one call, everything is caught.
#[unsafe(naked)]
unsafe extern "C-unwind" fn catching() {
    naked_asm!(
        ".cfi_startproc",
        ".cfi_personality 0x9b, crossfoot_cxx_personality",
        ".cfi_lsda 0x1b, crossfoot_cxx_caught",
        "4:",
        "push rax",
        ".cfi_adjust_cfa_offset 8",
        "5:",
        "call rdx",
        "6:",
        "pop rdi",
        ".cfi_adjust_cfa_offset -8",
        "ret",
        "7:",
        ".cfi_adjust_cfa_offset 8",
        "push rax",
        ".cfi_adjust_cfa_offset 8",
        "push rax",
        ".cfi_adjust_cfa_offset 8",
        "call {begin_catch}",
        "pop rdi",
        ".cfi_adjust_cfa_offset -8",
        "pop rdi",
        ".cfi_adjust_cfa_offset -8",
        "call rax",
        "call {end_catch}",
        "call rax",
        "xor eax, eax",
        "pop rdi",
        ".cfi_adjust_cfa_offset -8",
        "ret",
        ".cfi_endproc",
        // Relative to itself, and filled in by the loader.
        ".pushsection .data.rel.crossfoot_cxx_personality,\"aw\",@progbits",
        ".balign 8",
        "crossfoot_cxx_personality:",
        ".quad {personality}",
        ".popsection",
        ".pushsection .gcc_except_table.crossfoot_cxx_caught,\"a\",@progbits",
        ".balign 4",
        "crossfoot_cxx_caught:",
        // No other base of landing pads; types are 4 bytes; where the types end.
        ".byte 0xff, 0x03",
        ".uleb128 22f - 20f",
        "20:",
        // One call: where it is, how long, where it lands, and its first action.
        ".byte 0x01",
        ".uleb128 21f - 23f",
        "23:",
        ".uleb128 5b - 4b",
        ".uleb128 6b - 5b",
        ".uleb128 7b - 4b",
        ".uleb128 1",
        "21:",
        // The action: the first type, and no further action. The type: any.
        ".byte 1, 0",
        ".balign 4",
        ".long 0",
        "22:",
        ".popsection",
        personality = sym personality,
        begin_catch = sym begin_catch,
        end_catch = sym end_catch,
    )
}

/// What [`catching`] has to do with an exception: what C++'s own personality says, which may have been loaded since.
#[unsafe(naked)]
unsafe extern "C" fn personality() {
    naked_asm!(
        ".cfi_startproc",
        // The five arguments, for the function that is called in the end.
        "push rdi",
        ".cfi_adjust_cfa_offset 8",
        "push rsi",
        ".cfi_adjust_cfa_offset 8",
        "push rdx",
        ".cfi_adjust_cfa_offset 8",
        "push rcx",
        ".cfi_adjust_cfa_offset 8",
        "push r8",
        ".cfi_adjust_cfa_offset 8",
        "call {find}",
        "pop r8",
        ".cfi_adjust_cfa_offset -8",
        "pop rcx",
        ".cfi_adjust_cfa_offset -8",
        "pop rdx",
        ".cfi_adjust_cfa_offset -8",
        "pop rsi",
        ".cfi_adjust_cfa_offset -8",
        "pop rdi",
        ".cfi_adjust_cfa_offset -8",
        "test rax, rax",
        "je 2f",
        "jmp rax",
        "2:",
        // `_URC_CONTINUE_UNWIND`: without C++, whatever is thrown is nobody's to catch here.
        "mov eax, 8",
        "ret",
        ".cfi_endproc",
        find = sym find_personality,
    )
}

extern "C" fn find_personality() -> *const c_void {
    find(arch::gxx_personality(), c"__gxx_personality_v0")
}

extern "C" fn begin_catch() -> *const c_void {
    find(arch::cxa_begin_catch(), c"__cxa_begin_catch")
}

extern "C" fn end_catch() -> *const c_void {
    find(arch::cxa_end_catch(), c"__cxa_end_catch")
}

/// Defines operators. Each has a second, hidden name, which is this one whatever the program has replaced.
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

/// An operator that is another one.
macro_rules! as_other {
    ($other:literal) => {
        concat!("jmp qword ptr [rip + ", $other, "@GOTPCREL]")
    };
}

/// Goes on at 8 if the program has replaced the operator.
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

/// Calls the program's operator in its stead, and returns null if that throws.
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

    /// `operator delete(void*, size_t)`. Without a replaced one, the size is checked as far as that is done.
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
        // The alignment is the second argument of the one without size.
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
