//! The allocator as a value: its parts side by side, the order of start-up, and what happens around a fork.
//!
//! `process` has the allocator of the process, `isolated` one in each heap; tests create as many as they like. Reading
//! metrics is in `allocator/reading.rs`, the stats page in `allocator/stats_page.rs`.
//!
//! Start-up happens in the first allocation, under the boot lock: first the stats page, then the writer of the shared
//! cache, then the page heap; the caller's cache comes last. It reads no environment: the front end sets the options
//! before. A fork takes all locks in rank order.
//!
//! Invariant: until start-up has succeeded, every lookup of an address finds nothing, and no thread has a cache.

mod reading;
mod stats_page;

use core::fmt::Write;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::audit::Offsets;
use crate::cache::Cache;
use crate::central::Central;
use crate::heap::Heap;
use crate::lock::{Fork, Mutex, Rank, hold_row, let_go_row};
use crate::malloc::Bound;
use crate::mem_stats::{self, Balance, MemStats};
use crate::metrics::{OsFigures, Reading, SeqLock};
use crate::options::StatsPageOption;
use crate::os::{Os, OsError};
use crate::report::Line;
use crate::span::Span;
use crate::stack_pool::StackPool;
use crate::stats::{self, Answer, ConsistentStats, Snapshot, Totals};
use crate::stats_page::StatsPage;
use crate::thread::Caches;
use crate::units::PAGE_SHIFT;
use crate::vm::Vm;

pub use reading::Metrics;

/// An allocator on one OS. It takes no memory before its first allocation.
pub struct Allocator<O: Os> {
    heap: Heap<O>,
    central: Central<O>,
    caches: Caches<O>,
    stacks: StackPool<O>,
    /// Whether start-up was tried before. Its lock is the boot lock.
    tried: Mutex<O, bool>,
    ready: AtomicBool,
    /// Taken by a crossfoot and by a fork. For background work, of which there is none yet.
    sysmon: Mutex<O, ()>,
    /// Taken by a crossfoot and by a fork. For the start of traces, which do not exist yet.
    trace: Mutex<O, ()>,
    /// The buffer of the readers of metrics, one at a time.
    metrics: Mutex<O, Reading>,
    /// Figures of the OS that an audit found. Written under the metrics lock.
    figures: SeqLock,
    /// Whether every reading of statistics is checked by a crossfoot.
    double_check: AtomicBool,
    /// Whether caches that are adopted from now on validate every free.
    check: AtomicBool,
    /// The option for the stats page: [`StatsPageOption`] as a word.
    stats_page: AtomicU64,
}

impl<O: Os> Allocator<O> {
    /// Returns an allocator on `os` that has nothing yet.
    pub const fn new(os: O) -> Allocator<O> {
        Allocator {
            heap: Heap::new(os),
            central: Central::new(),
            caches: Caches::new(),
            stacks: StackPool::new(),
            tried: Mutex::new(Rank::Boot, false),
            ready: AtomicBool::new(false),
            sysmon: Mutex::new(Rank::Sysmon, ()),
            trace: Mutex::new(Rank::Trace, ()),
            metrics: Mutex::new(Rank::Metrics, Reading::new()),
            figures: SeqLock::new(),
            double_check: AtomicBool::new(cfg!(feature = "testing")),
            check: AtomicBool::new(false),
            stats_page: AtomicU64::new(StatsPageOption::On.to_word()),
        }
    }

    /// Returns whether it has started up.
    pub fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Acquire)
    }

    /// Returns the page heap.
    #[inline(always)]
    pub fn heap(&self) -> &Heap<O> {
        &self.heap
    }

    /// Returns the central lists: the spans without an owner, by size class.
    #[inline(always)]
    pub fn central(&self) -> &Central<O> {
        &self.central
    }

    /// Returns the caches of threads.
    #[inline(always)]
    pub fn caches(&self) -> &Caches<O> {
        &self.caches
    }

    /// Binds calls of [`malloc`](crate::malloc) to a cache of this allocator, which the caller owns.
    #[inline(always)]
    pub fn bind<'a>(&'a self, cache: &'a Cache) -> Bound<'a, O> {
        Bound { heap: &self.heap, central: &self.central, cache }
    }

    /// Returns the pool of stacks.
    pub fn stacks(&self) -> &StackPool<O> {
        &self.stacks
    }

    /// Returns the layer for states of address space, with the OS and the accounts.
    pub fn vm(&self) -> &Vm<O> {
        self.heap.vm()
    }

    /// Returns the OS.
    pub fn os(&self) -> &O {
        self.heap.os()
    }

    /// Returns the consistent statistics.
    pub fn stats(&self) -> &ConsistentStats<O> {
        self.heap.stats()
    }

    /// Returns the page that other processes read, with the list of mappings.
    pub fn stats_page(&self) -> &StatsPage<O> {
        self.heap.stats_page()
    }

    /// Starts the allocator up, unless that has happened. An error leaves it unchanged, and another call tries again.
    ///
    /// # Safety
    /// The allocator stays where it is from now on, as long as any part of it is used.
    pub unsafe fn boot(&self) -> Result<(), OsError> {
        if self.is_ready() {
            return Ok(());
        }
        let mut tried = self.tried.lock();
        if self.is_ready() {
            return Ok(());
        }
        let first = !core::mem::replace(&mut *tried, true);
        if stats::BOOKS_ENABLED {
            // First, so that it lists all mappings.
            self.open_stats_page();
        }
        // SAFETY: the caller's promise; `first` is said once.
        unsafe { self.caches.boot(&self.heap, first) }?;
        self.start_stats_page();
        self.ready.store(true, Ordering::Release);
        Ok(())
    }

    /// Returns a cache for a thread that has none. Starts the allocator up if need be.
    ///
    /// # Safety
    /// As for [`Allocator::boot`].
    pub unsafe fn adopt(&self) -> Result<&Cache, OsError> {
        // SAFETY: the caller's promise.
        unsafe { self.boot() }?;
        let cache = self.caches.adopt(&self.heap)?;
        cache.set_checked(self.is_checked());
        Ok(cache)
    }

    /// As [`Allocator::adopt`], for the thread with the thread pointer `thread`, in the process that `process` returns,
    /// which is not called for the first cache. Also returns whether the cache is one that an exited thread left: then
    /// it still owns its spans.
    ///
    /// # Safety
    /// As for [`Allocator::boot`]; threads that run have different thread pointers.
    pub unsafe fn adopt_for(&self, thread: usize, process: fn() -> i32) -> Result<(&Cache, bool), OsError> {
        // SAFETY: the caller's promise.
        unsafe { self.boot() }?;
        let (cache, found) = self.caches.adopt_for(&self.heap, thread, process)?;
        if !found {
            cache.set_checked(self.is_checked());
        }
        Ok((cache, found))
    }

    /// Retires a cache whose thread exits or does not need it any more; see [`Caches::retire`].
    ///
    /// # Safety
    /// The calling thread owns the cache and does not use it after.
    pub unsafe fn retire(&self, cache: &Cache) {
        // SAFETY: the caller's promise.
        unsafe { self.caches.retire(&self.heap, &self.central, cache) };
    }

    /// Sets whether caches that are adopted from now on validate every free. Off at first; once on, it stays on,
    /// because spans with bitmaps keep them.
    ///
    /// A cache that has owned nothing since its adoption may be set as well: [`Cache::set_checked`].
    ///
    /// Takes the shared cache's lock.
    pub fn set_check(&self, on: bool) {
        let on = self.check.fetch_or(on, Ordering::Relaxed) || on;
        self.caches.with_shared(|cache| cache.set_checked(on));
    }

    /// Copies the checks of another allocator.
    pub fn check_like<P: Os>(&self, other: &Allocator<P>) {
        self.set_check(other.is_checked());
        self.set_double_check(other.double_check.load(Ordering::Relaxed));
    }

    /// Returns whether caches that are adopted from now on validate every free.
    pub fn is_checked(&self) -> bool {
        self.check.load(Ordering::Relaxed)
    }

    /// Returns whether the calling thread holds a lock, for the call that a signal handler interrupted or for a fork.
    pub fn is_held_by_this_thread(&self) -> bool {
        let ours = [self.sysmon.is_mine(), self.trace.is_mine(), self.tried.is_mine(), self.metrics.is_mine()];
        ours.contains(&true)
            || self.stats_page().is_held_by_this_thread()
            || self.caches.is_held_by_this_thread()
            || self.central.is_held_by_this_thread()
            || self.stacks.is_held_by_this_thread()
            || self.heap.is_held_by_this_thread()
    }

    /// Takes every lock before a fork, in rank order, so that the child finds each one free and the state under it
    /// consistent. Skips those that this thread holds already. `cache` is this thread's, if it has one.
    pub fn before_fork(&self, fork: &Fork, cache: Option<&Cache>) {
        hold_row([&self.tried], fork);
        hold_row([&self.sysmon], fork);
        hold_row([&self.trace], fork);
        hold_row([&self.metrics], fork);
        self.stats_page().hold_readings(fork);
        self.stats().hold_for_fork(self.os(), fork, self.caches.own_writers(cache));
        self.caches.hold_for_fork(fork);
        self.central.hold_for_fork(fork);
        self.stacks.hold_for_fork(fork);
        self.heap.hold_for_fork(fork);
        self.caches.note_local_pages(&self.heap, fork);
        self.stats_page().hold_list(fork);
    }

    /// Releases the locks after a fork, in the parent and in the child. A call that a signal handler interrupted to
    /// fork goes on in both.
    ///
    /// # Safety
    /// This thread, or in the child the one that forked, called [`Allocator::before_fork`] with this fork and this cache,
    /// and nothing since.
    pub unsafe fn after_fork(&self, fork: &Fork, cache: Option<&Cache>, child: bool) {
        let figures_rest = self.metrics.is_held_for(fork);
        // SAFETY: the caller's promise.
        unsafe {
            self.stats_page().release_list(self.os(), fork, child);
            self.heap.release_after_fork(fork, child);
            self.stacks.release_after_fork(fork, child);
            self.central.release_after_fork(fork, child);
            self.caches.release_after_fork(fork, child);
            self.stats().release_after_fork(self.os(), fork, self.caches.own_writers(cache), child);
            if child {
                self.caches.forget_threads(&self.heap, cache);
            }
            self.stats_page().release_readings(fork, child);
            if child && figures_rest {
                // They are the parent's. The lock under which they are written is held.
                self.figures.set(&OsFigures::NONE);
            }
            let_go_row([&self.metrics], fork, child);
            let_go_row([&self.trace], fork, child);
            let_go_row([&self.sysmon], fork, child);
            let_go_row([&self.tried], fork, child);
        }
        // The interrupted call may be in the middle of the accounts.
        if child && !fork.is_inside() {
            self.stats_page_after_fork();
        }
    }

    /// Returns the heap and the caches, once the allocator has started and if this build keeps statistics.
    fn started(&self) -> Option<(&Heap<O>, &Caches<O>)> {
        (stats::BOOKS_ENABLED && self.is_ready()).then_some((&self.heap, &self.caches))
    }

    /// Checks every identity; see [`mem_stats::crossfoot`]. Returns `None` before start-up.
    ///
    /// Takes the sysmon lock and the trace lock, then the locks that [`mem_stats::crossfoot`] takes.
    pub fn crossfoot(&self, cache: Option<&Cache>) -> Option<Balance> {
        let (heap, caches) = self.started()?;
        let sysmon = self.sysmon.lock();
        let trace = self.trace.lock();
        let balance = mem_stats::crossfoot(heap, caches, cache);
        drop((trace, sysmon));
        balance.abort_if_changed();
        self.leave_reading();
        Some(balance)
    }

    /// Checks without waiting; see [`mem_stats::crossfoot_at_once`]. Returns `None` before start-up.
    pub fn crossfoot_at_once(&self, interrupted: bool) -> Option<Balance> {
        let (heap, caches) = self.started()?;
        Some(mem_stats::crossfoot_at_once(heap, caches, interrupted))
    }

    /// As [`Allocator::crossfoot`], and checks the counts of objects; see [`mem_stats::crossfoot_quiet`].
    ///
    /// # Safety
    /// As for [`mem_stats::crossfoot_quiet`].
    pub unsafe fn crossfoot_quiet(&self, cache: Option<&Cache>) -> Option<Balance> {
        let (heap, caches) = self.started()?;
        let sysmon = self.sysmon.lock();
        let trace = self.trace.lock();
        // SAFETY: the caller's promise.
        let balance = unsafe { mem_stats::crossfoot_quiet(heap, caches, cache) };
        drop((trace, sysmon));
        balance.abort_if_changed();
        Some(balance)
    }

    /// Takes one consistent snapshot. Returns `None` before start-up. Takes the lock of the consistent statistics, and
    /// never waits for an allocating thread.
    pub fn snapshot(&self, out: &mut Snapshot) -> Option<Answer> {
        let answer = mem_stats::snapshot(self.started()?.0, out);
        self.leave_reading();
        Some(answer)
    }

    /// Reads the totals of one consistent snapshot. Otherwise as [`Allocator::snapshot`].
    pub fn totals(&self, out: &mut Totals) -> Option<Answer> {
        Some(mem_stats::totals(self.started()?.0, out))
    }

    /// Reads the last complete snapshot. Returns `None` before start-up. Takes no lock, so a signal handler may call it.
    pub fn last_snapshot(&self, out: &mut Snapshot) -> Option<Answer> {
        Some(self.started()?.0.stats().last(out))
    }

    /// Reads statistics from one consistent snapshot. Returns `None` before start-up. Otherwise as
    /// [`Allocator::snapshot`]; in double-check mode as [`Allocator::crossfoot`], and failures are printed. `cache` is
    /// the calling thread's, if it has one: its pending counts are posted first.
    pub fn mem_stats(&self, cache: Option<&Cache>, out: &mut MemStats) -> Option<Answer> {
        let (heap, _) = self.started()?;
        if !self.double_check.load(Ordering::Relaxed) {
            if let Some(cache) = cache {
                cache.post_all(heap);
            }
            let answer = mem_stats::stats(heap, out);
            self.leave_reading();
            return Some(answer);
        }
        self.mem_stats_checked(cache, out)
    }

    /// A separate function, because it needs five times the stack of [`Allocator::mem_stats`].
    #[cold]
    #[inline(never)]
    fn mem_stats_checked(&self, cache: Option<&Cache>, out: &mut MemStats) -> Option<Answer> {
        let balance = self.crossfoot(cache)?;
        balance.failures.describe(|what| {
            let mut line = Line::new();
            // A line that is too long is cut, and fails nothing.
            let _ = writeln!(line, "crossfoot: double check: {what}");
            self.os().print(line.bytes());
        });
        *out = balance.mem_stats();
        Some(balance.answer)
    }

    /// Sets whether every reading of statistics is checked by a crossfoot: off by default, on in tests. Failures are
    /// printed, and end nothing.
    pub fn set_double_check(&self, on: bool) {
        self.double_check.store(on, Ordering::Relaxed);
    }

    /// See [`mem_stats::read_slow`]. `None` before start-up too.
    ///
    /// # Safety
    /// As for [`mem_stats::read_slow`].
    pub unsafe fn read_slow(&self) -> Option<(MemStats, MemStats)> {
        let (heap, caches) = self.started()?;
        let _sysmon = self.sysmon.lock();
        let _trace = self.trace.lock();
        // SAFETY: the caller's promise.
        unsafe { mem_stats::read_slow(heap, caches) }
    }

    /// Returns where its structures lie, for a reader in another process. Takes the heap's lock. Called after start-up.
    pub fn offsets(&self) -> Offsets {
        let heap = &self.heap;
        let ((map, pages, accounts), (writers, heap_turns)) = (heap.offsets(), heap.movement_offsets());
        Offsets {
            form: Offsets::FORM,
            page_shift: PAGE_SHIFT.into(),
            physical_page: self.os().physical_page_size() as u64,
            caches: self.caches.first_place(),
            span: Span::OFFSETS,
            map,
            pages,
            accounts,
            writers,
            turns: [heap_turns, self.caches.turns_place()],
            cache: Cache::OFFSETS,
        }
    }
}
