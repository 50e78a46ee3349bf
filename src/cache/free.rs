//! Freeing a small object whose span this cache owns: the fast path, and its two events.

use super::record::Cache;
use crate::central::Central;
use crate::os::Os;
use crate::span::{Object, Place, Span};

/// What became of a free on the fast path.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Freed {
    /// All is done.
    Done,
    /// The object is on its span's list, and the span needs [`Cache::freed_event`].
    Event,
    /// Nothing was done: the span is not this cache's, or the object is the one freed last.
    Not,
}

impl Cache {
    /// Puts `object` on its span's free list.
    ///
    /// # Safety
    /// `object` is null-free memory of an object of `span`, aligned to 16 bytes, and the caller's to free.
    #[inline(always)]
    pub unsafe fn push(this: *const Cache, span: &Span, object: *mut Object) -> Freed {
        if span.owner() != this.cast_mut().cast() {
            return Freed::Not;
        }
        // SAFETY: the caller's promise.
        unsafe { Cache::push_owned(span, object) }
    }

    /// As [`Cache::push`], for a span that is known to be this cache's.
    ///
    /// # Safety
    /// As for [`Cache::push`], and the caller's cache owns the span.
    #[inline(always)]
    pub unsafe fn push_owned(span: &Span, object: *mut Object) -> Freed {
        let head = span.free.get();
        if head == object {
            return Freed::Not;
        }
        // SAFETY: the object's memory is ours from now on, by the caller's promise.
        unsafe { (*object).next.set(head) };
        span.free.set(object);
        span.freed_sum.set(span.freed_sum.get().wrapping_add(object.addr()));
        let left = span.left.get().wrapping_sub(1);
        span.left.set(left);
        if left == 0 { Freed::Event } else { Freed::Done }
    }

    /// A span counted down: it was full and has a free object again, or all its objects are free.
    #[cold]
    #[inline(never)]
    pub fn freed_event<O: Os>(&self, central: &Central<O>, span: &Span) {
        match span.place.get() {
            // The slot's objects come from it, so it stays, empty or not.
            Place::Current => {}
            Place::Full => {
                span.left.set(span.bias.replace(0));
                self.classes[span.class().index()].full.remove(span);
                self.place_partial(central, span);
            }
            Place::Partial => {
                self.classes[span.class().index()].partial.remove(span);
                self.place_partial(central, span);
            }
        }
    }

    /// Lists a span that stands in no list and has free objects, or gives it back if it is empty and not the
    /// only one with room: the last one is kept, so that a program that goes up and down by one object does not
    /// take and give back a span each time.
    pub(super) fn place_partial<O: Os>(&self, central: &Central<O>, span: &Span) {
        if span.outstanding() == 0 && !self.classes[span.class().index()].partial.is_empty() {
            self.count_frees(span);
            central.retire(self.client(), span, self.counted(span.class()));
        } else {
            span.place.set(Place::Partial);
            self.classes[span.class().index()].partial.push(span);
        }
    }
}
