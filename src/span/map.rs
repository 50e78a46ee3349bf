//! The page map: from an address to its span, in two loads.

use core::ptr::null_mut;
use core::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};

use super::record::Span;
use crate::os::{Os, OsError, Window};
use crate::units::{Addr, PageNumber, Pages};
use crate::vm::Vm;

type Entry = AtomicPtr<Span>;

/// One pointer for each page of the window, in sparse memory: null where no span is.
///
/// Where the home can reserve for every address from zero up, the map starts at address zero, and one
/// comparison rules out every address beyond it.
pub struct PageMap {
    /// Entry of page 0, or of the window's first page. Written once, by `boot`.
    entries: AtomicPtr<Entry>,
    /// The page that `entries` starts with. Written once, by `boot`.
    first: AtomicUsize,
    /// How many entries there are. Zero until `boot`, so that every lookup before finds nothing.
    len: AtomicUsize,
}

impl PageMap {
    /// A map that finds nothing.
    #[allow(clippy::new_without_default, reason = "a const constructor is the only one wanted")]
    pub const fn new() -> PageMap {
        PageMap { entries: AtomicPtr::new(null_mut()), first: AtomicUsize::new(0), len: AtomicUsize::new(0) }
    }

    /// Reserves the map of `window`. Called once, by `boot`.
    pub fn init<O: Os>(&self, vm: &Vm<O>, window: Window) -> Result<(), OsError> {
        let end = window.base.plus(window.size).page().0;
        let first = if O::SPARSE_FROM_ZERO { 0 } else { window.base.page().0 };
        let entries = vm.sparse_map(align(vm, (end - first) * size_of::<Entry>()))?;
        self.entries.store(entries.ptr(), Ordering::Relaxed);
        self.first.store(first, Ordering::Relaxed);
        self.len.store(end - first, Ordering::Release);
        Ok(())
    }

    /// The span of `addr`, or null: not a page of a span. Any address may be asked for.
    #[inline(always)]
    pub fn lookup<O: Os>(&self, addr: Addr) -> *mut Span {
        let page = addr.page().0;
        let index = if O::SPARSE_FROM_ZERO { page } else { page.wrapping_sub(self.first.load(Ordering::Relaxed)) };
        if index < self.len.load(Ordering::Relaxed) {
            // SAFETY: the index is inside the map, all of which is readable.
            unsafe { (*self.entries.load(Ordering::Relaxed).add(index)).load(Ordering::Relaxed) }
        } else {
            null_mut()
        }
    }

    /// Makes the entries of `[start, start + size)` writable; they read as null before and after.
    ///
    /// The range lies inside the window.
    pub fn grow<O: Os>(&self, vm: &Vm<O>, start: Addr, size: usize) -> Result<(), OsError> {
        let from = self.entry(start.page());
        let bytes = (size / crate::units::PAGE_SIZE) * size_of::<Entry>();
        // SAFETY: the entries of pages of the window lie inside the sparse range.
        unsafe { vm.sparse_map_ready(Addr::of(from), bytes) }
    }

    fn entry(&self, page: PageNumber) -> *const Entry {
        let index = page.0 - self.first.load(Ordering::Relaxed);
        debug_assert!(index < self.len.load(Ordering::Relaxed));
        self.entries.load(Ordering::Relaxed).wrapping_add(index)
    }

    /// Says that `pages` pages from `start` belong to `span`; null: to none.
    ///
    /// # Safety
    /// The pages were grown into the map, and are the caller's.
    pub unsafe fn set(&self, start: PageNumber, pages: Pages, span: *mut Span) {
        let first = self.entry(start);
        for i in 0..pages.0 {
            // SAFETY: the entries were made writable by `grow`. A thread that may ask for one of these
            // addresses got it from this one later, through something that orders memory.
            unsafe { (*first.add(i)).store(span, Ordering::Relaxed) };
        }
    }
}

/// Rounds up to whole physical pages, plus one, so that rounding outward stays inside.
fn align<O: Os>(vm: &Vm<O>, bytes: usize) -> usize {
    let page = vm.os().physical_page_size();
    crate::units::align_up(bytes, page) + page
}
