//! The page allocator: it knows which pages of the heap are free and finds the lowest run of `n` free pages.
//!
//! **What it is.** Each page has two bits, taken and resident. They are kept in chunks of 512 pages (4 MiB).
//! A tree of summaries lies over the chunks. A summary holds three lengths in pages: the free run at the
//! start, the longest free run, the free run at the end. A search reads a few cache lines. The design follows
//! the page allocator of the Go runtime (mpagealloc.go, mpallocbits.go, mpagecache.go). Five levels cover
//! 2^47 bytes. With one level, the flat form for 32-bit address spaces, the root holds the chunks' summaries.
//!
//! **Who calls it.** The page heap. It owns one [`PageAlloc`] and gives each thread's cache a few
//! [`PageCache`]s. The page heap also implements [`Backing`], which provides the memory of the tables.
//!
//! **What it may not do.** It takes no lock. The caller holds the page heap's lock around every call on a
//! [`PageAlloc`]. A [`PageCache`] belongs to one thread's cache; only [`PageCache::flush`] and
//! [`PageCache::give_back`] need the lock. It makes no system call. It takes memory only through `Backing`,
//! in `init` and `grow`. Its stack is bounded: only [`PageAlloc::is_valid`] recurses, once per level. It
//! never touches the pages that it manages.
//!
//! **Invariants.** A summary equals the merge of the bits below it. No free page lies below the address where
//! a search begins. A taken page is resident. Only table entries that were made ready are read; the `GROWN`
//! bits of the summaries above an entry say that it is. [`PageAlloc::is_valid`] checks all of these but the
//! last.

mod alloc;
mod cache;
mod chunk;
mod hints;
mod layout;
mod peek;
mod release;
mod summary;
mod table;
mod tree;

#[cfg(test)]
mod tests;

use crate::units::{Addr, Pages};

pub use alloc::{FlatPageAlloc, PageAlloc, PageOffsets, WidePageAlloc};
pub use cache::{CACHE_PAGES, PageCache};
pub use chunk::{CHUNK_BYTES, CHUNK_PAGES};
pub use release::Release;

/// Provides the memory of the tables.
///
/// # Safety
///
/// - `reserve` returns an address aligned to 64. From then on nothing else uses the range.
/// - Once `ready` has returned `Ok` for a part of the range, every byte of the part can be read and written
///   for as long as the [`PageAlloc`] is used. Bytes that no earlier successful call covered are zero. The
///   others keep their values.
pub unsafe trait Backing {
    /// The reason why no memory was available.
    type Error;

    /// Reserves `bytes` of address space, or returns `None`. Called once, in [`PageAlloc::init`].
    fn reserve(&mut self, bytes: usize) -> Option<Addr>;

    /// Makes the `bytes` from `addr` on, a part of the reserved range, readable and writable. `addr` and
    /// `bytes` need no alignment. Bytes that are ready already keep their values. Called only in
    /// [`PageAlloc::grow`].
    fn ready(&mut self, addr: Addr, bytes: usize) -> Result<(), Self::Error>;
}

/// The address space for the tables could not be reserved.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NoAddressSpace;

/// The reason why the heap did not grow. The heap is unchanged.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum GrowError<E> {
    /// The range is empty, is not a whole number of chunks, lies outside the window, or overlaps the heap.
    Range,
    /// `Backing` provided no memory for the tables.
    Backing(E),
}

/// Which free pages [`PageAlloc::take_for_release`] may take together.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ReleaseShape {
    /// The maximum length. A run that would split a huge page may be longer.
    pub at_most: Pages,
    /// The physical page, or 1 if it is smaller than a page. A power of two, at most 64. A run begins and
    /// ends at a multiple of it.
    pub unit: Pages,
    /// The huge page, or 0 if there are none. A huge page that is wholly free is released as a whole.
    pub huge: Pages,
}
