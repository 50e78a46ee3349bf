//! [`PageCache`]: a block of 64 pages from which its owner takes pages without the page heap's lock.

use super::PageAlloc;
use crate::bits::{WORD, find_ones};
use crate::units::{Addr, PAGE_SHIFT, PAGE_SIZE, Pages};

/// The most pages that a [`PageCache`] holds, and the longest run that can be taken from one.
pub const CACHE_PAGES: usize = WORD;

/// Free pages of one aligned block of 64, owned by one thread's cache.
///
/// Their [`PageAlloc`] counts them as taken. No lock protects it: only the owning thread calls it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[must_use = "the pages of a page cache are lost unless it is flushed"]
pub struct PageCache {
    /// The block's first page, or null if there is no block.
    base: Addr,
    /// One bit for each free page.
    pages: u64,
    /// One bit for each free page that is released.
    released: u64,
    /// One bit for each free page that [`PageCache::make_resident`] made resident and that still reads as
    /// zero.
    zero: u64,
}

impl PageCache {
    /// A cache without a block.
    pub const EMPTY: PageCache = PageCache { base: Addr::NULL, pages: 0, released: 0, zero: 0 };

    /// Returns whether no page is left.
    #[inline]
    pub const fn is_empty(&self) -> bool {
        self.pages == 0
    }

    /// Returns how many free pages are resident and how many are released.
    pub const fn count(&self) -> (Pages, Pages) {
        let released = self.released.count_ones() as usize;
        (Pages(self.pages.count_ones() as usize - released), Pages(released))
    }

    /// Returns how many pages are free.
    pub const fn free_pages(&self) -> Pages {
        Pages(self.pages.count_ones() as usize)
    }

    /// Returns whether a run of `pages` pages is free.
    pub const fn has(&self, pages: Pages) -> bool {
        pages.0 != 0 && pages.0 <= CACHE_PAGES && find_ones(self.pages, pages.0).is_some()
    }

    /// Calls `used` for each run of released pages, lowest first. A run for which it returns true counts as
    /// resident from then on. Stops at the first failure. Returns how many pages became resident, and whether
    /// all did.
    pub fn make_resident(&mut self, mut used: impl FnMut(Addr, Pages) -> bool) -> (Pages, bool) {
        let mut done = 0;
        while self.released != 0 {
            let i = self.released.trailing_zeros() as usize;
            let n = (self.released >> i).trailing_ones() as usize;
            if !used(self.base.plus(i << PAGE_SHIFT), Pages(n)) {
                return (Pages(done), false);
            }
            let run = u64::MAX >> (WORD - n) << i;
            self.released &= !run;
            self.zero |= run;
            done += n;
        }
        (Pages(done), true)
    }

    /// Takes the lowest run of `pages` free pages. Returns its address and how many of the pages are released
    /// or read as zero. Returns `None` if there is no such run, as for every number above [`CACHE_PAGES`].
    /// Takes no lock.
    #[inline]
    #[must_use = "pages that are taken must be given back"]
    pub fn alloc(&mut self, pages: Pages) -> Option<(Addr, Pages)> {
        let n = pages.0;
        if n == 0 || n > CACHE_PAGES || self.pages == 0 {
            return None;
        }
        let i = find_ones(self.pages, n)?;
        let run = u64::MAX >> (WORD - n) << i;
        let released = ((self.released | self.zero) & run).count_ones() as usize;
        self.pages &= !run;
        self.released &= !run;
        self.zero &= !run;
        Some((self.base.plus(i << PAGE_SHIFT), Pages(released)))
    }

    /// Takes exactly the `pages` pages from `addr` on, and returns true, if all of them are free pages of the
    /// block. `addr` may be any address. Takes no lock.
    #[inline]
    #[must_use = "pages that are taken must be given back"]
    pub fn take_at(&mut self, addr: Addr, pages: Pages) -> bool {
        let Some(run) = self.run(addr, pages).filter(|run| self.pages & run == *run) else { return false };
        self.pages &= !run;
        self.released &= !run;
        self.zero &= !run;
        true
    }

    /// Returns the bits of the `pages` pages from `addr` on, if they lie in the block.
    #[inline]
    fn run(&self, addr: Addr, pages: Pages) -> Option<u64> {
        let n = pages.0;
        // Below the base this wraps to a number above every block.
        let i = addr.0.wrapping_sub(self.base.0) >> PAGE_SHIFT;
        if self.base == Addr::NULL || n == 0 || i >= WORD || n > WORD - i {
            return None;
        }
        debug_assert!(addr.is_aligned(PAGE_SIZE));
        Some(u64::MAX >> (WORD - n) << i)
    }

    /// Puts back taken pages and returns true, if they lie in the block. They count as resident. Takes no
    /// lock.
    #[inline]
    #[must_use = "pages of another block go to the page heap"]
    pub fn free(&mut self, addr: Addr, pages: Pages) -> bool {
        let Some(run) = self.run(addr, pages) else { return false };
        debug_assert_eq!(self.pages & run, 0, "page: freed while free");
        self.pages |= run;
        true
    }

    /// Returns whether both caches have the same block.
    pub fn is_same_block(&self, other: &PageCache) -> bool {
        self.base == other.base
    }

    /// Gives every page back to `heap` and keeps the block, so that pages of the block can still be freed
    /// into this cache. The caller holds the page heap's lock.
    pub fn give_back<const LEVELS: usize>(&mut self, heap: &mut PageAlloc<LEVELS>) {
        let base = self.base;
        self.flush(heap);
        self.base = base;
    }

    /// Gives every page back to `heap` and leaves the cache without a block. The caller holds the page heap's
    /// lock.
    pub fn flush<const LEVELS: usize>(&mut self, heap: &mut PageAlloc<LEVELS>) {
        if self.pages != 0 {
            heap.free_block(self.base, self.pages, self.released);
        }
        *self = PageCache::EMPTY;
    }
}

impl<const LEVELS: usize> PageAlloc<LEVELS> {
    /// Takes all free pages of the aligned block of 64 that holds the lowest run of `pages` free pages.
    /// Returns an empty cache if there is no such run or it crosses two blocks. The caller holds the page
    /// heap's lock.
    pub fn allocate_to_cache(&mut self, pages: Pages) -> PageCache {
        match self.take_block(pages.0) {
            Some((block, pages, released)) => PageCache { base: self.addr(block), pages, released, zero: 0 },
            None => PageCache::EMPTY,
        }
    }
}
