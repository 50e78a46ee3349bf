//! Metrics of a process on this allocator: what `read` finds; reading changes nothing.

#[path = "metrics/identities.rs"]
mod identities;

use std::collections::BTreeMap;
use std::hint::black_box;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use crossfoot::mem_stats::MemStats;
use crossfoot::metrics::{Aggregate, Aggregates, Reading, Sample, TABLE, Value};
use crossfoot::os::Linux;
use crossfoot::process::{self, metrics};
use crossfoot::stats::{Answer, Snapshot};
use identities::Of;

#[global_allocator]
static A: crossfoot::Crossfoot = crossfoot::Crossfoot::new();

/// One test at a time: each reads figures of the whole process.
static ALONE: Mutex<()> = Mutex::new(());

fn alone() -> std::sync::MutexGuard<'static, ()> {
    ALONE.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// Repeats a test until it passes, at most 50 times: a thread of the test harness may allocate at any moment. An error
/// of the allocator fails every time.
fn undisturbed(test: fn()) {
    let _alone = alone();
    for _ in 0..50 {
        if std::panic::catch_unwind(test).is_ok() {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    test();
}

/// Ends a test's threads, also if the test fails: otherwise it would wait for them forever.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn all() -> Vec<Sample<'static>> {
    metrics::all().iter().map(|metric| Sample::new(metric.name())).collect()
}

fn find<'a>(samples: &'a [Sample<'_>], name: &str) -> &'a Sample<'a> {
    samples.iter().find(|sample| sample.name() == name).expect(name)
}

fn number(samples: &[Sample<'_>], name: &str) -> u64 {
    find(samples, name).value().number().expect(name)
}

/// Returns every number of every sample, without allocations in between.
fn copy(samples: &[Sample<'_>], into: &mut Vec<u64>) {
    into.clear();
    for sample in samples {
        match sample.value() {
            Value::Bad | Value::Absent => {}
            Value::Uint64(n) => into.push(n),
            Value::Vector(v) => into.extend_from_slice(v.values),
            Value::Histogram(h) => {
                into.extend_from_slice(h.counts);
                into.push(h.sum);
            }
        }
    }
}

#[test]
fn the_second_reading_allocates_nothing_and_finds_the_same() {
    undisturbed(second_reading);
}

fn second_reading() {
    // The figures that a reading itself changes: its fence, its age, waits.
    let moved = ["/system-calls/made:calls", "/stats/age:nanoseconds"];
    let mut samples: Vec<Sample<'static>> =
        metrics::all().iter().filter(|metric| !moved.contains(&metric.name())).map(|m| Sample::new(m.name())).collect();
    let (mut first, mut second) = (Vec::with_capacity(4096), Vec::with_capacity(4096));
    let mut stats = Box::new(MemStats::new());
    assert_eq!(metrics::read(&mut samples), Some(Answer::Complete));
    assert_eq!(metrics::read(&mut samples), Some(Answer::Complete));
    copy(&samples, &mut first);
    process::ALLOCATOR.set_double_check(false);
    assert_eq!(process::mem_stats(&mut stats), Some(Answer::Complete));
    assert_eq!(metrics::read(&mut samples), Some(Answer::Complete));
    copy(&samples, &mut second);
    assert_eq!(first, second);
    assert!(first.len() > 500, "{} figures", first.len());
    assert_eq!(number(&samples, "/gc/heap/allocs:objects"), stats.mallocs);
    assert_eq!(number(&samples, "/gc/heap/frees:objects"), stats.frees);
    assert_eq!(number(&samples, "/memory/classes/heap/objects:bytes"), stats.heap_alloc);
    assert_eq!(number(&samples, "/memory/classes/total:bytes"), stats.sys);
    // The first reading with new samples allocates: the figure shows it.
    let before = number(&samples, "/gc/heap/allocs:objects");
    let mut fresh = [Sample::new("/heap/live-by-size:objects")];
    metrics::read(&mut fresh);
    metrics::read(&mut samples);
    assert_eq!(number(&samples, "/gc/heap/allocs:objects"), before + 1);
    drop(fresh);
    metrics::read(&mut samples);
    assert_eq!(number(&samples, "/gc/heap/allocs:objects"), before + 1);
}

/// As Go's `ReadMetricsSlow`: on the system stack nothing can allocate in between; a checked build refuses it.
#[test]
fn reading_twice_around_mem_stats_on_the_system_stack() {
    undisturbed(around_mem_stats);
}

fn around_mem_stats() {
    process::ALLOCATOR.set_double_check(false);
    let moved = ["/system-calls/made:calls", "/stats/age:nanoseconds"];
    let mut samples: Vec<Sample<'static>> =
        metrics::all().iter().filter(|metric| !moved.contains(&metric.name())).map(|m| Sample::new(m.name())).collect();
    let (mut first, mut second) = (Vec::with_capacity(4096), Vec::with_capacity(4096));
    let mut stats = Box::new(MemStats::new());
    assert_eq!(metrics::read(&mut samples), Some(Answer::Complete));
    let answers = process::on_system_stack(|| {
        let mut metrics = process::ALLOCATOR.metrics(None, Linux::pid).expect("the process has allocated");
        let before = metrics.read_locked(&mut samples);
        copy(&samples, &mut first);
        let between = process::mem_stats(&mut stats);
        let after = metrics.read_locked(&mut samples);
        copy(&samples, &mut second);
        (before, between, after)
    });
    assert_eq!(answers, (Answer::Complete, Some(Answer::Complete), Answer::Complete));
    assert_eq!(first, second);
    assert!(first.len() > 500, "{} figures", first.len());
    assert_eq!(number(&samples, "/gc/heap/allocs:bytes"), stats.total_alloc);
    assert_eq!(number(&samples, "/gc/heap/objects:objects"), stats.heap_objects);
    assert_eq!(number(&samples, "/memory/classes/heap/stacks:bytes"), stats.stack_inuse);
}

#[test]
fn what_the_program_does_is_seen_at_once() {
    undisturbed(at_once);
}

fn at_once() {
    let mut samples = all();
    metrics::read(&mut samples);
    let (live, large) = (number(&samples, "/gc/heap/objects:objects"), number(&samples, "/heap/large/live:bytes"));
    let kept: Vec<Box<[u8; 48]>> = (0..1000).map(|_| Box::new([1; 48])).collect();
    let block = black_box(vec![1u8; 1 << 20]);
    metrics::read(&mut samples);
    assert!(number(&samples, "/gc/heap/objects:objects") > live + 1000);
    assert!(number(&samples, "/heap/large/live:bytes") >= large + (1 << 20));
    drop((kept, block));
    metrics::read(&mut samples);
    assert!(number(&samples, "/heap/large/live:bytes") < large + (1 << 20));
    assert_eq!(number(&samples, "/process/id:pid"), u64::from(std::process::id()));
    let mut bad = [Sample::new("/no/such:metric")];
    metrics::read(&mut bad);
    assert!(matches!(bad[0].value(), Value::Bad));
}

#[test]
fn identities_hold_beside_threads_that_allocate() {
    let _alone = alone();
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for seed in 0..3usize {
            let stop = &stop;
            scope.spawn(move || {
                let mut kept = BTreeMap::new();
                let mut i = seed;
                while !stop.load(Ordering::Relaxed) {
                    i = i.wrapping_mul(1_103_515_245).wrapping_add(12_345) & 0x7fff_ffff;
                    kept.insert(i % 500, vec![0u8; i % 40_000]);
                }
            });
        }
        let _stop = Stop(&stop);
        let mut samples = all();
        for _ in 0..300 {
            let answer = metrics::read(&mut samples);
            assert!(answer.is_some());
            let held = identities::hold(|of, name| {
                let value = find(&samples, name).value();
                let sum = |numbers: &[u64]| Some(numbers.iter().map(|&n| i128::from(n)).sum());
                match (of, value) {
                    (Of::Number, value) => value.number().map(i128::from),
                    (Of::Elements, Value::Vector(v)) => sum(v.values),
                    (Of::Elements, Value::Histogram(h)) => sum(h.counts),
                    (Of::Sum, Value::Histogram(h)) => Some(h.sum.into()),
                    _ => None,
                }
            });
            assert_eq!(held, crossfoot::metrics::IDENTITIES.len());
        }
    });
}

#[test]
fn a_child_of_a_fork_reads_while_threads_read() {
    let _alone = alone();
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let mut samples = all();
                while !stop.load(Ordering::Relaxed) {
                    metrics::read(&mut samples);
                }
            });
        }
        let _stop = Stop(&stop);
        for _ in 0..30 {
            // SAFETY: the child only reads metrics and ends.
            let child = unsafe { libc::fork() };
            if child == 0 {
                let mut samples = all();
                let fine = metrics::read(&mut samples).is_some()
                    && number(&samples, "/process/id:pid") == u64::from(std::process::id());
                // SAFETY: nothing of the test runs in the child.
                unsafe { libc::_exit(if fine { 0 } else { 1 }) };
            }
            let mut status = -1;
            // SAFETY: waits for the child.
            assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
            assert_eq!(status, 0);
        }
    });
}

/// The cost of a reading beside the snapshot: at most 5 µs. Medians of both, measured in turns.
#[test]
fn reading_everything_costs_little_more_than_a_snapshot() {
    let _alone = alone();
    let mut samples = all();
    metrics::read(&mut samples);
    let mut snapshot = Snapshot::new();
    let (mut bare, mut whole) = (Vec::new(), Vec::new());
    let time = |f: &mut dyn FnMut()| {
        let start = std::time::Instant::now();
        f();
        start.elapsed().as_nanos() as u64
    };
    for _ in 0..2_000 {
        bare.push(time(&mut || assert!(process::read(&mut snapshot).is_some())));
        whole.push(time(&mut || assert!(metrics::read(&mut samples).is_some())));
    }
    let median = |times: &mut Vec<u64>| {
        times.sort_unstable();
        times[times.len() / 2]
    };
    let (bare, whole) = (median(&mut bare), median(&mut whole));
    if std::env::var_os("CROSSFOOT_SOAK").is_some() {
        println!("a snapshot {bare} ns, all {} metrics {whole} ns: {} more", TABLE.len(), whole.saturating_sub(bare));
        // Judged in release builds only, and only on request: times depend on the machine.
        assert!(cfg!(debug_assertions) || whole.saturating_sub(bare) <= 5_000);
    }
    // In any build: no more than some snapshots.
    assert!(whole <= 40 * bare.max(1_000), "{whole} ns against {bare} ns");
}

#[test]
fn what_is_free_of_locks_is_filled_without_one() {
    let _alone = alone();
    let mut reading = Reading::new();
    let answer = process::ALLOCATOR.fill_reading(Aggregates::FREE, Linux::pid, &mut reading);
    assert_eq!(answer, Some(Answer::Complete));
    assert!(
        reading.has(Aggregate::Peaks) && !reading.has(Aggregate::ConsistentStats) && !reading.has(Aggregate::Chunks)
    );
    assert!(reading.peaks.ready > 0 && reading.caches > 0 && reading.calls[0].made > 0);
}
