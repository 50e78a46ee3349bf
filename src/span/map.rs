//! The page map: from an address to its span, in two loads and an addition.

use core::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};

use super::record::{NOBODY, Span};
use crate::config::MIN_ALIGN;
use crate::os::{Os, OsError, Window};
use crate::units::{Addr, PAGE_SHIFT, PAGE_SIZE, PageNumber, Pages, align_up};
use crate::vm::Vm;

/// How far a span's record lies from the map's first entry. Zero, which sparse memory reads as, is the
/// first entries themselves: they are written as the record of a span that nobody owns, so that a lookup
/// need not ask whether it found something.
type Entry = AtomicUsize;

/// How many records of no span stand at the start of the map. The pages that their entries would stand for
/// may be asked for like any other: each of their words, read as an entry, is zero and leads to the first of
/// them, or is [`NOBODY`] and leads to the second.
const NOTHINGS: usize = 2;
/// Entries that hold records of no span instead of standing for pages.
const HEAD: usize = NOTHINGS * size_of::<Span>() / size_of::<Entry>();

/// [`MIN_ALIGN`]-sized granules of a page, as a power of two.
const GRANULE_SHIFT: u32 = PAGE_SHIFT - MIN_ALIGN.trailing_zeros();

/// One entry for each page of the window, in sparse memory.
///
/// Where the home can reserve for every address from zero up, the map starts at address zero, and one
/// comparison rules out every address beyond it. The first pages, whose entries are the head, are never a
/// heap's.
pub struct PageMap {
    /// The first entry. Written once, by `boot`.
    entries: AtomicPtr<Entry>,
    /// The page that the first entry stands for, or would. Written once, by `boot`.
    first: AtomicUsize,
    /// How many granules the map covers. Zero until `boot`, so that every lookup before finds nothing.
    granules: AtomicUsize,
}

impl PageMap {
    /// A map that finds nothing.
    #[allow(clippy::new_without_default, reason = "a const constructor is the only one wanted")]
    pub const fn new() -> PageMap {
        PageMap {
            entries: AtomicPtr::new(core::ptr::null_mut()),
            first: AtomicUsize::new(0),
            granules: AtomicUsize::new(0),
        }
    }

    /// Reserves the map of `window`. Called by `boot`, until it succeeds once.
    pub fn init<O: Os>(&self, vm: &Vm<O>, window: Window) -> Result<(), OsError> {
        let end = window.base.plus(window.size).page().0;
        let first = if O::SPARSE_FROM_ZERO { 0 } else { window.base.page().0.wrapping_sub(HEAD) };
        debug_assert!(window.base.page().0 >= HEAD || !O::SPARSE_FROM_ZERO);
        debug_assert!(NOBODY.addr() == size_of::<Span>(), "the second record of no span is where this leads");
        let len = end.wrapping_sub(first);
        // One physical page more, so that rounding outward stays inside.
        let physical = vm.os().physical_page_size();
        let size = align_up(len * size_of::<Entry>(), physical) + physical;
        let entries = vm.sparse_map(size)?;
        // SAFETY: the head lies in the sparse range, which is aligned to a physical page and reads as zero.
        unsafe {
            if let Err(e) = vm.sparse_map_ready(entries, NOTHINGS * size_of::<Span>()) {
                vm.give_up_reserved(entries, size);
                return Err(e);
            }
            for i in 0..NOTHINGS {
                Span::init_nothing(entries.ptr::<Span>().add(i));
            }
        }
        self.entries.store(entries.ptr(), Ordering::Relaxed);
        self.first.store(first, Ordering::Relaxed);
        self.granules.store(len << GRANULE_SHIFT, Ordering::Release);
        Ok(())
    }

    /// The span of `addr`: [`Span::is_nothing`] where no span is. `None` where `addr` is not aligned to
    /// [`MIN_ALIGN`] or beyond the map. Any address may be asked for.
    ///
    /// The low bits are rotated to the top, so that one comparison sees both.
    #[inline(always)]
    pub fn lookup<O: Os>(&self, addr: Addr) -> Option<&Span> {
        let start = if O::SPARSE_FROM_ZERO { 0 } else { self.first.load(Ordering::Relaxed) << PAGE_SHIFT };
        let granule = addr.0.wrapping_sub(start).rotate_right(MIN_ALIGN.trailing_zeros());
        // Acquire: whoever sees the map's size sees where it is. The same instruction as without on x86-64.
        if granule >= self.granules.load(Ordering::Acquire) {
            return None;
        }
        let entries = self.entries.load(Ordering::Relaxed);
        // SAFETY: the index is inside the map, all of which is readable. An entry is the distance to a
        // record: of a span, which lives in memory that only ever holds records, or of nothing.
        unsafe {
            let distance = (*entries.add(granule >> GRANULE_SHIFT)).load(Ordering::Relaxed);
            let span = Addr(entries.expose_provenance().wrapping_add(distance)).ptr::<Span>();
            // Said, because the compiler cannot see it and would ask again.
            core::hint::assert_unchecked(!span.is_null());
            Some(&*span)
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

    fn entry(&self, page: PageNumber) -> *const Entry {
        let index = page.0.wrapping_sub(self.first.load(Ordering::Relaxed));
        debug_assert!(index >= HEAD && index < self.granules.load(Ordering::Relaxed) >> GRANULE_SHIFT);
        self.entries.load(Ordering::Relaxed).wrapping_add(index)
    }

    /// Says that `pages` pages from `start` belong to `span`; `None`: to none.
    ///
    /// # Safety
    /// The pages were grown into the map, and are the caller's.
    pub unsafe fn set(&self, start: PageNumber, pages: Pages, span: Option<&Span>) {
        let first = self.entry(start);
        let base = self.entries.load(Ordering::Relaxed).addr();
        let distance = span.map_or(0, |span| Addr::of(span).0.wrapping_sub(base));
        for i in 0..pages.0 {
            // Release: the record is written before the map leads to it.
            // SAFETY: the entries were made writable by `grow`.
            unsafe { (*first.add(i)).store(distance, Ordering::Release) };
        }
    }
}
