//! `Allocator` of the crate `allocator-api2`, for collections that take an allocator on stable Rust.

use core::alloc::Layout;
use core::ptr::{NonNull, without_provenance_mut};

use allocator_api2::alloc::{AllocError, Allocator};

use super::{Crossfoot, allocate, allocate_aligned, allocate_zeroed, free, reallocate};
use crate::config::MIN_ALIGN;
use crate::isolated::Heap;

type Block = Result<NonNull<[u8]>, AllocError>;

/// The calls that an `Allocator` is made of, for objects of at least one byte.
trait Objects {
    /// An object, or null.
    fn take(&self, size: usize, align: usize) -> *mut u8;
    /// An object of zeros aligned to [`MIN_ALIGN`], or null.
    fn take_zeroed(&self, size: usize) -> *mut u8;
    /// Takes an object back.
    ///
    /// # Safety
    /// It is one of ours, live, and not used any more.
    unsafe fn give(&self, p: *mut u8);
    /// Changes an object's size. It may move, then aligned to `align`. Null: it is as it was.
    ///
    /// # Safety
    /// It is one of ours and live; a result that is not null is used instead.
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

/// What is handed out for `layout`; null: nothing.
fn block(p: *mut u8, layout: Layout) -> Block {
    NonNull::new(p).map(|p| NonNull::slice_from_raw_parts(p, layout.size())).ok_or(AllocError)
}

/// No bytes need no object: any aligned address does.
fn nothing(layout: Layout) -> Block {
    block(without_provenance_mut(layout.align()), layout)
}

fn obtain(objects: &impl Objects, layout: Layout) -> Block {
    match layout.size() {
        0 => nothing(layout),
        size => block(objects.take(size, layout.align()), layout),
    }
}

fn obtain_zeroed(objects: &impl Objects, layout: Layout) -> Block {
    if layout.size() == 0 {
        return nothing(layout);
    }
    if layout.align() <= MIN_ALIGN {
        return block(objects.take_zeroed(layout.size()), layout);
    }
    let block = obtain(objects, layout)?;
    // SAFETY: a fresh object of this size.
    unsafe { block.cast::<u8>().write_bytes(0, layout.size()) };
    Ok(block)
}

/// # Safety
/// `p` was handed out by `objects` for `layout`, and is not used any more.
unsafe fn put_back(objects: &impl Objects, p: NonNull<u8>, layout: Layout) {
    if layout.size() != 0 {
        // SAFETY: the caller's promise; what has bytes is an object.
        unsafe { objects.give(p.as_ptr()) }
    }
}

/// Changes what `p` is for from layout `old` to layout `new`, either way.
///
/// # Safety
/// `p` was handed out by `objects` for `old`; if the result is no error, that is used instead.
unsafe fn change(objects: &impl Objects, p: NonNull<u8>, old: Layout, new: Layout) -> Block {
    // SAFETY: the caller's promise, for all of the calls; two objects do not overlap.
    unsafe {
        if old.size() == 0 {
            return obtain(objects, new);
        }
        if new.size() == 0 {
            objects.give(p.as_ptr());
            return nothing(new);
        }
        // An object that stays where it is has the alignment that it has.
        if p.addr().get().is_multiple_of(new.align()) {
            return block(objects.resize(p.as_ptr(), new.size(), new.align()), new);
        }
        let block = obtain(objects, new)?;
        block.cast::<u8>().copy_from_nonoverlapping(p, old.size().min(new.size()));
        objects.give(p.as_ptr());
        Ok(block)
    }
}

/// # Safety
/// As for [`change`], and `new` is not smaller than `old`.
unsafe fn change_zeroed(objects: &impl Objects, p: NonNull<u8>, old: Layout, new: Layout) -> Block {
    // SAFETY: the caller's promise; what is written was handed out and is no content of `old`.
    unsafe {
        let block = change(objects, p, old, new)?;
        block.cast::<u8>().add(old.size()).write_bytes(0, new.size().saturating_sub(old.size()));
        Ok(block)
    }
}

macro_rules! allocator {
    ($objects:ty) => {
        // SAFETY: a block is a live object, or of no bytes; it stays where it is until it is given back. Copies of the
        // value are the same allocator, and where it is a reference, the heap outlives it.
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
