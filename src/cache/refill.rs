//! Filling a slot that ran empty.

use super::posting::take_back;
use super::record::Cache;
use crate::central::Central;
use crate::config::CARVE_BYTES;
use crate::os::Os;
use crate::size_class::Class;
use crate::span::{Object, Place, Span};

impl Cache {
    /// Fills the empty slot of `class`. `false`: no memory; the slot is still empty.
    #[cold]
    #[inline(never)]
    pub fn refill<O: Os>(&self, central: &Central<O>, class: Class) -> bool {
        self.settle_sometimes(central);
        self.post_sometimes(central, class);
        let state = &self.classes[class.index()];
        // SAFETY: the current span is alive while it is current.
        if let Some(span) = unsafe { state.current.get().as_ref() } {
            // What this thread freed is warm. Next best is what came home: only then is the inbox looked at,
            // whose cache line belongs to those who send. Memory never used comes last.
            if self.take_freed(span) || (self.drain(central) && self.take_freed(span)) || self.take_uncarved(span) {
                return true;
            }
            state.current.set(core::ptr::null());
            self.count_frees(span);
            set_full(span);
            state.full.push(span);
        }
        let Some(span) = self.next_span(central, class) else { return false };
        span.place.set(Place::Current);
        state.current.set(span);
        self.take_freed(span) || self.take_uncarved(span)
    }

    /// A span of `class` with room, in no list: a partial one, or one from the central list or the heap.
    fn next_span<'a, O: Os>(&self, central: &'a Central<O>, class: Class) -> Option<&'a Span> {
        let partial = || {
            // SAFETY: a listed span is alive.
            self.classes[class.index()].partial.pop().map(|span| unsafe { span.as_ref() })
        };
        let take = || central.take(self.client(), class, self.as_owner());
        partial().or_else(take).or_else(|| {
            // Before there is no memory, what is on its way comes home, and may give spans back.
            self.send_all(central);
            self.drain(central);
            partial().or_else(take)
        })
    }

    /// Moves the objects freed into `span` to the slot. `false`: there are none.
    #[inline]
    fn take_freed(&self, span: &Span) -> bool {
        let free = span.free.get();
        if free.is_null() {
            return false;
        }
        let class = span.class();
        take_back(span);
        span.free.set(core::ptr::null_mut());
        span.left.set(span.carved.get());
        span.bias.set(0);
        self.classes[class.index()].fresh.set(false);
        self.slots[class.index()].head.set(free);
        true
    }

    /// Makes objects of memory of `span` that was never handed out. `false`: there is none.
    fn take_uncarved(&self, span: &Span) -> bool {
        let class = span.class();
        let carved = span.carved.get();
        let count = (span.objects() - carved).min((CARVE_BYTES / class.size()).max(1) as u32);
        if count == 0 {
            return false;
        }
        // SAFETY: objects `carved` to `carved + count` lie in the span and were never handed out.
        let first = unsafe { carve(span, carved, count) };
        span.carved.set(carved + count);
        span.left.set(span.left.get() + count);
        self.classes[class.index()].fresh.set(span.zero());
        self.slots[class.index()].head.set(first);
        true
    }
}

/// Marks a span that has neither free nor uncarved objects: its first free is an event.
fn set_full(span: &Span) {
    span.place.set(Place::Full);
    span.bias.set(span.outstanding() - 1);
    span.left.set(1);
}

/// Links objects `from` to `from + count` of a span and returns the first.
///
/// # Safety
/// The objects lie in the span and nobody uses them.
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
