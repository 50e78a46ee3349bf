//! Real threads on one allocator, on the simulated OS and on Linux: objects travel, threads are replaced, readers read;
//! at the end nothing is left and every identity holds.

mod allocator;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use crossfoot::allocator::Allocator;
use crossfoot::cache::Cache;
use crossfoot::malloc;
use crossfoot::mem_stats;
use crossfoot::metrics::{Aggregates, Metric, Reading};
use crossfoot::os::sim::Sim;
use crossfoot::os::{Linux, Os};
use crossfoot::size_class::Class;
use crossfoot::stats::{Answer, Failures, Snapshot};
use crossfoot::units::{KIB, Pages};

use allocator::{Rng, adopt, balanced, empty, fill, free, holds, retire};

/// An object in transit: its address, its size, and the seed of its content.
#[derive(Clone, Copy)]
struct Object {
    at: usize,
    size: usize,
    id: u64,
}

/// The operations of a thread on its cache.
struct Worker<'a, O: Os> {
    allocator: &'a Allocator<O>,
    cache: &'a Cache,
    rng: Rng,
}

impl<'a, O: Os> Worker<'a, O> {
    fn new(allocator: &'a Allocator<O>, seed: u64) -> Worker<'a, O> {
        Worker { allocator, cache: adopt(allocator), rng: Rng(seed) }
    }

    fn allocate(&mut self) -> Object {
        let size = match self.rng.below(100) {
            0..70 => self.rng.below(300),
            70..96 => self.rng.below(4 * KIB),
            96..99 => self.rng.below(33 * KIB),
            _ => self.rng.below(200 * KIB),
        };
        let at = malloc::allocate(self.allocator.bind(self.cache), size) as usize;
        assert!(at != 0 && at.is_multiple_of(16));
        let object = Object { at, size, id: self.rng.next() };
        fill(at, size, object.id);
        object
    }

    /// Frees an object of any owner.
    fn free(&self, object: Object) {
        let Object { at, size, id } = object;
        assert!(holds(at, size, size, id), "{size} bytes at {at:#x} were written over");
        free(self.allocator, self.cache, at);
    }

    /// Retires the cache.
    fn end(self) {
        retire(self.allocator, self.cache);
    }
}

/// Some threads allocate, and others free their objects.
fn produce_and_consume(allocator: &Allocator<impl Os>, pairs: usize, objects: usize) {
    thread::scope(|scope| {
        for pair in 0..pairs {
            let (to, from) = sync_channel(300);
            scope.spawn(move || {
                let mut worker = Worker::new(allocator, pair as u64);
                (0..objects).for_each(|_| to.send(worker.allocate()).expect("the consumer lives"));
                worker.end();
            });
            scope.spawn(move || {
                let worker = Worker::new(allocator, 0);
                from.into_iter().for_each(|object| worker.free(object));
                worker.end();
            });
        }
    });
    assert!(allocator.caches().made() <= 2 * pairs);
    empty(allocator);
}

/// Each thread inherits objects, replaces them one by one, and leaves them to the next.
fn replace_threads(allocator: &Allocator<impl Os>, lines: usize, generations: usize) {
    thread::scope(|scope| {
        for line in 0..lines {
            scope.spawn(move || {
                let mut objects: Vec<Object> = Vec::new();
                for generation in 0..generations {
                    objects = thread::scope(|scope| {
                        let seed = (line * generations + generation) as u64;
                        scope.spawn(move || one_generation(allocator, objects, seed)).join().expect("no thread panics")
                    });
                }
                let worker = Worker::new(allocator, 0);
                objects.into_iter().for_each(|object| worker.free(object));
                worker.end();
            });
        }
    });
    assert!(allocator.caches().made() <= lines, "{} caches for {lines} threads at a time", allocator.caches().made());
    empty(allocator);
}

fn one_generation(allocator: &Allocator<impl Os>, mut objects: Vec<Object>, seed: u64) -> Vec<Object> {
    let mut worker = Worker::new(allocator, seed);
    while objects.len() < 200 {
        objects.push(worker.allocate());
    }
    for _ in 0..400 {
        let i = worker.rng.below(objects.len());
        let new = worker.allocate();
        worker.free(std::mem::replace(&mut objects[i], new));
    }
    worker.end();
    objects
}

/// Threads allocate, keep, free, and exchange objects at random.
fn exchange(allocator: &Allocator<impl Os>, threads: usize, rounds: usize) {
    let (senders, receivers): (Vec<Sender<Object>>, Vec<Receiver<Object>>) = (0..threads).map(|_| channel()).unzip();
    thread::scope(|scope| {
        for (i, from) in receivers.into_iter().enumerate() {
            let to = senders.clone();
            scope.spawn(move || exchange_one(allocator, i as u64, rounds, to, from));
        }
        drop(senders);
    });
    empty(allocator);
}

fn exchange_one<O: Os>(
    allocator: &Allocator<O>,
    seed: u64,
    rounds: usize,
    to: Vec<Sender<Object>>,
    from: Receiver<Object>,
) {
    let mut worker = Worker::new(allocator, seed);
    let mut kept = Vec::new();
    for round in 0..rounds {
        match worker.rng.below(10) {
            0..4 => kept.push(worker.allocate()),
            4..6 if !kept.is_empty() => {
                let i = worker.rng.below(kept.len());
                worker.free(kept.swap_remove(i));
            }
            6..8 => {
                let object = worker.allocate();
                to[worker.rng.below(to.len())].send(object).expect("every thread takes until nobody sends");
            }
            _ => from.try_iter().take(3).for_each(|object| worker.free(object)),
        }
        if round % 500 == 499 {
            allocator.heap().release(worker.cache.writer(), Pages(64));
            // As if the thread ended and another began.
            let rng = Rng(worker.rng.next());
            worker.end();
            worker = Worker { allocator, cache: adopt(allocator), rng };
        }
    }
    kept.into_iter().for_each(|object| worker.free(object));
    drop(to);
    from.into_iter().for_each(|object| worker.free(object));
    worker.end();
}

/// Two threads work; meanwhile every snapshot holds identities 1 to 5, and `crossfoot` what it may compare.
fn read_meanwhile(allocator: &Allocator<impl Os>, time: Duration) {
    retire(allocator, adopt(allocator));
    let (stop, read, crossed) = (AtomicBool::new(false), AtomicU64::new(0), AtomicU64::new(0));
    thread::scope(|scope| {
        for i in 0..2 {
            let stop = &stop;
            scope.spawn(move || {
                let mut seed = i;
                while !stop.load(Ordering::Relaxed) {
                    seed += 2;
                    let left = one_generation(allocator, Vec::new(), seed);
                    // Freed by a cache that may own no span of them.
                    let worker = Worker::new(allocator, seed);
                    left.into_iter().for_each(|object| worker.free(object));
                    allocator.heap().release(worker.cache.writer(), Pages(128));
                    worker.end();
                }
            });
        }
        scope.spawn(|| {
            let mut snapshot = Snapshot::new();
            while !stop.load(Ordering::Relaxed) {
                let complete = mem_stats::snapshot(allocator.heap(), &mut snapshot).is_complete();
                let mut failures = Failures::default();
                snapshot.check(&mut failures);
                assert_none(&failures);
                let count = read.fetch_add(u64::from(complete), Ordering::Relaxed);
                // The statistics lock is not fair: a thread that reads without a pause starves others.
                if count % 8 == 0 {
                    thread::sleep(Duration::from_micros(100));
                }
            }
        });
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                let balance = allocator.crossfoot(None).expect("the kernel has started");
                assert_none(&balance.failures);
                crossed.fetch_add(u64::from(balance.complete), Ordering::Relaxed);
                thread::sleep(Duration::from_millis(1));
            }
        });
        let begin = Instant::now();
        let enough = || read.load(Ordering::Relaxed) > 20 && crossed.load(Ordering::Relaxed) > 5;
        // Longer where the readers got no turn, on a busy machine.
        while begin.elapsed() < time || (!enough() && begin.elapsed() < 100 * time) {
            thread::sleep(Duration::from_millis(20));
        }
        stop.store(true, Ordering::Relaxed);
    });
    let (read, crossed) = (read.into_inner(), crossed.into_inner());
    eprintln!("{read} complete snapshots, {crossed} complete crossfoots");
    assert!(read > 20 && crossed > 5, "the readers got their turn");
    empty(allocator);
}

#[track_caller]
fn assert_none(failures: &Failures) {
    let list: Vec<String> = failures.iter().map(ToString::to_string).collect();
    assert!(list.is_empty(), "unbalanced: {list:#?}");
}

/// Returns an allocator on this process's Linux. Its memory is not returned when it is dropped, so it is leaked.
fn linux() -> &'static Allocator<Linux> {
    Box::leak(allocator::allocator(Linux))
}

#[test]
fn producers_and_consumers_on_the_simulated_os() {
    produce_and_consume(&allocator::allocator(Sim::new()), 2, 10_000);
}

#[test]
fn producers_and_consumers_on_linux() {
    produce_and_consume(linux(), 2, 20_000);
}

#[test]
fn threads_are_replaced_on_the_simulated_os() {
    replace_threads(&allocator::allocator(Sim::new().physical_page(16 * KIB)), 3, 20);
}

#[test]
fn threads_are_replaced_on_linux() {
    replace_threads(linux(), 4, 25);
}

#[test]
fn eight_threads_exchange_objects_on_the_simulated_os() {
    exchange(&allocator::allocator(Sim::new().physical_page(64 * KIB).without_fence()), 8, 5_000);
}

#[test]
fn eight_threads_exchange_objects_on_linux() {
    exchange(linux(), 8, 8_000);
}

#[test]
fn readers_read_while_others_work_on_the_simulated_os() {
    read_meanwhile(&allocator::allocator(Sim::new()), Duration::from_millis(1_500));
}

#[test]
fn readers_read_while_others_work_without_a_fence() {
    read_meanwhile(&allocator::allocator(Sim::new().without_fence()), Duration::from_millis(1_000));
}

#[test]
fn readers_read_while_others_work_on_linux() {
    read_meanwhile(linux(), Duration::from_millis(1_500));
}

#[test]
fn objects_outlive_the_threads_that_made_them() {
    let allocator = linux();
    let objects: Vec<Object> = thread::scope(|scope| {
        let make = |seed| {
            let mut worker = Worker::new(allocator, seed);
            let objects: Vec<Object> = (0..3_000).map(|_| worker.allocate()).collect();
            worker.end();
            objects
        };
        let threads: Vec<_> = (0..4).map(|seed| scope.spawn(move || make(seed))).collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("no thread panics")).collect()
    });
    let balance = balanced(allocator, None);
    let live: i64 = balance.snapshot.classes().map(|(_, class)| class.live()).sum();
    let small = objects.iter().filter(|object| object.size <= 32 * KIB).count();
    assert_eq!(live, small as i64, "every object is live, and no other");
    // Half by a thread without a cache, half by an heir.
    let worker = Worker::new(allocator, 0);
    for (i, &object) in objects.iter().enumerate() {
        match i % 2 {
            0 => allocator::free_without_cache(allocator, object.at),
            _ => worker.free(object),
        }
    }
    worker.end();
    empty(allocator);
}

/// A sleeping owner has reached no slow path since it allocated, and another thread has freed its objects and sent
/// them. No snapshot has more objects in transit than allocated, and none lacks any.
#[test]
fn an_owner_that_sleeps_counts_its_allocations() {
    const SIZE: usize = 64;
    let allocator = allocator::allocator(Sim::new());
    let (owner, other) = (adopt(&allocator), adopt(&allocator));
    let (heap, central) = (allocator.heap(), allocator.central());
    let class = Class::of(SIZE);
    for n in [1, 19, 200, 255, 1_000] {
        let mut snapshot = Snapshot::new();
        let mut read = |what: &str| {
            assert!(mem_stats::snapshot(allocator.heap(), &mut snapshot).is_complete());
            let mut failures = Failures::default();
            snapshot.check(&mut failures);
            assert!(failures.is_empty(), "{n} objects {what}: {failures:?}");
            let c = snapshot.class(class);
            (c.live(), c.in_transit())
        };
        let before = read("to come");
        assert_eq!(before, (0, 0));
        let objects: Vec<usize> = (0..n).map(|_| malloc::allocate(allocator.bind(owner), SIZE) as usize).collect();
        assert_eq!(read("allocated"), (n, 0), "all are counted, whatever their owner does now");
        objects.into_iter().for_each(|at| free(&allocator, other, at));
        other.flush_pending(heap, central);
        assert_eq!(read("sent"), (n, n));
        let mut reading = Reading::new();
        assert_eq!(allocator.fill_reading(Aggregates::ALL, || 1, &mut reading), Some(Answer::Complete));
        let bytes = Metric::find(b"/heap/in-transit:bytes").and_then(|metric| metric.number(&reading));
        assert_eq!(bytes, Some(n * SIZE as i64));
        let mut stats = mem_stats::MemStats::new();
        assert_eq!(allocator.mem_stats(Some(other), &mut stats), Some(Answer::Complete));
        assert_eq!((stats.heap_objects, stats.in_transit), (n as u64, n as u64));
        assert_eq!(stats.heap_alloc, n as u64 * SIZE as u64);
        // The owner wakes up and receives its inbox.
        let more: Vec<usize> = (0..2_000).map(|_| malloc::allocate(allocator.bind(owner), SIZE) as usize).collect();
        assert_eq!(read("home").1, 0);
        more.into_iter().for_each(|at| free(&allocator, owner, at));
        owner.post_all(heap);
    }
    retire(&allocator, owner);
    retire(&allocator, other);
    empty(&allocator);
}
