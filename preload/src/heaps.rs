//! The names of isolated heaps: `include/crossfoot-heap.h` says what they promise.

use core::ffi::c_void;
use core::mem::ManuallyDrop;
use core::ptr::{NonNull, null_mut};

use crossfoot::Heap;

use crate::names::{EINVAL, ENOMEM, fail};

/// A heap as C sees it: `crossfoot_heap_t`.
#[repr(C)]
pub struct CHeap {
    _opaque: [u8; 0],
}

/// The heap behind a pointer, not to be dropped.
///
/// # Safety
/// `heap` came from [`crossfoot_heap_new`] or [`crossfoot_heap_new_limited`] and was not destroyed.
unsafe fn heap_of(heap: *mut CHeap) -> ManuallyDrop<Heap> {
    // SAFETY: the caller's promise; a heap's address is not null.
    ManuallyDrop::new(unsafe { Heap::from_raw(NonNull::new_unchecked(heap).cast()) })
}

/// A new heap, or null with `ENOMEM`.
#[unsafe(no_mangle)]
pub extern "C" fn crossfoot_heap_new() -> *mut CHeap {
    handle(Heap::new().ok())
}

/// A new heap whose objects take at most `bytes` bytes of pages, rounded up to 4 MiB, or null with `ENOMEM`.
#[unsafe(no_mangle)]
pub extern "C" fn crossfoot_heap_new_limited(bytes: usize) -> *mut CHeap {
    handle(Heap::with_limit(bytes).ok())
}

fn handle(heap: Option<Heap>) -> *mut CHeap {
    match heap {
        Some(heap) => heap.into_raw().cast().as_ptr(),
        None => fail(ENOMEM).cast(),
    }
}

/// Gives a heap back, whatever is still allocated in it. Null: nothing happens.
///
/// # Safety
/// `heap` is null or a heap that nobody uses any more, nor anything in it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn crossfoot_heap_destroy(heap: *mut CHeap) {
    if !heap.is_null() {
        // SAFETY: the caller's promise; it is dropped here, once.
        drop(ManuallyDrop::into_inner(unsafe { heap_of(heap) }));
    }
}

/// As `malloc`, in a heap.
///
/// # Safety
/// `heap` is a live heap.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn crossfoot_heap_malloc(heap: *mut CHeap, size: usize) -> *mut c_void {
    // SAFETY: the caller's promise.
    or_enomem(unsafe { heap_of(heap) }.allocate(size))
}

/// As `calloc`, in a heap.
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

/// As `realloc`, in a heap.
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

/// As `aligned_alloc`, in a heap: null with `EINVAL` where `align` is no power of two.
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

/// As `free`, in a heap.
///
/// # Safety
/// `heap` is a live heap, and `p` null or a live object of it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn crossfoot_heap_free(heap: *mut CHeap, p: *mut c_void) {
    // SAFETY: the caller's promise.
    unsafe { heap_of(heap).free(p.cast()) }
}

/// As `malloc_usable_size`, in a heap.
///
/// # Safety
/// `heap` is a live heap, and `p` null or a live object of it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn crossfoot_heap_usable_size(heap: *mut CHeap, p: *mut c_void) -> usize {
    // SAFETY: the caller's promise.
    unsafe { heap_of(heap).usable_size(p.cast()) }
}

fn or_enomem(p: *mut u8) -> *mut c_void {
    if p.is_null() { fail(ENOMEM) } else { p.cast() }
}
