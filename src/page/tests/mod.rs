//! Tests of the page allocator, and the memory that they run it on.

use super::{Backing, CHUNK_BYTES, PageAlloc, Pages};
use crate::units::{Addr, PAGE_SIZE, align_down, align_up};
use rustix::mm::{MapFlags, MprotectFlags, ProtFlags, mmap_anonymous, mprotect, munmap};
use std::vec::Vec;

mod model;
mod rows;
mod small;

/// The physical page to which the backing rounds.
const PHYSICAL: usize = 4096;

/// Tables that fault if they are touched before they are ready.
#[derive(Default)]
struct Mapped {
    reservations: Vec<(Addr, usize)>,
    /// How many more calls of `ready` succeed.
    left: Option<usize>,
    /// The calls of `ready`.
    calls: Vec<(Addr, usize)>,
}

#[derive(Debug, PartialEq, Eq, Clone, Copy)]
struct OutOfMemory;

// SAFETY: each reservation is a mapping of its own, unmapped only with the whole backing. `ready` opens whole
// pages of it, which are zero when first touched.
unsafe impl Backing for Mapped {
    type Error = OutOfMemory;

    fn reserve(&mut self, bytes: usize) -> Option<Addr> {
        let bytes = align_up(bytes.max(1), PHYSICAL);
        let flags = MapFlags::PRIVATE | MapFlags::NORESERVE;
        // SAFETY: a new mapping at an address that Linux chooses.
        let at = unsafe { mmap_anonymous(core::ptr::null_mut(), bytes, ProtFlags::empty(), flags).ok()? };
        self.reservations.push((Addr::of(at), bytes));
        Some(Addr::of(at))
    }

    fn ready(&mut self, addr: Addr, bytes: usize) -> Result<(), OutOfMemory> {
        self.calls.push((addr, bytes));
        match &mut self.left {
            Some(0) => return Err(OutOfMemory),
            Some(n) => *n -= 1,
            None => {}
        }
        let inside =
            |&(at, size): &(Addr, usize)| addr >= at && addr.since(at) <= size && bytes <= size - addr.since(at);
        assert!(self.reservations.iter().any(inside), "ready outside of every reservation");
        let (lo, hi) = (align_down(addr.0, PHYSICAL), align_up(addr.0 + bytes, PHYSICAL));
        let open = MprotectFlags::READ | MprotectFlags::WRITE;
        // SAFETY: a part of one of this backing's mappings.
        unsafe { mprotect(Addr(lo).ptr(), hi - lo, open) }.map_err(|_| OutOfMemory)
    }
}

impl Drop for Mapped {
    fn drop(&mut self) {
        for &(at, bytes) in &self.reservations {
            // SAFETY: one of this backing's mappings. The `World` that used it is gone.
            unsafe { munmap(at.ptr(), bytes) }.expect("munmap");
        }
    }
}

/// A page allocator and its memory. The allocator is dropped first.
struct World<const LEVELS: usize> {
    heap: PageAlloc<LEVELS>,
    backing: Mapped,
    base: Addr,
}

/// An address in user space like those that Linux gives. The tests are for a 64-bit host.
const BASE: Addr = Addr(0xc0_0000_0000);

impl<const LEVELS: usize> World<LEVELS> {
    /// Returns a window of `size` bytes without grown chunks.
    fn new(base: Addr, size: usize) -> Self {
        let mut heap = PageAlloc::new();
        let mut backing = Mapped::default();
        heap.init(&mut backing, base, size).expect("address space for the tables");
        World { heap, backing, base }
    }

    /// Returns a window of `window` chunks, of which those listed are grown.
    fn with_chunks(window: usize, grown: &[usize]) -> Self {
        let mut world = Self::new(BASE, window * CHUNK_BYTES);
        for &c in grown {
            world.grow(c, 1);
        }
        world
    }

    fn grow(&mut self, chunk: usize, n: usize) {
        let at = self.base.plus(chunk * CHUNK_BYTES);
        self.heap.grow(&mut self.backing, at, n * CHUNK_BYTES).expect("growth");
    }

    /// Returns the address of page `i` of chunk `c`.
    fn at(&self, c: usize, i: usize) -> Addr {
        self.base.plus(c * CHUNK_BYTES + i * PAGE_SIZE)
    }

    /// Returns the page number of `addr` in the window.
    fn page(&self, addr: Addr) -> usize {
        addr.since(self.base) / PAGE_SIZE
    }

    /// Takes exactly these pages, which must be free.
    fn take(&mut self, c: usize, i: usize, n: usize) {
        let at = self.at(c, i);
        assert!(self.heap.alloc_range_at(at, Pages(n)).is_some(), "take ({c}, {i}, {n})");
    }

    fn check(&self) {
        assert!(self.heap.is_valid(), "the page allocator is not valid");
    }
}
