//! The bits of one chunk: which of its pages are taken, and which are resident.

use super::ReleaseShape;
use super::summary::Summary;
use super::table::Record;
use crate::bits::{BITS, PageBits};

/// Binary logarithm of [`CHUNK_PAGES`].
pub(super) const CHUNK_LOG: u32 = 9;
/// Pages of a chunk.
pub const CHUNK_PAGES: usize = 1 << CHUNK_LOG;
/// Bytes of a chunk. The heap grows by multiples of it.
pub const CHUNK_BYTES: usize = crate::units::Pages(CHUNK_PAGES).bytes();

const _: () = assert!(CHUNK_PAGES == BITS, "one bit per page of a chunk");
const _: () = assert!(size_of::<Chunk>() == 128, "two cache lines per chunk");

/// Two bits for each page.
///
/// The second bit says resident rather than released, so that zeroed memory is a fresh chunk: all free, all
/// released. Growing the heap therefore touches no chunk, and the bitmaps of a large heap with few used pages
/// take little memory.
///
/// A taken page is resident: taking a page sets its resident bit, and only free pages are released.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub(super) struct Chunk {
    /// Set for a page that a span or a page cache has, or that is being released.
    taken: PageBits,
    /// Set for a page that is not released.
    resident: PageBits,
}

// SAFETY: two arrays of words, for which zero is a valid value.
unsafe impl Record for Chunk {}

impl Chunk {
    /// The offsets of `taken` and `resident` in bytes.
    pub(super) const OFFSETS: (usize, usize) =
        (core::mem::offset_of!(Chunk, taken), core::mem::offset_of!(Chunk, resident));

    /// Returns the free runs.
    #[inline]
    pub(super) fn summary(&self) -> Summary {
        let runs = self.taken.zero_runs();
        Summary::new(runs.start, runs.max, runs.end)
    }

    /// Returns the bits of taken pages.
    #[inline]
    pub(super) fn taken(&self) -> &PageBits {
        &self.taken
    }

    /// Takes `n` pages from `i` up, all free. Returns how many were released.
    #[inline]
    pub(super) fn take(&mut self, i: usize, n: usize) -> usize {
        debug_assert_eq!(self.taken.count_range(i, n), 0, "page: taken twice");
        if n == BITS {
            // Fast case for objects of gigabytes, which take nearly all of their chunks whole.
            let released = self.released_in(i, n);
            *self = Chunk { taken: PageBits::FULL, resident: PageBits::FULL };
            return released;
        }
        let released = self.released_in(i, n);
        self.taken.set_range(i, n);
        if released != 0 {
            self.resident.set_range(i, n);
        }
        released
    }

    /// Gives back `n` pages from `i` up, all taken.
    #[inline]
    pub(super) fn free(&mut self, i: usize, n: usize) {
        debug_assert_eq!(self.taken.count_range(i, n), n, "page: freed while free");
        if n == BITS {
            self.taken = PageBits::EMPTY;
            return;
        }
        self.taken.clear_range(i, n);
    }

    /// Marks `n` free pages from `i` up released.
    #[inline]
    pub(super) fn set_released(&mut self, i: usize, n: usize) {
        debug_assert_eq!(self.taken.count_range(i, n), 0, "page: released while taken");
        self.resident.clear_range(i, n);
    }

    /// Marks `n` pages from `i` up resident.
    #[inline]
    pub(super) fn clear_released(&mut self, i: usize, n: usize) {
        self.resident.set_range(i, n);
    }

    /// Returns how many of the `n` pages from `i` up are released.
    #[inline]
    pub(super) fn released_in(&self, i: usize, n: usize) -> usize {
        if n == BITS && self.resident.is_all(0) {
            return n;
        }
        if n == BITS && self.resident.is_all(u64::MAX) {
            return 0;
        }
        n - self.resident.count_range(i, n)
    }

    /// Takes every free page of the block of 64 that holds page `i`. Returns the taken pages and those of
    /// them that were released.
    #[inline]
    pub(super) fn take_block(&mut self, i: usize) -> (u64, u64) {
        let pages = !self.taken.block(i);
        let released = pages & !self.resident.block(i);
        self.taken.set_in_block(i, pages);
        self.resident.set_in_block(i, pages);
        (pages, released)
    }

    /// Gives back `pages` of the block of 64 that holds page `i`, all taken. `released` of them were released
    /// before they were taken and have not been used since.
    #[inline]
    pub(super) fn free_block(&mut self, i: usize, pages: u64, released: u64) {
        debug_assert_eq!(self.taken.block(i) & pages, pages, "page: freed while free");
        debug_assert_eq!(released & !pages, 0);
        self.taken.clear_in_block(i, pages);
        self.resident.clear_in_block(i, released);
    }

    /// Returns the free resident pages, as zeros among ones.
    #[inline]
    fn unreleased(&self) -> PageBits {
        self.taken.zip(&self.resident, |taken, resident| taken | !resident)
    }

    /// Returns the start and the length of the lowest run of free resident pages at or above `from`, of at
    /// most `at_most`.
    pub(super) fn first_unreleased(&self, from: usize, at_most: usize) -> Option<(usize, usize)> {
        let bits = self.unreleased();
        let start = bits.find_zeros(1, from)?.start;
        let mut n = 1;
        while n < at_most && start + n < BITS && !bits.get(start + n) {
            n += 1;
        }
        Some((start, n))
    }

    /// Returns the start and the length of the highest run of free resident pages that fits `want`.
    pub(super) fn last_releasable(&self, want: ReleaseShape) -> Option<(usize, usize)> {
        let unit = want.unit.0;
        let mut bits = self.unreleased();
        bits.spread(unit);
        let (low, n) = bits.last_zeros()?;
        let end = low + n;
        let most = (want.at_most.0 & !(unit - 1)).max(unit);
        let mut start = end - n.min(most);
        // A wholly free huge page is released whole. Releasing a part would split it and leave the rest in
        // small pages.
        let huge = want.huge.0;
        if huge > unit && huge <= BITS && start.next_multiple_of(huge) <= end {
            let below = start & !(huge - 1);
            if below >= low {
                start = below;
            }
        }
        Some((start, end - start))
    }

    /// Returns how many pages are free and resident, and how many are free and released.
    pub(super) fn count(&self) -> (usize, usize) {
        let resident = self.unreleased().count();
        let taken = self.taken.count();
        (BITS - resident, resident - taken)
    }

    /// Returns whether every taken page is resident.
    pub(super) fn is_valid(&self) -> bool {
        self.taken.zip(&self.resident, |taken, resident| taken & !resident) == PageBits::EMPTY
    }
}
