//! Linux inside one range of addresses: the OS of an isolated heap, which is dropped as a whole.
//!
//! An [`Extent`] is one mapping, reserved by one call. All verbs of its [`RangeOs`] stay inside, so that one call frees
//! everything, whatever the states of its parts:
//!
//! ```text
//! base                                                    window               end
//! | head | side, upward: reserve(None), alloc, sparse ... | upward: reserve(Some) |
//! ```
//!
//! The head is Ready from the start and belongs to the caller. Memory without a wanted address comes from the side area. The
//! tables that grow with the heap take at most 128 bytes (a span's record) per page of 8 KiB, 1/64 of the window, and 8
//! bytes (the page map) per page, 1/1024. The side area is 1/32 of the window, and 2 MiB for tables that do not grow.
//! Nothing of it takes memory before it is touched.
//!
//! There is no lock and no allocation; the marks are atomic. Memory that is freed out of order becomes Reserved and is not
//! reused before the whole extent is freed.
//!
//! Invariant: the whole extent stays mapped until [`Extent::give_back`], so that no other mapping can lie inside.

use core::sync::atomic::{AtomicUsize, Ordering};

use super::base::Linux;
use crate::config::{ARENA_SIZE, MAX_PHYSICAL_PAGE};
use crate::os::{Fence, Identity, Memory, OsError, Platform, Sharing, Window};
use crate::units::{Addr, MIB, checked_align_up};

/// `window / side`, for the tables that grow with the heap.
const SIDE_SHARE: usize = 32;
/// The fixed part of the side area.
const SIDE_FIXED: usize = 2 * MIB;

/// One range of address space, and its parts.
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
        // One arena more, because the window is aligned to an arena.
        let before = head.checked_add(share).and_then(|n| n.checked_add(SIDE_FIXED + ARENA_SIZE)).ok_or(refused)?;
        let size = before.checked_add(window).ok_or(refused)?;
        let base = Linux.reserve(None, size)?;
        let start = base.plus(before - ARENA_SIZE).align_up(ARENA_SIZE);
        let extent = Extent { base, side: base.plus(head), window: start, window_size: window, size };
        // SAFETY: reserved by the call above, and used nowhere else.
        unsafe {
            if let Err(e) = Linux.map(base, head) {
                extent.give_back();
                return Err(e);
            }
        }
        Ok(extent)
    }

    /// Returns the address of the head's first byte.
    pub fn base(&self) -> Addr {
        self.base
    }

    /// Returns the size of the head in bytes. All of it is Ready.
    pub fn head(&self) -> usize {
        self.side.since(self.base)
    }

    /// Returns the size of the whole range in bytes.
    pub fn size(&self) -> usize {
        self.size
    }

    /// Unmaps the whole range.
    ///
    /// # Safety
    /// Nothing of it is used any more.
    pub unsafe fn give_back(self) {
        // At the limit on mappings, Linux refuses to unmap the middle of a mapping. The range is not one mapping: the head
        // divides it.
        // SAFETY: the caller's promise; the range was reserved as a whole.
        let given = unsafe { Linux.free(self.base, self.size) };
        debug_assert!(given.is_ok(), "the extent stays mapped: {given:?}");
    }
}

/// The OS of an allocator that lives in one [`Extent`].
pub struct RangeOs {
    base: AtomicUsize,
    window: AtomicUsize,
    window_size: AtomicUsize,
    size: AtomicUsize,
    head: AtomicUsize,
    /// Everything of the side area below this address is handed out.
    side_next: AtomicUsize,
    /// Everything of the window below this address is handed out.
    window_next: AtomicUsize,
}

impl RangeOs {
    /// Returns an OS without an extent. It grants nothing.
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

    /// Sets the extent. Called once, before the first verb.
    pub fn enclose(&self, extent: Extent) {
        self.base.store(extent.base.0, Ordering::Relaxed);
        self.window.store(extent.window.0, Ordering::Relaxed);
        self.window_size.store(extent.window_size, Ordering::Relaxed);
        self.size.store(extent.size, Ordering::Relaxed);
        self.head.store(extent.head(), Ordering::Relaxed);
        self.side_next.store(extent.side.0, Ordering::Relaxed);
        self.window_next.store(extent.window.0, Ordering::Relaxed);
    }

    /// Returns the extent.
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

    /// Takes `size` bytes of the side area, in state Reserved.
    fn obtain(&self, size: usize) -> Result<Addr, OsError> {
        let end = self.window.load(Ordering::Relaxed);
        let size = checked_align_up(size, Linux.physical_page_size()).ok_or(OsError::OutOfMemory)?;
        let fits = |next: usize| next.checked_add(size).filter(|&then| then <= end);
        self.side_next
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits)
            .map(Addr)
            .map_err(|_| OsError::OutOfMemory)
    }

    /// Takes `size` bytes of the window at `at`. Skips the bytes between them and those taken before.
    fn obtain_at(&self, at: Addr, size: usize) -> Result<Addr, OsError> {
        let window = self.window();
        let then = at.0.checked_add(size).filter(|&then| then <= window.base.0 + window.size).ok_or(OsError::Taken)?;
        let fits = |next: usize| (next <= at.0).then_some(then);
        self.window_next
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits)
            .map(|_| at)
            .map_err(|_| OsError::Taken)
    }

    /// Makes a range available again if it was taken last.
    fn take_back(&self, addr: Addr, size: usize) {
        for next in [&self.side_next, &self.window_next] {
            // Any other range stays taken until the extent is unmapped.
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

// SAFETY: ranges lie in the extent, which belongs to this OS's allocator alone, and no byte is taken twice unless it was
// made available again; the states are changed by the verbs of Linux, which have the trait's effects.
unsafe impl Memory for RangeOs {
    const SPARSE_FROM_ZERO: bool = false;

    fn physical_page_size(&self) -> usize {
        Linux.physical_page_size()
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
        // SAFETY: taken above, so it is ours and Reserved.
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

    /// Makes the range Reserved instead of unmapping it, so that the extent stays whole.
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
        // SAFETY: taken above, so it is ours and Reserved.
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

    /// Fails always: a move may cost two of the process's mappings, which are limited, and there may be many heaps.
    unsafe fn move_pages(&self, _from: Addr, _to: Addr, _size: usize) -> Result<(), OsError> {
        Err(OsError::Unsupported)
    }
}

impl Sharing for RangeOs {}

impl Fence for RangeOs {
    /// Returns `false`: each entry into the allocator takes the heap's lock, which orders more than the fence does.
    fn register_fence(&self) -> bool {
        false
    }

    fn fence_all(&self) -> bool {
        // Never called, since `register_fence` returned false.
        false
    }
}

impl Identity for RangeOs {
    fn print(&self, text: &[u8]) {
        Linux::print(text);
    }
}
