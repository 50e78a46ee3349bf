//! The page map: from an address to its span, in two loads and an addition.

use core::cell::Cell;
use core::ptr::null;
use core::sync::atomic::{AtomicUsize, Ordering, fence};

use super::record::Span;
use crate::arch;
use crate::config::{ARENA_SIZE, MIN_ALIGN};
use crate::os::{Os, OsError, Window};
use crate::units::{Addr, MIB, PAGE_SHIFT, PAGE_SIZE, PageNumber, Pages, align_up};
use crate::vm::Vm;

/// How far a span's record lies from the map's first entry. Zero, which sparse memory reads as, is the
/// first entries themselves, which are the record of no span, so that a lookup need not ask whether it found something.
type Delta = AtomicUsize;

/// Entries that are the record of no span instead of standing for pages: they stay zero. The pages that they would stand
/// for may be asked for like any other.
const HEAD: usize = size_of::<Span>() / size_of::<Delta>();

/// [`MIN_ALIGN`]-sized granules of a page, as a power of two.
const GRANULE_SHIFT: u32 = PAGE_SHIFT - MIN_ALIGN.trailing_zeros();

/// How many bytes more than are needed the map grows by: entries for a gibibyte, or in a small window for a part of it.
const AHEAD: usize = MIB;
const AHEAD_SHARE: usize = 64;

/// Where a page map lies: an entry of eight bytes for each page, which holds how far the record of the page's span lies
/// from the first entry, or zero.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct MapOffsets {
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
    entries: Cell<*const Delta>,
    /// The page that the first entry stands for, or would. Written once, by `boot`.
    first: Cell<usize>,
    /// How many granules the map covers. Zero until `boot`, so that every lookup before finds nothing. It grows before a
    /// page of the heap is handed out that it has not covered.
    granules: Cell<usize>,
    /// How many bytes of the map are there. Protected by the page heap's lock.
    covered: Cell<usize>,
    /// How many entries it may come to have. Written once, by `boot`.
    length: Cell<usize>,
}

// SAFETY: the fields are written under the boot lock or the page heap's before the first address that they are needed for
// is handed out, and an address to look up comes from an allocation: whoever has one has synchronised with whoever got it.
// An address that does not is misuse; on what it meets while the map is being made, or grows, there is no promise but that
// each field is a word, which is read whole: the bound of a moment ago, below which the map is readable too. An atomic load
// would be as good, but compilers do not compare where it lies, which costs an instruction in each free.
unsafe impl Sync for PageMap {}
// SAFETY: nothing in a map belongs to a thread.
unsafe impl Send for PageMap {}

impl PageMap {
    /// A map that finds nothing.
    #[allow(clippy::new_without_default, reason = "a const constructor is the only one wanted")]
    pub const fn new() -> PageMap {
        PageMap {
            entries: Cell::new(null()),
            first: Cell::new(0),
            granules: Cell::new(0),
            covered: Cell::new(0),
            length: Cell::new(0),
        }
    }

    /// Reserves the map of `window`, or where the home has a place for that, the part that leads to its first pages. Called
    /// by `boot`, until it succeeds once.
    pub fn init<O: Os>(&self, vm: &Vm<O>, window: Window) -> Result<(), OsError> {
        let end = window.base.plus(window.size).page().0;
        let first = if O::SPARSE_FROM_ZERO { 0 } else { window.base.page().0.wrapping_sub(HEAD) };
        debug_assert!(window.base.page().0 >= HEAD || !O::SPARSE_FROM_ZERO);
        let len = end.wrapping_sub(first);
        // One physical page more, so that rounding outward stays inside.
        let physical = vm.os().physical_page_size();
        let size = align_up(len * size_of::<Delta>(), physical) + physical;
        self.first.set(first);
        self.length.set(len);
        self.covered.set(0);
        if let Some(list_state) = vm.os().sparse_place() {
            self.entries.set(list_state.ptr());
            match self.extend(vm, window.base.page().0.wrapping_sub(first) + 1) {
                // Somebody has the place.
                Err(OsError::Taken) => {}
                done => return done,
            }
        }
        let entries = vm.sparse_map(size)?;
        self.entries.set(entries.ptr());
        self.cover(size);
        Ok(())
    }

    /// Makes the map cover at least its first `entries` entries: by a piece behind what there is. The caller holds the page
    /// heap's lock, or is `boot`.
    fn extend<O: Os>(&self, vm: &Vm<O>, entries: usize) -> Result<(), OsError> {
        let (covered, physical) = (self.covered.get(), vm.os().physical_page_size());
        let wanted = align_up(entries * size_of::<Delta>(), physical);
        let at = Addr::of(self.entries.get()).plus(covered);
        // Some more, so that it is seldom done; where there is no memory for that, what is needed.
        let ahead = AHEAD.min(self.length.get() * size_of::<Delta>() / AHEAD_SHARE);
        let more = align_up(wanted + ahead, physical);
        let end = vm.sparse_map_at(at, more - covered).map(|()| more).or_else(|e| match e {
            OsError::OutOfMemory => vm.sparse_map_at(at, wanted - covered).map(|()| wanted),
            e => Err(e),
        })?;
        self.cover(end);
        Ok(())
    }

    /// Says that the map is readable up to `end`, in bytes.
    fn cover(&self, end: usize) {
        self.covered.set(end);
        let entries = (end / size_of::<Delta>()).min(self.length.get());
        // Last, for whoever looks up what is no object meanwhile.
        fence(Ordering::Release);
        self.granules.set(entries << GRANULE_SHIFT);
    }

    /// The span of `addr`: [`Span::is_dummy`] where no span is. `None` where `addr` is not aligned to
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

    /// As [`PageMap::lookup`], if the span's token is `thread_id`, of a thread that runs. `None`: it is another, or the
    /// lookup finds none.
    #[inline(always)]
    pub fn lookup_of<O: Os>(&self, addr: Addr, thread_id: usize) -> Option<&Span> {
        let granule = self.distance_from_first::<O>(addr).rotate_right(MIN_ALIGN.trailing_zeros());
        if granule >= self.granules.get() {
            return None;
        }
        // SAFETY: the index is inside the map.
        unsafe { self.with_thread_id(granule >> GRANULE_SHIFT, thread_id) }
    }

    /// As [`PageMap::lookup_of`], for an address of a live object: the map has it.
    ///
    /// # Safety
    /// `addr` is the address of a live object.
    #[inline(always)]
    pub unsafe fn lookup_live_of<O: Os>(&self, addr: Addr, thread_id: usize) -> Option<&Span> {
        // SAFETY: the pages of objects are inside the map.
        unsafe { self.with_thread_id(self.distance_from_first::<O>(addr) >> PAGE_SHIFT, thread_id) }
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

    /// The record of an entry, if its token is `thread_id`.
    ///
    /// # Safety
    /// The index is inside the map.
    #[inline(always)]
    unsafe fn with_thread_id(&self, index: usize, thread_id: usize) -> Option<&Span> {
        // SAFETY: the index is inside the map. A record's first word is its token.
        unsafe {
            let distance = self.distance(index);
            let same = arch::is_word(self.entries.get().cast(), distance, thread_id);
            same.then(|| self.record(distance))
        }
    }

    /// Makes the entries of `[start, start + size)` writable; they read as nothing before and after.
    ///
    /// The range lies inside the window. The caller holds the page heap's lock.
    pub fn grow<O: Os>(&self, vm: &Vm<O>, start: Addr, size: usize) -> Result<(), OsError> {
        // The arena as a whole, since a reader in another process looks at all of it.
        let end = start.plus(size).align_up(ARENA_SIZE).page().0.wrapping_sub(self.first.get()).min(self.length.get());
        if end * size_of::<Delta>() > self.covered.get() {
            self.extend(vm, end)?;
        }
        let from = self.entry(start.page());
        let bytes = (size / PAGE_SIZE) * size_of::<Delta>();
        // SAFETY: the entries of pages of the window lie inside the sparse range.
        unsafe { vm.sparse_map_ready(Addr::of(from), bytes) }
    }

    /// Where the map lies: for a reader in another process. After `boot`.
    pub fn offsets(&self) -> MapOffsets {
        MapOffsets {
            entries: Addr::of(self.entries.get()).0 as u64,
            first: self.first.get() as u64,
            length: self.length.get() as u64,
        }
    }

    fn entry(&self, page: PageNumber) -> *const Delta {
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
