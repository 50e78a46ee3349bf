//! When a cache's owner looks whether the ledger page wants anything.

use super::record::Cache;
use crate::heap::Heap;
use crate::os::Os;
use crate::span::NO_THREAD;
use crate::units::Pages;

/// At every so many moves of whole spans: a look asks for the time, which is longer than a short move.
const EVERY: u32 = 32;
/// And at these of a thread's first moves, because many processes do all they ever do when they start.
const EARLY: [u32; 3] = [1, 4, 16];

/// At each move of so many pages: it takes long, and the figures change by much.
const MANY: Pages = Pages(64);

impl Cache {
    /// As [`Cache::publish_sometimes`], after a move of a span of `pages` pages.
    #[inline]
    pub fn publish_after<O: Os>(&self, heap: &Heap<O>, pages: Pages) {
        if pages >= MANY && heap.stats_page().is_time() {
            self.publish(heap, false);
        }
        self.publish_sometimes(heap);
    }

    /// Counts a move of a whole span, and looks at the ledger page once in a while. The caller holds no lock, unless this
    /// is the cache of those that have none.
    #[inline]
    pub fn publish_sometimes<O: Os>(&self, heap: &Heap<O>) {
        let moves = self.span_moves.get().wrapping_add(1);
        self.span_moves.set(moves);
        let is_early = EARLY.contains(&moves);
        if is_early || moves.is_multiple_of(EVERY) && heap.stats_page().is_time() {
            self.publish(heap, is_early);
        }
    }

    /// Writes a reading to the ledger page if one is due, or may come `early`, and does what its control words ask for.
    #[cold]
    #[inline(never)]
    pub(super) fn publish<O: Os>(&self, heap: &Heap<O>, early: bool) {
        // The shared cache is used under a lock.
        if self.thread_id() == NO_THREAD {
            return;
        }
        let heap = heap;
        let stats_page = heap.stats_page();
        if let Some(wanted) = stats_page.takes_release(heap.os()) {
            heap.empty_local(self.client());
            stats_page.released(wanted, heap.release(self.writer(), Pages(usize::MAX)).bytes());
        }
        if early {
            // A process that does all it ever does now would be seen without its objects. There are few spans to look at.
            self.post_all(heap);
        }
        stats_page.refresh(early);
    }
}
