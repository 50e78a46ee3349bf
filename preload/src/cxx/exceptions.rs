//! C++ exceptions for the operators: finding C++'s runtime functions, throwing, and catching.

use core::arch::naked_asm;
use core::ffi::{CStr, c_char, c_int, c_void};
use core::ptr::{null, null_mut};

use crossfoot::{arch, report};

/// C++ libraries. A program may load one after this object was loaded.
const LIBRARIES: [&CStr; 2] = [c"libstdc++.so.6", c"libc++.so.1"];
/// `RTLD_LAZY | RTLD_NOLOAD` of `dlfcn.h`: opens only a library that is already loaded.
const LOADED: c_int = 1 | 4;

/// Returns the function `name`: the one that the linker found, or the one in a C++ library that was loaded later.
/// Returns null if there is none.
pub(super) fn find(linked: *const c_void, name: &CStr) -> *const c_void {
    type Open = unsafe extern "C" fn(*const c_char, c_int) -> *mut c_void;
    type Find = unsafe extern "C" fn(*mut c_void, *const c_char) -> *const c_void;
    let find = arch::dlsym();
    if !linked.is_null() || find.is_null() {
        return linked;
    }
    // SAFETY: the symbol is the libc's `dlsym`, of this type. Null is `RTLD_DEFAULT`.
    let (find, open) = unsafe {
        let find = core::mem::transmute::<*const c_void, Find>(find);
        // Not through a weak reference: the linker warns about a reference to `dlopen` in a static program.
        (find, find(null_mut(), c"dlopen".as_ptr()))
    };
    if open.is_null() {
        return null();
    }
    // SAFETY: the symbol is `dlopen`, of this type.
    let open = unsafe { core::mem::transmute::<*const c_void, Open>(open) };
    for library in LIBRARIES {
        // SAFETY: the names end with a null byte. A library that is found stays loaded.
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

/// Returns the function that throws `std::bad_alloc`. Aborts if there is none.
pub(super) extern "C" fn thrower(size: usize) -> *const c_void {
    let parts =
        [arch::cxa_allocate_exception(), arch::cxa_throw(), arch::bad_alloc_type(), arch::bad_alloc_functions()];
    // A static program that catches `std::bad_alloc` has all parts, but may lack the function that throws it.
    if arch::throw_bad_alloc().is_null() && parts.iter().all(|part| !part.is_null()) {
        return throw_by_hand as *const c_void;
    }
    let throw = find(arch::throw_bad_alloc(), c"_ZSt17__throw_bad_allocv");
    if throw.is_null() {
        report::fatal(format_args!("crossfoot: operator new({size}): out of memory"));
    }
    throw
}

/// Throws `std::bad_alloc` from its parts, which must all be there. The object is only a pointer to its virtual
/// functions, which in the Itanium ABI begin 16 bytes into their table.
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
        // No destructor: it would do nothing that matters.
        "xor edx, edx",
        "pop rcx",
        ".cfi_adjust_cfa_offset -8",
        "jmp qword ptr [rip + __cxa_throw@GOTPCREL]",
        ".cfi_endproc",
    )
}

/// Takes (size, alignment, function). Calls the function with the first two. Returns null if it throws anything. The
/// table behind the code has the form that `__gxx_personality_v0` reads: it has the one call, and catches every type.
#[unsafe(naked)]
pub(super) unsafe extern "C-unwind" fn catching() {
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
        // An address for the relative reference above, filled in by the loader.
        ".pushsection .data.rel.crossfoot_cxx_personality,\"aw\",@progbits",
        ".balign 8",
        "crossfoot_cxx_personality:",
        ".quad {personality}",
        ".popsection",
        ".pushsection .gcc_except_table.crossfoot_cxx_caught,\"a\",@progbits",
        ".balign 4",
        "crossfoot_cxx_caught:",
        // No separate base for landing pads; types of 4 bytes; the offset of the end of the types.
        ".byte 0xff, 0x03",
        ".uleb128 22f - 20f",
        "20:",
        // The one call: its start, its length, its landing pad, its first action.
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

/// The personality function of [`catching`]: jumps to C++'s own, which may have been loaded after this object.
#[unsafe(naked)]
unsafe extern "C" fn personality() {
    naked_asm!(
        ".cfi_startproc",
        // Saves the five arguments for C++'s function.
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
        // `_URC_CONTINUE_UNWIND`: without C++, an exception is not caught here.
        "mov eax, 8",
        "ret",
        ".cfi_endproc",
        find = sym find_personality,
    )
}

/// Returns C++'s personality function, or null.
extern "C" fn find_personality() -> *const c_void {
    find(arch::gxx_personality(), c"__gxx_personality_v0")
}

/// Returns C++'s `__cxa_begin_catch`, or null.
extern "C" fn begin_catch() -> *const c_void {
    find(arch::cxa_begin_catch(), c"__cxa_begin_catch")
}

/// Returns C++'s `__cxa_end_catch`, or null.
extern "C" fn end_catch() -> *const c_void {
    find(arch::cxa_end_catch(), c"__cxa_end_catch")
}
