//! Allocating a small object: the fast path.

use core::ptr::null_mut;

use super::record::{Cache, Slot};
use crate::arch;
use crate::config::MIN_ALIGN;
use crate::local::EMPTY_CACHE_BYTES;
use crate::size_class::{Class, QUICK_MAX};
use crate::span::Object;

const _: () = assert!(core::mem::offset_of!(Cache, classes) <= EMPTY_CACHE_BYTES, "zero bytes are a cache to pop from");

/// The offset of a size's slot, by bytes; [`Cache`] has the same table by granules. This one is constant, so the compiler
/// looks up a size that it knows.
static OFFSETS: [u16; QUICK_MAX + 1] = offsets_by_size();

const fn offsets_by_size() -> [u16; QUICK_MAX + 1] {
    let mut t = [0; QUICK_MAX + 1];
    let mut size = 0;
    while size < t.len() {
        t[size] = (Class::of(size).index() * size_of::<Slot>()) as u16;
        size += 1;
    }
    t
}

impl Cache {
    /// As [`Cache::pop_quick_of`], for a `size` that may be a constant.
    ///
    /// # Safety
    /// As for [`Cache::pop_quick_of`].
    #[inline(always)]
    pub unsafe fn pop_known_of(this: *const Cache, size: usize) -> *mut u8 {
        debug_assert!(size <= QUICK_MAX);
        // SAFETY: as in `pop_quick_of`, with the other table.
        unsafe { pop(&*this.cast::<u8>().add(*OFFSETS.get_unchecked(size) as usize).cast::<Slot>()) }
    }

    /// Pops an object that holds `size` bytes, at most [`QUICK_MAX`], from what a thread's word points to. Returns null if the
    /// slot is empty.
    ///
    /// # Safety
    /// `this` is the calling thread's cache, or [`EMPTY_CACHE_BYTES`] zero bytes: null then, and nothing is written.
    #[inline(always)]
    pub unsafe fn pop_quick_of(this: *const Cache, size: usize) -> *mut u8 {
        debug_assert!(size <= QUICK_MAX);
        // SAFETY: offsets and slots lie in the bytes that `this` has at least. The index is inside the table, since `size`
        // is at most QUICK_MAX, and the table holds offsets of slots: zero, that of the first one, if it is zero bytes.
        unsafe {
            let offset = (*this).offsets.get_unchecked(granules(size));
            pop(&*this.cast::<u8>().add(*offset as usize).cast::<Slot>())
        }
    }

    /// As [`Cache::pop`], from what a thread's word points to.
    ///
    /// # Safety
    /// As for [`Cache::pop_quick_of`].
    #[inline(always)]
    pub unsafe fn pop_of(this: *const Cache, class: Class) -> *mut u8 {
        // SAFETY: the slots lie in the bytes that `this` has at least.
        unsafe { pop(&(*this).slots[class.index()]) }
    }

    /// As [`Cache::pop_quick_of`], from a cache.
    #[inline(always)]
    pub fn pop_quick(&self, size: usize) -> *mut u8 {
        // SAFETY: it is a cache.
        unsafe { Cache::pop_quick_of(self, size) }
    }

    /// Pops an object of `class`. Returns null if the slot is empty.
    #[inline(always)]
    pub fn pop(&self, class: Class) -> *mut u8 {
        pop(&self.slots[class.index()])
    }

    /// Returns whether the object that was popped from `class` last reads as zero but for its first word.
    #[inline]
    pub fn is_fresh(&self, class: Class) -> bool {
        self.classes[class.index()].fresh.get()
    }
}

/// Returns how many 16-byte granules hold `size` bytes.
#[inline(always)]
const fn granules(size: usize) -> usize {
    #[allow(clippy::manual_div_ceil, reason = "div_ceil guards against an overflow that cannot be")]
    let granules = (size + (MIN_ALIGN - 1)) / MIN_ALIGN;
    granules
}

#[inline(always)]
fn pop(slot: &Slot) -> *mut u8 {
    let head = slot.head.get();
    if head.is_null() {
        return null_mut();
    }
    // SAFETY: the slot's list consists of free objects that the cache took from their span.
    let next = unsafe { (*head).next.get() };
    slot.head.set(next);
    // The next call reads this object, and its caller writes it.
    arch::prefetch(next.cast());
    slot.allocs.count();
    head.cast::<Object>().cast()
}
