//! Finds the free resident pages that the page heap can release to the OS.
//!
//! The release is a slow system call, made without the page heap's lock. The page heap takes a run here, lets
//! the lock go, releases the run, and gives it back as released with the lock held again.

use super::alloc::PageAlloc;
use super::chunk::CHUNK_LOG;
use super::summary::Summary;
use super::table::{Need, Table, TableSpace};
use super::{Backing, ReleaseShape};
use crate::units::{Addr, Pages};
use core::ops::Range;

/// Binary logarithm of the bits of a word.
const WORD_LOG: u32 = 6;
/// How many entries of each of the two tables lie at the start of the reserved range.
const FIRST: usize = 8;
/// How many chunks one search visits before it returns [`Release::Again`], so that other threads can get the
/// lock.
const VISITS: usize = 64;

/// The result of [`PageAlloc::take_for_release`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Release {
    /// The caller owns this run until it gives it back.
    Run(Addr, Pages),
    /// Nothing was found so far. The caller may call again after it has let the lock go.
    Again,
    /// No pages are left to release.
    Nothing,
}

/// The chunks that may have pages to release: one bit each, and a second level with one bit for each word
/// that is not zero.
///
/// Freeing pages of a chunk marks it. A search that finds nothing in it removes the mark. So searches visit
/// each chunk at most once per free, and their cost does not grow with the heap.
pub(super) struct ReleaseIndex {
    words: Table<u64>,
    tops: Table<u64>,
    /// The readable entries of `tops` are `first..end`. A word of `words` is readable if one of its 64 chunks
    /// was grown.
    first: usize,
    end: usize,
    /// No chunk at or above this one is marked.
    above: usize,
}

impl ReleaseIndex {
    pub(super) const fn empty() -> ReleaseIndex {
        ReleaseIndex { words: Table::empty(), tops: Table::empty(), first: 0, end: 0, above: 0 }
    }

    /// Returns the lengths of `words` and `tops` for a window of `chunks` chunks.
    fn lengths(chunks: usize) -> (usize, usize) {
        let words = chunks.div_ceil(1 << WORD_LOG);
        (words, words.div_ceil(1 << WORD_LOG))
    }

    /// Returns the bytes that the tables need for a window of `chunks` chunks.
    pub(super) fn need(chunks: usize) -> Option<Need> {
        let (words, tops) = Self::lengths(chunks);
        Table::<u64>::need(words, FIRST)?.and(Table::<u64>::need(tops, FIRST))
    }

    /// Cuts the tables for a window of `chunks` chunks from `space`.
    pub(super) fn cut(space: &mut TableSpace, chunks: usize) -> Option<ReleaseIndex> {
        let (words, tops) = Self::lengths(chunks);
        Some(ReleaseIndex {
            words: Table::cut(space, words, FIRST)?,
            tops: Table::cut(space, tops, FIRST)?,
            ..ReleaseIndex::empty()
        })
    }

    /// Makes the bits of `chunks` ready. The range is not empty and lies in the window.
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
        // SAFETY: the callers in this module pass grown chunks only, and `PageAlloc::grow` calls `grow`
        // before it marks a chunk as grown.
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

    /// Removes the mark of chunk `c`, which has one.
    #[inline]
    fn unmark(&mut self, c: usize) {
        let w = c >> WORD_LOG;
        // SAFETY: a marked chunk is grown.
        let word = unsafe { self.words.get_mut(w) };
        *word &= !(1 << (c & 63));
        if *word == 0 {
            // SAFETY: as above.
            let top = unsafe { self.tops.get_mut(w >> WORD_LOG) };
            *top &= !(1 << (w & 63));
        }
    }

    /// Returns whether chunk `c`, which is grown, is marked.
    pub(super) fn is_marked(&self, c: usize) -> bool {
        // SAFETY: as in `mark`.
        let word = unsafe { *self.words.get(c >> WORD_LOG) };
        word >> (c & 63) & 1 != 0 && c < self.above
    }

    /// Returns the highest marked chunk.
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
                // SAFETY: a set bit of `tops` stands for a word with a marked chunk, and a marked chunk is
                // grown.
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
    /// Takes the highest run of free resident pages that fits `want`.
    ///
    /// The caller holds the page heap's lock. It lets the lock go, releases the run, takes the lock again and
    /// calls [`PageAlloc::give_back_released`], or [`PageAlloc::free`] if the release failed. Until then the
    /// run counts as taken.
    #[must_use = "pages that are taken must be given back"]
    pub fn take_for_release(&mut self, want: ReleaseShape) -> Release {
        debug_assert!(want.unit.0.is_power_of_two() && want.unit.0 <= 64);
        for _ in 0..VISITS {
            let Some(c) = self.release.last() else {
                return Release::Nothing;
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

    /// Gives back a run from [`PageAlloc::take_for_release`] that was released to the OS. It becomes free and
    /// released. The caller holds the page heap's lock.
    pub fn give_back_released(&mut self, addr: Addr, pages: Pages) {
        let Some(page) = self.grown_range(addr, pages) else {
            debug_assert!(false, "page: give-back of pages outside of the heap, at {addr:?}");
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
            debug_assert!(false, "page: release of pages outside of the heap, at {addr:?}");
            return;
        };
        for (c, i, n) in super::alloc::pieces(page, pages.0) {
            self.tree.chunk_mut(c).set_released(i, n);
        }
    }

    /// Marks pages resident. The caller holds the page heap's lock.
    pub fn clear_released(&mut self, addr: Addr, pages: Pages) {
        let Some(page) = self.grown_range(addr, pages) else {
            debug_assert!(false, "page: pages outside of the heap marked resident, at {addr:?}");
            return;
        };
        for (c, i, n) in super::alloc::pieces(page, pages.0) {
            self.tree.chunk_mut(c).clear_released(i, n);
            self.release.mark(c);
        }
    }

    /// Returns how many of the pages are released, or 0 if they are not the heap's. The caller holds the page
    /// heap's lock.
    pub fn released_in(&self, addr: Addr, pages: Pages) -> Pages {
        let Some(page) = self.grown_range(addr, pages) else {
            return Pages(0);
        };
        let released = super::alloc::pieces(page, pages.0).map(|(c, i, n)| self.tree.chunk(c).released_in(i, n)).sum();
        Pages(released)
    }

    /// Returns the lowest run of free resident pages at or above `from`, of at most `at_most` pages and
    /// within one chunk. Takes nothing. A walk over the heap by this function visits every chunk with a free
    /// page. The caller holds the page heap's lock.
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
