//! Creation, adoption and retirement of caches.
//!
//! `allocator` calls it when a thread first allocates and when it exits. Caches come from the allocator's own memory, are
//! never unmapped, and wait in a pool between two threads.
//!
//! The lock [`Rank::Caches`] protects the pool. It is not held while a cache gives up its spans. [`Rank::Shared`]
//! protects the shared cache, through which threads without a cache free.
//!
//! Invariant: a cache is in the pool or belongs to one thread; one in the pool owns no span.

mod owners;

use core::cell::Cell;
use core::ptr::{null, null_mut};
use core::sync::atomic::{AtomicBool, AtomicPtr, AtomicUsize, Ordering};

use crate::cache::Cache;
use crate::central::Central;
use crate::heap::Heap;
use crate::lock::{Fork, Guard, Mutex, Rank, Waits, hold_row, let_go_row};
use crate::meta::{Charge, Persistent};
use crate::os::{Os, OsError};
use crate::stats::{Account, Delta, Total, Writer};
use crate::units::Addr;
use owners::Owners;

/// Charges the memory of caches to its own account.
struct OfCaches;

impl Charge for OfCaches {
    const ACCOUNT: Account = Account::CacheSys;
    const FREE: Total = Total::CacheFree;
}

/// The data that the caches' lock protects.
struct Pool {
    idle: Cell<*mut Cache>,
    memory: Persistent<OfCaches>,
    owners: Owners,
}

// SAFETY: idle caches belong to the pool, which is touched under its mutex only.
unsafe impl Send for Pool {}

/// The locked pool of caches, and the locked shared cache.
pub struct StoppedPool<'a, O: Os> {
    pool: Guard<'a, O, Pool>,
    _shared: Guard<'a, O, Cache>,
}

impl<O: Os> StoppedPool<'_, O> {
    /// Returns how many caches belong to no thread.
    pub fn idle(&self) -> usize {
        let mut n = 0;
        let mut p = self.pool.idle.get();
        // SAFETY: caches are never unmapped, and idle ones are the pool's under its lock.
        while let Some(cache) = unsafe { p.as_ref() } {
            n += 1;
            p = cache.next_idle.get();
        }
        n
    }
}

/// The caches of one allocator.
pub struct Caches<O: Os> {
    pool: Mutex<O, Pool>,
    /// The list of all caches, the last one first. Only added to.
    all: AtomicPtr<Cache>,
    /// How many caches were created.
    made: AtomicUsize,
    /// How many caches are in the pool. Written under its lock.
    idle: AtomicUsize,
    /// In the child of a fork: how many belong to threads that it does not have. Written by the fork.
    left: AtomicUsize,
    /// The shared cache, for threads without one. It allocates nothing and owns no span.
    shared: Mutex<O, Cache>,
    /// Whether every thread was outside its cache's local pages when a fork took the locks. Written by the thread that
    /// forks.
    leaves_rest: AtomicBool,
}

impl<O: Os> Caches<O> {
    /// Returns an empty set of caches.
    #[allow(clippy::new_without_default, reason = "a const constructor is the only one wanted")]
    pub const fn new() -> Caches<O> {
        Caches {
            pool: Mutex::new(
                Rank::Caches,
                Pool { idle: Cell::new(null_mut()), memory: Persistent::new(), owners: Owners::new() },
            ),
            all: AtomicPtr::new(null_mut()),
            made: AtomicUsize::new(0),
            idle: AtomicUsize::new(0),
            left: AtomicUsize::new(0),
            shared: Mutex::new(Rank::Shared, Cache::new()),
            leaves_rest: AtomicBool::new(false),
        }
    }

    /// Registers the shared cache's writer, if this is the `first` call, and starts the heap. Called by `allocator`
    /// until it succeeds once.
    ///
    /// # Safety
    /// The allocator stays where it is from now on.
    pub unsafe fn boot(&self, heap: &Heap<O>, first: bool) -> Result<(), OsError> {
        let shared = self.shared.lock();
        let stats = heap.stats();
        if first {
            // SAFETY: the shared cache lies in the allocator, which stays; this is the first call.
            unsafe { stats.register(shared.writer(), shared.tallies()) };
            stats.register_fence(heap.os());
        }
        heap.boot(shared.writer())
    }

    /// Returns a cache for a thread that has none: from the pool, or a new one.
    pub fn adopt(&self, heap: &Heap<O>) -> Result<&Cache, OsError> {
        self.adopt_from(heap, &mut self.pool.lock())
    }

    /// As [`Caches::adopt`], for the thread with the thread pointer `thread`, in the process that `process` returns.
    /// Also returns whether the cache was found: an exited thread with the same thread pointer did not give it back,
    /// and it still owns its spans.
    pub fn adopt_for(&self, heap: &Heap<O>, thread: usize, process: fn() -> i32) -> Result<(&Cache, bool), OsError> {
        let mut pool = self.pool.lock();
        if let Some(cache) = pool.owners.find(thread, process) {
            cache.take_over();
            return Ok((cache, true));
        }
        let first = self.made() == 0;
        let cache = self.adopt_from(heap, &mut pool)?;
        pool.owners.note(cache, thread, process, first);
        Ok((cache, false))
    }

    fn adopt_from(&self, heap: &Heap<O>, pool: &mut Pool) -> Result<&Cache, OsError> {
        // SAFETY: caches in the pool are never unmapped, and are ours under the lock.
        if let Some(cache) = unsafe { pool.idle.get().as_ref() } {
            pool.idle.set(cache.next_idle.get());
            self.idle.store(self.idle.load(Ordering::Relaxed) - 1, Ordering::Relaxed);
            cache.open();
            return Ok(cache);
        }
        let stats = heap.stats();
        let mut delta = Delta::new();
        let memory = pool.memory.alloc(heap.vm(), size_of::<Cache>(), align_of::<Cache>(), &mut delta)?;
        delta.add(Total::CacheInUse, size_of::<Cache>() as isize);
        delta.add(Total::CacheFree, -(size_of::<Cache>() as isize));
        let new = memory.ptr::<Cache>();
        // SAFETY: fresh persistent memory reads as zero and is ours; it is never unmapped.
        let cache = unsafe {
            Cache::init(new);
            &*new
        };
        // SAFETY: the cache is never unmapped, and registered here only.
        unsafe { stats.register(cache.writer(), cache.tallies()) };
        stats.post(cache.writer(), &delta);
        // The lock makes this the only writer. Release: a reader that finds the cache finds it initialised.
        cache.next.store(self.all.load(Ordering::Relaxed), Ordering::Relaxed);
        self.all.store(new, Ordering::Release);
        self.made.fetch_add(1, Ordering::Relaxed);
        heap.add_client();
        cache.open();
        Ok(cache)
    }

    /// Takes a cache back from a thread that exits or does not need it any more. The cache gives up what it owns, and
    /// another thread may adopt it.
    ///
    /// # Safety
    /// The calling thread owns the cache and does not use it after.
    pub unsafe fn retire(&self, heap: &Heap<O>, central: &Central<O>, cache: &Cache) {
        cache.close(heap, central);
        let (idle, made) = self.idle_and_made();
        heap.release_at_end(cache.writer(), made.saturating_sub(idle + 1));
        let pool = self.pool.lock();
        pool.owners.forget(cache);
        cache.next_idle.set(pool.idle.get());
        pool.idle.set(core::ptr::from_ref(cache).cast_mut());
        // Release: a reader that counts the cache as idle also counts it as created.
        self.idle.store(self.idle.load(Ordering::Relaxed) + 1, Ordering::Release);
    }

    /// Calls `f` with the shared cache, which may free but not allocate.
    pub fn with_shared<R>(&self, f: impl FnOnce(&Cache) -> R) -> R {
        f(&self.shared.lock())
    }

    /// As [`Caches::with_shared`]. Returns `None` if the lock was not free for `nanos` nanoseconds.
    pub fn with_shared_within<R>(&self, nanos: u64, f: impl FnOnce(&Cache) -> R) -> Option<R> {
        self.shared.lock_within(Some(nanos)).map(|cache| f(&cache))
    }

    /// Takes the locks of the pool and of the shared cache for a fork.
    pub fn hold_for_fork(&self, fork: &Fork) {
        hold_row([&self.pool], fork);
        hold_row([&self.shared], fork);
    }

    /// Notes whether every thread is outside its cache's local pages, for [`Caches::release_after_fork`]. The fork
    /// holds the heap's lock, and movements are kept out.
    pub fn note_local_pages(&self, heap: &Heap<O>, fork: &Fork) {
        // Inside the allocator, the thread may be moving its local pages itself.
        self.leaves_rest.store(!fork.is_inside() && leaves_rest(heap), Ordering::Relaxed);
    }

    /// Returns which writers the calling thread uses: that of its `cache`, and that of the shared cache if the thread
    /// holds it for something else than a fork.
    pub fn own_writers(&self, cache: Option<&Cache>) -> impl Fn(&Writer) -> bool {
        let own = cache.map_or(null(), |cache| core::ptr::from_ref(cache.writer()));
        // SAFETY: the cache lives as long as this, and is reached by shared references only.
        let of_shared = || unsafe { core::ptr::from_ref((*self.shared.value_ptr()).writer()) };
        let shared = if self.shared.is_mine() { of_shared() } else { null() };
        move |writer| core::ptr::eq(writer, own) || core::ptr::eq(writer, shared)
    }

    /// Returns whether the calling thread holds the lock of the pool or of the shared cache.
    pub fn is_held_by_this_thread(&self) -> bool {
        self.pool.is_mine() || self.shared.is_mine()
    }

    /// Releases what [`Caches::hold_for_fork`] took, in the parent or in the child.
    ///
    /// # Safety
    /// This thread, or in the child the one that forked, holds the locks by that call.
    pub unsafe fn release_after_fork(&self, fork: &Fork, child: bool) {
        if child && self.pool.is_held_for(fork) {
            // SAFETY: the fork holds the lock. Without it, the list keeps threads of the parent, which another process id
            // tells apart.
            unsafe { (*self.pool.value_ptr()).owners.clear() };
        }
        // SAFETY: the caller's promise.
        unsafe {
            let_go_row([&self.shared], fork, child);
            let_go_row([&self.pool], fork, child);
        }
    }

    /// Takes back the local pages of the threads that do not exist in the child of a fork, and counts their caches.
    /// `cache` is the child's. All locks are released.
    pub fn forget_threads(&self, heap: &Heap<O>, cache: Option<&Cache>) {
        if self.leaves_rest.load(Ordering::Relaxed) {
            // Their spans stay with their caches: a thread may have been anywhere in its fast paths, which leave no sign.
            self.each(|cache| heap.empty_local(cache.client()));
        }
        let (idle, made) = self.idle_and_made();
        self.left.store((made - idle).saturating_sub(usize::from(cache.is_some())), Ordering::Relaxed);
    }

    /// Returns whether no other thread has a cache. `own` says whether the calling thread has one. Caches of threads
    /// that a fork left behind do not count.
    pub fn is_alone(&self, own: bool) -> bool {
        let (idle, made) = self.idle_and_made();
        (made - idle).saturating_sub(self.left.load(Ordering::Relaxed)) <= usize::from(own)
    }

    /// Calls `f` for every cache that was ever created.
    pub fn each(&self, mut f: impl FnMut(&Cache)) {
        let mut p = self.all.load(Ordering::Acquire);
        // SAFETY: caches are never unmapped.
        while let Some(cache) = unsafe { p.as_ref() } {
            f(cache);
            p = cache.next.load(Ordering::Relaxed);
        }
    }

    /// Returns the address of the head of the list of all caches: for a reader in another process.
    pub fn first_place(&self) -> u64 {
        Addr::of(&raw const self.all).0 as u64
    }

    /// Returns the address of the turns of the caches' lock: for a reader in another process.
    pub fn turns_place(&self) -> u64 {
        self.pool.turns_address()
    }

    /// Returns how many caches were created.
    pub fn made(&self) -> usize {
        self.made.load(Ordering::Relaxed)
    }

    /// Returns how many caches belong to no thread, and after that how many were created.
    pub fn idle_and_made(&self) -> (usize, usize) {
        (self.idle.load(Ordering::Acquire), self.made())
    }

    /// Calls `f` with how threads waited for each of the two locks.
    pub fn each_wait(&self, mut f: impl FnMut(Rank, Waits)) {
        f(Rank::Caches, self.pool.waits());
        f(Rank::Shared, self.shared.waits());
    }

    /// Keeps caches from being created and adopted, and threads without a cache from freeing, until the result is
    /// dropped.
    pub fn stop_all(&self) -> StoppedPool<'_, O> {
        let pool = self.pool.lock();
        StoppedPool { pool, _shared: self.shared.lock() }
    }
}

/// Returns whether no thread moves local pages or records, and none will. Movements are kept out of the statistics, and
/// the caller holds the heap's lock.
///
/// A thread that came in before the fence is seen inside; one that comes after it finds the gate closed and waits for the
/// lock. Returns `false` without a fence that reaches every thread.
fn leaves_rest<O: Os>(heap: &Heap<O>) -> bool {
    heap.os().fence_all() && heap.stats().writers_inside() == 0
}
