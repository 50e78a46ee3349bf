//! [`PageAlloc`]: grow, take pages, give pages back.

use super::chunk::{CHUNK_BYTES, CHUNK_LOG, CHUNK_PAGES, Chunk};
use super::release::ReleaseIndex;
use super::summary::Summary;
use super::table::TableSpace;
use super::tree::{FoundRun, Tree};
use super::{Backing, GrowError, NoAddressSpace};
use crate::bits::WORD;
use crate::units::{Addr, PAGE_SHIFT, PAGE_SIZE, Pages};

/// The page allocator of a 64-bit address space.
pub type WidePageAlloc = PageAlloc<5>;
/// The page allocator of a 32-bit address space.
pub type FlatPageAlloc = PageAlloc<1>;

/// Binary logarithm of [`CHUNK_BYTES`].
const CHUNK_SHIFT: u32 = CHUNK_LOG + PAGE_SHIFT;
/// The alignment of a window's base: an arena in the wide form, a chunk in the flat form. A page number is
/// therefore aligned as the page's address is, up to this alignment.
const WINDOW_ALIGN: usize = if usize::BITS == 64 { 64 << 20 } else { CHUNK_BYTES };
/// The value of [`PageAlloc::lowest`] if no page is free.
const NO_PAGE: usize = usize::MAX;

const _: () = assert!(CHUNK_BYTES == 1 << CHUNK_SHIFT);

/// Where another process finds the bits of pages: a table of chunks. The bits of the first `in_head` chunks
/// lie at `head + chunk_size * c`, the others at `rest + chunk_size * c`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct PageOffsets {
    /// The address of the first page of chunk 0.
    pub base: u64,
    /// Pages of a chunk.
    pub chunk_pages: u64,
    /// Bytes of a chunk's bits.
    pub chunk_size: u64,
    /// The address of the bits of chunk 0. The first `in_head` chunks have their bits here.
    pub head: u64,
    /// The address from which the bits of the other chunks are found.
    pub rest: u64,
    /// How many chunks have their bits at `head`.
    pub in_head: u64,
    /// The offset, in a chunk's bits, of the bits of taken pages.
    pub taken: u64,
    /// The offset, in a chunk's bits, of the bits of resident pages, which are those that are not released.
    pub resident: u64,
}

/// The free pages of a window of addresses, and which of them are released.
///
/// The page heap's lock protects every field and every method.
pub struct PageAlloc<const LEVELS: usize> {
    pub(super) tree: Tree<LEVELS>,
    pub(super) release: ReleaseIndex,
    /// The window's first address.
    base: Addr,
    /// [`PageAlloc::lowest`] plus one, so that a zeroed allocator has no free page.
    after_lowest: usize,
}

impl<const LEVELS: usize> Default for PageAlloc<LEVELS> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const LEVELS: usize> PageAlloc<LEVELS> {
    /// Returns an allocator with an empty window. [`PageAlloc::init`] must be called before it can grow.
    pub const fn new() -> Self {
        PageAlloc { tree: Tree::empty(), release: ReleaseIndex::empty(), base: Addr::NULL, after_lowest: 0 }
    }

    /// Sets the window in which the heap may grow to `[base, base + size)`, and reserves address space for
    /// the tables. Called once, before anything else. `base` is aligned to 64 MiB (4 MiB on 32-bit). `size`
    /// is in bytes and is rounded up to whole chunks; base 0 and size `usize::MAX` cover the whole address
    /// space.
    pub fn init<B: Backing>(&mut self, backing: &mut B, base: Addr, size: usize) -> Result<(), NoAddressSpace> {
        debug_assert!(base.is_aligned(WINDOW_ALIGN), "page: window base {base:?} misaligned");
        debug_assert!(self.tree.pages() == 0, "page: window set twice");
        let chunks = size.div_ceil(CHUNK_BYTES);
        let need = Tree::<LEVELS>::need(chunks).and_then(|need| need.and(ReleaseIndex::need(chunks)));
        let mut space = need.and_then(|need| TableSpace::reserve(backing, need)).ok_or(NoAddressSpace)?;
        let tree = Tree::cut(&mut space, chunks).ok_or(NoAddressSpace)?;
        let release = ReleaseIndex::cut(&mut space, chunks).ok_or(NoAddressSpace)?;
        *self = PageAlloc { tree, release, base, after_lowest: 0 };
        Ok(())
    }

    /// Returns where the bits of pages lie, for a reader in another process. The caller holds the page heap's
    /// lock.
    pub fn offsets(&self) -> PageOffsets {
        let ((head, rest, in_head), (taken, resident)) = (self.tree.chunks.offsets(), Chunk::OFFSETS);
        let words = [self.base.0, CHUNK_PAGES, size_of::<Chunk>(), head.0, rest.0, in_head, taken, resident];
        let [base, chunk_pages, chunk_size, head, rest, in_head, taken, resident] = words.map(|word| word as u64);
        PageOffsets { base, chunk_pages, chunk_size, head, rest, in_head, taken, resident }
    }

    /// Adds `size` bytes from `addr` on to the heap, free and released. Both are multiples of
    /// [`CHUNK_BYTES`]. If it returns an error, the heap is unchanged and the call may be repeated.
    pub fn grow<B: Backing>(&mut self, backing: &mut B, addr: Addr, size: usize) -> Result<(), GrowError<B::Error>> {
        let Some(page) = self.range(addr, Pages(size >> PAGE_SHIFT)) else {
            return Err(GrowError::Range);
        };
        if !addr.is_aligned(CHUNK_BYTES) || size & (CHUNK_BYTES - 1) != 0 || addr == Addr::NULL {
            return Err(GrowError::Range);
        }
        let first = page >> CHUNK_LOG;
        let chunks = first..first + (size >> CHUNK_SHIFT);
        // If a later step fails, these words stay ready, and no search reads them: their chunks are not
        // grown.
        self.release.grow(backing, &chunks).map_err(GrowError::Backing)?;
        self.tree.grow(backing, chunks)?;
        self.set_lowest(self.lowest().min(page));
        Ok(())
    }

    /// Takes the lowest run of `pages` free pages. Returns its address and how many of the pages were
    /// released. Taken pages count as resident.
    #[inline]
    #[must_use = "pages that are taken must be given back"]
    pub fn alloc(&mut self, pages: Pages) -> Option<(Addr, Pages)> {
        let page = self.find(pages.0)?;
        let released = self.take(page, pages.0);
        Some((self.addr(page), Pages(released)))
    }

    /// Takes a run of `pages` free pages that begins at a multiple of `align` pages, a power of two. Returns
    /// its address and how many of the pages were released.
    #[must_use = "pages that are taken must be given back"]
    pub fn alloc_aligned(&mut self, pages: Pages, align: Pages) -> Option<(Addr, Pages)> {
        let addr = self.find_run(pages, align)?;
        let page = self.range(addr, pages)?;
        Some((addr, Pages(self.take(page, pages.0))))
    }

    /// Takes exactly the `pages` pages from `addr` on and returns how many were released. Returns `None` if
    /// one of them is not a free page of the heap. `addr` may be any address.
    #[must_use = "pages that are taken must be given back"]
    pub fn alloc_range_at(&mut self, addr: Addr, pages: Pages) -> Option<Pages> {
        if !self.all_free(addr, pages) {
            return None;
        }
        let page = self.range(addr, pages)?;
        Some(Pages(self.take(page, pages.0)))
    }

    /// Gives back taken pages, all of a run or a part. They become free and stay resident.
    #[inline]
    pub fn free(&mut self, addr: Addr, pages: Pages) {
        let Some(page) = self.grown_range(addr, pages) else {
            debug_assert!(false, "page: free of pages outside of the heap, at {addr:?}");
            return;
        };
        for (c, i, n) in pieces(page, pages.0) {
            self.tree.chunk_mut(c).free(i, n);
            self.release.mark(c);
        }
        self.refresh_freed(page, pages.0);
    }

    /// Returns whether the page at `addr` is a free page of the heap.
    pub fn is_free(&self, addr: Addr) -> bool {
        self.grown_range(addr.align_down(PAGE_SIZE), Pages(1))
            .is_some_and(|page| !self.tree.chunk(page >> CHUNK_LOG).taken().get(page & (CHUNK_PAGES - 1)))
    }

    /// Returns whether the page at `addr` is a taken page of the heap: allocated, in a page cache, or being
    /// released.
    pub fn is_allocated(&self, addr: Addr) -> bool {
        self.is_grown(addr) && !self.is_free(addr)
    }

    /// Returns whether the page at `addr` is a page of the heap.
    pub fn is_grown(&self, addr: Addr) -> bool {
        self.grown_range(addr.align_down(PAGE_SIZE), Pages(1)).is_some()
    }

    /// Counts the free resident pages and the free released pages, bit by bit.
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

    /// Returns whether every summary matches the bits, no free page lies where searches skip it, and
    /// every chunk with pages to release is marked. It visits every chunk.
    pub fn is_valid(&self) -> bool {
        if !self.tree.is_valid() {
            return false;
        }
        let lowest = self
            .tree
            .next_chunk(0, Summary::has_free)
            .and_then(|c| Some(c << CHUNK_LOG | self.tree.chunk(c).taken().find_zeros(1, 0)?.start));
        if lowest.unwrap_or(NO_PAGE) < self.lowest() {
            return false;
        }
        if self.lowest() != NO_PAGE && !self.tree.is_grown(self.lowest() >> CHUNK_LOG) {
            return false;
        }
        let mut from = 0;
        while let Some(c) = self.tree.next_chunk(from, Summary::has_free) {
            // A run of 127 pages contains an aligned run of 64, the largest unit. A search with a larger unit
            // may have unmarked a chunk that has shorter runs.
            let large = super::ReleaseShape { at_most: Pages(WORD), unit: Pages(WORD), huge: Pages(0) };
            if self.tree.chunk(c).last_releasable(large).is_some() && !self.release.is_marked(c) {
                return false;
            }
            from = c + 1;
        }
        true
    }

    /// Returns the page below which no page is free, in a grown chunk, or [`NO_PAGE`] if no page is free.
    #[inline]
    fn lowest(&self) -> usize {
        self.after_lowest.wrapping_sub(1)
    }

    #[inline]
    fn set_lowest(&mut self, page: usize) {
        self.after_lowest = page.wrapping_add(1);
    }

    /// Returns the address of `page`.
    #[inline]
    pub(super) fn addr(&self, page: usize) -> Addr {
        self.base.plus(page << PAGE_SHIFT)
    }

    /// Returns the number of the page at `addr`, if `pages` pages from there on lie in the window.
    #[inline]
    fn range(&self, addr: Addr, pages: Pages) -> Option<usize> {
        debug_assert!(addr.is_aligned(PAGE_SIZE));
        // Below the base this wraps to a number above every window.
        let page = addr.0.wrapping_sub(self.base.0) >> PAGE_SHIFT;
        let room = self.tree.pages().checked_sub(page)?;
        (pages.0 != 0 && pages.0 <= room).then_some(page)
    }

    /// Returns what [`PageAlloc::range`] returns, if all the pages are the heap's.
    #[inline]
    pub(super) fn grown_range(&self, addr: Addr, pages: Pages) -> Option<usize> {
        let page = self.range(addr, pages)?;
        let last = page + (pages.0 - 1);
        self.tree.all_grown(page >> CHUNK_LOG, last >> CHUNK_LOG).then_some(page)
    }

    /// Returns the number of the first page at or above `addr`. It may lie outside the window.
    pub(super) fn page_at_or_above(&self, addr: Addr) -> usize {
        addr.0.saturating_sub(self.base.0).div_ceil(PAGE_SIZE)
    }

    /// Returns the lowest run of `n` free pages. Updates [`PageAlloc::lowest`].
    #[inline]
    pub(super) fn find(&mut self, n: usize) -> Option<usize> {
        if n == 0 || self.lowest() == NO_PAGE {
            return None;
        }
        if let Some(page) = self.find_near(n) {
            return Some(page);
        }
        match self.tree.find(n, self.lowest()) {
            Some(FoundRun { page, lowest }) => {
                self.set_lowest(self.lowest().max(lowest));
                Some(page)
            }
            None => {
                if n == 1 {
                    self.set_lowest(NO_PAGE);
                }
                None
            }
        }
    }

    /// Returns the lowest run of `n` free pages, if it lies in the chunk where searches begin.
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

    /// Takes `n` pages from `page` up, all free. Returns how many were released.
    #[inline]
    pub(super) fn take(&mut self, page: usize, n: usize) -> usize {
        let released = pieces(page, n).map(|(c, i, n)| self.tree.chunk_mut(c).take(i, n)).sum();
        let last = page + n - 1;
        self.tree.refresh(page >> CHUNK_LOG, last >> CHUNK_LOG, Summary::FULL);
        released
    }

    /// Updates the summaries and [`PageAlloc::lowest`] after `n` pages from `page` up became free.
    #[inline]
    pub(super) fn refresh_freed(&mut self, page: usize, n: usize) {
        let last = page + n - 1;
        self.tree.refresh(page >> CHUNK_LOG, last >> CHUNK_LOG, Summary::free(CHUNK_LOG));
        self.set_lowest(self.lowest().min(page));
    }

    /// Takes all free pages of the aligned block of 64 that holds the lowest run of `n` free pages. Returns
    /// the block's first page, the taken pages, and which of them were released. Returns `None` if the run
    /// crosses two blocks.
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
            // The block's last page, not the next one, whose chunk may not be grown.
            self.set_lowest(self.lowest().max(block + WORD - 1));
        }
        Some((block, pages, released))
    }

    /// Gives back `pages` of the block of 64 at `addr`, of which `released` are released.
    pub(super) fn free_block(&mut self, addr: Addr, pages: u64, released: u64) {
        let Some(page) = self.grown_range(addr, Pages(WORD)) else {
            debug_assert!(false, "page: flush of pages outside of the heap, at {addr:?}");
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

/// Splits a run of pages at chunk borders. Yields the chunk, the index of the first page in it, and the
/// number of pages.
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
