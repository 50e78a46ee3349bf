//! Linux, inside one range of addresses: for a kernel that is dropped whole.
//!
//! An [`Extent`] is one mapping, reserved by one call. Every verb of the [`RangeOs`] over it stays inside, so that
//! one more call gives everything back, in whatever state its parts are by then:
//!
//! ```text
//! base                                                    window               end
//! | head | side, upward: reserve(None), alloc, sparse ... | upward: reserve(Some) |
//! ```
//!
//! The head is Ready from the start and the caller's. What has no wanted place comes from the side area. The records
//! that grow with the heap are one of 128 bytes per span, of which there is at most one per page of 8 KiB (1/64 of
//! the window), and the page map of 8 bytes per page (1/1024); the side area has a thirty-second, and a little more
//! for what does not grow. Nothing of this takes memory before it is touched.
//!
//! No lock and no allocation; the marks are atomic. What is given back out of order is Reserved again and not handed
//! out any more: it goes back with the rest.
//!
//! Invariant: the system has the whole of an extent mapped until [`Extent::give_back`], so that nobody else's memory
//! can come to lie inside.

use core::sync::atomic::{AtomicUsize, Ordering};

use super::Linux;
use crate::config::{ARENA_SIZE, MAX_PHYSICAL_PAGE};
use crate::os::{Os, OsError, Platform, Window};
use crate::units::{Addr, MIB, checked_align_up};

/// Which part of the window's size the side area has for what grows with the heap.
const SIDE_SHARE: usize = 32;
/// What it has besides.
const SIDE_FIXED: usize = 2 * MIB;

/// One range of address space, and how it is split.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Extent {
    base: Addr,
    side: Addr,
    window: Addr,
    window_size: usize,
    size: usize,
}

impl Extent {
    /// Reserves a range with a window of `window` bytes, whole physical pages, and `head` bytes that are Ready.
    pub fn reserve(window: usize, head: usize) -> Result<Extent, OsError> {
        debug_assert!(window.is_multiple_of(MAX_PHYSICAL_PAGE));
        let refused = OsError::OutOfMemory;
        let head = checked_align_up(head, Linux.physical_page_size()).ok_or(refused)?;
        let share = checked_align_up(window / SIDE_SHARE, MAX_PHYSICAL_PAGE).ok_or(refused)?;
        // An arena more, because the window begins at a multiple of that.
        let before = head.checked_add(share).and_then(|n| n.checked_add(SIDE_FIXED + ARENA_SIZE)).ok_or(refused)?;
        let size = before.checked_add(window).ok_or(refused)?;
        let base = Linux.reserve(None, size)?;
        let place = base.plus(before - ARENA_SIZE).align_up(ARENA_SIZE);
        let extent = Extent { base, side: base.plus(head), window: place, window_size: window, size };
        // SAFETY: reserved by the call above, and nobody knows of it.
        unsafe {
            if let Err(e) = Linux.map(base, head) {
                extent.give_back();
                return Err(e);
            }
        }
        Ok(extent)
    }

    /// The first byte of the head.
    pub fn base(&self) -> Addr {
        self.base
    }

    /// How many bytes of the head are Ready.
    pub fn head(&self) -> usize {
        self.side.since(self.base)
    }

    /// How many bytes of address space it is.
    pub fn size(&self) -> usize {
        self.size
    }

    /// Gives the whole range back to the system.
    ///
    /// # Safety
    /// Nobody uses anything of it any more.
    pub unsafe fn give_back(self) {
        // Linux refuses that only where one mapping reaches over both ends, and the head divides this one.
        // SAFETY: the caller's promise; the range was reserved as a whole.
        let given = unsafe { Linux.free(self.base, self.size) };
        debug_assert!(given.is_ok(), "the extent stays mapped: {given:?}");
    }
}

/// The system of a kernel that lives in one [`Extent`].
pub struct RangeOs {
    base: AtomicUsize,
    window: AtomicUsize,
    window_size: AtomicUsize,
    size: AtomicUsize,
    head: AtomicUsize,
    /// Everything of the side area below is handed out.
    side_next: AtomicUsize,
    /// Everything of the window below is handed out.
    window_next: AtomicUsize,
}

impl RangeOs {
    /// An enclosure without an extent: it grants nothing.
    #[allow(clippy::new_without_default, reason = "a const constructor is the only one wanted")]
    pub const fn new() -> RangeOs {
        RangeOs {
            base: AtomicUsize::new(0),
            window: AtomicUsize::new(0),
            window_size: AtomicUsize::new(0),
            size: AtomicUsize::new(0),
            head: AtomicUsize::new(0),
            side_next: AtomicUsize::new(0),
            window_next: AtomicUsize::new(0),
        }
    }

    /// Gives it its extent. Once, before the first verb.
    pub fn enclose(&self, extent: Extent) {
        self.base.store(extent.base.0, Ordering::Relaxed);
        self.window.store(extent.window.0, Ordering::Relaxed);
        self.window_size.store(extent.window_size, Ordering::Relaxed);
        self.size.store(extent.size, Ordering::Relaxed);
        self.head.store(extent.head(), Ordering::Relaxed);
        self.side_next.store(extent.side.0, Ordering::Relaxed);
        self.window_next.store(extent.window.0, Ordering::Relaxed);
    }

    /// Its extent.
    pub fn extent(&self) -> Extent {
        let base = Addr(self.base.load(Ordering::Relaxed));
        Extent {
            base,
            side: base.plus(self.head.load(Ordering::Relaxed)),
            window: Addr(self.window.load(Ordering::Relaxed)),
            window_size: self.window_size.load(Ordering::Relaxed),
            size: self.size.load(Ordering::Relaxed),
        }
    }

    /// Hands out `size` bytes of the side area, Reserved.
    fn obtain(&self, size: usize) -> Result<Addr, OsError> {
        let end = self.window.load(Ordering::Relaxed);
        let size = checked_align_up(size, Linux.physical_page_size()).ok_or(OsError::OutOfMemory)?;
        let fits = |next: usize| next.checked_add(size).filter(|&then| then <= end);
        self.side_next
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits)
            .map(Addr)
            .map_err(|_| OsError::OutOfMemory)
    }

    /// Takes `size` bytes of the window from `at` on, and what lies between them and those taken before.
    fn obtain_at(&self, at: Addr, size: usize) -> Result<Addr, OsError> {
        let window = self.window();
        let then = at.0.checked_add(size).filter(|&then| then <= window.base.0 + window.size).ok_or(OsError::Taken)?;
        let fits = |next: usize| (next <= at.0).then_some(then);
        self.window_next
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits)
            .map(|_| at)
            .map_err(|_| OsError::Taken)
    }

    /// Takes back what was handed out last.
    fn take_back(&self, addr: Addr, size: usize) {
        for next in [&self.side_next, &self.window_next] {
            // Anything else stays handed out until the extent is given back.
            let _ = next.compare_exchange(addr.0 + size, addr.0, Ordering::Relaxed, Ordering::Relaxed);
        }
    }
}

impl Platform for RangeOs {
    fn yield_now() {
        Linux::yield_now();
    }

    fn now() -> u64 {
        Linux::now()
    }
}

// SAFETY: what is handed out lies in the extent, which the enclosure's kernel has to itself, and no byte is handed
// out twice unless it was taken back; the states are changed by Linux, by verbs that do what the trait says.
unsafe impl Os for RangeOs {
    const SPARSE_FROM_ZERO: bool = false;

    fn physical_page_size(&self) -> usize {
        Linux.physical_page_size()
    }

    fn address_bits(&self) -> u32 {
        Linux.address_bits()
    }

    fn cpus(&self) -> usize {
        Linux.cpus()
    }

    fn window(&self) -> Window {
        let base = Addr(self.window.load(Ordering::Relaxed));
        Window { base, size: self.window_size.load(Ordering::Relaxed) }
    }

    fn reserve(&self, at: Option<Addr>, size: usize) -> Result<Addr, OsError> {
        match at {
            Some(at) => self.obtain_at(at, size),
            None => self.obtain(size),
        }
    }

    fn alloc(&self, size: usize) -> Result<Addr, OsError> {
        let addr = self.obtain(size)?;
        // SAFETY: handed out this moment, so it is ours and Reserved.
        if let Err(e) = unsafe { Linux.map(addr, size) } {
            self.take_back(addr, size);
            return Err(e);
        }
        Ok(addr)
    }

    unsafe fn map(&self, addr: Addr, size: usize) -> Result<(), OsError> {
        // SAFETY: the caller's promise.
        unsafe { Linux.map(addr, size) }
    }

    unsafe fn used(&self, addr: Addr, size: usize) -> Result<(), OsError> {
        // SAFETY: the caller's promise.
        unsafe { Linux.used(addr, size) }
    }

    unsafe fn unused(&self, addr: Addr, size: usize) -> Result<(), OsError> {
        // SAFETY: the caller's promise.
        unsafe { Linux.unused(addr, size) }
    }

    unsafe fn fault(&self, addr: Addr, size: usize) -> Result<(), OsError> {
        // SAFETY: the caller's promise.
        unsafe { Linux.fault(addr, size) }
    }

    /// Reserved for the system, so that the range stays whole.
    unsafe fn free(&self, addr: Addr, size: usize) -> Result<(), OsError> {
        // SAFETY: the caller's promise.
        unsafe { Linux.fault(addr, size) }?;
        self.take_back(addr, size);
        Ok(())
    }

    unsafe fn guard(&self, addr: Addr, size: usize) -> Result<(), OsError> {
        // SAFETY: the caller's promise.
        unsafe { Linux.guard(addr, size) }
    }

    unsafe fn unguard(&self, addr: Addr, size: usize) -> Result<(), OsError> {
        // SAFETY: the caller's promise.
        unsafe { Linux.unguard(addr, size) }
    }

    unsafe fn huge_page(&self, addr: Addr, size: usize) -> Result<(), OsError> {
        // SAFETY: the caller's promise.
        unsafe { Linux.huge_page(addr, size) }
    }

    unsafe fn no_huge_page(&self, addr: Addr, size: usize) -> Result<(), OsError> {
        // SAFETY: the caller's promise.
        unsafe { Linux.no_huge_page(addr, size) }
    }

    unsafe fn collapse(&self, addr: Addr, size: usize) -> Result<(), OsError> {
        // SAFETY: the caller's promise.
        unsafe { Linux.collapse(addr, size) }
    }

    fn resident(&self, addr: Addr, size: usize) -> Option<usize> {
        Linux.resident(addr, size)
    }

    fn sparse(&self, size: usize) -> Result<Addr, OsError> {
        let addr = self.obtain(size)?;
        // SAFETY: handed out this moment, so it is ours and Reserved.
        if let Err(e) = unsafe { Linux::make_sparse(addr, size) } {
            self.take_back(addr, size);
            return Err(e);
        }
        Ok(addr)
    }

    unsafe fn sparse_ready(&self, addr: Addr, size: usize) -> Result<(), OsError> {
        // SAFETY: the caller's promise.
        unsafe { Linux.sparse_ready(addr, size) }
    }

    /// Never: each move may cost two of the mappings that Linux allows the process, and there may be many heaps.
    unsafe fn move_pages(&self, _from: Addr, _to: Addr, _size: usize) -> Result<(), OsError> {
        Err(OsError::Unsupported)
    }

    /// None: whoever enters the kernel has its heap's lock, which orders more than the fence does.
    fn register_fence(&self) -> bool {
        false
    }

    fn fence_all(&self) -> bool {
        // Nobody calls it, since `register_fence` said no.
        false
    }

    fn print(&self, text: &[u8]) {
        Linux::print(text);
    }
}
