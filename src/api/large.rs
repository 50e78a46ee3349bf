//! Large objects that move.

use super::{allocate_large, copy, free};
use crate::cache::Cache;
use crate::central::Central;
use crate::heap::Heap;
use crate::os::{Os, OsError};
use crate::span::Span;
use crate::units::{Addr, KIB, Pages};

/// From how many bytes on a large object moves by its pages instead of by a copy: a copy also faults in
/// every page of the new place.
const MOVE_BY_PAGES: usize = 256 * KIB;

/// Moves a large object to a larger span: by its pages where it is very large, else by a copy.
///
/// # Safety
/// As for [`super::reallocate`]; `span` is the span of `p`.
pub(super) unsafe fn move_large<O: Os>(
    heap: &Heap<O>,
    central: &Central<O>,
    cache: &Cache,
    p: *mut u8,
    span: &Span,
    size: usize,
    align: usize,
) -> *mut u8 {
    let (mut new, _) = allocate_large(heap, cache, size, align.max(1), true);
    if new.is_null() {
        return new;
    }
    let bytes = span.pages().bytes();
    // Where physical pages are larger than a page, a span may begin or end inside one.
    let physical = heap.os().physical_page_size();
    let whole = (span.base().0 | Addr::of(new).0 | bytes).is_multiple_of(physical);
    let by_pages = bytes >= MOVE_BY_PAGES && whole;
    // SAFETY: both are large objects of the caller's; the new one has at least as many bytes.
    unsafe {
        let done =
            if by_pages { heap.move_pages(span.base(), Addr::of(new), bytes) } else { Err(OsError::Unsupported) };
        if done == Err(OsError::Lost) {
            lose_large(heap, cache, new, bytes);
            // Another object, where there is one: to that one the content is copied.
            new = allocate_large(heap, cache, size, align.max(1), false).0;
            if new.is_null() {
                return new;
            }
        }
        if done.is_err() {
            copy(p, new, bytes);
        }
        free(heap, central, cache, p);
    }
    new
}

/// Takes back a fresh large object of which the first `lost` bytes are not memory any more.
///
/// # Safety
/// It is the caller's, and nobody uses it.
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
