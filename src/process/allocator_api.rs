//! Implements `Allocator` of the crate `allocator-api2`, for collections with an allocator parameter on stable Rust.

use core::alloc::Layout;
use core::ptr::{NonNull, without_provenance_mut};

use allocator_api2::alloc::{AllocError, Allocator};

use super::rust::Crossfoot;
use super::{allocate, allocate_aligned, allocate_zeroed, free, reallocate};
use crate::config::MIN_ALIGN;
use crate::isolated::Heap;

type Block = Result<NonNull<[u8]>, AllocError>;

/// The operations from which an `Allocator` is built, for objects of at least one byte.
trait Objects {
    /// Allocates an object. Returns null if there is no memory.
    fn take(&self, size: usize, align: usize) -> *mut u8;
    /// Allocates an object of zeros aligned to [`MIN_ALIGN`]. Returns null if there is no memory.
    fn take_zeroed(&self, size: usize) -> *mut u8;
    /// Frees an object.
    ///
    /// # Safety
    /// `p` is a live object of this allocator, and is not used any more.
    unsafe fn give(&self, p: *mut u8);
    /// Changes an object's size. If it moves, the new address is aligned to `align`. Returns null if there is no memory; then
    /// the object is unchanged.
    ///
    /// # Safety
    /// `p` is a live object of this allocator. If the result is not null, it replaces `p`.
    unsafe fn resize(&self, p: *mut u8, size: usize, align: usize) -> *mut u8;
}

impl Objects for Crossfoot {
    #[inline]
    fn take(&self, size: usize, align: usize) -> *mut u8 {
        if align <= MIN_ALIGN { allocate(size) } else { allocate_aligned(size, align) }
    }

    #[inline]
    fn take_zeroed(&self, size: usize) -> *mut u8 {
        allocate_zeroed(size)
    }

    #[inline]
    unsafe fn give(&self, p: *mut u8) {
        // SAFETY: the caller's promise.
        unsafe { free(p) }
    }

    #[inline]
    unsafe fn resize(&self, p: *mut u8, size: usize, align: usize) -> *mut u8 {
        // SAFETY: the caller's promise.
        unsafe { reallocate(p, size, align) }
    }
}

impl Objects for &Heap {
    #[inline]
    fn take(&self, size: usize, align: usize) -> *mut u8 {
        self.allocate_aligned(size, align)
    }

    #[inline]
    fn take_zeroed(&self, size: usize) -> *mut u8 {
        Heap::allocate_zeroed(self, size)
    }

    #[inline]
    unsafe fn give(&self, p: *mut u8) {
        // SAFETY: the caller's promise.
        unsafe { self.free(p) }
    }

    #[inline]
    unsafe fn resize(&self, p: *mut u8, size: usize, align: usize) -> *mut u8 {
        // SAFETY: the caller's promise.
        unsafe { self.reallocate(p, size, align) }
    }
}

/// Returns the block for `layout` at `p`, or an error if `p` is null.
fn block(p: *mut u8, layout: Layout) -> Block {
    NonNull::new(p).map(|p| NonNull::slice_from_raw_parts(p, layout.size())).ok_or(AllocError)
}

/// Returns a block of zero bytes: any aligned address serves.
fn empty(layout: Layout) -> Block {
    block(without_provenance_mut(layout.align()), layout)
}

/// Allocates a block for `layout`.
fn obtain(objects: &impl Objects, layout: Layout) -> Block {
    match layout.size() {
        0 => empty(layout),
        size => block(objects.take(size, layout.align()), layout),
    }
}

/// Allocates a block of zeros for `layout`.
fn obtain_zeroed(objects: &impl Objects, layout: Layout) -> Block {
    if layout.size() == 0 {
        return empty(layout);
    }
    if layout.align() <= MIN_ALIGN {
        return block(objects.take_zeroed(layout.size()), layout);
    }
    let block = obtain(objects, layout)?;
    // SAFETY: a fresh object of this size.
    unsafe { block.cast::<u8>().write_bytes(0, layout.size()) };
    Ok(block)
}

/// Frees the block at `p`.
///
/// # Safety
/// `p` was allocated by `objects` for `layout`, and is not used any more.
unsafe fn put_back(objects: &impl Objects, p: NonNull<u8>, layout: Layout) {
    if layout.size() != 0 {
        // SAFETY: the caller's promise; a block that is not empty is an object.
        unsafe { objects.give(p.as_ptr()) }
    }
}

/// Changes the block at `p` from layout `old` to the larger or smaller layout `new`.
///
/// # Safety
/// `p` was allocated by `objects` for `old`. If the call succeeds, the result replaces `p`.
unsafe fn change(objects: &impl Objects, p: NonNull<u8>, old: Layout, new: Layout) -> Block {
    // SAFETY: the caller's promise, for all of the calls; two objects do not overlap.
    unsafe {
        if old.size() == 0 {
            return obtain(objects, new);
        }
        if new.size() == 0 {
            objects.give(p.as_ptr());
            return empty(new);
        }
        // `resize` may leave the object in place, so it serves only if `p` has the new alignment already.
        if p.addr().get().is_multiple_of(new.align()) {
            return block(objects.resize(p.as_ptr(), new.size(), new.align()), new);
        }
        let block = obtain(objects, new)?;
        block.cast::<u8>().copy_from_nonoverlapping(p, old.size().min(new.size()));
        objects.give(p.as_ptr());
        Ok(block)
    }
}

/// Does the same as [`change`], and zeroes the bytes that are added.
///
/// # Safety
/// As for [`change`], and `new` is not smaller than `old`.
unsafe fn change_zeroed(objects: &impl Objects, p: NonNull<u8>, old: Layout, new: Layout) -> Block {
    // SAFETY: the caller's promise; the bytes written belong to the new block and are behind the content of `old`.
    unsafe {
        let block = change(objects, p, old, new)?;
        block.cast::<u8>().add(old.size()).write_bytes(0, new.size().saturating_sub(old.size()));
        Ok(block)
    }
}

macro_rules! allocator {
    ($objects:ty) => {
        // SAFETY: a block is a live object, or empty; it stays at its address until it is freed. Copies of the value are
        // the same allocator, and where the value is a reference, the heap outlives it.
        unsafe impl Allocator for $objects {
            #[inline]
            fn allocate(&self, layout: Layout) -> Block {
                obtain(self, layout)
            }

            #[inline]
            fn allocate_zeroed(&self, layout: Layout) -> Block {
                obtain_zeroed(self, layout)
            }

            #[inline]
            unsafe fn deallocate(&self, p: NonNull<u8>, layout: Layout) {
                // SAFETY: the caller's promise.
                unsafe { put_back(self, p, layout) }
            }

            #[inline]
            unsafe fn grow(&self, p: NonNull<u8>, old: Layout, new: Layout) -> Block {
                // SAFETY: the caller's promise.
                unsafe { change(self, p, old, new) }
            }

            #[inline]
            unsafe fn grow_zeroed(&self, p: NonNull<u8>, old: Layout, new: Layout) -> Block {
                // SAFETY: the caller's promise.
                unsafe { change_zeroed(self, p, old, new) }
            }

            #[inline]
            unsafe fn shrink(&self, p: NonNull<u8>, old: Layout, new: Layout) -> Block {
                // SAFETY: the caller's promise.
                unsafe { change(self, p, old, new) }
            }
        }
    };
}

allocator!(Crossfoot);
allocator!(&Heap);
