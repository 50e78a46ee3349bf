//! Isolated heaps for C, as `include/crossfoot-heap.h` declares them.

use core::ffi::c_void;
use core::mem::ManuallyDrop;
use core::ptr::{NonNull, null_mut};

use crossfoot::Heap;

use crate::names::{EINVAL, ENOMEM, fail};

/// A heap in C: `crossfoot_heap_t`.
#[repr(C)]
pub struct CHeap {
    _opaque: [u8; 0],
}

/// Returns the heap behind a pointer. The heap is not dropped.
///
/// # Safety
/// `heap` came from [`crossfoot_heap_new`] or [`crossfoot_heap_new_limited`] and was not destroyed.
unsafe fn heap_of(heap: *mut CHeap) -> ManuallyDrop<Heap> {
    // SAFETY: the caller's promise. A heap's address is not null.
    ManuallyDrop::new(unsafe { Heap::from_raw(NonNull::new_unchecked(heap).cast()) })
}

/// Creates a heap. Returns null with `ENOMEM` without memory or address space.
#[unsafe(no_mangle)]
pub extern "C" fn crossfoot_heap_new() -> *mut CHeap {
    handle(Heap::new().ok())
}

/// Creates a heap with a limit: its objects take at most `bytes` bytes of pages, rounded up to 4 MiB. Returns null with
/// `ENOMEM` without memory or address space.
#[unsafe(no_mangle)]
pub extern "C" fn crossfoot_heap_new_limited(bytes: usize) -> *mut CHeap {
    handle(Heap::with_limit(bytes).ok())
}

/// Returns the pointer for C, or null with `ENOMEM`.
fn handle(heap: Option<Heap>) -> *mut CHeap {
    match heap {
        Some(heap) => heap.into_raw().cast().as_ptr(),
        None => fail(ENOMEM).cast(),
    }
}

/// Destroys a heap with all objects in it. Null is a no-op.
///
/// # Safety
/// `heap` is null or a live heap. Neither the heap nor an object in it is used afterwards.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn crossfoot_heap_destroy(heap: *mut CHeap) {
    if !heap.is_null() {
        // SAFETY: the caller's promise. The heap is dropped here, once.
        drop(ManuallyDrop::into_inner(unsafe { heap_of(heap) }));
    }
}

/// Allocates in a heap, as `malloc` does.
///
/// # Safety
/// `heap` is a live heap.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn crossfoot_heap_malloc(heap: *mut CHeap, size: usize) -> *mut c_void {
    // SAFETY: the caller's promise.
    or_enomem(unsafe { heap_of(heap) }.allocate(size))
}

/// Allocates zeros in a heap, as `calloc` does.
///
/// # Safety
/// `heap` is a live heap.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn crossfoot_heap_calloc(heap: *mut CHeap, count: usize, size: usize) -> *mut c_void {
    match count.checked_mul(size) {
        // SAFETY: the caller's promise.
        Some(bytes) => or_enomem(unsafe { heap_of(heap) }.allocate_zeroed(bytes)),
        None => fail(ENOMEM),
    }
}

/// Resizes an object of a heap, as `realloc` does.
///
/// # Safety
/// `heap` is a live heap, and `p` null or a live object of it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn crossfoot_heap_realloc(heap: *mut CHeap, p: *mut c_void, size: usize) -> *mut c_void {
    // SAFETY: the caller's promise.
    unsafe {
        let heap = heap_of(heap);
        if p.is_null() {
            return or_enomem(heap.allocate(size));
        }
        if size == 0 {
            heap.free(p.cast());
            return null_mut();
        }
        or_enomem(heap.reallocate(p.cast(), size, 1))
    }
}

/// Allocates in a heap, as `aligned_alloc` does. Returns null with `EINVAL` if `align` is no power of two.
///
/// # Safety
/// `heap` is a live heap.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn crossfoot_heap_aligned_alloc(heap: *mut CHeap, align: usize, size: usize) -> *mut c_void {
    if !align.is_power_of_two() {
        return fail(EINVAL);
    }
    // SAFETY: the caller's promise.
    or_enomem(unsafe { heap_of(heap) }.allocate_aligned(size, align))
}

/// Frees an object of a heap, as `free` does.
///
/// # Safety
/// `heap` is a live heap, and `p` null or a live object of it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn crossfoot_heap_free(heap: *mut CHeap, p: *mut c_void) {
    // SAFETY: the caller's promise.
    unsafe { heap_of(heap).free(p.cast()) }
}

/// Returns the usable bytes of an object of a heap, as `malloc_usable_size` does.
///
/// # Safety
/// `heap` is a live heap, and `p` null or a live object of it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn crossfoot_heap_usable_size(heap: *mut CHeap, p: *mut c_void) -> usize {
    // SAFETY: the caller's promise.
    unsafe { heap_of(heap).usable_size(p.cast()) }
}

/// Returns `p`. Sets `errno` to `ENOMEM` if it is null.
fn or_enomem(p: *mut u8) -> *mut c_void {
    if p.is_null() { fail(ENOMEM) } else { p.cast() }
}
