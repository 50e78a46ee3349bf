//! Spans that are stacks.

use super::{Heap, Use};
use crate::os::Os;
use crate::span::{Kind, Span};
use crate::stats::{Delta, Writer};
use crate::units::Pages;

/// The use of a stack's span.
const STACK: Use = Use::Manual(Kind::Stack);

impl<O: Os> Heap<O> {
    /// Takes a span for a stack. Returns `None` if there is no memory, or the lock was not free within `nanos`
    /// nanoseconds. The caller owns the writer.
    pub fn take_stack(&self, writer: &Writer, pages: Pages, align: usize, nanos: Option<u64>) -> Option<&Span> {
        let mut delta = Delta::new();
        let mut guard = self.state.lock_within(nanos)?;
        let span = self.take_locked(&mut guard, pages, align, STACK, &mut delta);
        // The heap may have grown, also in vain.
        if !delta.is_empty() {
            self.stats.post(writer, &delta);
        }
        let grown = guard.density.take_grown();
        drop(guard);
        if let Some(grown) = grown {
            // A stack's far end may never be touched.
            self.advise_small(grown);
        }
        span.map(|(span, _)| span)
    }

    /// Takes a stack's span back. The caller owns the writer.
    ///
    /// # Safety
    /// The span came from [`Heap::take_stack`]; all of its memory can be touched; its memory and its record are not
    /// in use.
    pub unsafe fn give_back_stack(&self, writer: &Writer, span: &Span) {
        // SAFETY: the caller's promise.
        unsafe { self.give_back(writer, span, STACK) };
    }
}
