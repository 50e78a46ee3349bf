//! Doubly linked lists of spans, linked through the records.

use core::cell::Cell;
use core::ptr::{NonNull, null_mut};

use super::record::Span;

/// A list of spans. A span is in at most one list. The owner of the spans owns the list.
///
/// All-zero bytes are an empty list.
pub struct SpanList {
    first: Cell<*mut Span>,
    last: Cell<*mut Span>,
    len: Cell<usize>,
}

impl SpanList {
    /// Returns an empty list.
    #[allow(clippy::new_without_default, reason = "a const constructor is the only one wanted")]
    pub const fn new() -> SpanList {
        SpanList { first: Cell::new(null_mut()), last: Cell::new(null_mut()), len: Cell::new(0) }
    }

    /// Returns the first span.
    pub fn first(&self) -> Option<NonNull<Span>> {
        NonNull::new(self.first.get())
    }

    /// Returns the number of listed spans.
    pub fn len(&self) -> usize {
        self.len.get()
    }

    /// Returns whether no span is listed.
    pub fn is_empty(&self) -> bool {
        self.first.get().is_null()
    }

    /// Appends `span`, which is in no list.
    pub fn push(&self, span: &Span) {
        let this = core::ptr::from_ref(span).cast_mut();
        let old = self.last.get();
        span.next.set(null_mut());
        span.prev.set(old);
        // SAFETY: listed spans are live records, and they belong to the list's owner.
        match unsafe { old.as_ref() } {
            Some(old) => old.next.set(this),
            None => self.first.set(this),
        }
        self.last.set(this);
        self.len.set(self.len.get() + 1);
    }

    /// Removes `span`, which is in this list.
    pub fn remove(&self, span: &Span) {
        let (prev, next) = (span.prev.get(), span.next.get());
        // SAFETY: neighbours in the list are live records of the list's owner.
        unsafe {
            match prev.as_ref() {
                Some(prev) => prev.next.set(next),
                None => self.first.set(next),
            }
            match next.as_ref() {
                Some(next) => next.prev.set(prev),
                None => self.last.set(prev),
            }
        }
        span.next.set(null_mut());
        span.prev.set(null_mut());
        self.len.set(self.len.get() - 1);
    }

    /// Calls `f` for each listed span, first to last. `f` must not change the list.
    pub fn each(&self, mut f: impl FnMut(&Span)) {
        let mut at = self.first.get();
        // SAFETY: listed spans are live records.
        while let Some(span) = unsafe { at.as_ref() } {
            f(span);
            at = span.next.get();
        }
    }

    /// Returns the first listed span for which `f` holds.
    pub fn find(&self, f: impl Fn(&Span) -> bool) -> Option<&Span> {
        let mut at = self.first.get();
        // SAFETY: listed spans are live records.
        while let Some(span) = unsafe { at.as_ref() } {
            if f(span) {
                return Some(span);
            }
            at = span.next.get();
        }
        None
    }

    /// Removes and returns the first span.
    pub fn pop(&self) -> Option<NonNull<Span>> {
        let first = self.first()?;
        // SAFETY: a listed span is a live record.
        self.remove(unsafe { first.as_ref() });
        Some(first)
    }
}
