//! Names of other allocators' and other systems' C libraries, for programs that are built against them.
//!
//! As their authors define them, but for what is said. The flags of jemalloc's `…x` functions: the binary logarithm of
//! the alignment, and [`ZERO`]; which thread cache and which arena to use is accepted and makes no difference.

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
/// The bits of the flags that are the alignment's logarithm.
const LG_ALIGN: c_int = 0x3f;
/// `EOVERFLOW` of `errno.h`.
const EOVERFLOW: c_int = 75;

/// The alignment that `flags` ask for.
fn align_of(flags: c_int) -> usize {
    1 << (flags & LG_ALIGN)
}

/// How many bytes an object of `size` bytes has. `None`: no object can have them.
fn real_size(size: usize, align: usize) -> Option<usize> {
    let size = match Class::of_aligned(size, align) {
        Some(class) => class.size(),
        None => Pages::holding(size.max(1))?.bytes(),
    };
    (size <= MAX_REQUEST && align <= MAX_ALIGN).then_some(size)
}

/// jemalloc's `mallocx`. Null: no memory; `errno` is left alone.
#[unsafe(no_mangle)]
pub extern "C" fn mallocx(size: usize, flags: c_int) -> *mut c_void {
    let align = align_of(flags);
    if flags & ZERO == 0 {
        return process::allocate_aligned(size, align).cast();
    }
    // Memory that is known to be zero is not written again, which only this function knows.
    let (p, zero) = if align <= MIN_ALIGN {
        (keeping_errno(|| process::allocate_zeroed(size)), size)
    } else {
        (process::allocate_aligned(size, align), 0)
    };
    if !p.is_null() {
        // SAFETY: a fresh object, written as far as it may be used: a later `rallocx` zeroes only what is behind.
        unsafe { p.add(zero).write_bytes(0, process::usable_size(p) - zero) };
    }
    p.cast()
}

/// What `f` does, but `errno` is afterwards what it was.
fn keeping_errno<R>(f: impl FnOnce() -> R) -> R {
    let location = arch::errno_location();
    if location.is_null() {
        return f();
    }
    // SAFETY: the symbol is the libc's function of this type, which returns this thread's `errno`.
    unsafe {
        let errno = core::mem::transmute::<*const c_void, unsafe extern "C" fn() -> *mut c_int>(location)();
        let before = *errno;
        let result = f();
        *errno = before;
        result
    }
}

/// jemalloc's `rallocx`: resizes. Null: no memory, and the object is as it was; `errno` is left alone.
///
/// # Safety
/// `p` is a live object of this allocator.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rallocx(p: *mut c_void, size: usize, flags: c_int) -> *mut c_void {
    let align = align_of(flags);
    // Content is kept as far as both objects may be used, which is further than the caller asks for: bytes up to the old
    // real size are not zeroed.
    let size = real_size(size, align).unwrap_or(size);
    // SAFETY: the caller's promise; of two objects, the new one is no other's, and both have the bytes copied.
    unsafe {
        let old = process::usable_size(p.cast());
        let new: *mut u8 = if p.addr() & (align - 1) == 0 && align <= MAX_ALIGN {
            // It keeps the alignment where it stays, and gets it where it moves.
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

/// jemalloc's `xallocx`, which resizes where the object is: here never. Returns the size that it has.
///
/// # Safety
/// `p` is a live object of this allocator.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn xallocx(p: *mut c_void, _size: usize, _extra: usize, _flags: c_int) -> usize {
    // SAFETY: the caller's promise.
    unsafe { process::usable_size(p.cast()) }
}

/// jemalloc's `sallocx`: how many bytes the object has.
///
/// # Safety
/// `p` is a live object of this allocator.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sallocx(p: *const c_void, _flags: c_int) -> usize {
    // SAFETY: the caller's promise.
    unsafe { process::usable_size(p.cast_mut().cast()) }
}

/// jemalloc's `dallocx`: frees.
///
/// # Safety
/// `p` is a live object of this allocator, or null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dallocx(p: *mut c_void, _flags: c_int) {
    // SAFETY: the caller's promise.
    unsafe { process::free(p.cast()) }
}

/// jemalloc's `sdallocx`: frees an object of which the caller knows the size.
///
/// # Safety
/// `p` is a live object of this allocator that was asked for with `size` and the alignment in `flags`, or null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sdallocx(p: *mut c_void, size: usize, flags: c_int) {
    // SAFETY: the caller's promise.
    unsafe { process::free_sized(p.cast(), size, align_of(flags), "sdallocx") }
}

/// jemalloc's `nallocx`: how many bytes an object of `size` bytes would have; 0 where there can be none.
#[unsafe(no_mangle)]
pub extern "C" fn nallocx(size: usize, flags: c_int) -> usize {
    real_size(size, align_of(flags)).unwrap_or(0)
}

/// macOS's `malloc_size`: how many bytes the object has; 0 for null.
///
/// # Safety
/// `p` is null or a live object of this allocator.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn malloc_size(p: *const c_void) -> usize {
    // SAFETY: the caller's promise.
    unsafe { process::usable_size(p.cast_mut().cast()) }
}

/// macOS's `malloc_good_size`: how many bytes an object of `size` bytes would have; `size` where there can be none.
#[unsafe(no_mangle)]
pub extern "C" fn malloc_good_size(size: usize) -> usize {
    real_size(size, 1).unwrap_or(size)
}

/// NetBSD's `reallocarr`: resizes the object at `*p` to `count * size` bytes, and frees it where these are none.
/// Returns 0 or an error; then `*p` is as it was. `errno` is left alone.
///
/// # Safety
/// `p` points to a pointer that is null or a live object of this allocator.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn reallocarr(p: *mut c_void, count: usize, size: usize) -> c_int {
    let place = p.cast::<*mut u8>();
    let Some(bytes) = count.checked_mul(size) else { return EOVERFLOW };
    // SAFETY: the caller's promise; the pointer may lie unaligned in an object of another type.
    unsafe {
        let old = place.read_unaligned();
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
        place.write_unaligned(new);
    }
    0
}

/// OpenBSD's `freezero`: writes zeros over the first `size` bytes of the object, which it must have, and frees it.
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

/// Writes zeros that the compiler does not take for useless.
///
/// # Safety
/// `size` bytes from `p` on can be written.
unsafe fn erase(p: *mut u8, size: usize) {
    // SAFETY: the caller's promise.
    unsafe { p.write_bytes(0, size) };
    core::hint::black_box(p);
}

/// OpenBSD's `recallocarray`: resizes from `old * size` to `new * size` bytes; bytes that come are zero, bytes that go
/// are overwritten by zeros. Null with `ENOMEM`, also where the new product overflows, or with `EINVAL` where the old
/// one does or is more than the object has; then the object is as it was.
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
    // SAFETY: the caller's promise; of two objects, the new one is no other's, and both have the bytes copied.
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
