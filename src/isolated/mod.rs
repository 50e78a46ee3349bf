//! Isolated heaps: allocators beside the process's own, each in one range of addresses, dropped whole.
//!
//! A [`Heap`] is an allocator of its own, with its arenas, spans, one cache, accounts and statistics, on a [`RangeOs`].
//! The allocator itself lies at the head of the range. Programs make one through `process`, which also says here when
//! the process forks.
//!
//! One lock for each heap, [`Rank::Isolated`], is taken by every call, so any thread may call. It comes before all
//! locks of the allocator behind it, which are therefore always free when it is; a fork takes it alone. A signal handler
//! that interrupts a call is told by a line, with `check:on` or without. The list of heaps has a lock of its own,
//! [`Rank::Heaps`]. Nothing here allocates from the process, but for the system stacks on which [`Heap::crossfoot`] and
//! [`Heap::mem_stats`] run. The rest needs little stack.
//!
//! Invariant: everything that a heap ever got from the OS lies in its extent, and so goes back in one call.

mod list;

use core::mem::{ManuallyDrop, MaybeUninit};
use core::ptr::{NonNull, null, null_mut};
use core::sync::atomic::{AtomicPtr, Ordering};

use crate::allocator::Allocator;
use crate::cache::Cache;
use crate::local::InHeap;
use crate::lock::{Mutex, Rank, stand_back};
use crate::malloc::{self, Bound};
use crate::mem_stats::{Balance, MemStats};
use crate::os::{Extent, Linux, OsError, RangeOs};
use crate::page::CHUNK_BYTES;
use crate::stats::{Account, Answer, Delta};
use crate::stats_page::MappingKind;
use crate::system_stack;
use crate::units::{Addr, GIB, MIB, align_down, checked_align_up};

use list::Links;
pub use list::{after_fork, before_fork, is_held_by_this_thread, list_on_stats_page};

/// The largest address space of a heap without a limit: a thousand such heaps fit into half of 47 bits.
const WINDOW: usize = 64usize.saturating_mul(GIB);
/// Binary logarithm of the share of the address space that such a heap has, unless that is less than [`SOME_WINDOW`].
const SHARE: u32 = 11;
const SOME_WINDOW: usize = 256 * MIB;
/// Which part of a limited address space a heap has at the most.
const LIMITED_SHARE: usize = 16;
/// With less than this it is not worth having.
const LEAST_WINDOW: usize = 64 * MIB;

/// The heap's one cache. Its lock gives the right to use it.
struct Owned(*const Cache);

// SAFETY: the cache is used under the lock only.
unsafe impl Send for Owned {}

/// A heap, at the head of its extent.
struct Inner {
    owned: Mutex<RangeOs, Owned>,
    links: Links,
    /// The process's allocator, on whose stats page the heap is listed, or null. Set once.
    home: AtomicPtr<Allocator<Linux>>,
    allocator: Allocator<RangeOs>,
}

impl Inner {
    const fn new() -> Inner {
        Inner {
            owned: Mutex::new(Rank::Isolated, Owned(null())),
            links: Links::new(),
            home: AtomicPtr::new(null_mut()),
            allocator: Allocator::new(RangeOs::new()),
        }
    }
}

impl Inner {
    /// Lists the heap on the stats page of the process's allocator, which has started, unless it is listed.
    fn list_on(&self, home: &'static Allocator<Linux>) {
        if self.home.swap(core::ptr::from_ref(home).cast_mut(), Ordering::Relaxed).is_null() {
            let extent = self.allocator.os().extent();
            home.stats_page().note(home.os(), extent.base(), extent.size(), MappingKind::Isolated);
        }
    }
}

/// The bytes of a new [`Inner`], to be copied to its place in the range. They would not fit on a small stack.
// SAFETY: bytes that need not be initialised may have any value.
static NEW: [MaybeUninit<u8>; size_of::<Inner>()] = unsafe { core::mem::transmute(Inner::new()) };

/// An allocator of its own, beside the process's, that is dropped whole.
///
/// What is allocated in it shares no page with anything else, its books are its own, and when it is dropped, every byte
/// that it took from the OS goes back at once, whatever is still allocated in it. Any thread may use it; calls
/// wait for each other. Dropping takes time in proportion to the memory that was touched, not to the number of objects.
///
/// ```
/// let heap = crossfoot::Heap::new().expect("address space");
/// let p = heap.allocate(100);
/// assert!(!p.is_null() && heap.contains(p));
/// drop(heap); // The object is gone with it.
/// ```
#[repr(transparent)]
pub struct Heap {
    inner: NonNull<Inner>,
}

// SAFETY: nothing in a heap belongs to a thread; whatever changes is behind its lock.
unsafe impl Send for Heap {}
// SAFETY: as above.
unsafe impl Sync for Heap {}

impl Heap {
    /// Returns a heap of at most `limit` bytes of pages, rounded up to 4 MiB. Without a limit, the heap is as large as
    /// the address space permits, up to 64 GiB. Its checks are those of the process's allocator, `like`. `process`
    /// prepares the process for it.
    pub(crate) fn make(limit: Option<usize>, like: &'static Allocator<Linux>) -> Result<Heap, OsError> {
        stand_back::<RangeOs>();
        let extent = match limit {
            Some(limit) => {
                let window = checked_align_up(limit.max(1), CHUNK_BYTES).ok_or(OsError::OutOfMemory)?;
                Extent::reserve(window, size_of::<Inner>())?
            }
            None => Heap::reserve_some()?,
        };
        // SAFETY: the extent is fresh, and ours.
        match unsafe { Heap::found(extent, like) } {
            Ok(heap) => Ok(heap),
            Err(e) => {
                // SAFETY: no other thread knows of it.
                unsafe { extent.give_back() };
                Err(e)
            }
        }
    }

    /// As much as there is, from [`WINDOW`] down to [`LEAST_WINDOW`].
    fn reserve_some() -> Result<Extent, OsError> {
        let largest = (1usize << (Linux::address_bits() - SHARE)).clamp(SOME_WINDOW, WINDOW);
        let mut window = match Linux::address_space_limit() {
            Some(limit) => (usize::try_from(limit).unwrap_or(usize::MAX) / LIMITED_SHARE).clamp(LEAST_WINDOW, largest),
            None => largest,
        };
        loop {
            window = align_down(window, CHUNK_BYTES);
            match Extent::reserve(window, size_of::<Inner>()) {
                Err(OsError::OutOfMemory) if window / 2 >= LEAST_WINDOW => window /= 2,
                result => return result,
            }
        }
    }

    /// Makes a heap at the head of an extent.
    ///
    /// # Safety
    /// The extent is fresh and the caller's, and is the heap's where there is one.
    unsafe fn found(extent: Extent, like: &'static Allocator<Linux>) -> Result<Heap, OsError> {
        let place = extent.base().ptr::<Inner>();
        let inner = NonNull::new(place).ok_or(OsError::OutOfMemory)?;
        // SAFETY: the head is Ready, ours, as large as an `Inner`, and aligned to a physical page. A copy of a new
        // `Inner` that was never used is a new `Inner`.
        let heap = unsafe {
            place.cast::<MaybeUninit<u8>>().copy_from_nonoverlapping(NEW.as_ptr(), NEW.len());
            inner.as_ref()
        };
        let allocator = &heap.allocator;
        allocator.os().enclose(extent);
        allocator.check_like(like);
        // SAFETY: the allocator stays until the whole extent is unmapped.
        let cache = unsafe { allocator.adopt() }?;
        // The head is memory from the OS like any other.
        let (accounts, mut delta) = (allocator.heap().accounts(), Delta::new());
        accounts.mapped(Account::OtherSys, extent.head(), &mut delta);
        accounts.became_ready(extent.head(), &mut delta);
        allocator.stats().post(cache.writer(), &delta);
        heap.owned.lock().0 = cache;
        // SAFETY: it is new, and stays until it is dropped.
        unsafe { list::add(inner) };
        if like.is_ready() {
            heap.list_on(like);
        }
        Ok(Heap { inner })
    }

    fn inner(&self) -> &Inner {
        // SAFETY: it lies in the extent, which is given back when this is dropped.
        unsafe { self.inner.as_ref() }
    }

    /// Runs `f` with the heap's allocator and its cache, under its lock.
    #[inline]
    fn with<R>(&self, f: impl FnOnce(&Allocator<RangeOs>, &Cache) -> R) -> R {
        stand_back::<RangeOs>();
        let inner = self.inner();
        let _in_heap = InHeap::begin();
        let owned = inner.owned.lock();
        // SAFETY: set when the heap was made, and ours under the lock.
        f(&inner.allocator, unsafe { &*owned.0 })
    }

    #[inline]
    fn bound<R>(&self, f: impl FnOnce(Bound<'_, RangeOs>) -> R) -> R {
        self.with(|allocator, cache| f(allocator.bind(cache)))
    }

    /// Allocates `size` bytes aligned to 16. Null: no memory. Zero bytes are an object too.
    #[inline]
    pub fn allocate(&self, size: usize) -> *mut u8 {
        self.bound(|b| malloc::allocate(b, size))
    }

    /// Allocates `size` bytes aligned to `align`. Null: no memory, or `align` is no power of two or above 1 GiB.
    #[inline]
    pub fn allocate_aligned(&self, size: usize, align: usize) -> *mut u8 {
        if !align.is_power_of_two() {
            return null_mut();
        }
        self.bound(|b| malloc::allocate_aligned(b, size, align))
    }

    /// Allocates `size` zero bytes aligned to 16. Null: no memory. Memory that is known to be zero is not written.
    #[inline]
    pub fn allocate_zeroed(&self, size: usize) -> *mut u8 {
        self.bound(|b| malloc::allocate_zeroed(b, size))
    }

    /// Frees an object.
    ///
    /// # Safety
    /// `p` is null or a live object of this heap. What is seen to be something else, such as an object of another heap
    /// or of the process, ends the process with one line.
    #[inline]
    pub unsafe fn free(&self, p: *mut u8) {
        // SAFETY: the caller's promise.
        self.bound(|b| unsafe { malloc::free(b, p) });
    }

    /// Changes the size of the object `p` to `size`, as `realloc` does. The object may move; then its new address is a
    /// multiple of `align`, a power of two. A `size` of 0 counts as 1. Returns null if there is no memory, and then leaves
    /// the object as it is.
    ///
    /// # Safety
    /// `p` is a live object of this heap. If the result is not null, `p` is not used after.
    #[inline]
    pub unsafe fn reallocate(&self, p: *mut u8, size: usize, align: usize) -> *mut u8 {
        // SAFETY: the caller's promise.
        self.bound(|b| unsafe { malloc::reallocate(b, p, size.max(1), align) })
    }

    /// How many bytes of an object may be used; 0 for null.
    ///
    /// # Safety
    /// `p` is null or a live object of this heap.
    pub unsafe fn usable_size(&self, p: *mut u8) -> usize {
        // SAFETY: the caller's promise.
        self.bound(|b| unsafe { malloc::usable_size(b.heap, p) })
    }

    /// Returns whether an address lies in this heap's range. It need not be an object.
    pub fn contains<T>(&self, p: *const T) -> bool {
        let extent = self.inner().allocator.os().extent();
        p.addr().wrapping_sub(extent.base().0) < extent.size()
    }

    /// The range that is this heap's: its first address, and how many bytes of address space it is.
    pub fn range(&self) -> (Addr, usize) {
        let extent = self.inner().allocator.os().extent();
        (extent.base(), extent.size())
    }

    /// The heap's statistics, as [`mem_stats`](crate::process::mem_stats) gives the process's. Takes the heap's lock.
    /// Returns `None` if this build keeps no statistics.
    pub fn mem_stats(&self, out: &mut MemStats) -> Option<Answer> {
        system_stack::run(|| self.with(|allocator, cache| allocator.mem_stats(Some(cache), out)))
    }

    /// Checks every identity of the heap's books. Takes the heap's lock. Returns `None` if this build keeps no
    /// statistics. What it returns takes 12 KiB of the caller's stack: [`Heap::crossfoot_with`] needs none of it.
    pub fn crossfoot(&self) -> Option<Balance> {
        system_stack::run(|| self.balance())
    }

    /// As [`Heap::crossfoot`], and hands what it found to `f`, which runs on the thread's system stack: see
    /// [`on_system_stack`](crate::process::on_system_stack).
    pub fn crossfoot_with<R>(&self, f: impl FnOnce(Option<&Balance>) -> R) -> R {
        system_stack::run(|| f(self.balance().as_ref()))
    }

    fn balance(&self) -> Option<Balance> {
        self.with(|allocator, cache| allocator.crossfoot(Some(cache)))
    }

    /// The heap as a pointer, for a face that is not Rust. It lives until [`Heap::from_raw`] is dropped.
    pub fn into_raw(self) -> NonNull<()> {
        ManuallyDrop::new(self).inner.cast()
    }

    /// The heap that a pointer stands for.
    ///
    /// # Safety
    /// The pointer came from [`Heap::into_raw`], and the heap was not dropped since. If there are several values for
    /// one heap, at most one is dropped, last.
    pub const unsafe fn from_raw(raw: NonNull<()>) -> Heap {
        Heap { inner: raw.cast() }
    }
}

impl Drop for Heap {
    fn drop(&mut self) {
        stand_back::<RangeOs>();
        let inner = self.inner();
        let extent = inner.allocator.os().extent();
        // SAFETY: it was added when it was made.
        unsafe { list::remove(inner) };
        // SAFETY: it is null or the process's allocator, which stays.
        if let Some(home) = unsafe { inner.home.load(Ordering::Relaxed).as_ref() } {
            home.stats_page().forget(home.os(), extent.base(), extent.size());
        }
        // SAFETY: the heap is not in use any more, and not in the list.
        unsafe { extent.give_back() };
    }
}

impl core::fmt::Debug for Heap {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let (base, size) = self.range();
        f.debug_struct("Heap").field("base", &base).field("size", &size).finish()
    }
}
