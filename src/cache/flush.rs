//! The retirement of a cache: it gives up everything that it owns.

use core::sync::atomic::Ordering;

use super::free_list::FreeList;
use super::record::Cache;
use crate::central::Central;
use crate::heap::Heap;
use crate::os::Os;
use crate::size_class::Class;
use crate::span::{Followed, ListState, Object, Span};

impl Cache {
    /// Opens the cache for a thread that adopts it. Uses the cache's address as the thread id until [`Cache::set_thread_id`]
    /// is called. Owner only.
    pub fn open(&self) {
        self.inbox.open();
        self.set_thread_id(core::ptr::from_ref(self).addr());
        // A `longjmp` out of the allocator may have left this set.
        self.inside.store(false, Ordering::Relaxed);
    }

    /// Hands the cache of an exited thread to the thread that has the same thread pointer now. Owner only.
    pub fn take_over(&self) {
        self.inside.store(false, Ordering::Relaxed);
        self.exit_rounds.set(0);
    }

    /// Posts everything, gives empty spans back, gives the others to `central`, and closes the inbox. The cache owns nothing
    /// afterwards. Owner only.
    pub fn close<O: Os>(&self, heap: &Heap<O>, central: &Central<O>) {
        self.send_all(heap, central);
        self.drain(heap, central);
        heap.settle(self.client());
        for class in Class::all().filter(|&class| self.has_span(class)) {
            self.hand_over(heap, central, class);
        }
        self.close_inbox(heap, central);
        heap.empty_local(self.client());
        debug_assert!(self.is_valid());
    }

    /// Flushes the pending batches. Owner only.
    pub fn flush_pending<O: Os>(&self, heap: &Heap<O>, central: &Central<O>) {
        self.send_all(heap, central);
    }

    /// Returns whether the cache owns a span of `class`. Most threads use few classes.
    #[inline]
    fn has_span(&self, class: Class) -> bool {
        let state = &self.classes[class.index()];
        !state.current.get().is_null() || !state.partial.is_empty() || !state.full.is_empty()
    }

    /// Flushes the pending batches and takes the inbox. Owner only.
    pub fn exchange<O: Os>(&self, heap: &Heap<O>, central: &Central<O>) {
        self.send_all(heap, central);
        self.drain(heap, central);
    }

    /// Gives every span without a live object back to the heap, also the current ones and those kept for the next
    /// allocation. Owner only.
    pub fn give_back_empty<O: Os>(&self, heap: &Heap<O>) {
        for class in Class::all().filter(|&class| self.has_span(class)) {
            let state = &self.classes[class.index()];
            // SAFETY: the current span is alive while it is current.
            let current = unsafe { state.current.get().as_ref() };
            let cached = self.cached(class).unwrap_or_else(|changed| changed.abort());
            if current.is_some_and(|span| span.outstanding() as usize == cached) {
                self.end_current(class);
            }
            while let Some(span) = state.partial.find(|span| span.out.get() == 0) {
                state.partial.remove(span);
                self.count_frees(heap, span);
                heap.retire(self.client(), span);
            }
        }
    }

    /// Puts the slot's objects back into the current span of `class`, which joins the partial ones. Owner only.
    fn end_current(&self, class: Class) {
        let state = &self.classes[class.index()];
        // SAFETY: the current span is alive while it is current.
        if let Some(span) = unsafe { state.current.replace(core::ptr::null()).as_ref() } {
            let list = self.slots[class.index()].head.replace(core::ptr::null_mut());
            let stock = state.stock.replace(FreeList::EMPTY);
            // At most one of the two has objects, and all of them are out.
            let cached = span.follow(list, span.outstanding());
            let lists = [(list, cached), (stock.first, stock.followed(span))];
            for (first, followed) in lists {
                put_back(span, first, &followed.unwrap_or_else(|changed| changed.abort()));
            }
            span.list_state.set(ListState::Partial);
            state.partial.push(span);
        }
    }

    fn hand_over<O: Os>(&self, heap: &Heap<O>, central: &Central<O>, class: Class) {
        self.end_current(class);
        let state = &self.classes[class.index()];
        // The next owner must find all frees of the span counted.
        state.partial.each(|span| self.count_frees(heap, span));
        for list in [&state.partial, &state.full] {
            while let Some(span) = list.pop() {
                // SAFETY: a listed span is alive.
                central.put(heap, self.client(), unsafe { span.as_ref() });
            }
        }
    }
}

/// Puts objects that the cache took and never allocated back on their span's list. They do not count as frees. Owner only.
fn put_back(span: &Span, first: *mut Object, list: &Followed) {
    // SAFETY: null, or a free object of the span, which the list was followed to.
    let Some(last) = (unsafe { list.last.as_ref() }) else { return };
    last.next.set(span.free.replace(first));
    span.out.set(span.out.get().wrapping_sub(list.sum));
    span.accounted.set(span.accounted.get().wrapping_add(list.count));
}
