//! Allocating a small object: the fast path.

use core::ptr::null_mut;

use super::record::{Cache, Slot};
use crate::config::MIN_ALIGN;
use crate::size_class::{Class, QUICK_MAX};
use crate::span::Object;

impl Cache {
    /// Pops an object that holds `size` bytes, at most [`QUICK_MAX`]; null where none is in hand.
    #[inline(always)]
    pub fn pop_quick(&self, size: usize) -> *mut u8 {
        debug_assert!(size <= QUICK_MAX);
        #[allow(clippy::manual_div_ceil, reason = "div_ceil guards against an overflow that cannot be")]
        let granules = (size + (MIN_ALIGN - 1)) / MIN_ALIGN;
        // SAFETY: `size` is at most QUICK_MAX, so the index is inside the table, and the table holds
        // offsets of slots of this record. Indexing with a check costs two instructions more.
        let slot = unsafe {
            let offset = *self.offsets.get_unchecked(granules);
            &*core::ptr::from_ref(self).cast::<u8>().add(offset as usize).cast::<Slot>()
        };
        pop(slot)
    }

    /// Pops an object of `class`; null where none is in hand.
    #[inline(always)]
    pub fn pop(&self, class: Class) -> *mut u8 {
        pop(&self.slots[class.index()])
    }

    /// Whether the object that was popped from `class` last reads as zero but for its first word.
    #[inline]
    pub fn is_fresh(&self, class: Class) -> bool {
        self.classes[class.index()].fresh.get()
    }
}

#[inline(always)]
fn pop(slot: &Slot) -> *mut u8 {
    let head = slot.head.get();
    if head.is_null() {
        return null_mut();
    }
    // SAFETY: the slot's list consists of free objects in the owner's hand.
    slot.head.set(unsafe { (*head).next.get() });
    slot.allocs.count();
    head.cast::<Object>().cast()
}
