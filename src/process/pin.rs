//! Prevents `dlclose` from unloading a shared object that contains the allocator.
//!
//! The libc keeps addresses of this code, for thread exit and fork: if `dlclose` unmapped the code, the next thread exit
//! would crash. `libcrossfoot.so` is linked with `-z nodelete`; a plugin that links the archive, or a Rust library with
//! this crate as its allocator, may not be.

use core::ffi::{CStr, c_char, c_int, c_void};
use core::ptr::null_mut;

use crate::arch;

/// An entry of the dynamic section: `Elf64_Dyn`, `Elf32_Dyn` of `elf.h`.
#[repr(C)]
struct Entry {
    tag: isize,
    value: usize,
}

/// `DT_NULL`: the section's end.
const END: isize = 0;
/// `DT_DEBUG`: present in programs only.
const DEBUG: isize = 21;
/// `DT_FLAGS_1`.
const FLAGS: isize = 0x6fff_fffb;
/// `DF_1_NODELETE` and `DF_1_PIE`: the flags of an object that is never unloaded, and of a program.
const STAYS: usize = 0x8 | 0x0800_0000;
/// `RTLD_LAZY | RTLD_NOLOAD | RTLD_NODELETE` of `dlfcn.h`: sets the flag of an object that is loaded.
const PIN: c_int = 0x1 | 0x4 | 0x1000;

/// `Dl_info` of `dlfcn.h`.
#[repr(C)]
struct Info {
    file: *const c_char,
    base: *mut c_void,
    name: *const c_char,
    symbol: *mut c_void,
}

/// Marks the shared object that contains this code as never unloaded, if `dlclose` could unload it. The loader calls it
/// while it opens the object, so the loader's lock may be held.
#[unsafe(link_section = ".text.startup")]
pub(super) fn pin() {
    // SAFETY: where a linker made a dynamic section it ends with `DT_NULL`; the loader does not change these tags.
    if !unsafe { stays(arch::dynamic_section().cast()) } {
        mark();
    }
}

/// Returns whether the object with this dynamic section is a program, or a library that is never unloaded already.
///
/// # Safety
/// `entry` is null, as in a static program, or the first entry of a dynamic section.
#[unsafe(link_section = ".text.startup")]
unsafe fn stays(mut entry: *const Entry) -> bool {
    if entry.is_null() {
        return true;
    }
    loop {
        // SAFETY: the caller's promise; nothing is read behind the last entry.
        let Entry { tag, value } = unsafe { entry.read() };
        match tag {
            END => return false,
            DEBUG => return true,
            FLAGS if value & STAYS != 0 => return true,
            _ => {}
        }
        // SAFETY: it was not the last entry.
        entry = unsafe { entry.add(1) };
    }
}

/// Marks it: opens the object once more with `RTLD_NODELETE`.
#[cold]
fn mark() {
    type Address = unsafe extern "C" fn(*const c_void, *mut Info) -> c_int;
    type Open = unsafe extern "C" fn(*const c_char, c_int) -> *mut c_void;
    let (address, open) = (named(c"dladdr"), named(c"dlopen"));
    if address.is_null() || open.is_null() {
        return;
    }
    // SAFETY: the symbols are the libc's functions of these types.
    let (address, open) = unsafe {
        (core::mem::transmute::<*const c_void, Address>(address), core::mem::transmute::<*const c_void, Open>(open))
    };
    let mut info = Info { file: core::ptr::null(), base: null_mut(), name: core::ptr::null(), symbol: null_mut() };
    // SAFETY: an address of this object, and an out parameter; the name that it returns lives as long as the object.
    unsafe {
        if address(pin as *const c_void, &raw mut info) != 0 && !info.file.is_null() {
            open(info.file, PIN);
        }
    }
}

/// Returns the libc's function `name`, or null.
///
/// A weak reference to `dlopen` would make linkers warn in static programs.
fn named(name: &CStr) -> *const c_void {
    type Find = unsafe extern "C" fn(*mut c_void, *const c_char) -> *const c_void;
    let find = arch::dlsym();
    if find.is_null() {
        return core::ptr::null();
    }
    // SAFETY: the symbol is the libc's function of this type; null is `RTLD_DEFAULT`; the name ends with a null byte.
    unsafe { core::mem::transmute::<*const c_void, Find>(find)(null_mut(), name.as_ptr()) }
}
