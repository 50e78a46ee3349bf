//! Resizing. A call goes down from one rung to the next:
//!
//! - [`reallocate`]: gets a cache, if the thread has none; then [`resize`].
//!   - [`stays`]: 1. a small object that is at least half used stays.
//!   - [`resize_large`]: 2. a large object shrinks or grows where it is: [`Heap::shrink`], [`Heap::grow_in_place`].
//!   - [`move_large`]: 3. a large object moves to a larger span, by its physical pages or by a copy.
//!   - [`allocate_aligned`], [`copy`], [`free`](super::free()): 4. all others.

use core::cmp::Ordering;
use core::ptr::null_mut;

use super::alloc::{allocate_aligned, large};
use super::binding::Binding;
use super::free::free;
use super::misuse::{checked_span, is_of};
use crate::cache::Cache;
use crate::config::{MAX_REQUEST, MIN_ALIGN};
use crate::heap::Heap;
use crate::os::{Memory, Os, OsError};
use crate::size_class::SMALL_MAX;
use crate::span::{Kind, Span};
use crate::system_stack;
use crate::units::{Addr, KIB, Pages};

/// The size in bytes from which a large object moves by its physical pages instead of by a copy. A copy also faults in every
/// page of the new span.
const MOVE_BY_PAGES: usize = 256 * KIB;

/// Returns how many bytes of an object may be used, or 0 for null.
///
/// # Safety
/// `p` is null or a live object of this heap.
pub unsafe fn usable_size<O: Os>(heap: &Heap<O>, p: *mut u8) -> usize {
    if p.is_null() { 0 } else { checked_span(heap, p, "malloc_usable_size").usable() }
}

/// Changes an object's size to `size` bytes, at least 1, and keeps its content up to the smaller of both sizes. The object
/// may move. Returns null, and reports that, if there is no memory; then the old object is unchanged.
///
/// # Safety
/// `p` is a live object of this allocator, and is not used after unless the result is null. An alignment above 16 bytes is
/// kept only if the object does not move, or if `align` asks for it.
pub unsafe fn reallocate<B: Binding>(b: B, p: *mut u8, size: usize, align: usize) -> *mut u8 {
    // SAFETY: the caller's promise.
    let new = b.cache_or_adopt().map_or(null_mut(), |cache| unsafe { resize(b, cache, p, size, align) });
    if new.is_null() {
        b.report_no_memory();
    }
    new
}

/// # Safety
/// As for [`reallocate`].
#[inline(always)]
unsafe fn resize<B: Binding>(b: B, cache: &Cache, p: *mut u8, size: usize, align: usize) -> *mut u8 {
    if cache.is_checked() {
        system_stack::abort_if_active_always("realloc", p.addr());
    }
    let span = checked_span(b.heap(), p, "realloc");
    let old = span.usable();
    if span.kind() == Kind::Large {
        if size > SMALL_MAX {
            // 2. and 3.
            if resize_large(b.heap(), cache, span, size) {
                return p;
            }
            // SAFETY: the caller's promise.
            return unsafe { move_large(b, cache, p, span, size, align) };
        }
    } else if stays(cache, span, size, align) {
        // 1.
        return p;
    }
    // 4.
    let new = allocate_aligned(b, size, align);
    if new.is_null() && size <= old {
        // There is no memory to make the object smaller: it stays, in a class that its size does not tell.
        b.heap().note_larger();
        return p;
    }
    if !new.is_null() {
        // SAFETY: two objects of at least this many bytes, one of them new.
        unsafe {
            copy(p, new, old.min(size));
            free(b, p);
        }
    }
    new
}

/// Rung 1: returns whether a small object stays where it is when its size becomes `size`: while half of it is used, or with
/// `check:on`, while its class is that of `size`.
#[inline]
fn stays(cache: &Cache, span: &Span, size: usize, align: usize) -> bool {
    if cache.is_checked() {
        return is_of(span, size, align);
    }
    let old = span.object_size();
    size <= old && (size >= old / 2 || old <= 2 * MIN_ALIGN)
}

/// Rung 2: makes a large object's span fit `size` bytes where it is. Returns `false` if it can't grow there.
fn resize_large<O: Os>(heap: &Heap<O>, cache: &Cache, span: &Span, size: usize) -> bool {
    let Some(pages) = Pages::holding(size) else { return false };
    if size > MAX_REQUEST {
        return false;
    }
    match pages.cmp(&span.pages()) {
        Ordering::Equal => true,
        Ordering::Less => {
            let _inside = cache.enter_to_change(|| ("realloc", span.base().0));
            heap.shrink(cache.writer(), span, pages);
            true
        }
        Ordering::Greater => {
            let _inside = cache.enter_to_change(|| ("realloc", span.base().0));
            heap.grow_in_place(cache.client(), span, pages)
        }
    }
}

/// Rung 3: moves a large object to a larger span, by its physical pages if it is very large, else by a copy.
///
/// # Safety
/// As for [`reallocate`]; `span` is the span of `p`.
unsafe fn move_large<B: Binding>(b: B, cache: &Cache, p: *mut u8, span: &Span, size: usize, align: usize) -> *mut u8 {
    let heap = b.heap();
    let (mut new, _) = large(heap, cache, size, align.max(1), true);
    if new.is_null() {
        return new;
    }
    let bytes = span.pages().bytes();
    // Where physical pages are larger than a page, a span may begin or end inside one.
    let physical = heap.os().physical_page_size();
    let whole = (span.base().0 | Addr::of(new).0 | bytes).is_multiple_of(physical);
    let by_pages = bytes >= MOVE_BY_PAGES && whole;
    // SAFETY: both are large objects of the caller; the new one has at least as many bytes.
    unsafe {
        let done =
            if by_pages { heap.move_pages(span.base(), Addr::of(new), bytes) } else { Err(OsError::Unsupported) };
        if done == Err(OsError::Lost) {
            lose_large(heap, cache, new, bytes);
            // The content is copied to another object, if there is memory for one.
            new = large(heap, cache, size, align.max(1), false).0;
            if new.is_null() {
                return new;
            }
        }
        if done.is_err() {
            copy(p, new, bytes);
        }
        free(b, p);
    }
    new
}

/// Takes back a new large object whose first `lost` bytes are not memory any more.
///
/// # Safety
/// It belongs to the caller and is not in use.
#[cold]
#[inline(never)]
unsafe fn lose_large<O: Os>(heap: &Heap<O>, cache: &Cache, p: *mut u8, lost: usize) {
    let addr = Addr::of(p);
    let (Some(span), Some(lost)) = (heap.span_of(addr), Pages::holding(lost)) else { return };
    let _inside = cache.enter_to_change(|| ("realloc", addr.0));
    if span.end_large() {
        // SAFETY: the caller's promise; the object's life ended above.
        unsafe { heap.lose(cache.writer(), span, addr, lost) };
    }
}

/// Copies `bytes` bytes between two objects.
///
/// Uses `memmove`, though they do not overlap: a shared object without symbol versions is linked to the oldest `memcpy` of
/// glibc, which does not use the CPU's wide registers. There is only one `memmove`.
///
/// # Safety
/// Both objects have at least `bytes` bytes.
unsafe fn copy(from: *const u8, to: *mut u8, bytes: usize) {
    // SAFETY: the caller's promise.
    unsafe { to.copy_from(from, bytes) };
}
