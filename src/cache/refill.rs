//! Filling a slot that ran empty.

use core::sync::atomic::Ordering;

use super::record::Cache;
use crate::account::ClassEntry;
use crate::central::Central;
use crate::config::CARVE_BYTES;
use crate::os::Os;
use crate::size_class::Class;
use crate::span::{Object, Place, Span};
use crate::units::KIB;

/// How many allocations of a class are posted together at least, or how many bytes of them, where nothing else has
/// to be posted: a slot of large objects holds few, and each refill would post.
const POST_OBJECTS: usize = 64;
const POST_BYTES: usize = 32 * KIB;

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
        self.count_frees(span);
        span.free.set(core::ptr::null_mut());
        span.left.set(span.carved.get());
        span.bias.set(0);
        span.accounted.set(0);
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

    /// Counts the frees into `span` that were not counted, to be posted.
    #[inline]
    fn count_frees(&self, span: &Span) {
        let freed = span.carved.get() - span.outstanding();
        let counted = &self.classes[span.class().index()].frees;
        counted.set(counted.get() + (freed - span.accounted.replace(freed)));
    }

    /// Posts what happened in `class`, if that is enough.
    #[inline(always)]
    fn post_sometimes<O: Os>(&self, central: &Central<O>, class: Class) {
        let allocs = self.slots[class.index()].allocs.load(Ordering::Relaxed);
        let new = allocs.wrapping_sub(self.classes[class.index()].posted.get());
        if new >= POST_OBJECTS || new * class.size() >= POST_BYTES {
            self.post_with(central, class, ClassEntry::default());
        }
    }

    /// Posts what happened in `class` since the last time: allocations, and frees into `span` or counted before, and
    /// `more`.
    #[inline(never)]
    pub(super) fn post<O: Os>(&self, central: &Central<O>, class: Class, span: Option<&Span>, more: ClassEntry) {
        if let Some(span) = span {
            self.count_frees(span);
        }
        self.post_with(central, class, more);
    }

    #[inline(always)]
    fn post_with<O: Os>(&self, central: &Central<O>, class: Class, more: ClassEntry) {
        let state = &self.classes[class.index()];
        let allocs = self.slots[class.index()].allocs.load(Ordering::Relaxed);
        let mut e = more;
        e.allocs += allocs.wrapping_sub(state.posted.get());
        e.frees += state.frees.get() as usize;
        e.vacant += e.frees as isize - e.allocs as isize;
        central.heap().books().post_class(self.writer(), class, &e);
        state.posted.set(allocs);
        state.frees.set(0);
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
