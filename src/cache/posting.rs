//! The counts of a cache, and when they are posted to the statistics.
//!
//! Allocations are counted by the slots' tallies, which readers of statistics load themselves. Frees by the owner have no
//! counter on the fast path: the span knows how many objects came back, and slow paths count them.

use super::record::Cache;
use crate::heap::Heap;
use crate::os::Os;
use crate::size_class::{CLASSES, Class};
use crate::span::Span;
use crate::stats::{Count, Tally};

impl Cache {
    /// Returns the number of objects of `class` allocated since the cache was created. Exact while the owner is quiet.
    pub fn allocs(&self, class: Class) -> usize {
        self.tally(class).get()
    }

    fn tally(&self, class: Class) -> &Tally {
        &self.slots[class.index()].allocs
    }

    /// Counts the frees of every class that were not counted yet. Owner only.
    pub fn post_all<O: Os>(&self, heap: &Heap<O>) {
        for class in Class::all() {
            // Full spans have no frees that are not counted: the first free lists them as partial.
            self.classes[class.index()].partial.each(|span| self.count_frees(heap, span));
            self.count_current(heap, class);
        }
    }

    /// Counts the frees into `span`, which this cache owns, that were not counted yet. Owner only.
    #[inline]
    pub(super) fn count_frees<O: Os>(&self, heap: &Heap<O>, span: &Span) {
        let freed = span.count_freed();
        if freed != 0 {
            heap.stats().count(self.writer(), span.class(), Count::Freed, freed as usize);
        }
    }

    /// Counts the frees into the current span of one class, in turn: a thread that has gone on to other classes does
    /// not refill those it used before.
    pub(super) fn post_next<O: Os>(&self, heap: &Heap<O>) {
        let next = self.next_post.get();
        self.next_post.set(if next + 1 < CLASSES { next + 1 } else { 0 });
        self.count_current(heap, Class::from_index(next));
    }

    #[inline]
    fn count_current<O: Os>(&self, heap: &Heap<O>, class: Class) {
        // SAFETY: the current span is alive while it is current.
        if let Some(span) = unsafe { self.classes[class.index()].current.get().as_ref() } {
            self.count_frees(heap, span);
        }
    }
}
