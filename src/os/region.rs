//! One given piece of memory as an operating system: for unikernels and other programs without Linux, and for tests.
//!
//! All of the memory is always readable and writable; the states exist in the accounts only, and releasing memory clears it.
//! The piece is split once, by its address and size alone, into the window and a side area for memory without a wanted
//! address:
//!
//! ```text
//! | - | window: reserve(Some)                         | side: reserve(None), alloc, sparse |
//! ```
//!
//! or in the other order, if more arenas fit into the window then. The window is whole arenas, because the page heap uses
//! nothing else. A rest before the window stays unused; a rest behind it belongs to the side area. Both parts are handed out
//! upward: an address in the window must lie above all ranges taken before. Only the range taken last can be freed; memory
//! that is freed out of order or skipped is lost, and [`Region::lost`] counts it.
//!
//! The side area is 1/16 of the region; above 64 MiB, 1/32 is enough. The tables that grow with the heap take at most 128
//! bytes (a span's record) per page of 8 KiB, 1/64, and 8 bytes (the page map) per page, 1/1024: about 1/60 in all. The rest
//! is for tables that do not grow: caches, rings, stacks.
//!
//! There is no lock and no allocation; the marks are atomic, and several threads may call at once.
//!
//! Invariant: a byte at or above the dirty mark of its part was never Ready. So it reads as zero if the region's memory was
//! zero at the start.

use core::sync::atomic::{AtomicUsize, Ordering};

use super::fence::Fence;
use super::identity::Identity;
use super::memory::{Memory, OsError, Window};
use super::platform::Platform;
use super::sharing::Sharing;
use crate::config::ARENA_SIZE;
use crate::units::{Addr, KIB, MIB, align_down, checked_align_up};

/// The size up to which the side area is 1/16 of the region. Above, 1/32 is enough.
const FULL_SHARE: usize = 64 * MIB;

/// `EINVAL`, as Linux returns it for a range that is not aligned to pages or not in the region.
const INVALID: OsError = OsError::Errno(22);

/// One given piece of memory: see the head of this file.
///
/// ```
/// use crossfoot::os::{Memory, Region};
/// // A region of this size has only a side area; one with a window is larger than an arena.
/// const SIZE: usize = 1 << 20;
/// static mut MEMORY: [u8; SIZE] = [0; SIZE];
/// // SAFETY: nothing else uses MEMORY, it lives for ever, and it is zero.
/// static REGION: Region = unsafe { Region::new((&raw mut MEMORY).cast(), SIZE).zeroed() };
/// assert!(REGION.alloc(4096).is_ok());
/// ```
pub struct Region {
    base: *mut u8,
    size: usize,
    physical_page: usize,
    is_zero: bool,
    print: fn(&[u8]),
    window: Area,
    side: Area,
    lost: AtomicUsize,
}

/// How far one part of the region was handed out and made dirty. The marks are addresses. A mark below the part, as both are
/// at first, stands for the part's start, which a constant constructor does not know.
struct Area {
    /// Everything below this address is handed out or lost.
    next: AtomicUsize,
    /// Everything at or above this address was never Ready.
    dirty: AtomicUsize,
}

/// The addresses of one part.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Span {
    start: usize,
    end: usize,
}

// SAFETY: the memory belongs to the region by the contract of `new`, the marks are atomic, and content is only accessed in
// ranges of the caller, by the contracts of the verbs, or in ranges just handed out.
unsafe impl Sync for Region {}
// SAFETY: nothing in a region belongs to a thread.
unsafe impl Send for Region {}

impl Region {
    /// Returns the region of `size` bytes at `base`, with physical pages of 4 KiB and no printer. Its content may be
    /// arbitrary. Bytes that do not fill a page at either end are not used. A region too small for an arena and the side area
    /// has a window of size zero.
    ///
    /// # Safety
    /// `base` is valid for reads and writes of `size` bytes as long as the region or memory from it is in use; these bytes
    /// are not used otherwise; and the end does not lie beyond the address space.
    pub const unsafe fn new(base: *mut u8, size: usize) -> Region {
        Region {
            base,
            size,
            physical_page: 4 * KIB,
            is_zero: false,
            print: discard,
            window: Area::new(),
            side: Area::new(),
            lost: AtomicUsize::new(0),
        }
    }

    /// Sets the size of a physical page: a power of two, 4 to 64 KiB.
    pub const fn with_physical_page(mut self, bytes: usize) -> Region {
        assert!(bytes.is_power_of_two() && bytes >= 4 * KIB && bytes <= 64 * KIB);
        self.physical_page = bytes;
        self
    }

    /// Sets the function that [`Identity::print`] calls. By default the text is discarded.
    pub const fn with_printer(mut self, print: fn(&[u8])) -> Region {
        self.print = print;
        self
    }

    /// Records that the content is zero, so that memory is not cleared before its first use.
    ///
    /// # Safety
    /// Every byte of the region is zero.
    pub const unsafe fn zeroed(mut self) -> Region {
        self.is_zero = true;
        self
    }

    /// Returns how many bytes were freed out of order or skipped. They are not handed out again.
    pub fn lost(&self) -> usize {
        self.lost.load(Ordering::Relaxed)
    }

    /// Returns how many bytes of the side area are not handed out.
    pub fn side_left(&self) -> usize {
        let side = self.split().1;
        side.end - self.side.next(side)
    }

    /// Returns the window and the side area, the same at every call.
    fn split(&self) -> (Span, Span) {
        split(Addr::of(self.base).0, self.size, self.physical_page)
    }

    /// Returns the part that contains the range. Fails if the range is not whole pages of one part.
    fn part_of(&self, addr: Addr, size: usize) -> Result<(&Area, Span), OsError> {
        let end = addr.0.checked_add(size).ok_or(INVALID)?;
        if size == 0 || !(addr.0 | size).is_multiple_of(self.physical_page) {
            return Err(INVALID);
        }
        let (window, side) = self.split();
        [(&self.window, window), (&self.side, side)]
            .into_iter()
            .find(|(_, span)| span.start <= addr.0 && end <= span.end)
            .ok_or(INVALID)
    }

    /// Takes `size` bytes of the side area, with arbitrary content.
    fn obtain(&self, size: usize) -> Result<Addr, OsError> {
        if size == 0 || !size.is_multiple_of(self.physical_page) {
            return Err(INVALID);
        }
        self.side.take(self.split().1, size).map(Addr).ok_or(OsError::OutOfMemory)
    }

    /// Takes Ready memory of the side area.
    fn obtain_ready(&self, size: usize) -> Result<Addr, OsError> {
        let addr = self.obtain(size)?;
        // SAFETY: the range was taken above, so it is ours and has no content.
        unsafe { self.clear_dirt(&self.side, addr, size) };
        self.side.soil(addr.plus(size));
        Ok(addr)
    }

    /// Zeroes the dirty part of a range in `area`.
    ///
    /// # Safety
    /// The range is the caller's, and its content is not needed.
    unsafe fn clear_dirt(&self, area: &Area, addr: Addr, size: usize) {
        let dirty = if self.is_zero { area.dirty.load(Ordering::Acquire) } else { usize::MAX };
        // SAFETY: a part of the caller's range.
        unsafe { clear(addr, size.min(dirty.saturating_sub(addr.0))) };
    }
}

impl Area {
    const fn new() -> Area {
        Area { next: AtomicUsize::new(0), dirty: AtomicUsize::new(0) }
    }

    /// Returns the first address that is not handed out.
    fn next(&self, span: Span) -> usize {
        self.next.load(Ordering::Acquire).max(span.start)
    }

    /// Takes the next `size` bytes. Returns `None` if they are not left.
    fn take(&self, span: Span, size: usize) -> Option<usize> {
        let fits = |mark: usize| mark.max(span.start).checked_add(size).filter(|&end| end <= span.end);
        let mark = self.next.fetch_update(Ordering::AcqRel, Ordering::Acquire, fits).ok()?;
        Some(mark.max(span.start))
    }

    /// Takes `[at, end)`, which lies in the part, and returns how many bytes below it were skipped. Returns `None` if some of
    /// it was taken before.
    fn take_at(&self, span: Span, at: usize, end: usize) -> Option<usize> {
        let fits = |mark: usize| (mark.max(span.start) <= at).then_some(end);
        let mark = self.next.fetch_update(Ordering::AcqRel, Ordering::Acquire, fits).ok()?;
        Some(at - mark.max(span.start))
    }

    /// Makes `[start, end)` available again if it was taken last. Returns whether it was.
    fn take_back(&self, start: usize, end: usize) -> bool {
        self.next.compare_exchange(end, start, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    }

    /// Marks everything below `end` as dirty.
    fn soil(&self, end: Addr) {
        self.dirty.fetch_max(end.0, Ordering::AcqRel);
    }
}

/// Returns the window and the side area of the region of `size` bytes at `base`.
fn split(base: usize, size: usize, page: usize) -> (Span, Span) {
    let end = align_down(base.saturating_add(size), page);
    // A region smaller than a page has two empty parts.
    let start = checked_align_up(base, page).unwrap_or(end).min(end);
    let total = end - start;
    let share = (total / 16).min(FULL_SHARE.max(total / 32));
    let side = align_down(share + page - 1, page).min(total);

    let below = Span { start, end: end - side }.whole_arenas();
    let above = Span { start: start + side, end }.whole_arenas();
    if above.size() > below.size() {
        (above, Span { start, end: above.start })
    } else {
        (below, Span { start: below.end, end })
    }
}

impl Span {
    const fn size(self) -> usize {
        self.end - self.start
    }

    /// Returns the whole arenas in it, or an empty span at its start.
    fn whole_arenas(self) -> Span {
        match checked_align_up(self.start, ARENA_SIZE) {
            Some(start) if start < align_down(self.end, ARENA_SIZE) => {
                Span { start, end: align_down(self.end, ARENA_SIZE) }
            }
            _ => Span { start: self.start, end: self.start },
        }
    }
}

/// Zeroes a range.
///
/// # Safety
/// The range is memory of a region, the caller's, and its content is not needed.
unsafe fn clear(addr: Addr, size: usize) {
    // SAFETY: the caller's promise; the provenance of the region was exposed to find `addr`.
    unsafe { addr.ptr::<u8>().write_bytes(0, size) };
}

/// Discards the text of a region without a printer.
fn discard(_: &[u8]) {}

impl Platform for Region {
    fn yield_now() {
        core::hint::spin_loop();
    }

    fn now() -> u64 {
        0
    }
}

// SAFETY: ranges lie in the memory given to `new`, which is readable and writable; `take` and `take_at` return no byte twice,
// unless `take_back` made it available again; and memory is cleared before it becomes Ready (`map`, `alloc`) and when it
// stops being Ready (`unused`).
unsafe impl Memory for Region {
    const SPARSE_FROM_ZERO: bool = false;

    fn physical_page_size(&self) -> usize {
        self.physical_page
    }

    fn window(&self) -> Window {
        let window = self.split().0;
        Window { base: Addr(window.start), size: window.end - window.start }
    }

    fn reserve(&self, at: Option<Addr>, size: usize) -> Result<Addr, OsError> {
        let Some(at) = at else {
            return self.obtain(size);
        };
        let window = self.split().0;
        match self.part_of(at, size)? {
            (area, span) if span == window => {
                let passed = area.take_at(span, at.0, at.0 + size).ok_or(OsError::Taken)?;
                self.lost.fetch_add(passed, Ordering::Relaxed);
                Ok(at)
            }
            _ => Err(OsError::Taken),
        }
    }

    fn alloc(&self, size: usize) -> Result<Addr, OsError> {
        self.obtain_ready(size)
    }

    /// Clears the part that may be dirty. Takes time in proportion to the size, unless the region was zero at first and the
    /// range was never used.
    unsafe fn map(&self, addr: Addr, size: usize) -> Result<(), OsError> {
        let (area, _) = self.part_of(addr, size)?;
        // SAFETY: the range is the caller's, and Reserved memory has no content.
        unsafe { self.clear_dirt(area, addr, size) };
        Ok(())
    }

    unsafe fn used(&self, addr: Addr, size: usize) -> Result<(), OsError> {
        let (area, _) = self.part_of(addr, size)?;
        area.soil(addr.plus(size));
        Ok(())
    }

    /// Clears the range, in time in proportion to its size. No physical memory is released: without an OS there is no other
    /// user for it.
    unsafe fn unused(&self, addr: Addr, size: usize) -> Result<(), OsError> {
        self.part_of(addr, size)?;
        // SAFETY: the caller's promise.
        unsafe { clear(addr, size) };
        Ok(())
    }

    /// Only checks the range: accesses cannot be made to fault. The range is cleared when it is mapped again.
    unsafe fn fault(&self, addr: Addr, size: usize) -> Result<(), OsError> {
        self.part_of(addr, size).map(drop)
    }

    unsafe fn free(&self, addr: Addr, size: usize) -> Result<(), OsError> {
        let (area, _) = self.part_of(addr, size)?;
        if !area.take_back(addr.0, addr.0 + size) {
            self.lost.fetch_add(size, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Only checks the range: accesses cannot be made to fault.
    unsafe fn guard(&self, addr: Addr, size: usize) -> Result<(), OsError> {
        self.part_of(addr, size).map(drop)
    }

    unsafe fn unguard(&self, addr: Addr, size: usize) -> Result<(), OsError> {
        self.part_of(addr, size).map(drop)
    }

    unsafe fn huge_page(&self, addr: Addr, size: usize) -> Result<(), OsError> {
        self.part_of(addr, size).map(drop)
    }

    unsafe fn no_huge_page(&self, addr: Addr, size: usize) -> Result<(), OsError> {
        self.part_of(addr, size).map(drop)
    }

    unsafe fn collapse(&self, _addr: Addr, _size: usize) -> Result<(), OsError> {
        Err(OsError::Unsupported)
    }

    /// Takes real memory at once, because nothing can back it later.
    fn sparse(&self, size: usize) -> Result<Addr, OsError> {
        self.obtain_ready(size)
    }

    unsafe fn sparse_ready(&self, addr: Addr, size: usize) -> Result<(), OsError> {
        let side = self.split().1;
        let end = addr.0.checked_add(size).ok_or(INVALID)?;
        if side.start <= addr.0 && end <= side.end { Ok(()) } else { Err(INVALID) }
    }

    unsafe fn move_pages(&self, from: Addr, to: Addr, size: usize) -> Result<(), OsError> {
        self.part_of(from, size)?;
        self.part_of(to, size)?;
        // SAFETY: both are Ready, the caller's, and disjoint.
        unsafe { to.ptr::<u8>().copy_from_nonoverlapping(from.ptr::<u8>(), size) };
        // SAFETY: the content of `from` was copied.
        unsafe { clear(from, size) };
        Ok(())
    }
}

impl Sharing for Region {}

impl Fence for Region {
    fn register_fence(&self) -> bool {
        false
    }

    fn fence_all(&self) -> bool {
        // Never called, since `register_fence` returned false.
        false
    }
}

impl Identity for Region {
    fn print(&self, text: &[u8]) {
        (self.print)(text);
    }
}
