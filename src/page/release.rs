//! Which free pages have memory that can be given back to the operating system.
//!
//! The release itself is a slow system call and happens without the page heap's lock:
//! a run is taken, released, and put back as released.

use super::alloc::PageAlloc;
use super::chunk::CHUNK_LOG;
use super::summary::Summary;
use super::table::{Ground, Need, Table};
use super::{Backing, ReleaseShape};
use crate::units::{Addr, Pages};
use core::ops::Range;

/// Binary logarithm of the bits of a word.
const WORD_LOG: u32 = 6;
/// How many words, and how many of the words over them, stand in the head of the tables.
const FIRST: usize = 8;
/// How many chunks one search looks at before it lets others have the lock.
const VISITS: usize = 64;

/// What [`PageAlloc::take_for_release`] came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Release {
    /// This run is the caller's until it is given back.
    Run(Addr, Pages),
    /// Nothing so far, and the caller may ask again after letting others have the lock.
    Again,
    /// Nothing that could be released is left.
    EmptyCache,
}

/// The chunks that may have something to release: one bit each, and over every 64 words
/// of such bits one word that says which of them are not zero.
///
/// A chunk of which pages are freed is marked; one in which a search finds nothing loses
/// the mark. So a search costs a bounded time per chunk freed into, however large the heap.
pub(super) struct ReleaseIndex {
    words: Table<u64>,
    tops: Table<u64>,
    /// The readable entries of `tops`. A word of `words` is readable if a chunk of its
    /// 64 was grown.
    first: usize,
    end: usize,
    /// No chunk at or above this one is marked.
    above: usize,
}

impl ReleaseIndex {
    pub(super) const fn empty() -> ReleaseIndex {
        ReleaseIndex { words: Table::empty(), tops: Table::empty(), first: 0, end: 0, above: 0 }
    }

    /// The words and the tops for a window of `chunks` chunks.
    fn lengths(chunks: usize) -> (usize, usize) {
        let words = chunks.div_ceil(1 << WORD_LOG);
        (words, words.div_ceil(1 << WORD_LOG))
    }

    /// What the tables for a window of `chunks` chunks need.
    pub(super) fn need(chunks: usize) -> Option<Need> {
        let (words, tops) = Self::lengths(chunks);
        Table::<u64>::need(words, FIRST)?.and(Table::<u64>::need(tops, FIRST))
    }

    /// Cuts the tables for a window of `chunks` chunks.
    pub(super) fn cut(ground: &mut Ground, chunks: usize) -> Option<ReleaseIndex> {
        let (words, tops) = Self::lengths(chunks);
        Some(ReleaseIndex {
            words: Table::cut(ground, words, FIRST)?,
            tops: Table::cut(ground, tops, FIRST)?,
            ..ReleaseIndex::empty()
        })
    }

    /// Makes room for the marks of `chunks`, a range in the window that is not empty.
    pub(super) fn grow<B: Backing>(&mut self, backing: &mut B, chunks: &Range<usize>) -> Result<(), B::Error> {
        let (lo, hi) = (chunks.start >> WORD_LOG, (chunks.end - 1) >> WORD_LOG);
        self.words.ready(backing, lo..hi + 1)?;
        let (lo, hi) = (lo >> WORD_LOG, (hi >> WORD_LOG) + 1);
        if self.first == self.end {
            self.tops.ready(backing, lo..hi)?;
            (self.first, self.end) = (lo, hi);
        } else {
            self.tops.ready(backing, lo..self.first.max(lo))?;
            self.tops.ready(backing, self.end.min(hi)..hi)?;
            (self.first, self.end) = (self.first.min(lo), self.end.max(hi));
        }
        Ok(())
    }

    /// Marks chunk `c`, which is grown.
    #[inline]
    pub(super) fn mark(&mut self, c: usize) {
        let bit = 1 << (c & 63);
        let w = c >> WORD_LOG;
        // SAFETY: the callers in this room pass grown chunks only; `PageAlloc::grow` calls
        // `grow` before it lets a chunk be seen as grown.
        let word = unsafe { self.words.get_mut(w) };
        if *word & bit != 0 {
            return;
        }
        *word |= bit;
        // SAFETY: as above.
        let top = unsafe { self.tops.get_mut(w >> WORD_LOG) };
        *top |= 1 << (w & 63);
        self.above = self.above.max(c + 1);
    }

    /// Takes the mark from chunk `c`, which has one.
    #[inline]
    fn unmark(&mut self, c: usize) {
        let w = c >> WORD_LOG;
        // SAFETY: a chunk that has a mark is grown.
        let word = unsafe { self.words.get_mut(w) };
        *word &= !(1 << (c & 63));
        if *word == 0 {
            // SAFETY: as above.
            let top = unsafe { self.tops.get_mut(w >> WORD_LOG) };
            *top &= !(1 << (w & 63));
        }
    }

    /// Whether chunk `c`, which is grown, is marked.
    pub(super) fn is_marked(&self, c: usize) -> bool {
        // SAFETY: as in `mark`.
        let word = unsafe { *self.words.get(c >> WORD_LOG) };
        word >> (c & 63) & 1 != 0 && c < self.above
    }

    /// The highest marked chunk.
    fn last(&mut self) -> Option<usize> {
        if self.first == self.end {
            return None;
        }
        let mut t = (self.above.checked_sub(1)? >> (2 * WORD_LOG)).min(self.end - 1) + 1;
        while t > self.first {
            t -= 1;
            // SAFETY: `t` is in `first..end`, which `grow` made ready.
            let top = unsafe { *self.tops.get(t) };
            if top != 0 {
                let w = t << WORD_LOG | top.ilog2() as usize;
                // SAFETY: a bit of `tops` stands for a word with a mark, so one of its
                // chunks is grown.
                let word = unsafe { *self.words.get(w) };
                debug_assert!(word != 0);
                let c = w << WORD_LOG | word.checked_ilog2()? as usize;
                self.above = c + 1;
                return Some(c);
            }
        }
        self.above = 0;
        None
    }
}

impl<const LEVELS: usize> PageAlloc<LEVELS> {
    /// Takes the highest run of free pages with memory that `want` lets be released.
    ///
    /// The caller holds the page heap's lock, lets it go to release the run, and with the
    /// lock held calls [`PageAlloc::give_back_released`], or [`PageAlloc::free`] where the
    /// release failed. Until then the run counts as allocated.
    #[must_use = "pages that are taken must be given back"]
    pub fn take_for_release(&mut self, want: ReleaseShape) -> Release {
        debug_assert!(want.unit.0.is_power_of_two() && want.unit.0 <= 64);
        for _ in 0..VISITS {
            let Some(c) = self.release.last() else {
                return Release::EmptyCache;
            };
            if let Some((i, n)) = self.tree.chunk(c).last_releasable(want) {
                let page = c << CHUNK_LOG | i;
                let released = self.take(page, n);
                debug_assert_eq!(released, 0);
                return Release::Run(self.addr(page), Pages(n));
            }
            self.release.unmark(c);
        }
        Release::Again
    }

    /// Gives back a run from [`PageAlloc::take_for_release`] whose memory went back to the
    /// operating system: free and released. The caller holds the page heap's lock.
    pub fn give_back_released(&mut self, addr: Addr, pages: Pages) {
        let Some(page) = self.grown_range(addr, pages) else {
            debug_assert!(false, "page: given back what is not the heap's, at {addr:?}");
            return;
        };
        for (c, i, n) in super::alloc::pieces(page, pages.0) {
            let chunk = self.tree.chunk_mut(c);
            chunk.free(i, n);
            chunk.set_released(i, n);
        }
        self.refresh_freed(page, pages.0);
    }

    /// Marks free pages released. The caller holds the page heap's lock.
    pub fn set_released(&mut self, addr: Addr, pages: Pages) {
        let Some(page) = self.grown_range(addr, pages) else {
            debug_assert!(false, "page: released what is not the heap's, at {addr:?}");
            return;
        };
        for (c, i, n) in super::alloc::pieces(page, pages.0) {
            self.tree.chunk_mut(c).set_released(i, n);
        }
    }

    /// Marks pages as not released. The caller holds the page heap's lock.
    pub fn clear_released(&mut self, addr: Addr, pages: Pages) {
        let Some(page) = self.grown_range(addr, pages) else {
            debug_assert!(false, "page: made resident what is not the heap's, at {addr:?}");
            return;
        };
        for (c, i, n) in super::alloc::pieces(page, pages.0) {
            self.tree.chunk_mut(c).clear_released(i, n);
            self.release.mark(c);
        }
    }

    /// How many of these pages are released; none where they are not the heap's. The
    /// caller holds the page heap's lock.
    pub fn released_in(&self, addr: Addr, pages: Pages) -> Pages {
        let Some(page) = self.grown_range(addr, pages) else {
            return Pages(0);
        };
        let released = super::alloc::pieces(page, pages.0).map(|(c, i, n)| self.tree.chunk(c).released_in(i, n)).sum();
        Pages(released)
    }

    /// The lowest run of free pages with memory at or above `from`, of at most `at_most`
    /// pages and within one chunk. Takes nothing. Going through the heap this way costs
    /// time for every chunk with a free page. The caller holds the page heap's lock.
    pub fn next_unreleased(&self, from: Addr, at_most: Pages) -> Option<(Addr, Pages)> {
        let mut page = self.page_at_or_above(from);
        while let Some(c) = self.tree.next_chunk(page >> CHUNK_LOG, Summary::has_free) {
            let base = c << CHUNK_LOG;
            let from = page.saturating_sub(base);
            if let Some((i, n)) = self.tree.chunk(c).first_unreleased(from, at_most.0.max(1)) {
                return Some((self.addr(base + i), Pages(n)));
            }
            page = (c + 1) << CHUNK_LOG;
        }
        None
    }
}
