//! Snapshots beside threads that work, are stopped, or vanish in a fork: each answer satisfies identities 1 to 5, comes
//! within its time bound, and tells whether it is complete.
//!
//! `CROSSFOOT_SOAK=1` uses long counts and prints the measurements.

mod allocator;

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

use crossfoot::allocator::Allocator;
use crossfoot::heap::Use;
use crossfoot::lock::Fork;
use crossfoot::malloc;
use crossfoot::mem_stats::MemStats;
use crossfoot::os::sim::Sim;
use crossfoot::os::{Linux, Os};
use crossfoot::size_class::Class;
use crossfoot::stats::{Answer, Delta, Failures, Snapshot, Total, Totals};
use crossfoot::units::{KIB, Pages};

use allocator::{Rng, adopt, balanced, empty, free, retire};

/// Asserts identities 1 to 5.
#[track_caller]
fn check(snapshot: &Snapshot) {
    let mut failures = Failures::default();
    snapshot.check(&mut failures);
    let list: Vec<String> = failures.iter().map(ToString::to_string).collect();
    assert!(list.is_empty(), "unbalanced: {list:#?}");
}

/// Returns an allocator on this process's Linux. Its memory is not returned when it is dropped, so it is leaked.
fn linux() -> &'static Allocator<Linux> {
    Box::leak(allocator::allocator(Linux))
}

fn soaking() -> bool {
    std::env::var_os("CROSSFOOT_SOAK").is_some()
}

/// Slots for objects, which any thread fills and any other empties.
struct Exchange {
    slots: Vec<AtomicUsize>,
    stop: AtomicBool,
    started: AtomicU64,
}

impl Exchange {
    fn new() -> Exchange {
        let slots = (0..4096).map(|_| AtomicUsize::new(0)).collect();
        Exchange { slots, stop: AtomicBool::new(false), started: AtomicU64::new(0) }
    }

    /// The work of one thread: swaps its objects into slots, and frees the objects it finds there.
    fn work<O: Os>(&self, allocator: &Allocator<O>, seed: u64) {
        let cache = adopt(allocator);
        // By now the allocator has started too.
        self.started.fetch_add(1, Ordering::Release);
        let mut rng = Rng(seed);
        for _ in 0..2_000 {
            let size = match rng.below(100) {
                0..80 => rng.below(400),
                80..98 => rng.below(8 * KIB),
                _ => rng.below(100 * KIB),
            };
            let new = malloc::allocate(allocator.bind(cache), size) as usize;
            assert_ne!(new, 0);
            let place = &self.slots[rng.below(self.slots.len())];
            free_if_any(allocator, cache, place.swap(new, Ordering::AcqRel));
        }
        if rng.one_in(20) {
            allocator.heap().release(cache.writer(), Pages(64));
        }
        retire(allocator, cache);
    }

    /// Frees what is left.
    fn clear<O: Os>(&self, allocator: &Allocator<O>) {
        let cache = adopt(allocator);
        self.slots.iter().for_each(|place| free_if_any(allocator, cache, place.swap(0, Ordering::AcqRel)));
        retire(allocator, cache);
    }
}

fn free_if_any<O: Os>(allocator: &Allocator<O>, cache: &crossfoot::cache::Cache, at: usize) {
    if at != 0 {
        free(allocator, cache, at);
    }
}

/// Keeps `threads` threads starting, working and exiting while `f` runs on this one.
fn beside(allocator: &'static Allocator<Linux>, threads: usize, f: impl FnOnce(&Exchange)) {
    let exchange = Exchange::new();
    thread::scope(|scope| {
        let exchange = &exchange;
        for line in 0..threads {
            scope.spawn(move || {
                for generation in 0.. {
                    if exchange.stop.load(Ordering::Relaxed) {
                        break;
                    }
                    let seed = line as u64 * 1_000_003 + generation;
                    thread::scope(|scope| scope.spawn(|| exchange.work(allocator, seed)).join()).expect("none panics");
                }
            });
        }
        // All have come before the first reading, and none is waited for if reading fails.
        while exchange.started.load(Ordering::Acquire) < threads as u64 {
            thread::yield_now();
        }
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| f(exchange)));
        exchange.stop.store(true, Ordering::Relaxed);
        if let Err(panic) = result {
            std::panic::resume_unwind(panic);
        }
    });
    exchange.clear(allocator);
}

/// Takes snapshots without a pause, then crossfoots, beside threads.
fn read_beside(threads: usize, snapshots: u64, crossfoots: u64) {
    let allocator = linux();
    beside(allocator, threads, |exchange| {
        let (start, mut stale, mut longest) = (Instant::now(), 0, Duration::ZERO);
        let (mut snapshot, mut before) = (Snapshot::new(), Snapshot::new());
        for _ in 0..snapshots {
            let asked = Instant::now();
            let answer = allocator.snapshot(&mut snapshot).expect("the kernel has started");
            longest = longest.max(asked.elapsed());
            stale += u64::from(!answer.is_complete());
            check(&snapshot);
            for ((class, now), (_, was)) in snapshot.classes().zip(before.classes()) {
                let grew = now.allocs >= was.allocs && now.frees >= was.frees && now.sent >= was.sent;
                assert!(grew && now.received >= was.received, "{class:?}: {was:?}, then {now:?}");
            }
            std::mem::swap(&mut snapshot, &mut before);
        }
        let took = start.elapsed();
        println!(
            "{threads} threads: {snapshots} snapshots in {took:.1?}, {stale} stale, longest {longest:.1?}, {} threads started",
            exchange.started.load(Ordering::Relaxed)
        );
        assert!(stale * 1_000 < snapshots, "{stale} of {snapshots} answers were stale");
        let (start, mut incomplete) = (Instant::now(), 0);
        for _ in 0..crossfoots {
            let balance = allocator.crossfoot(None).expect("the kernel has started");
            let failures: Vec<String> = balance.failures.iter().map(ToString::to_string).collect();
            assert!(failures.is_empty(), "unbalanced: {failures:#?}");
            incomplete += u64::from(!balance.complete);
        }
        println!("{threads} threads: {crossfoots} crossfoots in {:.1?}, {incomplete} incomplete", start.elapsed());
        // On a busy machine a thread may be without its CPU in the middle of a movement for longer than a crossfoot waits.
        let least = if soaking() { crossfoots - crossfoots / 20 } else { crossfoots / 2 };
        assert!(crossfoots - incomplete >= least, "{incomplete} of {crossfoots} crossfoots compared nothing");
    });
    empty(allocator);
}

#[test]
fn snapshots_beside_two_threads() {
    let (snapshots, crossfoots) = if soaking() { (1_000_000, 1_000) } else { (5_000, 16) };
    read_beside(2, snapshots, crossfoots);
}

#[test]
fn snapshots_beside_sixty_four_threads() {
    let (snapshots, crossfoots) = if soaking() { (100_000, 100) } else { (150, 4) };
    read_beside(64, snapshots, crossfoots);
}

/// Stops one of two threads of a simulated allocator in the middle of an entry while `f` runs; `act` makes the entry,
/// and `get_ready` readies the cache before.
fn stopped_in(act: fn(&Allocator<Sim>, &crossfoot::cache::Cache), f: impl FnOnce(&Allocator<Sim>, &Snapshot)) {
    let allocator: &'static Allocator<Sim> = Box::leak(allocator::allocator(Sim::new()));
    let mut before = Snapshot::new();
    let (inside, arrived) = channel();
    let (go, wait) = channel::<()>();
    let worker = thread::spawn(move || {
        let cache = adopt(allocator);
        let ready = get_ready(allocator, cache);
        assert!(allocator.snapshot(&mut before).is_some_and(Answer::is_complete));
        Sim::stop_halfway(move || {
            inside.send(before).expect("somebody waits");
            wait.recv().expect("somebody says when");
        });
        act(allocator, cache);
        ready.into_iter().for_each(|at| free(allocator, cache, at));
        retire(allocator, cache);
    });
    let before = arrived.recv_timeout(Duration::from_secs(60)).expect("the worker came to the middle of an entry");
    assert_eq!(allocator.stats().writers_inside(), 1);
    f(allocator, &before);
    go.send(()).expect("the worker waits");
    worker.join().expect("the worker ends");
    // Exact again.
    let mut after = Snapshot::new();
    assert_eq!(allocator.snapshot(&mut after), Some(Answer::Complete));
    check(&after);
    let made = |s: &Snapshot| s.class(Class::of(40)).allocs as i64 + s.total(Total::LargeAllocs);
    assert!(made(&after) > made(&before), "the entry that was stopped is there now");
    balanced(allocator, None);
}

/// Allocates until the cache has local pages and a spare record, and posts everything.
fn get_ready(allocator: &Allocator<Sim>, cache: &crossfoot::cache::Cache) -> [usize; 2] {
    let bound = allocator.bind(cache);
    // The first allocation makes the heap grow, the second fills the local pages.
    let objects = [24, 200].map(|size| malloc::allocate(bound, size) as usize);
    // SAFETY: this thread owns the cache.
    let (pages, records) = unsafe { cache.client().local_pages() };
    assert!(pages >= Class::of(40).span_pages() && records > 0, "{pages:?} and {records} records are in hand");
    cache.post_all(allocator.heap());
    objects
}

/// Allocates a span for a class from local pages: a movement that no lock protects.
fn take_near(allocator: &Allocator<Sim>, cache: &crossfoot::cache::Cache) {
    let at = malloc::allocate(allocator.bind(cache), 40) as usize;
    free(allocator, cache, at);
}

/// Allocates a large object: an entry with the page heap's lock held.
fn take_large(allocator: &Allocator<Sim>, cache: &crossfoot::cache::Cache) {
    let at = malloc::allocate(allocator.bind(cache), 300 * KIB) as usize;
    free(allocator, cache, at);
}

#[test]
fn a_stopped_writer_delays_no_reader() {
    for act in [take_near, take_large] {
        stopped_in(act, |allocator, before| {
            let (mut snapshot, mut totals) = (Snapshot::new(), Totals::new());
            for _ in 0..100 {
                // The writer stays stopped until these have returned: no reader waits for it.
                assert_eq!(allocator.snapshot(&mut snapshot), Some(Answer::Complete));
                assert_eq!(allocator.totals(&mut totals), Some(Answer::Complete));
                check(&snapshot);
                // Half of the entry is written; none of it is in the answer.
                assert_eq!(&snapshot, before);
                assert_eq!(totals, before.totals());
            }
            assert_eq!(allocator.stats().stale_reads(), 0);
        });
    }
}

/// As in the child of a fork: the thread in the middle of an entry has vanished.
#[test]
fn an_entry_that_a_fork_interrupted_is_undone() {
    for act in [take_near, take_large] {
        let allocator: &'static Allocator<Sim> = Box::leak(allocator::allocator(Sim::new()));
        let mut before = Snapshot::new();
        let (inside, arrived) = channel();
        thread::spawn(move || {
            let cache = adopt(allocator);
            get_ready(allocator, cache);
            assert!(allocator.snapshot(&mut before).is_some_and(Answer::is_complete));
            Sim::stop_halfway(move || {
                inside.send(before).expect("somebody waits");
                loop {
                    thread::park();
                }
            });
            act(allocator, cache);
        });
        let before = arrived.recv_timeout(Duration::from_secs(60)).expect("the worker came to the middle of an entry");
        let stats = allocator.stats();
        let fork = Fork::outside();
        stats.hold_for_fork(allocator.os(), &fork, |_| false);
        assert_eq!(stats.writers_inside(), 1, "it was waited for, and gave no sign");
        // SAFETY: this thread holds the lock by the call above.
        unsafe { stats.release_after_fork(allocator.os(), &fork, |_| false, true) };
        assert_eq!(stats.writers_inside(), 0);
        let mut after = Snapshot::new();
        assert_eq!(allocator.snapshot(&mut after), Some(Answer::Complete));
        assert_eq!(after, before);
        // Entries of others count.
        let mut entry = Delta::new();
        entry.add(Total::LargeAllocs, 1);
        allocator.caches().with_shared(|shared| stats.post(shared.writer(), &entry));
        assert_eq!(allocator.snapshot(&mut after), Some(Answer::Complete));
        assert_eq!(after.total(Total::LargeAllocs), before.total(Total::LargeAllocs) + 1);
    }
}

#[test]
fn a_movement_at_a_closed_gate_goes_through_the_heap() {
    let allocator = allocator::allocator(Sim::new());
    let cache = adopt(&allocator);
    let bound = allocator.bind(cache);
    let stats = allocator.stats();
    let first = malloc::allocate(bound, 24) as usize;
    let mut reader = stats.reader();
    assert!(reader.close(allocator.os()));
    assert!(stats.enter(cache.writer()).is_none() && stats.writers_inside() == 0);
    // A reader holds the statistics lock, so another thread allocates.
    thread::scope(|scope| scope.spawn(|| take_near(&allocator, cache)).join()).expect("it does not wait");
    reader.open();
    drop(reader);
    assert!(stats.enter(cache.writer()).is_some());
    free(&allocator, cache, first);
    retire(&allocator, cache);
    empty(&allocator);
}

#[test]
fn a_movement_that_is_stopped_leaves_a_crossfoot_unchecked() {
    stopped_in(take_near, |allocator, before| {
        let balance = allocator.crossfoot(None).expect("the kernel has started");
        assert!(!balance.complete, "the accounts have moved, and the books have not");
        assert!(balance.failures.is_empty() && balance.answer.is_complete());
        assert_eq!(&balance.snapshot, before);
        let mut stats = MemStats::new();
        assert_eq!(allocator.mem_stats(None, &mut stats), Some(Answer::Complete));
        assert_eq!(allocator.os().printed(), "", "what cannot be compared does not fail");
        // Others go on meanwhile.
        let cache = adopt(allocator);
        take_large(allocator, cache);
        take_near(allocator, cache);
        retire(allocator, cache);
    });
}

#[test]
fn a_reader_that_is_stopped_makes_answers_stale() {
    let allocator = linux();
    let cache = adopt(allocator);
    let stats = allocator.stats();
    let (mut snapshot, mut totals) = (Snapshot::new(), Totals::new());
    assert_eq!(allocator.last_snapshot(&mut snapshot), Some(Answer::Unavailable), "nobody has read yet");
    assert_eq!(allocator.snapshot(&mut snapshot), Some(Answer::Complete));
    let before = snapshot.clone();
    let object = malloc::allocate(allocator.bind(cache), 300 * KIB) as usize;
    let (held, go) = (AtomicBool::new(false), AtomicBool::new(false));
    thread::scope(|scope| {
        scope.spawn(|| {
            let _reader = stats.reader();
            held.store(true, Ordering::Release);
            while !go.load(Ordering::Acquire) {
                thread::sleep(Duration::from_millis(1));
            }
        });
        while !held.load(Ordering::Acquire) {
            thread::yield_now();
        }
        for round in 1..=3 {
            let asked = Instant::now();
            let Some(Answer::Stale { nanos }) = allocator.snapshot(&mut snapshot) else {
                panic!("nobody can read now")
            };
            let took = asked.elapsed();
            // The other reader does not let go: an answer at all is one within the bound, on a busy machine late.
            assert!(took.as_millis() >= 10, "the bound is 10 ms, and it took {took:?}");
            assert!(nanos >= round * 10_000_000, "the answer is {nanos} ns old");
            assert_eq!(snapshot, before);
            assert_eq!(stats.stale_reads(), round);
        }
        assert!(matches!(allocator.totals(&mut totals), Some(Answer::Stale { .. })));
        assert_eq!((totals, stats.stale_reads()), (before.totals(), 4));
        go.store(true, Ordering::Release);
    });
    assert_eq!(allocator.snapshot(&mut snapshot), Some(Answer::Complete));
    assert_eq!(snapshot.large_bytes() - before.large_bytes(), 304 * KIB as i64, "what happened since is there");
    assert_eq!(stats.stale_reads(), 4);
    free(allocator, cache, object);
    retire(allocator, cache);
    empty(allocator);
}

#[test]
fn a_fence_that_is_refused_makes_answers_stale_for_a_while() {
    let allocator = allocator::allocator(Sim::new());
    let cache = adopt(&allocator);
    let (mut snapshot, mut last) = (Snapshot::new(), Snapshot::new());
    assert_eq!(allocator.snapshot(&mut last), Some(Answer::Complete));
    let object = malloc::allocate(allocator.bind(cache), 300 * KIB) as usize;
    allocator.os().fail_fence();
    for _ in 0..2 {
        assert!(matches!(allocator.snapshot(&mut snapshot), Some(Answer::Stale { .. })), "nothing orders the reader");
        assert_eq!(snapshot, last);
    }
    Sim::advance(10_000_000);
    assert_eq!(allocator.snapshot(&mut snapshot), Some(Answer::Complete), "from now on both sides have a fence");
    assert_ne!(snapshot, last);
    free(&allocator, cache, object);
    retire(&allocator, cache);
    empty(&allocator);
}

#[test]
fn readers_that_come_together_share_a_snapshot() {
    // On a simulated machine they wait for a few yields only, and come again: of two, both are often there in time.
    const READERS: u64 = 2;
    let allocator = allocator::allocator(Sim::new());
    let cache = adopt(&allocator);
    let stats = allocator.stats();
    let fences = || allocator.os().count(crossfoot::os::sim::Verb::FenceAll);
    let read = || assert_eq!(allocator.snapshot(&mut Snapshot::new()), Some(Answer::Complete));
    (0..3).for_each(|_| read());
    assert_eq!(fences(), 3, "one after the other, each has its own");
    let mut least = u64::MAX;
    for round in 0..400 {
        let (before, came) = (fences(), AtomicU64::new(0));
        thread::scope(|scope| {
            let reader = stats.reader();
            for _ in 0..READERS {
                scope.spawn(|| {
                    came.fetch_add(1, Ordering::AcqRel);
                    // A reader that gets no turn within the bound tries again.
                    while !allocator.snapshot(&mut Snapshot::new()).is_some_and(Answer::is_complete) {}
                });
            }
            while came.load(Ordering::Acquire) < READERS {
                thread::yield_now();
            }
            thread::sleep(Duration::from_millis(1));
            drop(reader);
        });
        let used = fences() - before;
        assert!((1..=READERS).contains(&used), "{used} fences for {READERS} readers");
        least = least.min(used);
        if least == 1 && round >= 100 {
            break;
        }
    }
    assert_eq!(least, 1, "those who came before a turn began share its snapshot");
    retire(&allocator, cache);
}

/// After each step of one thread with few objects, no figure is negative, whatever was posted.
#[test]
fn identities_hold_after_every_step_of_one_thread() {
    for seed in 0..40 {
        let allocator = allocator::allocator(Sim::new());
        let cache = adopt(&allocator);
        let (mut rng, mut objects, mut snapshot) = (Rng(seed), Vec::new(), Snapshot::new());
        // Spans of few objects, and pages that pass through the local pages in every way.
        let sizes = [8 * KIB, 8 * KIB, 2 * KIB, 128 * KIB, 40 * KIB];
        let most = 4 + rng.below(60);
        for _ in 0..600 {
            if objects.len() < most && !rng.one_in(2) {
                let size = sizes[rng.below(sizes.len())];
                objects.push(malloc::allocate(allocator.bind(cache), size) as usize);
            } else if !objects.is_empty() {
                let at = objects.swap_remove(rng.below(objects.len()));
                free(&allocator, cache, at);
            }
            assert_eq!(allocator.snapshot(&mut snapshot), Some(Answer::Complete));
            check(&snapshot);
            assert!(snapshot.classes().all(|(_, class)| class.vacant >= 0), "seed {seed}");
        }
        objects.into_iter().for_each(|at| free(&allocator, cache, at));
        retire(&allocator, cache);
        empty(&allocator);
    }
}

/// Spans are taken from local pages and returned after the accounts were settled, and a large object takes their pages.
#[test]
fn a_large_object_takes_local_pages() {
    let allocator = allocator::allocator(Sim::new());
    let cache = adopt(&allocator);
    let (heap, client, class) = (allocator.heap(), cache.client(), Class::of(8 * KIB));
    let small = || heap.take_near(client, class.span_pages(), Use::Small(class)).expect("there is room");
    let back = |span| {
        // SAFETY: nobody uses the span.
        unsafe { heap.give_back_near(client, span, Use::Small(class)) }
    };
    let hand = || {
        // SAFETY: this thread owns the cache.
        let bytes = unsafe { client.local_pages() }.0.bytes() as isize + client.moved();
        assert!(bytes >= 0, "the hand and what was moved are {bytes} bytes together");
    };
    let spans: Vec<_> = (0..8).map(|_| small()).collect();
    let mut large = Vec::new();
    let (first, last) = spans.split_at(6);
    for span in first {
        // A free in another block settles; the others go to the local pages.
        back(span);
        let more: Vec<_> = (0..4).map(|_| small()).collect();
        more.into_iter().for_each(&back);
        hand();
        large.push(heap.take_near(client, Pages(16), Use::Large).expect("there is room"));
        hand();
    }
    last.iter().copied().for_each(&back);
    for span in large {
        assert!(span.end_large());
        // SAFETY: nobody uses the span.
        unsafe { heap.give_back_near(client, span, Use::Large) };
        hand();
    }
    retire(&allocator, cache);
    balanced(&allocator, None);
}
