//! The end of a cache's use by a thread: everything it owns is handed over.

use core::sync::atomic::Ordering;

use super::free_list::FreeList;
use super::record::Cache;
use crate::central::Central;
use crate::heap::Heap;
use crate::os::Os;
use crate::size_class::Class;
use crate::span::{Followed, ListState, Object, Span};

impl Cache {
    /// Opens the cache for a thread that adopts it. Whoever frees through it is told by its address, until
    /// [`Cache::set_thread_id`] says by what else. Owner only.
    pub fn open(&self) {
        self.inbox.open();
        self.set_thread_id(core::ptr::from_ref(self).addr());
        // Whoever left a call by a jump did not say that it is over.
        self.inside.store(false, Ordering::Relaxed);
    }

    /// Goes on with the cache of a thread that is gone, for the thread that has its thread pointer now. Owner only.
    pub fn take_over(&self) {
        self.inside.store(false, Ordering::Relaxed);
        self.exit_rounds.set(0);
    }

    /// Posts everything, gives empty spans back, hands the others over, and closes the inbox. The cache
    /// owns nothing afterwards. Owner only.
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

    /// Sends what was freed for other caches and not sent yet. Owner only.
    pub fn flush_pending<O: Os>(&self, heap: &Heap<O>, central: &Central<O>) {
        self.send_all(heap, central);
    }

    /// Whether there is a span of `class`. Most threads use few classes.
    #[inline]
    fn has_span(&self, class: Class) -> bool {
        let state = &self.classes[class.index()];
        !state.current.get().is_null() || !state.partial.is_empty() || !state.full.is_empty()
    }

    /// Sends what was freed for other caches, and takes in what others freed for this one. Owner only.
    pub fn exchange<O: Os>(&self, heap: &Heap<O>, central: &Central<O>) {
        self.send_all(heap, central);
        self.drain(heap, central);
    }

    /// Gives every span without a live object back to the heap, the current ones and those that wait for the next
    /// allocation too. Owner only.
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
            // At most one of the two has objects, and none that is not out.
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
        // Whoever gets a span must find everything about it counted.
        state.partial.each(|span| self.count_frees(heap, span));
        for list in [&state.partial, &state.full] {
            while let Some(span) = list.pop() {
                // SAFETY: a listed span is alive.
                central.put(heap, self.client(), unsafe { span.as_ref() });
            }
        }
    }
}

/// Puts a list of objects that were never allocated back on their span's list, which are no frees to be counted. Owner
/// only.
fn put_back(span: &Span, first: *mut Object, list: &Followed) {
    // SAFETY: null, or a free object of the span, which the list was followed to.
    let Some(last) = (unsafe { list.last.as_ref() }) else { return };
    last.next.set(span.free.replace(first));
    span.out.set(span.out.get().wrapping_sub(list.sum));
    span.accounted.set(span.accounted.get().wrapping_add(list.count));
}
