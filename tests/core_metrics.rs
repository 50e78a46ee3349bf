//! Metrics of allocators on the simulated OS: what `read` computes, against the accounts and the operations; what it
//! reads and what it skips; reading changes nothing.

mod allocator;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crossfoot::allocator::Allocator;
use crossfoot::cache::Cache;
use crossfoot::lock::Fork;
use crossfoot::malloc;
use crossfoot::mem_stats::MemStats;
use crossfoot::metrics::{
    Aggregate, Aggregates, Kind, LOCKS, Memory, Metric, OsFigures, Reading, Sample, TABLE, Value,
};
use crossfoot::os::sim::Sim;
use crossfoot::size_class::{CLASSES, Class};
use crossfoot::stats::{Answer, Snapshot};
use crossfoot::units::{KIB, MIB, PAGE_SIZE, Pages};

use allocator::{adopt, balanced_with_machine, free, retire};

/// Memory for samples, with a count of the requests.
static ASKED: AtomicUsize = AtomicUsize::new(0);

fn layout(words: usize) -> std::alloc::Layout {
    std::alloc::Layout::array::<u64>(words).expect("a small array")
}

fn allocate(bytes: usize) -> *mut u8 {
    ASKED.fetch_add(1, Ordering::Relaxed);
    let words = bytes / 8 + 1;
    // SAFETY: the layout has a size; the first word keeps it.
    unsafe {
        let at = std::alloc::alloc(layout(words)).cast::<u64>();
        at.write(words as u64);
        at.add(1).cast()
    }
}

unsafe fn give_back(at: *mut u8) {
    // SAFETY: it came from `allocate`, which wrote the number of words before it.
    unsafe {
        let start = at.cast::<u64>().sub(1);
        std::alloc::dealloc(start.cast(), layout(start.read() as usize));
    }
}

const MEMORY: Memory = Memory { allocate, free: give_back };

/// Returns a sample of every metric.
fn all() -> Vec<Sample<'static>> {
    TABLE.iter().map(|metric| Sample::new(metric.name())).collect()
}

/// Returns the figures of samples, by name and element.
fn figures(samples: &[Sample<'_>]) -> BTreeMap<String, u64> {
    let mut figures = BTreeMap::new();
    for sample in samples {
        let mut put = |label: String, n| assert!(figures.insert(format!("{}{label}", sample.name()), n).is_none());
        match sample.value() {
            Value::Bad => panic!("{} is in the table", sample.name()),
            Value::Absent => {}
            Value::Uint64(n) => put(String::new(), n),
            Value::Vector(v) => {
                v.values.iter().enumerate().for_each(|(i, &n)| put(format!("[{}]", v.labels.label(i)), n));
            }
            Value::Histogram(h) => {
                assert_eq!(h.counts.len(), h.bounds.len() + 1);
                h.counts.iter().enumerate().for_each(|(i, &n)| put(format!("[{i}]"), n));
                put("sum".into(), h.sum);
            }
        }
    }
    figures
}

/// Reads every metric of an allocator.
fn read(allocator: &Allocator<Sim>, cache: &Cache) -> BTreeMap<String, u64> {
    let mut samples = all();
    samples.iter_mut().for_each(|sample| sample.prepare(&MEMORY));
    let mut metrics = allocator.metrics(Some(cache), || 17).expect("the kernel has started");
    assert_eq!(metrics.read_locked(&mut samples), Answer::Complete);
    figures(&samples)
}

/// Allocates objects of three sizes and two large ones, and frees half of the small ones and one large one.
fn work(allocator: &Allocator<Sim>, cache: &Cache) {
    let make = |size| malloc::allocate(allocator.bind(cache), size) as usize;
    let small: Vec<usize> = (0..900).map(|i| make([24, 100, 3_000][i % 3])).collect();
    let large = [make(100 * KIB), make(5 * MIB)];
    small.iter().step_by(2).for_each(|&at| free(allocator, cache, at));
    free(allocator, cache, large[1]);
}

#[test]
fn metrics_equal_the_accounts_and_the_operations() {
    let allocator = allocator::allocator(Sim::new());
    let cache = adopt(&allocator);
    work(&allocator, cache);
    let balance = balanced_with_machine(&allocator, Some(cache));
    let (stats, found) = (balance.mem_stats(), read(&allocator, cache));
    let is = |name: &str, n: u64| assert_eq!(found[name], n, "{name}");
    is("/gc/heap/allocs:objects", 902);
    is("/gc/heap/frees:objects", stats.frees);
    is("/gc/heap/allocs:bytes", stats.total_alloc);
    is("/gc/heap/objects:objects", stats.heap_objects);
    is("/memory/classes/heap/objects:bytes", stats.heap_alloc);
    is("/memory/classes/total:bytes", stats.sys);
    is("/memory/ready:bytes", allocator.os().ready_bytes() as u64);
    is("/heap/large/live:objects", 1);
    is("/heap/large/live:bytes", (100 * KIB).next_multiple_of(PAGE_SIZE) as u64);
    is("/cache/inuse:caches", 1);
    is("/process/id:pid", 17);
    is("/stats/age:nanoseconds", 0);
    // By size, against the table of `MemStats`, and the sums against the totals.
    let sum = |prefix: &str| found.range(format!("{prefix}[")..format!("{prefix}\\")).map(|(_, &n)| n).sum::<u64>();
    for (i, by) in stats.by_size.iter().enumerate() {
        is(&format!("/gc/heap/allocs-by-size:bytes[{i}]"), by.mallocs);
        is(&format!("/gc/heap/frees-by-size:bytes[{i}]"), by.frees);
        is(&format!("/heap/live-by-size:objects[{}]", by.size), by.mallocs - by.frees);
    }
    is(&format!("/gc/heap/allocs-by-size:bytes[{CLASSES}]"), 2);
    is("/gc/heap/allocs-by-size:bytessum", stats.total_alloc);
    assert_eq!(sum("/gc/heap/allocs-by-size:bytes"), found["/gc/heap/allocs:objects"]);
    assert_eq!(sum("/heap/live-by-size:objects") + 1, found["/gc/heap/objects:objects"]);
    assert_eq!(sum("/heap/unused-by-size:bytes"), found["/memory/classes/heap/unused:bytes"]);
    assert_eq!(sum("/heap/spans-by-size:bytes") + found["/heap/large/live:bytes"], stats.heap_inuse);
    assert_eq!(sum("/lock/wait-by-rank:nanoseconds"), found["/lock/wait:nanoseconds"]);
    let slots: u64 = Class::all().map(|class| balance.walked.slots[class.index()]).sum();
    assert_eq!(sum("/heap/live-by-size:objects") + sum("/heap/free-by-size:objects"), slots);
    retire(&allocator, cache);
}

#[test]
fn reading_twice_around_mem_stats_finds_the_same_and_allocates_once() {
    let allocator = allocator::allocator(Sim::new());
    let cache = adopt(&allocator);
    work(&allocator, cache);
    // Its locks come before that of metrics.
    allocator.set_double_check(false);
    let before = ASKED.load(Ordering::Relaxed);
    let mut samples = all();
    samples.iter_mut().for_each(|sample| sample.prepare(&MEMORY));
    let asked = ASKED.load(Ordering::Relaxed);
    assert!(asked - before >= TABLE.iter().filter(|metric| metric.kind() != Kind::Uint64).count());
    let mut metrics = allocator.metrics(Some(cache), || 17).expect("the kernel has started");
    assert_eq!(metrics.read_locked(&mut samples), Answer::Complete);
    let first = figures(&samples);
    let mut stats = MemStats::new();
    assert_eq!(allocator.mem_stats(Some(cache), &mut stats), Some(Answer::Complete));
    assert_eq!(metrics.read_locked(&mut samples), Answer::Complete);
    let second = figures(&samples);
    drop(metrics);
    // Every pair, and none is left out.
    assert_eq!(first, second);
    assert!(first.len() > 6 * CLASSES, "{} figures", first.len());
    for (name, n) in [
        ("/memory/classes/heap/objects:bytes", stats.heap_alloc),
        ("/gc/heap/allocs:bytes", stats.total_alloc),
        ("/gc/heap/allocs:objects", stats.mallocs),
        ("/gc/heap/frees:objects", stats.frees),
        ("/gc/heap/objects:objects", stats.heap_objects),
        ("/memory/classes/total:bytes", stats.sys),
        ("/memory/classes/heap/released:bytes", stats.heap_released),
        ("/memory/classes/heap/free:bytes", stats.heap_idle - stats.heap_released),
        ("/memory/classes/heap/stacks:bytes", stats.stack_inuse),
        ("/memory/classes/metadata/mspan/inuse:bytes", stats.mspan_inuse),
        ("/memory/classes/metadata/mcache/inuse:bytes", stats.mcache_inuse),
        ("/heap/in-transit:objects", stats.in_transit),
    ] {
        assert_eq!(second[name], n, "{name}");
    }
    // Prepared samples allocate nothing more, and the allocator has as many objects as before.
    samples.iter_mut().for_each(|sample| sample.prepare(&MEMORY));
    retire(&allocator, cache);
}

#[test]
fn only_what_is_asked_for_is_read() {
    let allocator = allocator::allocator(Sim::new());
    let cache = adopt(&allocator);
    work(&allocator, cache);
    for metric in &TABLE {
        let mut reading = Reading::new();
        let wanted = Aggregates::NONE.with(metric.aggregate);
        let answer = allocator.fill_reading(wanted, || 17, &mut reading).expect("the kernel has started");
        assert!(answer.is_complete());
        for other in TABLE.iter().filter(|other| other.aggregate != metric.aggregate) {
            assert!(!other.is_known(&reading), "{} was read for {}", other.name(), metric.name());
        }
    }
    let mut reading = Reading::new();
    allocator.fill_reading(Aggregates::NONE.with(Aggregate::Caches), || 17, &mut reading);
    assert_eq!(reading.snapshot, Snapshot::new(), "no snapshot was taken");
    // Figures that the simulated OS does not have, and that no audit found, are absent.
    let found = read(&allocator, cache);
    for name in ["/system-calls/made:calls[mmap]", "/os/rss:bytes", "/os/age:nanoseconds"] {
        assert!(!found.contains_key(name), "{name}");
    }
    retire(&allocator, cache);
}

#[test]
fn unknown_names_are_bad_and_what_was_not_prepared_is_absent() {
    let allocator = allocator::allocator(Sim::new());
    let mut early = [Sample::new("/memory/ready:bytes")];
    early[0].prepare(&MEMORY);
    assert!(allocator.metrics(None, || 17).is_none() && matches!(early[0].value(), Value::Absent));
    let cache = adopt(&allocator);
    let names = ["/no/such:thing", "", "/memory/ready:bytes", "/heap/live-by-size:objects"];
    let mut samples = names.map(Sample::new);
    assert!(samples.iter().all(|sample| matches!(sample.value(), Value::Absent) && sample.kind() == Kind::Bad));
    samples[..3].iter_mut().for_each(|sample| sample.prepare(&MEMORY));
    allocator.metrics(Some(cache), || 17).expect("the kernel has started").read_locked(&mut samples);
    assert!(matches!(samples[0].value(), Value::Bad) && matches!(samples[1].value(), Value::Bad));
    assert!(samples[2].value().number().is_some_and(|n| n > 0));
    assert!(matches!(samples[3].value(), Value::Absent));
    // Without memory for it the value is absent, and the next call tries again.
    let none = Memory { allocate: |_| std::ptr::null_mut(), free: give_back };
    samples[3].prepare(&none);
    allocator.metrics(Some(cache), || 17).expect("the kernel has started").read_locked(&mut samples);
    assert!(matches!(samples[3].value(), Value::Absent) && samples[3].kind() == Kind::Vector);
    samples[3].prepare(&MEMORY);
    allocator.metrics(Some(cache), || 17).expect("the kernel has started").read_locked(&mut samples);
    assert!(matches!(samples[3].value(), Value::Vector(v) if v.values.len() == CLASSES));
    retire(&allocator, cache);
}

#[test]
fn figures_of_the_system_are_those_of_the_last_audit_with_their_age() {
    let allocator = allocator::allocator(Sim::new());
    let cache = adopt(&allocator);
    let mut figures = OsFigures { taken_at: 1, rss: 5 << 20, mappings: 12, ..OsFigures::NONE };
    figures.cgroup_limit = OsFigures::UNKNOWN;
    allocator.note_os_figures(&figures);
    let found = read(&allocator, cache);
    assert_eq!((found["/os/rss:bytes"], found["/os/mappings:mappings"], found["/os/swapped:bytes"]), (5 << 20, 12, 0));
    assert!(!found.contains_key("/os/cgroup/limit:bytes"), "there is none");
    assert!(found.contains_key("/os/age:nanoseconds"));
    allocator.note_os_figures(&OsFigures { rss: 6 << 20, ..figures });
    assert_eq!(read(&allocator, cache)["/os/rss:bytes"], 6 << 20);
    // The age grows with the reader's clock.
    let mut reading = Reading::new();
    allocator.fill_reading(Aggregates::FREE, || 17, &mut reading);
    let age = Metric::find(b"/os/age:nanoseconds").expect("it is in the table");
    reading.read_at = reading.os.taken_at + 300;
    assert_eq!(age.number(&reading), Some(300));
    // No audit of the child was made yet.
    let fork = Fork::outside();
    allocator.before_fork(&fork, None);
    // SAFETY: this thread holds the locks by the call before.
    unsafe { allocator.after_fork(&fork, None, true) };
    assert!(!read(&allocator, cache).contains_key("/os/rss:bytes"));
    retire(&allocator, cache);
}

#[test]
fn peaks_are_maxima() {
    let allocator = allocator::allocator(Sim::new());
    let cache = adopt(&allocator);
    let (mut ready, mut total) = (0, 0);
    let mut look = || {
        let found = read(&allocator, cache);
        (ready, total) = (ready.max(found["/memory/ready:bytes"]), total.max(found["/memory/classes/total:bytes"]));
        found
    };
    for size in [1, 20, 9, 64, 3] {
        let large = malloc::allocate(allocator.bind(cache), size * MIB) as usize;
        look();
        free(&allocator, cache, large);
        allocator.heap().release(cache.writer(), Pages(usize::MAX));
        look();
    }
    let found = look();
    assert!(found["/memory/ready:bytes"] + (60 << 20) < ready, "the memory was given back");
    assert_eq!((found["/memory/peak/ready:bytes"], found["/memory/peak/total:bytes"]), (ready, total));
    retire(&allocator, cache);
}

#[test]
fn chunks_are_counted_by_their_taken_pages() {
    let allocator = allocator::allocator(Sim::new());
    let cache = adopt(&allocator);
    let large: Vec<usize> = (0..10).map(|_| malloc::allocate(allocator.bind(cache), 4 * MIB) as usize).collect();
    let count = |i: usize| read(&allocator, cache)[&format!("/heap/chunks/taken:pages[{i}]")];
    let taken = || read(&allocator, cache)["/heap/chunks/taken:pagessum"];
    assert!(count(9) >= 9, "{} chunks are full", count(9));
    let (full, pages) = (count(9), taken());
    free(&allocator, cache, large[4]);
    assert!(taken() <= pages && count(9) <= full);
    large.iter().enumerate().filter(|&(i, _)| i != 4).for_each(|(_, &at)| free(&allocator, cache, at));
    retire(&allocator, cache);
    let cache = adopt(&allocator);
    // More chunks than are looked at in one go.
    let huge = malloc::allocate(allocator.bind(cache), 300 * 4 * MIB) as usize;
    assert_ne!(huge, 0);
    let found = read(&allocator, cache);
    assert!(found["/heap/chunks/taken:pages[9]"] >= 299 && found["/heap/chunks/taken:pagessum"] >= 300 * 512);
    free(&allocator, cache, huge);
    // Pages that no thread keeps are free: each chunk is in the first group, or in the group of 64 local pages.
    let found = read(&allocator, cache);
    let group = |i: usize| found[&format!("/heap/chunks/taken:pages[{i}]")];
    assert_eq!((2..10).map(group).sum::<u64>(), 0);
    assert!(group(0) + group(1) >= 10 && found["/heap/chunks/taken:pagessum"] <= 128);
    retire(&allocator, cache);
}

#[test]
fn waiting_is_counted_for_the_rank_of_its_lock() {
    assert_eq!(LOCKS.len(), 12);
    // On a busy machine the thread may come too late to wait.
    let held = [20, 100, 1_000, 10_000].iter().find_map(|&millis| {
        let allocator: &'static Allocator<Sim> = Box::leak(allocator::allocator(Sim::new()));
        let cache = adopt(allocator);
        let still = allocator.caches().stop_all();
        let came = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                came.store(true, Ordering::Relaxed);
                // The pool is held: it waits for that lock.
                let cache = adopt(allocator);
                retire(allocator, cache);
            });
            while !came.load(Ordering::Relaxed) {
                std::thread::yield_now();
            }
            std::thread::sleep(std::time::Duration::from_millis(millis));
            drop(still);
        });
        let found = read(allocator, cache);
        (found["/lock/contended:acquisitions"] > 0).then_some((allocator, cache, found))
    });
    let (allocator, cache, found) = held.expect("a thread waits for a lock that is held for ten seconds");
    assert_eq!(found["/lock/contended-by-rank:acquisitions[Caches]"], 1);
    assert_eq!(found["/lock/contended:acquisitions"], 1);
    assert!(found["/lock/wait-by-rank:nanoseconds[Caches]"] >= 1_000_000);
    assert_eq!((found["/cache/made:caches"], found["/cache/idle:caches"], found["/cache/inuse:caches"]), (2, 1, 1));
    let again = adopt(allocator);
    let found = read(allocator, cache);
    assert_eq!((found["/cache/made:caches"], found["/cache/idle:caches"], found["/cache/inuse:caches"]), (2, 0, 2));
    retire(allocator, again);
    retire(allocator, cache);
}
