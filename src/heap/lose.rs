//! Pages that the OS took away when moving memory failed halfway.

use core::ptr::NonNull;

use super::{Heap, Use, mapped, move_out_of_use, record_in_use};
use crate::os::Os;
use crate::span::Span;
use crate::stats::{Account, Delta, Total, Writer};
use crate::units::{Addr, Pages};

impl<O: Os> Heap<O> {
    /// Takes back the span of a large object of which `lost` pages from `hole` on are not memory any more. These stay
    /// taken for good, so that they are never allocated; the rest is free. The caller owns the writer.
    ///
    /// # Safety
    /// The span is the caller's, its memory and its record are not in use, and the hole lies inside it.
    pub(crate) unsafe fn lose(&self, writer: &Writer, span: &Span, hole: Addr, lost: Pages) {
        let mut delta = Delta::new();
        let (base, pages) = (span.base(), span.pages());
        let end = base.plus(pages.bytes());
        let mut guard = self.state.lock();
        // SAFETY: the pages are the span's, so the map has entries for them.
        unsafe { self.map.set(base.page(), mapped(pages), None) };
        span.end();
        for (start, end) in [(base, hole), (hole.plus(lost.bytes()), end)] {
            if start < end {
                guard.pages.free(start, Pages::holding(end.since(start)).unwrap_or_default());
            }
        }
        // SAFETY: the record came from these records, by the caller's promise.
        unsafe { guard.spans.free(NonNull::from(span)) };
        let rest = pages.bytes() - lost.bytes();
        self.vm.accounts().transfer(Account::HeapInUse, Account::HeapFree, rest, &mut delta);
        self.vm.lose(hole, lost.bytes(), Account::HeapInUse, &mut delta);
        move_out_of_use(pages, Use::Large, &mut delta);
        delta.add(Total::Committed, -(lost.bytes() as isize));
        record_in_use(-1, &mut delta);
        self.stats.post(writer, &delta);
    }
}
