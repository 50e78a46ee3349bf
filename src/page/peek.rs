//! Searches that take nothing. The page heap makes the pages Ready before it takes them, since that may fail.

use super::PageAlloc;
use super::alloc::pieces;
use super::summary::Summary;
use crate::units::{Addr, PAGE_SIZE, Pages};

impl<const LEVELS: usize> PageAlloc<LEVELS> {
    /// Returns the lowest run of `pages` free pages that begins at a multiple of `align` pages, a power of
    /// two. Takes nothing. If `align` is above one page, a run of `pages + align - 1` pages is preferred to a
    /// shorter one that happens to be aligned. The caller holds the page heap's lock.
    #[inline]
    #[must_use = "nothing was taken"]
    pub fn find_run(&mut self, pages: Pages, align: Pages) -> Option<Addr> {
        debug_assert!(align.0.is_power_of_two());
        if align.0 <= 1 || pages.0 == 0 {
            return self.find(pages.0).map(|page| self.addr(page));
        }
        let bytes = align.0.checked_mul(PAGE_SIZE)?;
        let enough = pages.0.checked_add(align.0 - 1)?;
        match self.find(enough) {
            Some(page) => Some(self.addr(page).align_up(bytes)),
            // No run is long enough to contain an aligned one wherever it begins. The lowest run of `pages`
            // pages may still be aligned.
            None => self.find(pages.0).map(|page| self.addr(page)).filter(|addr| addr.is_aligned(bytes)),
        }
    }

    /// Takes pages that [`PageAlloc::find_run`] just found, or other free pages. They count as resident. The
    /// caller holds the page heap's lock.
    #[inline]
    pub fn take_run(&mut self, addr: Addr, pages: Pages) {
        let Some(page) = self.grown_range(addr, pages) else {
            debug_assert!(false, "page: take of pages outside of the heap, at {addr:?}");
            return;
        };
        self.take(page, pages.0);
    }

    /// Calls `f` with the number of taken pages of each grown chunk, from chunk `from` on, for at most
    /// `at_most` chunks. Returns the chunk at which to continue, or `None` after the last one. The caller
    /// holds the page heap's lock.
    pub fn each_chunk(&self, mut from: usize, at_most: usize, mut f: impl FnMut(usize)) -> Option<usize> {
        for _ in 0..at_most {
            let c = self.tree.next_chunk(from, Summary::is_grown)?;
            f(self.tree.chunk(c).taken().count());
            from = c + 1;
        }
        Some(from)
    }

    /// Returns whether all of the `pages` pages from `addr` on are free pages of the heap; false for zero
    /// pages. The caller holds the page heap's lock.
    pub fn all_free(&self, addr: Addr, pages: Pages) -> bool {
        let is_free = |(c, i, n)| self.tree.chunk(c).taken().count_range(i, n) == 0;
        self.grown_range(addr, pages).is_some_and(|page| pieces(page, pages.0).all(is_free))
    }
}
