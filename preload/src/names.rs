//! The functions of C, POSIX, BSD and glibc that programs allocate and free by.

use core::ffi::{c_int, c_void};
use core::ptr::null_mut;

use crossfoot::os::Memory;
use crossfoot::process;
use crossfoot::units::checked_align_up;

/// `EINVAL` of `errno.h`.
pub const EINVAL: c_int = 22;
/// `ENOMEM` of `errno.h`.
pub const ENOMEM: c_int = 12;

/// C's `malloc`. Returns `size` bytes aligned to 16, or null with `ENOMEM`. A request of zero bytes gets an object too.
#[unsafe(no_mangle)]
pub extern "C" fn malloc(size: usize) -> *mut c_void {
    process::allocate(size).cast()
}

/// C's `free`.
///
/// # Safety
/// `p` is null or a live object of this allocator.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn free(p: *mut c_void) {
    // SAFETY: the caller's promise.
    unsafe { process::free(p.cast()) }
}

/// C23's `free_sized`.
///
/// # Safety
/// `p` is null or a live object of this allocator allocated with `size`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn free_sized(p: *mut c_void, size: usize) {
    // SAFETY: the caller's promise.
    unsafe { process::free_sized(p.cast(), size, 0, "free_sized") }
}

/// C23's `free_aligned_sized`.
///
/// # Safety
/// `p` is null or a live object of this allocator allocated with `align` and `size`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn free_aligned_sized(p: *mut c_void, align: usize, size: usize) {
    // SAFETY: the caller's promise.
    unsafe { process::free_sized(p.cast(), size, align, "free_aligned_sized") }
}

/// SunOS's `cfree`. Does what [`free`] does.
///
/// # Safety
/// As for [`free`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cfree(p: *mut c_void) {
    // SAFETY: the caller's promise.
    unsafe { process::free(p.cast()) }
}

/// C's `calloc`. Returns `count * size` zero bytes. Returns null with `ENOMEM` without memory, and if the product
/// overflows.
#[unsafe(no_mangle)]
pub extern "C" fn calloc(count: usize, size: usize) -> *mut c_void {
    match count.checked_mul(size) {
        Some(bytes) => process::allocate_zeroed(bytes).cast(),
        None => fail(ENOMEM),
    }
}

/// C's `realloc`. Allocates if `p` is null. If `size` is zero, frees `p` and returns null, as glibc does.
///
/// # Safety
/// `p` is null or a live object of this allocator.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn realloc(p: *mut c_void, size: usize) -> *mut c_void {
    if p.is_null() {
        return process::allocate(size).cast();
    }
    // SAFETY: the caller's promise.
    unsafe {
        if size == 0 {
            process::free(p.cast());
            return null_mut();
        }
        process::reallocate(p.cast(), size, 1).cast()
    }
}

/// POSIX's `posix_memalign`. Returns 0, `EINVAL` if `align` is no power of two of at least a pointer's size, or
/// `ENOMEM`. Sets `errno` to `ENOMEM` too, as glibc does. Writes `out` only when it returns 0.
///
/// # Safety
/// `out` can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn posix_memalign(out: *mut *mut c_void, align: usize, size: usize) -> c_int {
    if !align.is_power_of_two() || align < size_of::<*mut c_void>() {
        return EINVAL;
    }
    let p = aligned(align, size);
    if p.is_null() {
        return ENOMEM;
    }
    // SAFETY: the caller's promise.
    unsafe { out.write(p) };
    0
}

/// C's `aligned_alloc`. Returns null with `EINVAL` if `align` is no power of two.
#[unsafe(no_mangle)]
pub extern "C" fn aligned_alloc(align: usize, size: usize) -> *mut c_void {
    if !align.is_power_of_two() {
        return fail(EINVAL);
    }
    aligned(align, size)
}

/// glibc's `memalign`. Rounds `align` up to a power of two. Returns null with `EINVAL` if there is none.
#[unsafe(no_mangle)]
pub extern "C" fn memalign(align: usize, size: usize) -> *mut c_void {
    match align.checked_next_power_of_two() {
        Some(align) => aligned(align, size),
        None => fail(EINVAL),
    }
}

/// BSD's `valloc`. Returns memory aligned to a physical page.
#[unsafe(no_mangle)]
pub extern "C" fn valloc(size: usize) -> *mut c_void {
    aligned(physical_page(), size)
}

/// glibc's `pvalloc`. Does what [`valloc`] does, with `size` rounded up to whole physical pages.
#[unsafe(no_mangle)]
pub extern "C" fn pvalloc(size: usize) -> *mut c_void {
    match checked_align_up(size, physical_page()) {
        Some(size) => aligned(physical_page(), size),
        None => fail(ENOMEM),
    }
}

/// glibc's `reallocarray`. Resizes to `count * size` bytes, as [`realloc`]. Returns null with `ENOMEM` if the product
/// overflows.
///
/// # Safety
/// As for [`realloc`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn reallocarray(p: *mut c_void, count: usize, size: usize) -> *mut c_void {
    match count.checked_mul(size) {
        // SAFETY: the caller's promise.
        Some(bytes) => unsafe { realloc(p, bytes) },
        None => fail(ENOMEM),
    }
}

/// Returns the number of bytes of the object that may be used, and 0 for null.
///
/// # Safety
/// `p` is null or a live object of this allocator.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn malloc_usable_size(p: *mut c_void) -> usize {
    // SAFETY: the caller's promise.
    unsafe { process::usable_size(p.cast()) }
}

/// Returns the size of a physical page.
fn physical_page() -> usize {
    process::ALLOCATOR.os().physical_page_size()
}

/// Returns `size` bytes aligned to `align`, a power of two, or null with `ENOMEM`.
pub fn aligned(align: usize, size: usize) -> *mut c_void {
    let p = process::allocate_aligned(size, align);
    if p.is_null() { fail(ENOMEM) } else { p.cast() }
}

/// Sets `errno`. Returns null.
#[cold]
pub fn fail(errno: c_int) -> *mut c_void {
    process::set_errno(errno);
    null_mut()
}
