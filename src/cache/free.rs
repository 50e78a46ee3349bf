//! Frees by the owner of the span: the push of the fast path, the first free into a full span, and the free of the last
//! object that was out.

use super::record::Cache;
use crate::central::Central;
use crate::heap::Heap;
use crate::os::Os;
use crate::span::{ListState, Object, Span};

/// A cache that has this many spans of a class with room adopts no more. Otherwise a thread that only frees would keep spans
/// that it never uses.
const ADOPT_BELOW: usize = 4;

impl Cache {
    /// Returns whether `object` is the one of `span` that was freed last: it is freed twice. Owner only.
    #[inline(always)]
    pub fn was_freed_last(span: &Span, object: *mut Object) -> bool {
        span.free.get() == object
    }

    /// Pushes `object` onto the free list of `span`, which is not full. Returns whether no object of the span is out any
    /// more: then the caller calls [`Cache::freed_last`].
    ///
    /// # Safety
    /// `object` is memory of an object of `span`, aligned to 16 bytes, not the one freed last, and the caller frees it. The
    /// calling thread's cache owns the span.
    #[inline(always)]
    pub unsafe fn push(span: &Span, object: *mut Object) -> bool {
        // SAFETY: the object's memory is ours from now on, by the caller's promise.
        unsafe { (*object).next.set(span.free.get()) };
        span.free.set(object);
        let out = span.out.get().wrapping_sub(object.addr() as u64);
        span.out.set(out);
        out == 0
    }

    /// Gives back `span`, whose last object was freed, or keeps it for the next allocation. Owner only.
    #[cold]
    #[inline(never)]
    pub fn freed_last<O: Os>(&self, heap: &Heap<O>, span: &Span) {
        // The slot's objects come from the current span, so that one stays.
        if span.list_state.get() == ListState::Partial {
            self.set_inside(true);
            self.classes[span.class().index()].partial.remove(span);
            self.list_partial(heap, span);
            self.publish_sometimes(heap);
            self.set_inside(false);
        }
    }

    /// Frees an object of `span`, which is full, and lists the span as partial.
    ///
    /// # Safety
    /// As for [`Cache::push`].
    #[inline(never)]
    pub unsafe fn free_into_full<O: Os>(&self, heap: &Heap<O>, span: &Span, object: *mut Object) {
        debug_assert!(span.list_state.get() == ListState::Full && span.free.get().is_null());
        self.set_inside(true);
        self.classes[span.class().index()].full.remove(span);
        span.mark_full(false);
        // SAFETY: the caller's promise. The list is empty, so the object is not its first.
        unsafe { Cache::push(span, object) };
        self.list_partial(heap, span);
        self.set_inside(false);
    }

    /// Adopts a span without an owner. This cache is about to free one of its objects: its thread has exited, and more of its
    /// objects are likely to be freed here. Returns `false` if another cache owns the span, or if this cache has enough spans
    /// of the class with room, allocates nothing of the class, or has a pending batch for the span.
    pub fn adopt<O: Os>(&self, central: &Central<O>, span: &Span) -> bool {
        let state = &self.classes[span.class().index()];
        // A pending batch knows the object that was freed last, so it goes on. A thread that does not allocate has no use.
        if state.partial.len() >= ADOPT_BELOW || state.current.get().is_null() || self.has_pending(span) {
            return false;
        }
        let _inside = self.mark_inside();
        if !central.adopt(span, self.as_owner(), self.span_thread_id()) {
            return false;
        }
        if span.has_room() {
            span.list_state.set(ListState::Partial);
            state.partial.push(span);
        } else {
            span.list_state.set(ListState::Full);
            span.mark_full(true);
            state.full.push(span);
        }
        true
    }

    /// Lists a span that stands in no list and has free objects. Gives it back if it is empty and not the only one with room.
    /// The last one is kept, so that a program that frees and allocates one object does not move a span each time.
    pub(super) fn list_partial<O: Os>(&self, heap: &Heap<O>, span: &Span) {
        let partial = &self.classes[span.class().index()].partial;
        if span.out.get() == 0 && !partial.is_empty() {
            self.count_frees(heap, span);
            heap.retire(self.client(), span);
        } else {
            span.list_state.set(ListState::Partial);
            partial.push(span);
        }
    }
}
