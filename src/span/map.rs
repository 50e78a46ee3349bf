//! The page map: finds the span of an address by two loads and an addition.

use core::cell::Cell;
use core::ptr::null;
use core::sync::atomic::{AtomicUsize, Ordering, fence};

use super::record::Span;
use crate::arch;
use crate::config::{ARENA_SIZE, MIN_ALIGN};
use crate::os::{Os, OsError, Window};
use crate::units::{Addr, MIB, PAGE_SHIFT, PAGE_SIZE, PageNumber, Pages, align_up};
use crate::vm::Vm;

/// The distance in bytes from the map's first entry to a span's record. An untouched entry of the sparse
/// memory reads 0. That is the distance to the first entries themselves, which stay zero and are the dummy
/// record. So a lookup needs no null check.
type MapEntry = AtomicUsize;

/// The first entries, which serve as the dummy record and stay zero. Addresses in their pages may be looked
/// up like any other.
const HEAD: usize = size_of::<Span>() / size_of::<MapEntry>();

/// Binary logarithm of the [`MIN_ALIGN`]-sized granules of a page.
const GRANULE_SHIFT: u32 = PAGE_SHIFT - MIN_ALIGN.trailing_zeros();

/// How many bytes the map grows by beyond what is needed: the entries of a gibibyte, or a share of a small
/// map.
const AHEAD: usize = MIB;
const AHEAD_SHARE: usize = 64;

/// Where the page map lies, for a reader in another process. It has an entry of eight bytes for each page:
/// the distance from the first entry to the record of the page's span, or zero.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct MapOffsets {
    /// The address of the first entry.
    pub entries: u64,
    /// The page number of the first entry.
    pub first: u64,
    /// The number of entries.
    pub length: u64,
}

/// One entry for each page of the window, in sparse memory.
///
/// If the environment can reserve memory for the entries of every address from zero up, the map starts with
/// page zero, and one comparison rules out all addresses beyond it. The pages whose entries are the dummy
/// record never belong to a heap.
pub struct PageMap {
    /// The first entry. Written once, by `allocator`.
    entries: Cell<*const MapEntry>,
    /// The page number of the first entry. Written once, by `allocator`.
    first: Cell<usize>,
    /// The number of granules that the map covers. Zero until `allocator`, so that every earlier lookup fails. It
    /// grows before a page of the heap that it did not cover is allocated.
    granules: Cell<usize>,
    /// The readable bytes of the map. Protected by the page heap's lock.
    covered: Cell<usize>,
    /// The number of entries that the map may grow to. Written once, by `allocator`.
    length: Cell<usize>,
}

// SAFETY: the fields are written under the boot lock or the page heap's lock before the first address that
// needs them is allocated. An address to look up comes from an allocation, so its user has synchronised with
// the allocating thread. Any other address is misuse. Such a lookup may race with `init` or `extend`; it
// reads whole words, and below an old `granules` the map is readable too. An atomic load would be as good,
// but compilers do not fold it into the comparison, which costs an instruction in each free.
unsafe impl Sync for PageMap {}
// SAFETY: nothing in a map belongs to a thread.
unsafe impl Send for PageMap {}

impl PageMap {
    /// Returns a map without entries: every lookup fails.
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

    /// Reserves the map of `window`. If the environment has a fixed address for the map, it reserves only the
    /// part up to the window's first pages. Called by `allocator` until it succeeds.
    pub fn init<O: Os>(&self, vm: &Vm<O>, window: Window) -> Result<(), OsError> {
        let end = window.base.plus(window.size).page().0;
        let first = if O::SPARSE_FROM_ZERO { 0 } else { window.base.page().0.wrapping_sub(HEAD) };
        debug_assert!(window.base.page().0 >= HEAD || !O::SPARSE_FROM_ZERO);
        let len = end.wrapping_sub(first);
        // One physical page more, so that outward rounding stays inside.
        let physical = vm.os().physical_page_size();
        let size = align_up(len * size_of::<MapEntry>(), physical) + physical;
        self.first.set(first);
        self.length.set(len);
        self.covered.set(0);
        if let Some(at) = vm.os().sparse_place() {
            self.entries.set(at.ptr());
            match self.extend(vm, window.base.page().0.wrapping_sub(first) + 1) {
                // The address range is in use by the program.
                Err(OsError::Taken) => {}
                done => return done,
            }
        }
        let entries = vm.sparse_map(size)?;
        self.entries.set(entries.ptr());
        self.cover(size);
        Ok(())
    }

    /// Extends the map to cover at least its first `entries` entries. The caller holds the page heap's lock
    /// or is `allocator`.
    fn extend<O: Os>(&self, vm: &Vm<O>, entries: usize) -> Result<(), OsError> {
        let (covered, physical) = (self.covered.get(), vm.os().physical_page_size());
        let wanted = align_up(entries * size_of::<MapEntry>(), physical);
        let at = Addr::of(self.entries.get()).plus(covered);
        // Extends by more than needed, so that it is rare. If memory is short, by what is needed.
        let ahead = AHEAD.min(self.length.get() * size_of::<MapEntry>() / AHEAD_SHARE);
        let more = align_up(wanted + ahead, physical);
        let end = vm.sparse_map_at(at, more - covered).map(|()| more).or_else(|e| match e {
            OsError::OutOfMemory => vm.sparse_map_at(at, wanted - covered).map(|()| wanted),
            e => Err(e),
        })?;
        self.cover(end);
        Ok(())
    }

    /// Sets how many bytes of the map are readable.
    fn cover(&self, end: usize) {
        self.covered.set(end);
        let entries = (end / size_of::<MapEntry>()).min(self.length.get());
        // Last: a concurrent lookup of an address that is no object must find the entries readable.
        fence(Ordering::Release);
        self.granules.set(entries << GRANULE_SHIFT);
    }

    /// Returns the span of `addr`, or the dummy record ([`Span::is_dummy`]) if it is in no span. Returns
    /// `None` if `addr` is not aligned to [`MIN_ALIGN`] or lies beyond the map. `addr` may be any address.
    ///
    /// The rotation moves the low bits to the top, so that one comparison checks both.
    #[inline(always)]
    pub fn lookup<O: Os>(&self, addr: Addr) -> Option<&Span> {
        let granule = self.distance_from_first::<O>(addr).rotate_right(MIN_ALIGN.trailing_zeros());
        if granule >= self.granules.get() {
            return None;
        }
        // SAFETY: the index is inside the map.
        Some(unsafe { self.record(self.distance(granule >> GRANULE_SHIFT)) })
    }

    /// Returns the span of `addr` if its thread id is `thread_id`, the id of a running thread. Returns `None`
    /// otherwise.
    #[inline(always)]
    pub fn lookup_of<O: Os>(&self, addr: Addr, thread_id: usize) -> Option<&Span> {
        let granule = self.distance_from_first::<O>(addr).rotate_right(MIN_ALIGN.trailing_zeros());
        if granule >= self.granules.get() {
            return None;
        }
        // SAFETY: the index is inside the map.
        unsafe { self.with_thread_id(granule >> GRANULE_SHIFT, thread_id) }
    }

    /// Does what [`PageMap::lookup_of`] does, without the bounds check.
    ///
    /// # Safety
    /// `addr` is the address of a live object.
    #[inline(always)]
    pub unsafe fn lookup_live_of<O: Os>(&self, addr: Addr, thread_id: usize) -> Option<&Span> {
        // SAFETY: the pages of objects are inside the map.
        unsafe { self.with_thread_id(self.distance_from_first::<O>(addr) >> PAGE_SHIFT, thread_id) }
    }

    /// Returns the distance of `addr` from the page of the first entry.
    #[inline(always)]
    fn distance_from_first<O: Os>(&self, addr: Addr) -> usize {
        if O::SPARSE_FROM_ZERO { addr.0 } else { addr.0.wrapping_sub(self.first.get() << PAGE_SHIFT) }
    }

    /// Returns the value of an entry.
    ///
    /// # Safety
    /// The index is inside the map.
    #[inline(always)]
    unsafe fn distance(&self, index: usize) -> usize {
        // SAFETY: all of the map is readable.
        unsafe { (*self.entries.get().add(index)).load(Ordering::Relaxed) }
    }

    /// Returns the record at `distance`.
    ///
    /// # Safety
    /// An entry of the map holds `distance`.
    #[inline(always)]
    unsafe fn record(&self, distance: usize) -> &Span {
        // SAFETY: it leads to a record in memory that only ever holds records, or to the dummy record.
        unsafe {
            let span = Addr(self.entries.get().expose_provenance().wrapping_add(distance)).ptr::<Span>();
            // Without this hint the compiler adds a null check.
            core::hint::assert_unchecked(!span.is_null());
            &*span
        }
    }

    /// Returns the record of an entry, if its thread id is `thread_id`.
    ///
    /// # Safety
    /// The index is inside the map.
    #[inline(always)]
    unsafe fn with_thread_id(&self, index: usize, thread_id: usize) -> Option<&Span> {
        // SAFETY: the index is inside the map. The first word of a record is its thread id.
        unsafe {
            let distance = self.distance(index);
            let same = arch::is_word(self.entries.get().cast(), distance, thread_id);
            same.then(|| self.record(distance))
        }
    }

    /// Makes the entries of `[start, start + size)` writable. They read as zero before and after.
    ///
    /// The range lies inside the window. The caller holds the page heap's lock.
    pub fn grow<O: Os>(&self, vm: &Vm<O>, start: Addr, size: usize) -> Result<(), OsError> {
        // Rounds up to a whole arena, since a reader in another process reads the entries of all of it.
        let end = start.plus(size).align_up(ARENA_SIZE).page().0.wrapping_sub(self.first.get()).min(self.length.get());
        if end * size_of::<MapEntry>() > self.covered.get() {
            self.extend(vm, end)?;
        }
        let from = self.entry(start.page());
        let bytes = (size / PAGE_SIZE) * size_of::<MapEntry>();
        // SAFETY: the entries of pages of the window lie inside the sparse range.
        unsafe { vm.sparse_map_ready(Addr::of(from), bytes) }
    }

    /// Returns where the map lies, for a reader in another process. Called after `allocator`.
    pub fn offsets(&self) -> MapOffsets {
        MapOffsets {
            entries: Addr::of(self.entries.get()).0 as u64,
            first: self.first.get() as u64,
            length: self.length.get() as u64,
        }
    }

    fn entry(&self, page: PageNumber) -> *const MapEntry {
        let index = page.0.wrapping_sub(self.first.get());
        debug_assert!(index >= HEAD && index < self.granules.get() >> GRANULE_SHIFT);
        self.entries.get().wrapping_add(index)
    }

    /// Sets the entries of `pages` pages from `start` on to `span`, or to the dummy record for `None`.
    ///
    /// # Safety
    /// The pages were grown into the map, and are the caller's.
    pub unsafe fn set(&self, start: PageNumber, pages: Pages, span: Option<&Span>) {
        let first = self.entry(start);
        let base = self.entries.get().addr();
        let distance = span.map_or(0, |span| Addr::of(span).0.wrapping_sub(base));
        for i in 0..pages.0 {
            // Release: a thread that reads the entry sees the record.
            // SAFETY: the entries were made writable by `grow`.
            unsafe { (*first.add(i)).store(distance, Ordering::Release) };
        }
    }
}
