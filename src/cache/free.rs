//! Freeing a small object whose span this cache owns: the fast path, and the two frees that change the span's place:
//! the first one into a full span, and that of the last object that was out.

use super::record::Cache;
use crate::central::Central;
use crate::heap::Heap;
use crate::os::Os;
use crate::span::{ListState, Object, Span};

/// A cache that has so many spans of a class with room adopts no more: a thread that only frees would keep from others
/// what it never uses.
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

    /// The owner freed the last object of `span` that was out.
    #[cold]
    #[inline(never)]
    pub fn freed_last<O: Os>(&self, heap: &Heap<O>, span: &Span) {
        // The slot's objects come from the current one, so it stays, empty or not.
        if span.list_state.get() == ListState::Partial {
            self.set_inside(true);
            self.classes[span.class().index()].partial.remove(span);
            self.list_partial(heap, span);
            self.publish_sometimes(heap);
            self.set_inside(false);
        }
    }

    /// Frees an object of `span`, which is full: it has a free object again.
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

    /// Takes a span over that no cache owns, one of whose objects this cache is about to free: its objects are those of
    /// threads that have ended, and if one comes to this thread, more will. `false`: another cache owns it, or this one
    /// has enough spans of its class with room, or allocates nothing of the class, or gathers for the span already.
    pub fn adopt<O: Os>(&self, central: &Central<O>, span: &Span) -> bool {
        let state = &self.classes[span.class().index()];
        // Not while a parcel is the span's: the object freed last is known there. And only where the thread allocates.
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

    /// Lists a span that stands in no list and has free objects, or gives it back if it is empty and not the
    /// only one with room: the last one is kept, so that a program that goes up and down by one object does not
    /// take and give back a span each time.
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
