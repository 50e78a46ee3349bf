//! Allocation. The numbered steps are *rungs*: a call goes down from one to the next and never comes back up.
//!
//! - (1) [`allocate`]: up to 1 KiB: [`Cache::pop_quick_of`] pops the slot's first object.
//!   - (3) [`refill_size`]: the slot is empty, or the thread has no cache.
//!   - (2) [`allocate_middle`]: up to 32 KiB: finds the class by the second table, [`Cache::pop_of`].
//!     - (3) [`refill_class`].
//!     - (4) [`allocate_large`]: above 32 KiB: [`large`], a span of its own by [`Heap::take_large`].
//! - (1) [`allocate_known`]: as `allocate`; the compiler knows the slot of a constant size.
//! - (1) [`allocate_aligned`]: by the class of a multiple of the alignment, [`Cache::pop_of`].
//!   - (3, 4) [`aligned_slow`].
//! - (1, 3, 4) [`allocate_zeroed`]: by [`refill`] or [`large`]; clears what is not known to be zero.
//!
//! Rung 3 is [`refill`], with the thread's cache, adopted if it has none. [`Cache::refill`] takes, in this order: objects
//! that this thread freed, objects that other threads returned ([`Cache::drain`]), uncarved memory of the current span,
//! another span of the cache, a span of [`Central`](crate::central::Central), pages of the [`Heap`].

use core::ptr::null_mut;

use super::binding::Binding;
use super::misuse::small_class;
use crate::cache::Cache;
use crate::config::{MAX_ALIGN, MAX_REQUEST};
use crate::heap::Heap;
use crate::os::Os;
use crate::size_class::{Class, QUICK_MAX, SMALL_MAX};
use crate::span::Object;
use crate::units::Pages;

/// Allocates `size` bytes aligned to 16. Returns null if there is no memory, and reports that.
#[inline(always)]
pub fn allocate<B: Binding>(b: B, size: usize) -> *mut u8 {
    let cache = b.cache_or_empty();
    // Two separate slow calls: with one, LLVM merges the tests into a computed flag.
    if size > QUICK_MAX {
        // Above 1 KiB: the cache's table of slots ends here.
        return allocate_middle(b, size);
    }
    // SAFETY: it is the thread's cache, or zero bytes.
    let p = unsafe { Cache::pop_quick_of(cache, size) };
    // Null: the slot is empty, or the thread has no cache yet. With `check:on`, slots are always empty.
    if p.is_null() { refill_size(b, size) } else { p }
}

/// As [`allocate`], for a `size` that the compiler may know: then the slot's offset is a constant.
#[inline(always)]
pub fn allocate_known<B: Binding>(b: B, size: usize) -> *mut u8 {
    let cache = b.cache_or_empty();
    if size > QUICK_MAX {
        // Above 1 KiB, as in `allocate`.
        return allocate_middle(b, size);
    }
    // SAFETY: as in `allocate`.
    let p = unsafe { Cache::pop_known_of(cache, size) };
    // Null: as in `allocate`.
    if p.is_null() { refill_size(b, size) } else { p }
}

/// Allocates `size` bytes aligned to `align`, a power of two. Returns null, and reports nothing, if there is no memory or
/// `align` is above [`MAX_ALIGN`].
#[inline(always)]
pub fn allocate_aligned<B: Binding>(b: B, size: usize, align: usize) -> *mut u8 {
    debug_assert!(align.is_power_of_two());
    if let Some(class) = Class::of_aligned(size, align) {
        // SAFETY: as in `allocate`.
        let p = unsafe { Cache::pop_of(b.cache_or_empty(), class) };
        if !p.is_null() {
            return p;
        }
    }
    // A large object, an alignment above a page, or an empty slot.
    aligned_slow(b, size, align)
}

/// Allocates `size` zero bytes aligned to 16. Writes only what is not known to be zero. Returns null if there is no memory,
/// and reports that.
#[inline]
pub fn allocate_zeroed<B: Binding>(b: B, size: usize) -> *mut u8 {
    let Some(cache) = b.cache_or_adopt() else { return reported(b, null_mut()) };
    let (p, dirty) = if size > SMALL_MAX {
        let (p, zero) = large(b.heap(), cache, size, 1, true);
        (p, if zero { 0 } else { size })
    } else {
        let class = Class::of(size);
        let p = refill(b, cache, class);
        // A fresh object holds nothing but its link, which is its first word.
        (p, if cache.is_fresh(class) { size_of::<*mut Object>() } else { size })
    };
    if !p.is_null() {
        // SAFETY: a new object of at least `size` bytes; small ones have at least 16.
        unsafe { p.write_bytes(0, dirty) };
    }
    reported(b, p)
}

/// Rung 2: sizes above the cache's table of slots.
#[inline(never)]
fn allocate_middle<B: Binding>(b: B, size: usize) -> *mut u8 {
    if size > SMALL_MAX {
        // Above 32 KiB an object has a span of its own.
        return allocate_large(b, size);
    }
    let class = Class::middle(size);
    // SAFETY: as in `allocate`.
    let p = unsafe { Cache::pop_of(b.cache_or_empty(), class) };
    // Null: as in `allocate`.
    if p.is_null() { refill_class(b, class) } else { p }
}

/// Rung 3 for [`allocate`]: the slot is empty, or the thread has no cache.
#[cold]
#[inline(never)]
fn refill_size<B: Binding>(b: B, size: usize) -> *mut u8 {
    refill_class_now(b, Class::of(size))
}

/// Rung 3 for [`allocate_middle`]: the slot is empty, or the thread has no cache.
#[cold]
#[inline(never)]
fn refill_class<B: Binding>(b: B, class: Class) -> *mut u8 {
    refill_class_now(b, class)
}

#[inline(always)]
fn refill_class_now<B: Binding>(b: B, class: Class) -> *mut u8 {
    let p = b.cache_or_adopt().map_or(null_mut(), |cache| refill(b, cache, class));
    reported(b, p)
}

/// Rung 3: pops an object of `class`, or fills the slot and pops then. An adopted cache may have objects in its slots: an
/// exited thread with the same thread pointer left them.
#[inline(always)]
fn refill<B: Binding>(b: B, cache: &Cache, class: Class) -> *mut u8 {
    let p = cache.pop(class);
    if p.is_null() { cache.refill(b.heap(), b.central(), class) } else { p }
}

/// Rungs 3 and 4 for [`allocate_aligned`]: an empty slot, or a large object.
#[cold]
#[inline(never)]
fn aligned_slow<B: Binding>(b: B, size: usize, align: usize) -> *mut u8 {
    if align > MAX_ALIGN {
        return null_mut();
    }
    let Some(cache) = b.cache_or_adopt() else { return null_mut() };
    match small_class(size, align) {
        Some(class) => refill(b, cache, class),
        None => large(b.heap(), cache, size.max(1), align, false).0,
    }
}

/// Rung 4 for [`allocate`].
#[cold]
#[inline(never)]
fn allocate_large<B: Binding>(b: B, size: usize) -> *mut u8 {
    let p = b.cache_or_adopt().map_or(null_mut(), |cache| large(b.heap(), cache, size, 1, false).0);
    reported(b, p)
}

/// Rung 4: allocates a large object, and returns whether it is known to read as zero, if `zero` asks for that.
///
/// Not inlined: the slow path of small objects would save registers for it each time.
#[inline(never)]
pub(super) fn large<O: Os>(heap: &Heap<O>, cache: &Cache, size: usize, align: usize, zero: bool) -> (*mut u8, bool) {
    if size > MAX_REQUEST {
        return (null_mut(), false);
    }
    let Some(pages) = Pages::holding(size) else { return (null_mut(), false) };
    let _inside = cache.enter_to_change(|| ("malloc", 0));
    match heap.take_large(cache.client(), pages, align, zero) {
        Some(span) => {
            cache.publish_after(heap, pages);
            (span.base().ptr(), span.zero())
        }
        None => (null_mut(), false),
    }
}

/// Returns `p`, and reports no memory if it is null.
#[inline(always)]
fn reported<B: Binding>(b: B, p: *mut u8) -> *mut u8 {
    if p.is_null() {
        b.report_no_memory();
    }
    p
}
