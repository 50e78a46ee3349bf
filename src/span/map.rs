//! The page map: from an address to its span, in two loads and an addition.

use core::cell::Cell;
use core::ptr::null;
use core::sync::atomic::{AtomicUsize, Ordering, fence};

use super::record::Span;
use crate::arch;
use crate::config::MIN_ALIGN;
use crate::os::{Os, OsError, Window};
use crate::units::{Addr, PAGE_SHIFT, PAGE_SIZE, PageNumber, Pages, align_up};
use crate::vm::Vm;

/// How far a span's record lies from the map's first entry. Zero, which sparse memory reads as, is the
/// first entries themselves, which are the record of no span, so that a lookup need not ask whether it found something.
type Entry = AtomicUsize;

/// Entries that are the record of no span instead of standing for pages: they stay zero. The pages that they would stand
/// for may be asked for like any other.
const HEAD: usize = size_of::<Span>() / size_of::<Entry>();

/// [`MIN_ALIGN`]-sized granules of a page, as a power of two.
const GRANULE_SHIFT: u32 = PAGE_SHIFT - MIN_ALIGN.trailing_zeros();

/// Where a page map lies: an entry of eight bytes for each page, which holds how far the record of the page's span lies
/// from the first entry, or zero.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct MapPlaces {
    /// The address of the first entry.
    pub entries: u64,
    /// The number of the page that it stands for.
    pub first: u64,
    /// How many entries there are.
    pub length: u64,
}

/// One entry for each page of the window, in sparse memory.
///
/// Where the home can reserve for every address from zero up, the map starts at address zero, and one
/// comparison rules out every address beyond it. The first pages, whose entries are the head, are never a
/// heap's.
pub struct PageMap {
    /// The first entry. Written once, by `boot`.
    entries: Cell<*const Entry>,
    /// The page that the first entry stands for, or would. Written once, by `boot`.
    first: Cell<usize>,
    /// How many granules the map covers. Zero until `boot`, so that every lookup before finds nothing. Written once, by
    /// `boot`, last.
    granules: Cell<usize>,
}

// SAFETY: `boot` writes the fields under its lock before the first allocation returns, and an address to look up comes
// from an allocation: whoever has one has synchronised with whoever got it. An address that does not is misuse; on what
// it meets while the map is being made there is no promise but that each field is a word, which is read whole.
unsafe impl Sync for PageMap {}
// SAFETY: nothing in a map belongs to a thread.
unsafe impl Send for PageMap {}

impl PageMap {
    /// A map that finds nothing.
    #[allow(clippy::new_without_default, reason = "a const constructor is the only one wanted")]
    pub const fn new() -> PageMap {
        PageMap { entries: Cell::new(null()), first: Cell::new(0), granules: Cell::new(0) }
    }

    /// Reserves the map of `window`. Called by `boot`, until it succeeds once.
    pub fn init<O: Os>(&self, vm: &Vm<O>, window: Window) -> Result<(), OsError> {
        let end = window.base.plus(window.size).page().0;
        let first = if O::SPARSE_FROM_ZERO { 0 } else { window.base.page().0.wrapping_sub(HEAD) };
        debug_assert!(window.base.page().0 >= HEAD || !O::SPARSE_FROM_ZERO);
        let len = end.wrapping_sub(first);
        // One physical page more, so that rounding outward stays inside.
        let physical = vm.os().physical_page_size();
        let size = align_up(len * size_of::<Entry>(), physical) + physical;
        let entries = vm.sparse_map(size)?;
        self.entries.set(entries.ptr());
        self.first.set(first);
        // Last, for whoever looks up what is no object meanwhile.
        fence(Ordering::Release);
        self.granules.set(len << GRANULE_SHIFT);
        Ok(())
    }

    /// The span of `addr`: [`Span::is_nothing`] where no span is. `None` where `addr` is not aligned to
    /// [`MIN_ALIGN`] or beyond the map. Any address may be asked for.
    ///
    /// The low bits are rotated to the top, so that one comparison sees both.
    #[inline(always)]
    pub fn lookup<O: Os>(&self, addr: Addr) -> Option<&Span> {
        let granule = self.distance_from_first::<O>(addr).rotate_right(MIN_ALIGN.trailing_zeros());
        if granule >= self.granules.get() {
            return None;
        }
        // SAFETY: the index is inside the map.
        Some(unsafe { self.record(self.distance(granule >> GRANULE_SHIFT)) })
    }

    /// As [`PageMap::lookup`], if the span's token is `token`, of a thread that runs. `None`: it is another, or the
    /// lookup finds none.
    #[inline(always)]
    pub fn lookup_of<O: Os>(&self, addr: Addr, token: usize) -> Option<&Span> {
        let granule = self.distance_from_first::<O>(addr).rotate_right(MIN_ALIGN.trailing_zeros());
        if granule >= self.granules.get() {
            return None;
        }
        // SAFETY: the index is inside the map.
        unsafe { self.with_token(granule >> GRANULE_SHIFT, token) }
    }

    /// As [`PageMap::lookup_of`], for an address of a live object: the map has it.
    ///
    /// # Safety
    /// `addr` is the address of a live object.
    #[inline(always)]
    pub unsafe fn lookup_live_of<O: Os>(&self, addr: Addr, token: usize) -> Option<&Span> {
        // SAFETY: the pages of objects are inside the map.
        unsafe { self.with_token(self.distance_from_first::<O>(addr) >> PAGE_SHIFT, token) }
    }

    /// How far `addr` lies from the page that the first entry stands for.
    #[inline(always)]
    fn distance_from_first<O: Os>(&self, addr: Addr) -> usize {
        if O::SPARSE_FROM_ZERO { addr.0 } else { addr.0.wrapping_sub(self.first.get() << PAGE_SHIFT) }
    }

    /// What an entry holds.
    ///
    /// # Safety
    /// The index is inside the map.
    #[inline(always)]
    unsafe fn distance(&self, index: usize) -> usize {
        // SAFETY: all of the map is readable.
        unsafe { (*self.entries.get().add(index)).load(Ordering::Relaxed) }
    }

    /// The record that an entry leads to.
    ///
    /// # Safety
    /// An entry of the map holds `distance`.
    #[inline(always)]
    unsafe fn record(&self, distance: usize) -> &Span {
        // SAFETY: it leads to a record: of a span, which lives in memory that only ever holds records, or of nothing.
        unsafe {
            let span = Addr(self.entries.get().expose_provenance().wrapping_add(distance)).ptr::<Span>();
            // Said, because the compiler cannot see it and would ask again.
            core::hint::assert_unchecked(!span.is_null());
            &*span
        }
    }

    /// The record of an entry, if its token is `token`.
    ///
    /// # Safety
    /// The index is inside the map.
    #[inline(always)]
    unsafe fn with_token(&self, index: usize, token: usize) -> Option<&Span> {
        // SAFETY: the index is inside the map. A record's first word is its token.
        unsafe {
            let distance = self.distance(index);
            let same = arch::is_word(self.entries.get().cast(), distance, token);
            same.then(|| self.record(distance))
        }
    }

    /// Makes the entries of `[start, start + size)` writable; they read as nothing before and after.
    ///
    /// The range lies inside the window.
    pub fn grow<O: Os>(&self, vm: &Vm<O>, start: Addr, size: usize) -> Result<(), OsError> {
        let from = self.entry(start.page());
        let bytes = (size / PAGE_SIZE) * size_of::<Entry>();
        // SAFETY: the entries of pages of the window lie inside the sparse range.
        unsafe { vm.sparse_map_ready(Addr::of(from), bytes) }
    }

    /// Where the map lies: for a reader in another process. After `boot`.
    pub fn places(&self) -> MapPlaces {
        MapPlaces {
            entries: Addr::of(self.entries.get()).0 as u64,
            first: self.first.get() as u64,
            length: (self.granules.get() >> GRANULE_SHIFT) as u64,
        }
    }

    fn entry(&self, page: PageNumber) -> *const Entry {
        let index = page.0.wrapping_sub(self.first.get());
        debug_assert!(index >= HEAD && index < self.granules.get() >> GRANULE_SHIFT);
        self.entries.get().wrapping_add(index)
    }

    /// Says that `pages` pages from `start` belong to `span`; `None`: to none.
    ///
    /// # Safety
    /// The pages were grown into the map, and are the caller's.
    pub unsafe fn set(&self, start: PageNumber, pages: Pages, span: Option<&Span>) {
        let first = self.entry(start);
        let base = self.entries.get().addr();
        let distance = span.map_or(0, |span| Addr::of(span).0.wrapping_sub(base));
        for i in 0..pages.0 {
            // Release: the record is written before the map leads to it.
            // SAFETY: the entries were made writable by `grow`.
            unsafe { (*first.add(i)).store(distance, Ordering::Release) };
        }
    }
}
