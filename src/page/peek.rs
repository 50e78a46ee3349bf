//! Looking before taking: where pages must be made Ready first, and that may fail.

use super::PageAlloc;
use super::alloc::pieces;
use super::summary::Summary;
use crate::units::{Addr, PAGE_SIZE, Pages};

impl<const LEVELS: usize> PageAlloc<LEVELS> {
    /// The lowest run of `pages` free pages that begins at a multiple of `align` pages, a power of two; for
    /// alignments above one page a run that has one wherever it begins is preferred. Takes nothing. The
    /// caller holds the page heap's lock.
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
            // Where no run is long enough to hold it wherever it begins, the first one of the right length may
            // still begin in the right place.
            None => self.find(pages.0).map(|page| self.addr(page)).filter(|addr| addr.is_aligned(bytes)),
        }
    }

    /// Takes pages that [`PageAlloc::find_run`] just found, or others of which all are free. They count as
    /// resident afterwards. The caller holds the page heap's lock.
    #[inline]
    pub fn take_run(&mut self, addr: Addr, pages: Pages) {
        let Some(page) = self.grown_range(addr, pages) else {
            debug_assert!(false, "page: took what is not the heap's, at {addr:?}");
            return;
        };
        self.take(page, pages.0);
    }

    /// Calls `f` with how many pages are taken of each chunk of the heap from the `from`th on, for at most `at_most` of
    /// them. Returns where to go on. The caller holds the page heap's lock.
    pub fn each_chunk(&self, mut from: usize, at_most: usize, mut f: impl FnMut(usize)) -> Option<usize> {
        for _ in 0..at_most {
            let c = self.tree.next_chunk(from, Summary::is_grown)?;
            f(self.tree.chunk(c).taken().count());
            from = c + 1;
        }
        Some(from)
    }

    /// Whether all of these pages, any number from any address, are free pages of the heap; no pages at all
    /// are not. The caller holds the page heap's lock.
    pub fn all_free(&self, addr: Addr, pages: Pages) -> bool {
        let is_free = |(c, i, n)| self.tree.chunk(c).taken().count_range(i, n) == 0;
        self.grown_range(addr, pages).is_some_and(|page| pieces(page, pages.0).all(is_free))
    }
}
