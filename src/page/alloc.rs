//! The page allocator's door: grow, take, give back.

use super::chunk::{CHUNK_LOG, CHUNK_PAGES, Chunk};
use super::release::ReleaseIndex;
use super::summary::Summary;
use super::table::Ground;
use super::tree::{Spot, Tree};
use super::{Backing, CHUNK_BYTES, GrowError, NoAddressSpace};
use crate::bits::WORD;
use crate::units::{Addr, PAGE_SHIFT, PAGE_SIZE, Pages};

/// Binary logarithm of the bytes of a chunk.
const CHUNK_SHIFT: u32 = CHUNK_LOG + PAGE_SHIFT;
/// What a window's base is aligned to, so that a page's place in the window is aligned
/// as its address is, as far as the heap asks: the arena of the wide form.
const WINDOW_ALIGN: usize = if usize::BITS == 64 { 64 << 20 } else { CHUNK_BYTES };
/// No page.
const NOWHERE: usize = usize::MAX;

const _: () = assert!(CHUNK_BYTES == 1 << CHUNK_SHIFT);

/// Where the bits of pages lie: a table of chunks, each with two bits for each of its pages. The chunks up to `in_head`
/// lie side by side from `head` on, the others as if chunk 0 lay at `rest`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct PageOffsets {
    /// The address of the first chunk's first page.
    pub base: u64,
    /// Pages of a chunk.
    pub chunk_pages: u64,
    /// Bytes of a chunk's bits.
    pub chunk_size: u64,
    /// Where the bits of chunk 0 are.
    pub head: u64,
    /// Where they would be beside those of the chunks from `in_head` on.
    pub rest: u64,
    /// How many chunks have their bits in the head.
    pub in_head: u64,
    /// In a chunk: the bits of the pages that are taken.
    pub taken: u64,
    /// In a chunk: the bits of the pages that are not released.
    pub resident: u64,
}

/// Which pages of a window of addresses are free, and how much of that is released.
///
/// Protected by the page heap's lock, every field and every method.
pub struct PageAlloc<const LEVELS: usize> {
    pub(super) tree: Tree<LEVELS>,
    pub(super) release: ReleaseIndex,
    /// The window's first address.
    base: Addr,
    /// One more than [`PageAlloc::lowest`], so that zero is what a new allocator has.
    after_lowest: usize,
}

impl<const LEVELS: usize> Default for PageAlloc<LEVELS> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const LEVELS: usize> PageAlloc<LEVELS> {
    /// An allocator with an empty window: nothing can be grown before
    /// [`PageAlloc::init`].
    pub const fn new() -> Self {
        PageAlloc { tree: Tree::empty(), release: ReleaseIndex::empty(), base: Addr::NULL, after_lowest: 0 }
    }

    /// Makes `[base, base + size)` the window in which the heap may grow, `base` aligned
    /// to 64 MiB (4 MiB on 32-bit), `size` in bytes and rounded up to whole chunks:
    /// `usize::MAX` from 0 is the whole address space. Reserves address space for the
    /// tables. Once, before anything else.
    pub fn init<B: Backing>(&mut self, backing: &mut B, base: Addr, size: usize) -> Result<(), NoAddressSpace> {
        debug_assert!(base.is_aligned(WINDOW_ALIGN), "page: window base {base:?} misaligned");
        debug_assert!(self.tree.pages() == 0, "page: window set twice");
        let chunks = size.div_ceil(CHUNK_BYTES);
        let need = Tree::<LEVELS>::need(chunks).and_then(|need| need.and(ReleaseIndex::need(chunks)));
        let mut ground = need.and_then(|need| Ground::reserve(backing, need)).ok_or(NoAddressSpace)?;
        let tree = Tree::cut(&mut ground, chunks).ok_or(NoAddressSpace)?;
        let release = ReleaseIndex::cut(&mut ground, chunks).ok_or(NoAddressSpace)?;
        *self = PageAlloc { tree, release, base, after_lowest: 0 };
        Ok(())
    }

    /// Where the bits of pages lie: for a reader in another process. The caller holds the page heap's lock.
    pub fn offsets(&self) -> PageOffsets {
        let ((head, rest, in_head), (taken, resident)) = (self.tree.chunks.offsets(), Chunk::OFFSETS);
        let words = [self.base.0, CHUNK_PAGES, size_of::<Chunk>(), head.0, rest.0, in_head, taken, resident];
        let [base, chunk_pages, chunk_size, head, rest, in_head, taken, resident] = words.map(|word| word as u64);
        PageOffsets { base, chunk_pages, chunk_size, head, rest, in_head, taken, resident }
    }

    /// Adds `size` bytes from `addr`, both multiples of [`CHUNK_BYTES`], to the heap: free
    /// and released. On an error the heap is as it was, and the call may be repeated.
    pub fn grow<B: Backing>(&mut self, backing: &mut B, addr: Addr, size: usize) -> Result<(), GrowError<B::Error>> {
        let Some(page) = self.range(addr, Pages(size >> PAGE_SHIFT)) else {
            return Err(GrowError::Range);
        };
        if !addr.is_aligned(CHUNK_BYTES) || size & (CHUNK_BYTES - 1) != 0 || addr == Addr::NULL {
            return Err(GrowError::Range);
        }
        let first = page >> CHUNK_LOG;
        let chunks = first..first + (size >> CHUNK_SHIFT);
        // Marks are of use to grown chunks only, so those that were made room for before
        // a failure stay unseen.
        self.release.grow(backing, &chunks).map_err(GrowError::Backing)?;
        self.tree.grow(backing, chunks)?;
        self.set_lowest(self.lowest().min(page));
        Ok(())
    }

    /// Takes the lowest run of `pages` free pages. Gives its address and how many of the
    /// pages were released, and now are not.
    #[inline]
    #[must_use = "pages that are taken must be given back"]
    pub fn alloc(&mut self, pages: Pages) -> Option<(Addr, Pages)> {
        let page = self.find(pages.0)?;
        let released = self.take(page, pages.0);
        Some((self.addr(page), Pages(released)))
    }

    /// Takes a run of `pages` free pages that begins at a multiple of `align` pages, a
    /// power of two. Gives its address and how many of the pages were released.
    #[must_use = "pages that are taken must be given back"]
    pub fn alloc_aligned(&mut self, pages: Pages, align: Pages) -> Option<(Addr, Pages)> {
        let addr = self.find_run(pages, align)?;
        let page = self.range(addr, pages)?;
        Some((addr, Pages(self.take(page, pages.0))))
    }

    /// Takes exactly the `pages` pages from `addr`, any address, if all of them are free
    /// pages of the heap. Gives how many were released.
    #[must_use = "pages that are taken must be given back"]
    pub fn alloc_range_at(&mut self, addr: Addr, pages: Pages) -> Option<Pages> {
        if !self.all_free(addr, pages) {
            return None;
        }
        let page = self.range(addr, pages)?;
        Some(Pages(self.take(page, pages.0)))
    }

    /// Gives back pages that were taken here, in parts or as a whole. They are free and
    /// not released.
    #[inline]
    pub fn free(&mut self, addr: Addr, pages: Pages) {
        let Some(page) = self.grown_range(addr, pages) else {
            debug_assert!(false, "page: freed what is not the heap's, at {addr:?}");
            return;
        };
        for (c, i, n) in pieces(page, pages.0) {
            self.tree.chunk_mut(c).free(i, n);
            self.release.mark(c);
        }
        self.refresh_freed(page, pages.0);
    }

    /// Whether the page at `addr` is a free page of the heap.
    pub fn is_free(&self, addr: Addr) -> bool {
        self.grown_range(addr.align_down(PAGE_SIZE), Pages(1))
            .is_some_and(|page| !self.tree.chunk(page >> CHUNK_LOG).taken().get(page & (CHUNK_PAGES - 1)))
    }

    /// Whether the page at `addr` is a page of the heap that is taken: allocated, in a
    /// page cache, or on its way to being released.
    pub fn is_allocated(&self, addr: Addr) -> bool {
        self.is_grown(addr) && !self.is_free(addr)
    }

    /// Whether the page at `addr` is a page of the heap.
    pub fn is_grown(&self, addr: Addr) -> bool {
        self.grown_range(addr.align_down(PAGE_SIZE), Pages(1)).is_some()
    }

    /// Counts the free pages that are not released, and the released ones, bit by bit.
    pub fn count(&self) -> (Pages, Pages) {
        let (mut free, mut released) = (0, 0);
        let mut from = 0;
        while let Some(c) = self.tree.next_chunk(from, Summary::has_free) {
            let (f, r) = self.tree.chunk(c).count();
            free += f;
            released += r;
            from = c + 1;
        }
        (Pages(free), Pages(released))
    }

    /// Whether every summary is what the bits make it, no free page lies below where a
    /// search begins, and what may be released is marked. Costs time for every chunk.
    pub fn is_valid(&self) -> bool {
        if !self.tree.is_valid() {
            return false;
        }
        let lowest = self
            .tree
            .next_chunk(0, Summary::has_free)
            .and_then(|c| Some(c << CHUNK_LOG | self.tree.chunk(c).taken().find_zeros(1, 0)?.start));
        if lowest.unwrap_or(NOWHERE) < self.lowest() {
            return false;
        }
        if self.lowest() != NOWHERE && !self.tree.is_grown(self.lowest() >> CHUNK_LOG) {
            return false;
        }
        let mut from = 0;
        while let Some(c) = self.tree.next_chunk(from, Summary::has_free) {
            // A run of 127 pages holds a physical page of any size; less may have been
            // found to be too little.
            let large = super::ReleaseShape { at_most: Pages(WORD), unit: Pages(WORD), huge: Pages(0) };
            if self.tree.chunk(c).last_releasable(large).is_some() && !self.release.is_marked(c) {
                return false;
            }
            from = c + 1;
        }
        true
    }

    /// No free page lies below this one, and its chunk is grown; or [`NOWHERE`] where
    /// no page is free.
    #[inline]
    fn lowest(&self) -> usize {
        self.after_lowest.wrapping_sub(1)
    }

    #[inline]
    fn set_lowest(&mut self, page: usize) {
        self.after_lowest = page.wrapping_add(1);
    }

    /// The address of `page`.
    #[inline]
    pub(super) fn addr(&self, page: usize) -> Addr {
        self.base.plus(page << PAGE_SHIFT)
    }

    /// The number of the page at `addr`, if that many pages from there lie in the window.
    #[inline]
    fn range(&self, addr: Addr, pages: Pages) -> Option<usize> {
        debug_assert!(addr.is_aligned(PAGE_SIZE));
        // Below the base this wraps to a number that is in no window.
        let page = addr.0.wrapping_sub(self.base.0) >> PAGE_SHIFT;
        let room = self.tree.pages().checked_sub(page)?;
        (pages.0 != 0 && pages.0 <= room).then_some(page)
    }

    /// As [`PageAlloc::range`], if all the pages are the heap's.
    #[inline]
    pub(super) fn grown_range(&self, addr: Addr, pages: Pages) -> Option<usize> {
        let page = self.range(addr, pages)?;
        let last = page + (pages.0 - 1);
        self.tree.all_grown(page >> CHUNK_LOG, last >> CHUNK_LOG).then_some(page)
    }

    /// The number of the first page at or above `addr`, wherever that is.
    pub(super) fn page_at_or_above(&self, addr: Addr) -> usize {
        addr.0.saturating_sub(self.base.0).div_ceil(PAGE_SIZE)
    }

    /// The lowest run of `n` free pages. Moves the place where searches begin.
    #[inline]
    pub(super) fn find(&mut self, n: usize) -> Option<usize> {
        if n == 0 || self.lowest() == NOWHERE {
            return None;
        }
        if let Some(page) = self.find_near(n) {
            return Some(page);
        }
        match self.tree.find(n, self.lowest()) {
            Some(Spot { page, lowest }) => {
                self.set_lowest(self.lowest().max(lowest));
                Some(page)
            }
            None => {
                if n == 1 {
                    self.set_lowest(NOWHERE);
                }
                None
            }
        }
    }

    /// The lowest run of `n` free pages, if it lies in the chunk where searches begin.
    #[inline]
    fn find_near(&mut self, n: usize) -> Option<usize> {
        let (c, from) = (self.lowest() >> CHUNK_LOG, self.lowest() & (CHUNK_PAGES - 1));
        // All free pages of the chunk lie at or above `from`.
        if self.tree.leaf(c).max() < n {
            return None;
        }
        let zeros = self.tree.chunk(c).taken().find_zeros(n, from)?;
        let base = c << CHUNK_LOG;
        self.set_lowest(base + zeros.first_zero);
        Some(base + zeros.start)
    }

    /// Takes `n` pages from `page` up, all free. Says how many were released.
    #[inline]
    pub(super) fn take(&mut self, page: usize, n: usize) -> usize {
        let released = pieces(page, n).map(|(c, i, n)| self.tree.chunk_mut(c).take(i, n)).sum();
        let last = page + n - 1;
        self.tree.refresh(page >> CHUNK_LOG, last >> CHUNK_LOG, Summary::FULL);
        released
    }

    /// Makes the summaries and the place where searches begin follow `n` pages that
    /// became free.
    #[inline]
    pub(super) fn refresh_freed(&mut self, page: usize, n: usize) {
        let last = page + n - 1;
        self.tree.refresh(page >> CHUNK_LOG, last >> CHUNK_LOG, Summary::free(CHUNK_LOG));
        self.set_lowest(self.lowest().min(page));
    }

    /// Takes all free pages of the aligned block of 64 that holds the lowest run of `n`, if one does. Gives
    /// the block's first page, the pages taken, and those of them that were released.
    pub(super) fn take_block(&mut self, n: usize) -> Option<(usize, u64, u64)> {
        let page = self.find(n)?;
        let block = page & !(WORD - 1);
        if page + n > block + WORD {
            return None;
        }
        let (c, i) = (page >> CHUNK_LOG, page & (CHUNK_PAGES - 1));
        let (pages, released) = self.tree.chunk_mut(c).take_block(i);
        self.tree.refresh(c, c, Summary::FULL);
        if self.lowest() >= block {
            // The block's last page, not the one after it, whose chunk may not be grown.
            self.set_lowest(self.lowest().max(block + WORD - 1));
        }
        Some((block, pages, released))
    }

    /// Gives back `pages` of the block of 64 at `addr`, of which `released` are released.
    pub(super) fn free_block(&mut self, addr: Addr, pages: u64, released: u64) {
        let Some(page) = self.grown_range(addr, Pages(WORD)) else {
            debug_assert!(false, "page: flushed what is not the heap's, at {addr:?}");
            return;
        };
        let c = page >> CHUNK_LOG;
        self.tree.chunk_mut(c).free_block(page & (CHUNK_PAGES - 1), pages, released);
        if pages != released {
            self.release.mark(c);
        }
        self.tree.refresh(c, c, Summary::free(CHUNK_LOG));
        self.set_lowest(self.lowest().min(page));
    }
}

/// The parts of a run of pages that lie in one chunk each: the chunk, the first page's
/// place in it, and how many pages.
#[inline]
pub(super) fn pieces(page: usize, n: usize) -> impl Iterator<Item = (usize, usize, usize)> {
    let end = page + n;
    let mut at = page;
    core::iter::from_fn(move || {
        if at >= end {
            return None;
        }
        let i = at & (CHUNK_PAGES - 1);
        let len = (end - at).min(CHUNK_PAGES - i);
        let piece = (at >> CHUNK_LOG, i, len);
        at += len;
        Some(piece)
    })
}
