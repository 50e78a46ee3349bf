//! When a slow path polls the stats page.

use super::record::Cache;
use crate::heap::Heap;
use crate::os::Os;
use crate::span::NO_THREAD;
use crate::units::Pages;

/// Polls once in this many moves of whole spans: a poll reads the clock, which takes longer than a short move.
const EVERY: u32 = 32;
/// And at these of a thread's first moves, because many processes do most of their work when they start.
const EARLY: [u32; 3] = [1, 4, 16];

/// Polls at each move of this many pages: the move takes long, and the figures change by much.
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

    /// Counts a move of a whole span, and polls the stats page once in a while. The caller holds no lock, except that of the
    /// shared cache.
    #[inline]
    pub fn publish_sometimes<O: Os>(&self, heap: &Heap<O>) {
        let moves = self.span_moves.get().wrapping_add(1);
        self.span_moves.set(moves);
        let is_early = EARLY.contains(&moves);
        if is_early || moves.is_multiple_of(EVERY) && heap.stats_page().is_time() {
            self.publish(heap, is_early);
        }
    }

    /// Writes a reading to the stats page if one is due, or if `early`, and obeys its control words.
    #[cold]
    #[inline(never)]
    pub(super) fn publish<O: Os>(&self, heap: &Heap<O>, early: bool) {
        // The shared cache is used under a lock.
        if self.thread_id() == NO_THREAD {
            return;
        }
        let stats_page = heap.stats_page();
        if let Some(wanted) = stats_page.takes_release(heap.os()) {
            heap.empty_local(self.client());
            stats_page.released(wanted, heap.release(self.writer(), Pages(usize::MAX)).bytes());
        }
        if early {
            // A short process would show no objects otherwise. There are few spans to count yet.
            self.post_all(heap);
        }
        stats_page.refresh(early);
    }
}
