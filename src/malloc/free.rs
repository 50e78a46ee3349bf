//! Free. The numbered steps are *rungs*: a call goes down from one to the next and never comes back up.
//!
//! - (1) [`free`]: [`push`]es onto the free list of the thread's own span.
//!   - (2) [`free_last`]: no object of the span is out any more: [`Cache::freed_last`] may give the span back to the heap.
//!   - [`free_other`]: not an object of a span of this thread with room; [`full_or_pending`].
//!     - (3) [`Cache::free_into_full`]: a full span of this thread: it has room again.
//!     - (4) [`Cache::flush_pending_of`]: the pending batch for another thread's span is full.
//!     - [`free_rest`]: none of these. Gets a cache, if the thread has none; then [`free_by`].
//!       - (7) [`abort_misuse`]: not a live object: [`checked_span`].
//!       - (6) [`free_large`]: a span of its own: [`Heap::give_back_near`].
//!       - [`free_small`]: in this order,
//!         - (5) [`Cache::adopt`]: the span has no owner, and this cache takes it over.
//!         - (4) [`Cache::free_remote`]: begins a pending batch for another thread's span.
//!         - (3) [`Cache::free_into_full`]: the thread had no cache, or adopted the span.
//!         - (1, 2) [`Cache::push`]: for the same reasons, or with `check:on`.
//! - (1) [`free_sized`]: as `free`.
//! - (1) [`free_live`]: as `free`, with one test less.
//!   - (2) [`free_last`].
//!   - (3, 4) [`free_sized_other`]: as `free_other`.
//!     - [`free_sized_rest`]: as `free_rest`; with `check:on`, [`Claim::check`] compares size and alignment.
//!
//! With `check:on`, spans bear another id than their thread, so rungs 1 to 4 find nothing and [`free_by`] sees each object.

use super::binding::Binding;
use super::misuse::{Claim, FREED, abort_misuse, checked_span};
use crate::cache::Cache;
use crate::heap::{Heap, Use};
use crate::os::Os;
use crate::span::{Kind, ListState, Span};
use crate::units::Addr;

/// Frees `p`. Null is a no-op.
///
/// # Safety
/// `p` is null or a live object of this allocator, and is not used after. What is seen to be something else ends the process
/// with one line.
#[inline(always)]
pub unsafe fn free<B: Binding>(b: B, p: *mut u8) {
    let span = b.heap().span_of_thread(Addr(p.addr()), b.thread_id());
    // SAFETY: the caller's promise.
    unsafe { push(b, span, p, move || free_other(b, p)) }
}

/// Frees `p`, allocated with `size` and `align`. Null is a no-op. `function` is the public entry point, for messages.
///
/// The size is not needed: the object's span is looked up for its owner. With `check:on` it is compared.
///
/// # Safety
/// As for [`free`].
#[inline(always)]
pub unsafe fn free_sized<B: Binding>(b: B, p: *mut u8, size: usize, align: usize, function: &'static str) {
    let span = b.heap().span_of_thread(Addr(p.addr()), b.thread_id());
    // SAFETY: the caller's promise.
    unsafe { push(b, span, p, move || free_sized_other(b, p, size, align, function)) }
}

/// As [`free_sized`], for callers that promise more. With `check:on` a broken promise is seen.
///
/// # Safety
/// `p` is a live object of this allocator, of `size` bytes aligned to `align`, and is not used after.
#[inline(always)]
pub unsafe fn free_live<B: Binding>(b: B, p: *mut u8, size: usize, align: usize, function: &'static str) {
    // SAFETY: the caller's promise.
    unsafe {
        let span = b.heap().span_of_live(Addr(p.addr()), b.thread_id());
        push(b, span, p, move || free_sized_other(b, p, size, align, function));
    }
}

/// Rung 1: pushes `p` onto the free list of `span`, which this thread owns. `next` is the rung for all other objects.
///
/// # Safety
/// As for [`free`]; `span` is the span of `p`.
#[inline(always)]
unsafe fn push<B: Binding>(b: B, span: Option<&Span>, p: *mut u8, next: impl FnOnce()) {
    // Another thread's span, a full one, a large object, null, or no object at all. With `check:on`: every object.
    let Some(span) = span else { return next() };
    // The object that was freed last is freed again: rung 7 aborts.
    if Cache::was_freed_last(span, p.cast()) {
        return next();
    }
    // SAFETY: a span with a thread id holds small objects; this thread owns it, and the caller frees the object.
    if unsafe { Cache::push(span, p.cast()) } {
        // No object of the span is out any more.
        free_last(b, p);
    }
}

/// Rung 2: the last object of a span was freed. Gives the span back to the heap, unless the cache keeps it.
///
/// Thread ids are reused. If the span belongs to an exited thread, it stays on that cache's list: a fork may have interrupted
/// an update.
#[cold]
#[inline(never)]
fn free_last<B: Binding>(b: B, p: *mut u8) {
    // Mostly it is the current span, which stays.
    if let Some(span) = b.heap().span_of(Addr::of(p)).filter(|span| span.list_state.get() == ListState::Partial)
        && let Some(cache) = b.cache().filter(|cache| cache.owns(span))
    {
        cache.freed_last(b.heap(), span);
    }
}

/// Rungs 3 and 4 for [`free`]: a full span of this thread, or another thread's span.
///
/// # Safety
/// As for [`free`]; rung 1 did nothing.
#[inline(never)]
unsafe fn free_other<B: Binding>(b: B, p: *mut u8) {
    // SAFETY: the caller's promise.
    unsafe { full_or_pending(b, p, move || free_rest(b, p)) }
}

/// Rungs 3 and 4 for [`free_sized`] and [`free_live`]: a full span of this thread, or another thread's span.
///
/// # Safety
/// As for [`free_sized`]; rung 1 did nothing.
#[inline(never)]
unsafe fn free_sized_other<B: Binding>(b: B, p: *mut u8, size: usize, align: usize, function: &'static str) {
    // SAFETY: the caller's promise.
    unsafe { full_or_pending(b, p, move || free_sized_rest(b, p, size, align, function)) }
}

/// Rungs 3 and 4: a full span of this thread, or another thread's span for which this thread has a pending batch.
///
/// # Safety
/// As for [`free`].
#[inline(always)]
unsafe fn full_or_pending<B: Binding>(b: B, p: *mut u8, next: impl FnOnce()) {
    let addr = Addr(p.addr());
    // One call of `next`, so that it is inlined.
    'next: {
        // Null, a large object, or no object at all.
        let Some(span) = b.heap().span_of(addr).filter(|span| span.is_object(addr)) else { break 'next };
        let this = b.cache_or_empty();
        // SAFETY: an owner is a cache; caches are never unmapped. The caller frees the object.
        unsafe {
            if core::ptr::eq(Cache::owner_of(span), this) {
                let cache = &*this;
                // A span with room, whose last freed object is freed again, or `check:on`.
                if span.list_state.get() != ListState::Full || cache.is_checked() {
                    break 'next;
                }
                return cache.free_into_full(b.heap(), span, p.cast());
            }
            // No batch is pending for the span: this thread has freed none of its objects lately.
            let Some(batch) = Cache::pending_for(this, span) else { break 'next };
            // The object that was freed last is freed again: rung 7 aborts.
            if batch.is_newest(p.cast()) {
                break 'next;
            }
            if batch.push(p.cast()) {
                // The batch is full.
                (*this).flush_pending_of(b.heap(), b.central(), span);
            }
            return;
        }
    }
    next();
}

/// Rungs 4 to 7 for [`free`]: all objects that need a cache, null, and misuse.
///
/// # Safety
/// As for [`free`].
#[cold]
#[inline(never)]
unsafe fn free_rest<B: Binding>(b: B, p: *mut u8) {
    // SAFETY: the caller's promise.
    unsafe { rest(b, p, &Claim { function: "free", layout: None }) }
}

/// Rungs 4 to 7 for [`free_sized`] and [`free_live`]: all objects that need a cache, null, and misuse.
///
/// # Safety
/// As for [`free_sized`].
#[cold]
#[inline(never)]
unsafe fn free_sized_rest<B: Binding>(b: B, p: *mut u8, size: usize, align: usize, function: &'static str) {
    // SAFETY: the caller's promise.
    unsafe { rest(b, p, &Claim { function, layout: Some((size, align)) }) }
}

/// # Safety
/// As for [`free`].
#[inline(always)]
unsafe fn rest<B: Binding>(b: B, p: *mut u8, claim: &Claim) {
    if p.is_null() {
        return;
    }
    match b.cache() {
        // SAFETY: the caller's promise.
        Some(cache) => unsafe { free_by(b, cache, p, claim) },
        // SAFETY: as above.
        None => b.with_cache_to_free(|cache| unsafe { free_by(b, cache, p, claim) }),
    }
}

/// Rungs 4 to 7, with a cache. Misuse is found before anything changes: a handler of the signal that ends the process may
/// still allocate.
///
/// # Safety
/// As for [`free`]; `p` is not null, and the calling thread owns `cache` or holds its lock.
#[inline(never)]
unsafe fn free_by<B: Binding>(b: B, cache: &Cache, p: *mut u8, claim: &Claim) {
    let span = checked_span(b.heap(), p, claim.function);
    if cache.is_checked() {
        claim.check(b.heap(), span, p);
    }
    // SAFETY: the caller's promise, and `checked_span` saw that it is an object of the span.
    unsafe {
        match span.kind() {
            Kind::Large => free_large(b.heap(), cache, span, p, claim.function),
            _ => free_small(b, cache, span, p, claim.function),
        }
    }
}

/// Rung 6: gives the span of a large object back.
///
/// # Safety
/// As for [`free_by`]; `p` is the object of `span`.
#[inline(never)]
unsafe fn free_large<O: Os>(heap: &Heap<O>, cache: &Cache, span: &Span, p: *mut u8, function: &'static str) {
    let inside = cache.enter_to_change(|| (function, p.addr()));
    // Of two threads that free it, one loses.
    if !span.end_large() {
        drop(inside);
        abort_misuse(function, p, FREED);
    }
    let pages = span.pages();
    // SAFETY: this call ended the object's life, so no other gives its span back.
    unsafe { heap.give_back_near(cache.client(), span, Use::Large) };
    cache.publish_after(heap, pages);
}

/// Rungs 3, 4, 5 and 7: a small object, in all cases that the fast paths left.
///
/// # Safety
/// As for [`free_by`]; `p` is an object of `span`.
#[inline(always)]
unsafe fn free_small<B: Binding>(b: B, cache: &Cache, span: &Span, p: *mut u8, function: &'static str) {
    let inside = cache.enter_to_change(|| (function, p.addr()));
    // With `check:on` each object has a bit, which is exchanged: of two threads that free it, one loses.
    if !span.mark_freed(Addr::of(p)) {
        drop(inside);
        abort_misuse(function, p, FREED);
    }
    let is_own = cache.owns(span)
        // 5. The span's thread has exited.
        || span.owner().is_null() && !cache.is_checked() && cache.adopt(b.central(), span);
    // SAFETY: the caller's promise.
    unsafe {
        if !is_own {
            // 4. Begins a pending batch, or adds to that of a checked cache.
            if !cache.free_remote(b.heap(), b.central(), span, p.cast()) {
                abort_misuse(function, p, FREED);
            }
        } else if span.list_state.get() == ListState::Full {
            // 3.
            cache.free_into_full(b.heap(), span, p.cast());
        } else if Cache::was_freed_last(span, p.cast()) {
            // 7.
            abort_misuse(function, p, FREED);
        } else if Cache::push(span, p.cast()) {
            // 1. and 2., for a checked cache, one adopted in this call, or a span adopted above.
            cache.freed_last(b.heap(), span);
        }
    }
}
