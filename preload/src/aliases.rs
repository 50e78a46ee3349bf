//! glibc's second names for its functions (`__libc_malloc` and others), which programs use to call past a replacement.
//! They lead to this allocator too. Otherwise an object of glibc's allocator would come to this `free`, which does not
//! know it.

use core::ffi::{c_int, c_void};

use crate::introspection::{self, Info};
use crate::names;

/// Calls [`names::malloc`].
#[unsafe(no_mangle)]
pub extern "C" fn __libc_malloc(size: usize) -> *mut c_void {
    names::malloc(size)
}

/// Calls [`names::calloc`].
#[unsafe(no_mangle)]
pub extern "C" fn __libc_calloc(count: usize, size: usize) -> *mut c_void {
    names::calloc(count, size)
}

/// Calls [`names::realloc`].
///
/// # Safety
/// As for [`names::realloc`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn __libc_realloc(p: *mut c_void, size: usize) -> *mut c_void {
    // SAFETY: the caller's promise.
    unsafe { names::realloc(p, size) }
}

/// Calls [`names::free`].
///
/// # Safety
/// As for [`names::free`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn __libc_free(p: *mut c_void) {
    // SAFETY: the caller's promise.
    unsafe { names::free(p) }
}

/// Calls [`names::memalign`]. Old loaders use this name, too.
#[unsafe(no_mangle)]
pub extern "C" fn __libc_memalign(align: usize, size: usize) -> *mut c_void {
    names::memalign(align, size)
}

/// Calls [`names::valloc`].
#[unsafe(no_mangle)]
pub extern "C" fn __libc_valloc(size: usize) -> *mut c_void {
    names::valloc(size)
}

/// Calls [`names::pvalloc`].
#[unsafe(no_mangle)]
pub extern "C" fn __libc_pvalloc(size: usize) -> *mut c_void {
    names::pvalloc(size)
}

/// Calls [`introspection::mallinfo`].
#[unsafe(no_mangle)]
pub extern "C" fn __libc_mallinfo() -> Info<c_int> {
    introspection::mallinfo()
}
