//! Statistics from a snapshot, the same figures computed a second way, and the comparison of both (the *crossfoot*).
//!
//! `allocator` calls this for every front end, and tests call it at their end. `metrics` names the figures.
//!
//! [`snapshot`], [`totals`] and [`stats()`] take the lock of the statistics only. [`crossfoot`] and [`read_slow`] take
//! the locks of the statistics, of the caches and of the heap, in this order, so that the figures do not change during
//! the comparison. Nothing allocates. [`crossfoot`] needs about 40 KiB of stack.
//!
//! Invariant: a figure that disagrees is reported, never repaired.

mod stats;

pub use stats::{BySize, MemStats};

use crate::cache::Cache;
use crate::heap::{Client, Heap, Stopped, Walked};
use crate::os::Os;
use crate::size_class::{CLASSES, Class};
use crate::span::Span;
use crate::stats::{Account, Answer, Failures, Snapshot, Total, Totals};
use crate::thread::Caches;
use stats::Found;

/// The result of [`crossfoot`].
#[derive(Debug)]
pub struct Balance {
    /// The snapshot that was checked.
    pub snapshot: Snapshot,
    /// How recent the snapshot is.
    pub answer: Answer,
    /// Whether everything was compared. If not, a thread was stopped in a movement or the snapshot is stale, and only
    /// the identities within the snapshot were checked.
    pub complete: bool,
    /// Whether the calling thread was inside the allocator. Then the snapshot does not contain what this thread had not
    /// posted.
    pub interrupted: bool,
    /// The result of the walk over every span.
    pub walked: Walked,
    /// The identities that failed.
    pub failures: Failures,
    /// The number of caches ever made.
    pub caches: usize,
}

impl Balance {
    /// Ends the process if the walk found a list of free objects with a changed link. The caller holds no lock.
    pub fn abort_if_changed(&self) {
        if let Some(changed) = self.walked.changed {
            changed.abort();
        }
    }

    /// Returns the statistics of the snapshot.
    pub fn mem_stats(&self) -> MemStats {
        let mut stats = MemStats::new();
        stats.fill(&self.snapshot);
        stats
    }
}

/// Writes a consistent snapshot to `out`. Its identities 1 to 5 are not checked.
// Not inlined: one copy for all callers.
#[inline(never)]
pub fn snapshot<O: Os>(heap: &Heap<O>, out: &mut Snapshot) -> Answer {
    heap.stats().read(heap.os(), out)
}

/// Writes the totals of a consistent snapshot to `out`.
pub fn totals<O: Os>(heap: &Heap<O>, out: &mut Totals) -> Answer {
    heap.stats().read_totals(heap.os(), out)
}

/// Writes the statistics of a consistent snapshot to `out`.
pub fn stats<O: Os>(heap: &Heap<O>, out: &mut MemStats) -> Answer {
    let mut taken = Snapshot::new();
    let answer = snapshot(heap, &mut taken);
    out.fill(&taken);
    answer
}

/// Returns statistics from a snapshot, and the same computed a second way: from the accounts, the caches' own counters,
/// and a walk over every span and every free object. First posts what the caches have not posted yet.
///
/// Returns `None` if a thread was stopped in a movement or the OS refused the fence.
///
/// # Safety
/// No other thread allocates or frees meanwhile, and what the other threads did happened before this call.
pub unsafe fn read_slow<O: Os>(heap: &Heap<O>, caches: &Caches<O>) -> Option<(MemStats, MemStats)> {
    caches.each(|cache| cache.post_all(heap));
    let mut reader = heap.stats().reader();
    let closed = reader.close(heap.os());
    let pool = caches.stop_all();
    let stopped = heap.stop_all();
    let mut snapshot = Snapshot::new();
    let complete = closed && reader.read(heap.os(), &mut snapshot).is_complete();
    let (mut fast, mut slow) = (MemStats::new(), MemStats::new());
    let mut changed = None;
    if complete {
        fast.fill(&snapshot);
        let found = find(heap, caches, walk(caches, &stopped, closed, true));
        changed = found.walked.changed;
        slow.fill_slowly(heap.accounts(), &found, &snapshot);
    }
    drop((stopped, pool));
    reader.open();
    drop(reader);
    if let Some(changed) = changed {
        changed.abort();
    }
    complete.then_some((fast, slow))
}

/// Counts the objects of every cache, while no thread allocates or frees.
fn find<O: Os>(heap: &Heap<O>, caches: &Caches<O>, walked: Walked) -> Found {
    let zero = [0; CLASSES];
    let mut found = Found { walked, caches: 0, allocs: zero, cached: zero, arrived: zero };
    caches.each(|cache| {
        found.caches += 1;
        for class in Class::all() {
            let i = class.index();
            found.allocs[i] += cache.allocs(class) as u64;
            found.cached[i] += found.walked.counted(cache.cached(class)) as u64;
        }
        let arrived = &mut found.arrived;
        let counted = cache.each_arrived(heap, |span, count| arrived[span.class().index()] += u64::from(count));
        found.walked.counted(counted);
    });
    found
}

/// Returns the result of the walk, adjusted by the local pages and records of the caches. Returns an empty result if
/// the gate is not `closed`: a thread may be making a span at this moment.
fn walk<O: Os>(caches: &Caches<O>, stopped: &Stopped<'_, O>, closed: bool, objects: bool) -> Walked {
    if !closed {
        return Walked::empty();
    }
    let mut walked = stopped.walk(objects);
    let mut add = |client: &Client| {
        // SAFETY: the gate is closed and the heap's lock is held.
        let (pages, records) = unsafe { client.local_pages() };
        walked.accounts[Account::HeapFree as usize] += pages.bytes();
        walked.records -= records;
    };
    caches.each(|cache| add(cache.client()));
    walked
}

/// Checks every identity. Objects are compared too if no other thread has a cache; the caller then calls
/// [`Balance::abort_if_changed`]. `cache` is the calling thread's, if it has one.
pub fn crossfoot<O: Os>(heap: &Heap<O>, caches: &Caches<O>, cache: Option<&Cache>) -> Balance {
    // SAFETY: without `quiet` there is no requirement.
    unsafe { crossfoot_if(heap, caches, cache, false) }
}

/// Checks every identity, including those of objects. Otherwise like [`crossfoot`].
///
/// # Safety
/// No other thread allocates or frees meanwhile, and what the other threads did happened before this call.
pub unsafe fn crossfoot_quiet<O: Os>(heap: &Heap<O>, caches: &Caches<O>, cache: Option<&Cache>) -> Balance {
    // SAFETY: the caller's promise.
    unsafe { crossfoot_if(heap, caches, cache, true) }
}

/// # Safety
/// With `quiet`, as for [`crossfoot_quiet`].
unsafe fn crossfoot_if<O: Os>(heap: &Heap<O>, caches: &Caches<O>, cache: Option<&Cache>, quiet: bool) -> Balance {
    if let Some(cache) = cache {
        cache.post_all(heap);
    }
    let mut reader = heap.stats().reader();
    let writers_stopped = reader.close(heap.os());
    let pool = caches.stop_all();
    let stopped = heap.stop_all();
    let mut snapshot = Snapshot::new();
    let answer = reader.read(heap.os(), &mut snapshot);
    let complete = answer.is_complete() && writers_stopped;
    let alone = caches.made() - pool.idle() <= usize::from(cache.is_some());
    let objects = complete && (quiet || alone);
    let mut walked = walk(caches, &stopped, writers_stopped, objects);
    let mut failures = Failures::default();
    snapshot.check(&mut failures);
    if complete {
        compare_accounts(heap, caches, &snapshot, &mut failures);
        compare_walk(&walked, &snapshot, &mut failures);
        if objects {
            let found = find(heap, caches, walked);
            compare_objects(&found, &snapshot, &mut failures);
            walked = found.walked;
        }
    }
    failures.require(stopped.is_valid(), "page summaries = page bitmaps", None, 0, 1);
    if complete {
        let made = (caches.made() * size_of::<Cache>()) as i64;
        failures.equal("caches made = caches in use", made, snapshot.total(Total::CacheInUse));
    }
    reader.open();
    Balance { snapshot, answer, complete, interrupted: false, walked, failures, caches: caches.made() }
}

/// Like [`crossfoot`], for an exit beside other threads or, if `interrupted`, inside the allocator, in a signal
/// handler: takes a snapshot and checks the identities within it. Waits for no thread that allocates, and at most 10 ms
/// for another reader. A reading of this thread that was interrupted must not continue afterwards.
pub fn crossfoot_at_once<O: Os>(heap: &Heap<O>, caches: &Caches<O>, interrupted: bool) -> Balance {
    let mut snapshot = Snapshot::new();
    let answer = heap.stats().read_at_end(heap.os(), &mut snapshot);
    let mut failures = Failures::default();
    snapshot.check(&mut failures);
    let walked = Walked::empty();
    Balance { snapshot, answer, complete: false, interrupted, walked, failures, caches: caches.made() }
}

/// Compares the accounts with the snapshot.
fn compare_accounts<O: Os>(heap: &Heap<O>, caches: &Caches<O>, snapshot: &Snapshot, failures: &mut Failures) {
    let accounts = heap.accounts();
    let mut moved = 0;
    caches.each(|cache| moved += cache.client().moved() as i64);
    for account in Account::ALL {
        let more = match account {
            Account::HeapInUse => moved,
            Account::HeapFree => -moved,
            _ => 0,
        };
        failures.equal(account.name(), accounts.get(account) as i64 + more, snapshot.account(account));
    }
    failures.equal("mapped_ready", accounts.mapped_ready() as i64, snapshot.total(Total::MappedReady));
}

/// Compares the walk with the snapshot: identity 7.
fn compare_walk(walked: &Walked, snapshot: &Snapshot, failures: &mut Failures) {
    let paged = Account::SpanSys as usize;
    const _: () = assert!(Account::InBitmaps as usize + 1 == Account::SpanSys as usize, "those of pages come first");
    for account in Account::ALL.into_iter().take(paged) {
        failures.equal("pages walked = account", walked.accounts[account as usize] as i64, snapshot.account(account));
    }
    for (class, c) in snapshot.classes() {
        let (i, bytes) = (class.index(), c.span_bytes);
        let found = walked.class_bytes[i] as i64;
        failures.require(found == bytes, "spans walked = bytes of class", Some(i), found, bytes);
    }
    failures.equal("large objects walked = large", walked.large_bytes as i64, snapshot.large_bytes());
    let large = snapshot.total(Total::LargeAllocs) - snapshot.total(Total::LargeFrees);
    failures.equal("large objects walked = large allocations - frees", walked.large_objects as i64, large);
    failures.equal("spans walked = span records", walked.spans as i64, walked.records as i64);
    let records = (walked.records * size_of::<Span>()) as i64;
    failures.equal("span records = span records in use", records, snapshot.total(Total::SpanInUse));
}

/// Compares objects one by one, while no thread allocates or frees. Frees that a cache has not counted yet are added to
/// its side.
fn compare_objects(found: &Found, snapshot: &Snapshot, failures: &mut Failures) {
    let walked = &found.walked;
    for (class, c) in snapshot.classes() {
        let i = class.index();
        let freed = walked.unposted_frees[i];
        // Wrapping, so that wrong figures are reported instead of overflowing.
        let back = c.frees.wrapping_add(c.received).wrapping_add(freed) as i64;
        let live = (found.allocs[i] as i64).wrapping_sub(back);
        let seen = (walked.slots[i] - walked.vacant[i] - found.cached[i]) as i64;
        failures.require(live == seen, "allocations - frees = objects found", Some(i), live, seen);
        let (free, vacant) = ((walked.vacant[i] + found.cached[i]) as i64, c.vacant + freed as i64);
        failures.require(free == vacant, "free objects found = vacant", Some(i), free, vacant);
        let (sum, global) = (found.allocs[i] as i64, c.allocs as i64);
        failures.require(sum == global, "allocations of all caches = allocations", Some(i), sum, global);
        let (arrived, sent) = (found.arrived[i] as i64, c.in_transit());
        failures.require(arrived == sent, "objects in inboxes = sent - received", Some(i), arrived, sent);
    }
}
