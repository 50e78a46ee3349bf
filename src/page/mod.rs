//! The page allocator: which pages of the heap are free, and where the first run of
//! enough of them is.
//!
//! **What it is.** Two bits for each page, taken and resident, in chunks of 512 pages
//! (4 MiB), and over the chunks a tree of summaries (the free run at the start, the
//! longest, the one at the end) that finds the lowest run of any length in a few cache
//! lines. After the Go runtime's page allocator (mpagealloc.go, mpallocbits.go,
//! mpagecache.go). Five levels cover 2^47 bytes; with one level the root is the chunks'
//! level, the flat form for 32-bit.
//!
//! **Who calls it.** The page heap, which owns one [`PageAlloc`] and gives every cache some
//! of [`PageCache`]; the scavenger, through the page heap. Memory for the tables comes from
//! a [`Backing`] that the page heap hands in.
//!
//! **What it may not do.** It takes no lock: the page heap's lock is held around every
//! call on a [`PageAlloc`]; a [`PageCache`] belongs to one cache, and only
//! [`PageCache::flush`] needs that lock. It allocates nothing but through `Backing`, and
//! only in `init` and `grow`; makes no system call itself. Its stack is small and bounded:
//! nothing recurses but [`PageAlloc::is_valid`], once per level. It never touches the pages
//! that it manages.
//!
//! **Invariants.** A summary is what the bits below it make it. No free page lies below
//! the place where a search begins. A taken page is resident. A table entry is read only
//! if it was made ready; the marks in the summaries above it say so. [`PageAlloc::is_valid`]
//! checks all but the last.

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

pub use alloc::{PageAlloc, PageOffsets};
pub use cache::{CACHE_PAGES, PageCache};
pub use chunk::CHUNK_PAGES;
pub use release::Release;

/// The page allocator of a 64-bit address space.
pub type WidePageAlloc = PageAlloc<5>;
/// The page allocator of a 32-bit address space.
pub type FlatPageAlloc = PageAlloc<1>;

/// Bytes of a chunk. The heap grows by multiples of it.
pub const CHUNK_BYTES: usize = Pages(CHUNK_PAGES).bytes();

/// Where the memory of the tables comes from.
///
/// # Safety
///
/// - `reserve` gives an address, aligned to 64, of a range that nobody else uses from
///   then on, or `None`.
/// - Once `ready` has returned `Ok` for a part of such a range, every byte of the part
///   can be read and written, for as long as the [`PageAlloc`] that asked is used. Bytes
///   that no earlier successful call covered are zero, or were made so; the others keep
///   their value.
pub unsafe trait Backing {
    /// Why no memory could be had.
    type Error;

    /// Reserves `bytes` of address space. Called once, in [`PageAlloc::init`].
    fn reserve(&mut self, bytes: usize) -> Option<Addr>;

    /// Makes `bytes` from `addr`, a part of the reserved range, readable and writable.
    /// Neither needs to be a multiple of anything. Parts that are ready already stay as
    /// they are. Called only in [`PageAlloc::grow`].
    fn ready(&mut self, addr: Addr, bytes: usize) -> Result<(), Self::Error>;
}

/// The address space for the tables could not be reserved.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NoAddressSpace;

/// Why the heap did not grow. It is as it was.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum GrowError<E> {
    /// The range is empty, not of whole chunks, not in the window, or in part the heap's
    /// already.
    Range,
    /// Memory for the tables could not be had.
    Backing(E),
}

/// Which free pages may be released together.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ReleaseShape {
    /// At most so many pages; a run that would split a huge page may be longer.
    pub at_most: Pages,
    /// The physical page, or 1 where that is smaller than a page: a power of two, at
    /// most 64. A run begins and ends at a multiple of it.
    pub unit: Pages,
    /// The huge page, or 0 where there are none. One that is free as a whole is not
    /// released in part.
    pub huge: Pages,
}
