#![allow(unsafe_code)] // Clears and moves the memory that it was given.

//! One given piece of memory as an operating system: for a kernel image that has no Linux
//! under it, and for tests that want none.
//!
//! All of the memory is readable and writable all the time; the states exist in the books only,
//! and giving memory back clears it. The piece is split once, by its address and size alone, into
//! the window and a side area for what has no wanted place:
//!
//! ```text
//! | - | window: reserve(Some)                         | side: reserve(None), alloc, sparse |
//! ```
//!
//! or the other way round, if more arenas fit into the window then. The window is whole arenas,
//! since the page heap takes nothing else; what is left of one stays unused before the window, and
//! goes to the side area behind it. Both parts are handed out upward: a place in the window can be
//! had if it lies above all that was had before. What was handed out last can be given back; what
//! is given back out of order or passed over is lost, and [`Region::lost`] counts it.
//!
//! The side area is one sixteenth of the region; where that is beyond 64 MiB, as little as a
//! thirty-second will do. The records that grow with the heap are one of 128 bytes per span, of
//! which there is at most one per page of 8 KiB (1/64), and the page map of 8 bytes per page
//! (1/1024): about 1/60. The rest is for what does not grow with it: caches, rings, stacks.
//!
//! No lock and no allocation; the marks are atomic, and several threads may call at once.
//!
//! Invariant: a byte at or above the dirty mark of its part was never Ready, and so reads as zero
//! if the region did so when it was given.

use core::sync::atomic::{AtomicUsize, Ordering};

use super::{Os, OsError, Platform, Window};
use crate::config::ARENA_SIZE;
use crate::units::{Addr, KIB, MIB, align_down, checked_align_up};

/// A side area of this size need not be one sixteenth of the region; a thirty-second will do.
const FULL_SHARE: usize = 64 * MIB;

/// `EINVAL`: what the error of Linux would be for a range that is off the page or not ours.
const INVALID: OsError = OsError::Errno(22);

/// One given piece of memory. See the module's text.
///
/// ```
/// use crossfoot::os::{Os, Region};
/// // Of this size it has a side area only; one with a window has more than an arena.
/// const SIZE: usize = 1 << 20;
/// static mut MEMORY: [u8; SIZE] = [0; SIZE];
/// // SAFETY: nothing else names MEMORY, it lives for ever, and it is zero.
/// static REGION: Region = unsafe { Region::new((&raw mut MEMORY).cast(), SIZE).zeroed() };
/// assert!(REGION.alloc(4096).is_ok());
/// ```
pub struct Region {
    base: *mut u8,
    size: usize,
    physical_page: usize,
    cpus: usize,
    is_zero: bool,
    print: fn(&[u8]),
    window: Area,
    side: Area,
    lost: AtomicUsize,
}

/// How far one part of the region was handed out and dirtied. The marks are addresses; one that
/// lies below the part, as both do at first, stands for its start, since a constant does not
/// know where it will lie.
struct Area {
    /// Everything below is handed out or lost.
    next: AtomicUsize,
    /// Everything at or above was never Ready.
    dirty: AtomicUsize,
}

/// The addresses of one part.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Span {
    start: usize,
    end: usize,
}

// SAFETY: the memory belongs to the region by the contract of `new`, the marks are atomic, and
// content is only touched in ranges that a caller vouches for or that were just handed out.
unsafe impl Sync for Region {}
// SAFETY: nothing in a region belongs to a thread.
unsafe impl Send for Region {}

impl Region {
    /// The region of `size` bytes at `base`, with physical pages of 4 KiB, one CPU and no printer.
    /// Its content is taken to be arbitrary. Bytes that do not fill a page at either end are
    /// not used; a region too small for an arena and the side area has a window of size zero.
    ///
    /// # Safety
    /// `base` is valid for reads and writes of `size` bytes as long as the region or memory from it
    /// is in use, nobody else uses them, and the end does not lie beyond the address space.
    pub const unsafe fn new(base: *mut u8, size: usize) -> Region {
        Region {
            base,
            size,
            physical_page: 4 * KIB,
            cpus: 1,
            is_zero: false,
            print: discard,
            window: Area::new(),
            side: Area::new(),
            lost: AtomicUsize::new(0),
        }
    }

    /// The size of a physical page: a power of two, 4 to 64 KiB.
    pub const fn with_physical_page(mut self, bytes: usize) -> Region {
        assert!(bytes.is_power_of_two() && bytes >= 4 * KIB && bytes <= 64 * KIB);
        self.physical_page = bytes;
        self
    }

    /// How many CPUs may call at once.
    pub const fn with_cpus(mut self, count: usize) -> Region {
        assert!(count >= 1);
        self.cpus = count;
        self
    }

    /// Where [`Os::print`] goes. Without a printer it is discarded.
    pub const fn with_printer(mut self, print: fn(&[u8])) -> Region {
        self.print = print;
        self
    }

    /// Says that the content is zero, which saves clearing what is used for the first time.
    ///
    /// # Safety
    /// Every byte of the region is zero.
    pub const unsafe fn zeroed(mut self) -> Region {
        self.is_zero = true;
        self
    }

    /// Bytes that were given back out of order and will not be handed out again.
    pub fn lost(&self) -> usize {
        self.lost.load(Ordering::Relaxed)
    }

    /// Bytes of the side area that are not handed out.
    pub fn side_left(&self) -> usize {
        let side = self.split().1;
        side.end - self.side.next(side)
    }

    /// Window and side area, in this order. The same answer at every call.
    fn split(&self) -> (Span, Span) {
        split(Addr::of(self.base).0, self.size, self.physical_page)
    }

    /// The part that the range lies in, if it is whole pages of one.
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

    /// Hands out `size` bytes of the side area, with whatever they hold.
    fn obtain(&self, size: usize) -> Result<Addr, OsError> {
        if size == 0 || !size.is_multiple_of(self.physical_page) {
            return Err(INVALID);
        }
        self.side.take(self.split().1, size).map(Addr).ok_or(OsError::OutOfMemory)
    }

    /// Hands out Ready memory of the side area.
    fn obtain_ready(&self, size: usize) -> Result<Addr, OsError> {
        let addr = self.obtain(size)?;
        // SAFETY: the range was handed out this moment, so it is ours and holds nothing.
        unsafe { self.clear_dirt(&self.side, addr, size) };
        self.side.soil(addr.plus(size));
        Ok(addr)
    }

    /// Makes a range that lies in the part of `area` read as zero, as far as it may not.
    ///
    /// # Safety
    /// The range is the caller's and holds nothing that is needed.
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

    /// The first address that is not handed out.
    fn next(&self, span: Span) -> usize {
        self.next.load(Ordering::Acquire).max(span.start)
    }

    /// Hands out the next `size` bytes.
    fn take(&self, span: Span, size: usize) -> Option<usize> {
        let fits = |mark: usize| mark.max(span.start).checked_add(size).filter(|&end| end <= span.end);
        let mark = self.next.fetch_update(Ordering::AcqRel, Ordering::Acquire, fits).ok()?;
        Some(mark.max(span.start))
    }

    /// Hands out `[at, end)`, which lies in the part, and says how many bytes below it were
    /// passed over. `None` if some of it was handed out before.
    fn take_at(&self, span: Span, at: usize, end: usize) -> Option<usize> {
        let fits = |mark: usize| (mark.max(span.start) <= at).then_some(end);
        let mark = self.next.fetch_update(Ordering::AcqRel, Ordering::Acquire, fits).ok()?;
        Some(at - mark.max(span.start))
    }

    /// Takes `[start, end)` back if it was handed out last.
    fn take_back(&self, start: usize, end: usize) -> bool {
        self.next.compare_exchange(end, start, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    }

    /// Notes that everything below `end` may have been written to.
    fn soil(&self, end: Addr) {
        self.dirty.fetch_max(end.0, Ordering::AcqRel);
    }
}

/// Window and side area of the region of `size` bytes at `base`.
fn split(base: usize, size: usize, page: usize) -> (Span, Span) {
    let end = align_down(base.saturating_add(size), page);
    // A region that does not hold one page has two empty parts.
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

    /// The whole arenas in it. Where there are none: nothing, at the start.
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
/// The range is memory of a region, the caller's, and holds nothing that is needed.
unsafe fn clear(addr: Addr, size: usize) {
    // SAFETY: as the caller says; the provenance of the region was exposed to find `addr`.
    unsafe { addr.ptr::<u8>().write_bytes(0, size) };
}

/// The printer of a region without one.
fn discard(_: &[u8]) {}

impl Platform for Region {
    fn yield_now() {
        core::hint::spin_loop();
    }

    fn now() -> u64 {
        0
    }
}

// SAFETY: what is handed out lies in the memory that `new` was promised, which is readable and
// writable; `take` and `take_at` hand no byte out twice, unless it was taken back; and memory is
// cleared on its way to Ready (`map`, `alloc`) and out of it (`unused`).
unsafe impl Os for Region {
    const SPARSE_FROM_ZERO: bool = false;

    fn physical_page_size(&self) -> usize {
        self.physical_page
    }

    fn address_bits(&self) -> u32 {
        let last = Addr::of(self.base).0.saturating_add(self.size.saturating_sub(1));
        usize::BITS - last.leading_zeros()
    }

    fn cpus(&self) -> usize {
        self.cpus
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

    /// Clears what may have been Ready before: takes time in proportion to the size, unless the
    /// region was zero at first and this is above all that was ever used.
    unsafe fn map(&self, addr: Addr, size: usize) -> Result<(), OsError> {
        let (area, _) = self.part_of(addr, size)?;
        // SAFETY: the caller's, and Reserved memory holds nothing.
        unsafe { self.clear_dirt(area, addr, size) };
        Ok(())
    }

    unsafe fn used(&self, addr: Addr, size: usize) -> Result<(), OsError> {
        let (area, _) = self.part_of(addr, size)?;
        area.soil(addr.plus(size));
        Ok(())
    }

    /// Clears the range: takes time in proportion to its size, and gains nothing but that it reads as
    /// zero. A kernel in this home has no reason to release.
    unsafe fn unused(&self, addr: Addr, size: usize) -> Result<(), OsError> {
        self.part_of(addr, size)?;
        // SAFETY: as the caller says.
        unsafe { clear(addr, size) };
        Ok(())
    }

    /// Nothing here can make a touch fault: it changes a state in the books, and what the range
    /// holds is cleared when it is mapped again.
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

    /// Nothing here can make a touch fault.
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

    /// Takes real memory at once: nothing here can fault it in later.
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
        // SAFETY: both are Ready, the caller's, and apart.
        unsafe { to.ptr::<u8>().copy_from_nonoverlapping(from.ptr::<u8>(), size) };
        // SAFETY: what `from` held was copied.
        unsafe { clear(from, size) };
        Ok(())
    }

    fn register_fence(&self) -> bool {
        false
    }

    fn fence_all(&self) -> bool {
        // Nobody calls it, since `register_fence` said no.
        false
    }

    fn print(&self, text: &[u8]) {
        (self.print)(text);
    }
}
