//! Fills a slot that is empty.

use super::free_list::FreeList;
use super::record::Cache;
use crate::central::Central;
use crate::config::CARVE_BYTES;
use crate::heap::Heap;
use crate::os::Os;
use crate::size_class::Class;
use crate::span::{ListState, Object, Span};

impl Cache {
    /// Fills the slot of `class`, which is empty, and allocates an object from it. Returns null if there is no memory.
    #[cold]
    #[inline(never)]
    pub fn refill<O: Os>(&self, heap: &Heap<O>, central: &Central<O>, class: Class) -> *mut u8 {
        let is_time = self.is_time_to_settle();
        // With `check:on` it is always time, so that other caches need no test.
        if is_time && self.is_checked() {
            return self.refill_checked(heap, central, class);
        }
        self.set_inside(true);
        if is_time {
            self.settle(heap, central);
        }
        self.slots[class.index()].head.set(self.fetch(heap, central, class).first);
        self.set_inside(false);
        self.pop(class)
    }

    /// Takes free objects of `class` for the slot. The result is empty if there is no memory.
    #[inline(always)]
    pub(super) fn fetch<O: Os>(&self, heap: &Heap<O>, central: &Central<O>, class: Class) -> FreeList {
        let state = &self.classes[class.index()];
        // SAFETY: the current span is alive while it is current.
        if let Some(span) = unsafe { state.current.get().as_ref() } {
            // Objects that this thread freed are in its CPU's cache. Next are returned objects: only then is the inbox read,
            // because its cache line belongs to the senders. Memory never used comes last.
            if !span.free.get().is_null() || self.drain(heap, central) && !span.free.get().is_null() {
                return self.take_freed(heap, class, span);
            }
            if span.carved.get() < span.objects() {
                return self.take_uncarved(heap, class, span);
            }
            set_full(span);
            state.full.push(span);
        }
        let span = match state.partial.pop() {
            // SAFETY: a listed span is alive.
            Some(span) => unsafe { span.as_ref() },
            None => {
                // The old current span may be given back meanwhile.
                state.current.set(core::ptr::null());
                let Some(span) = self.next_span(heap, central, class) else { return FreeList::EMPTY };
                span
            }
        };
        span.list_state.set(ListState::Current);
        state.current.set(span);
        if span.free.get().is_null() {
            self.take_uncarved(heap, class, span)
        } else {
            self.take_freed(heap, class, span)
        }
    }

    /// Takes a span of `class` with room from the central list or the heap, when this cache lists none.
    #[inline(never)]
    fn next_span<'a, O: Os>(&self, heap: &'a Heap<O>, central: &Central<O>, class: Class) -> Option<&'a Span> {
        let take = || {
            self.with_bitmap(
                heap,
                central,
                central.take(heap, self.client(), class, self.as_owner(), self.span_thread_id())?,
            )
        };
        let span = take().or_else(|| {
            // Before giving up: returned objects may empty spans.
            self.send_all(heap, central);
            self.drain(heap, central);
            match self.classes[class.index()].partial.pop() {
                // SAFETY: a listed span is alive.
                Some(span) => Some(unsafe { span.as_ref() }),
                None => take(),
            }
        });
        self.publish_sometimes(heap);
        span
    }

    /// Gives a span of this cache a bitmap, with `check:on`. Returns `None` if there is no memory for one.
    #[inline]
    fn with_bitmap<'a, O: Os>(&self, heap: &'a Heap<O>, central: &Central<O>, span: &'a Span) -> Option<&'a Span> {
        let needs = self.is_checked() && span.carved.get() == 0 && span.live().is_none();
        if needs && !heap.attach_bitmap(self.writer(), span) {
            central.put(heap, self.client(), span);
            return None;
        }
        Some(span)
    }

    /// Takes the objects freed into `span`, at least one.
    #[inline(always)]
    fn take_freed<O: Os>(&self, heap: &Heap<O>, class: Class, span: &Span) -> FreeList {
        let first = span.free.get();
        let (count, uncounted) = span.take_back();
        heap.stats().refill(self.writer(), class, uncounted);
        self.classes[class.index()].fresh.set(false);
        FreeList { first, count }
    }

    /// Carves objects of memory of `span` that was never used, at least one.
    #[inline(never)]
    fn take_uncarved<O: Os>(&self, heap: &Heap<O>, class: Class, span: &Span) -> FreeList {
        heap.stats().refill(self.writer(), class, 0);
        let carved = span.carved.get();
        let count = (span.objects() - carved).min((CARVE_BYTES / span.object_size()).max(1) as u32);
        // SAFETY: objects `carved` to `carved + count` lie in the span and were never used.
        let first = unsafe { carve(span, carved, count) };
        let (all, made) = (span.all.get(), span.sum_of_first(carved + count));
        span.carved.set(carved + count);
        span.all.set(made);
        span.out.set(span.out.get().wrapping_add(made - all));
        self.classes[class.index()].fresh.set(span.zero());
        FreeList { first, count }
    }
}

/// Marks a span that has neither free nor uncarved objects: its first free lists it again.
fn set_full(span: &Span) {
    span.list_state.set(ListState::Full);
    span.mark_full(true);
}

/// Links objects `from` to `from + count` of a span and returns the first.
///
/// # Safety
/// The objects lie in the span and are not in use.
unsafe fn carve(span: &Span, from: u32, count: u32) -> *mut Object {
    let size = span.object_size();
    let first = span.base().plus(from as usize * size);
    let mut at = first;
    for _ in 1..count {
        let next = at.plus(size);
        // SAFETY: in the span, by the caller's promise; objects are aligned to 16 bytes.
        unsafe { (*at.ptr::<Object>()).next.set(next.ptr()) };
        at = next;
    }
    // SAFETY: as above; the memory may have been used before, so the end is written too.
    unsafe { (*at.ptr::<Object>()).next.set(core::ptr::null_mut()) };
    first.ptr()
}
