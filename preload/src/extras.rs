//! Functions of jemalloc, macOS, NetBSD and OpenBSD, for programs that are built against them.
//!
//! They behave as their authors define them, except where a comment says otherwise. The flags of jemalloc's `…x`
//! functions are the binary logarithm of the alignment, and [`ZERO`]. Flags that choose a thread cache or an arena are
//! accepted without effect.

use core::ffi::{c_int, c_void};
use core::ptr::null_mut;

use crossfoot::arch;
use crossfoot::config::{MAX_ALIGN, MAX_REQUEST, MIN_ALIGN};
use crossfoot::process;
use crossfoot::size_class::Class;
use crossfoot::units::Pages;

use crate::names::{EINVAL, ENOMEM, calloc, fail};

/// jemalloc's `MALLOCX_ZERO`: new bytes are zero.
const ZERO: c_int = 0x40;
/// The bits of the flags with the logarithm of the alignment.
const LG_ALIGN: c_int = 0x3f;
/// `EOVERFLOW` of `errno.h`.
const EOVERFLOW: c_int = 75;

/// Returns the alignment that `flags` ask for.
fn align_of(flags: c_int) -> usize {
    1 << (flags & LG_ALIGN)
}

/// Returns the usable bytes of an object of `size` bytes. Returns `None` if no object can have that size.
fn real_size(size: usize, align: usize) -> Option<usize> {
    let size = match Class::of_aligned(size, align) {
        Some(class) => class.size(),
        None => Pages::holding(size.max(1))?.bytes(),
    };
    (size <= MAX_REQUEST && align <= MAX_ALIGN).then_some(size)
}

/// jemalloc's `mallocx`. Returns null without memory, and leaves `errno` unchanged.
#[unsafe(no_mangle)]
pub extern "C" fn mallocx(size: usize, flags: c_int) -> *mut c_void {
    let align = align_of(flags);
    if flags & ZERO == 0 {
        return process::allocate_aligned(size, align).cast();
    }
    // `allocate_zeroed` does not write memory that is known to be zero. It zeroes `size` bytes; the rest is zeroed
    // below.
    let (p, zero) = if align <= MIN_ALIGN {
        (keeping_errno(|| process::allocate_zeroed(size)), size)
    } else {
        (process::allocate_aligned(size, align), 0)
    };
    if !p.is_null() {
        // SAFETY: a fresh object, written up to its usable size. `rallocx` relies on that: it zeroes only what lies
        // behind.
        unsafe { p.add(zero).write_bytes(0, process::usable_size(p) - zero) };
    }
    p.cast()
}

/// Calls `f`, and restores `errno` afterwards.
fn keeping_errno<R>(f: impl FnOnce() -> R) -> R {
    let location = arch::errno_location();
    if location.is_null() {
        return f();
    }
    // SAFETY: the symbol is the libc's function of this type. It returns the address of this thread's `errno`.
    unsafe {
        let errno = core::mem::transmute::<*const c_void, unsafe extern "C" fn() -> *mut c_int>(location)();
        let before = *errno;
        let result = f();
        *errno = before;
        result
    }
}

/// jemalloc's `rallocx`: resizes an object. Returns null without memory; then the object is unchanged. Leaves `errno`
/// unchanged.
///
/// # Safety
/// `p` is a live object of this allocator.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rallocx(p: *mut c_void, size: usize, flags: c_int) -> *mut c_void {
    let align = align_of(flags);
    // Keeps the content up to the usable size of both objects, not just `size`: bytes up to the old usable size are not
    // zeroed.
    let size = real_size(size, align).unwrap_or(size);
    // SAFETY: the caller's promise. Two live objects do not overlap, and both have the bytes that are copied.
    unsafe {
        let old = process::usable_size(p.cast());
        let new: *mut u8 = if p.addr() & (align - 1) == 0 && align <= MAX_ALIGN {
            // The object has the alignment if it stays, and gets it if it moves.
            keeping_errno(|| process::reallocate(p.cast(), size.max(1), align))
        } else {
            let new = process::allocate_aligned(size, align);
            if !new.is_null() {
                new.copy_from_nonoverlapping(p.cast(), old.min(size));
                process::free(p.cast());
            }
            new
        };
        if !new.is_null() && flags & ZERO != 0 {
            let now = process::usable_size(new);
            new.add(old.min(now)).write_bytes(0, now.saturating_sub(old));
        }
        new.cast()
    }
}

/// jemalloc's `xallocx`, which resizes in place. Crossfoot never does. Returns the object's size.
///
/// # Safety
/// `p` is a live object of this allocator.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn xallocx(p: *mut c_void, _size: usize, _extra: usize, _flags: c_int) -> usize {
    // SAFETY: the caller's promise.
    unsafe { process::usable_size(p.cast()) }
}

/// jemalloc's `sallocx`: returns the object's usable bytes.
///
/// # Safety
/// `p` is a live object of this allocator.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sallocx(p: *const c_void, _flags: c_int) -> usize {
    // SAFETY: the caller's promise.
    unsafe { process::usable_size(p.cast_mut().cast()) }
}

/// jemalloc's `dallocx`: frees an object.
///
/// # Safety
/// `p` is a live object of this allocator, or null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dallocx(p: *mut c_void, _flags: c_int) {
    // SAFETY: the caller's promise.
    unsafe { process::free(p.cast()) }
}

/// jemalloc's `sdallocx`: frees an object, with its requested size.
///
/// # Safety
/// `p` is a live object of this allocator allocated with `size` and the alignment in `flags`, or null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sdallocx(p: *mut c_void, size: usize, flags: c_int) {
    // SAFETY: the caller's promise.
    unsafe { process::free_sized(p.cast(), size, align_of(flags), "sdallocx") }
}

/// jemalloc's `nallocx`: returns the usable bytes that an object of `size` bytes would have. Returns 0 if no object can
/// have that size.
#[unsafe(no_mangle)]
pub extern "C" fn nallocx(size: usize, flags: c_int) -> usize {
    real_size(size, align_of(flags)).unwrap_or(0)
}

/// macOS's `malloc_size`: returns the object's usable bytes, and 0 for null.
///
/// # Safety
/// `p` is null or a live object of this allocator.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn malloc_size(p: *const c_void) -> usize {
    // SAFETY: the caller's promise.
    unsafe { process::usable_size(p.cast_mut().cast()) }
}

/// macOS's `malloc_good_size`: returns the usable bytes that an object of `size` bytes would have. Returns `size` if no
/// object can have that size.
#[unsafe(no_mangle)]
pub extern "C" fn malloc_good_size(size: usize) -> usize {
    real_size(size, 1).unwrap_or(size)
}

/// NetBSD's `reallocarr`: resizes the object at `*p` to `count * size` bytes, or frees it if that is 0. Returns 0, or
/// an error number; then `*p` is unchanged. Leaves `errno` unchanged.
///
/// # Safety
/// `p` points to a pointer that is null or a live object of this allocator.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn reallocarr(p: *mut c_void, count: usize, size: usize) -> c_int {
    let slot = p.cast::<*mut u8>();
    let Some(bytes) = count.checked_mul(size) else { return EOVERFLOW };
    // SAFETY: the caller's promise. The pointer may be unaligned, in an object of another type.
    unsafe {
        let old = slot.read_unaligned();
        let new = if bytes == 0 {
            process::free(old);
            null_mut()
        } else {
            let new = if old.is_null() { mallocx(bytes, 0).cast() } else { rallocx(old.cast(), bytes, 0).cast::<u8>() };
            if new.is_null() {
                return ENOMEM;
            }
            new
        };
        slot.write_unaligned(new);
    }
    0
}

/// OpenBSD's `freezero`: zeroes the first `size` bytes of an object, and frees it.
///
/// # Safety
/// `p` is null or a live object of this allocator of at least `size` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn freezero(p: *mut c_void, size: usize) {
    if p.is_null() {
        return;
    }
    // SAFETY: the caller's promise.
    unsafe {
        erase(p.cast(), size);
        process::free(p.cast());
    }
}

/// Writes zeros that the compiler does not optimise away.
///
/// # Safety
/// `size` bytes from `p` on can be written.
unsafe fn erase(p: *mut u8, size: usize) {
    // SAFETY: the caller's promise.
    unsafe { p.write_bytes(0, size) };
    core::hint::black_box(p);
}

/// OpenBSD's `recallocarray`: resizes an object from `old * size` to `new * size` bytes. New bytes are zero, and the
/// freed object is zeroed. Returns null with `ENOMEM` without memory, and if the new product overflows. Returns null
/// with `EINVAL` if the old product overflows or exceeds the object. Then the object is unchanged.
///
/// # Safety
/// `p` is null or a live object of this allocator.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn recallocarray(p: *mut c_void, old: usize, new: usize, size: usize) -> *mut c_void {
    if p.is_null() {
        return calloc(new, size);
    }
    let Some(bytes) = new.checked_mul(size) else { return fail(ENOMEM) };
    let Some(old_bytes) = old.checked_mul(size) else { return fail(EINVAL) };
    // SAFETY: the caller's promise. Two live objects do not overlap, and both have the bytes that are copied.
    unsafe {
        if old_bytes > process::usable_size(p.cast()) {
            return fail(EINVAL);
        }
        let moved = process::allocate_zeroed(bytes);
        if !moved.is_null() {
            moved.copy_from_nonoverlapping(p.cast(), old_bytes.min(bytes));
            erase(p.cast(), old_bytes);
            process::free(p.cast());
        }
        moved.cast()
    }
}
