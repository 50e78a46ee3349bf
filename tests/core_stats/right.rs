//! Accounts without wrong entries: every way of reading them gives the same figures. And the output of a double check.

use crossfoot::cache::Cache;
use crossfoot::malloc;
use crossfoot::mem_stats::MemStats;
use crossfoot::metrics::{Metric, TABLE};
use crossfoot::os::sim::Sim;
use crossfoot::size_class::Class;
use crossfoot::stats::{Account, Answer, Count, Delta, Snapshot, Total};
use crossfoot::units::PAGE_SIZE;

use super::allocator::{self, adopt, free, retire};
use super::{ALLOCS, CLASS, LARGE, RELEASED, World};

#[test]
fn the_walk_equals_the_accounts() {
    let world = World::new();
    let balance = world.crossfoot(true);
    let (stats, walked) = (&balance.snapshot, &balance.walked);
    for account in Account::ALL.into_iter().take(Account::SpanSys as usize) {
        let bytes = walked.accounts[account as usize];
        assert!(bytes > 0, "{} has something", account.name());
        assert_eq!(bytes as i64, stats.account(account), "{}", account.name());
    }
    for class in Class::all() {
        assert_eq!(walked.class_bytes[class.index()] as i64, stats.class(class).span_bytes);
    }
    assert_eq!((walked.spans, walked.large_objects), (walked.records, 1));
    assert_eq!(walked.large_bytes as i64, stats.large_bytes());
    // Of the 500 objects 100 are free; an object freed by another thread is live until its owner receives it.
    let class = stats.class(CLASS);
    assert_eq!(class.allocs, 500);
    assert!((1..=100).contains(&class.in_transit()));
    let live = class.live() - walked.unposted_frees[CLASS.index()] as i64;
    assert!((300..=400).contains(&live), "{live}");
    // Every metric of memory but the total adds up to the total.
    let reading = world.reading(&balance);
    let value = |name: &str| Metric::find(name.as_bytes()).and_then(|metric| metric.number(&reading)).expect(name);
    let parts = TABLE.iter().filter(|metric| {
        metric.name().starts_with("/memory/classes/") && metric.name() != "/memory/classes/total:bytes"
    });
    let sum: i64 = parts.filter_map(|metric| metric.number(&reading)).sum();
    assert_eq!(sum, value("/memory/classes/total:bytes"));
    assert_eq!(value("/memory/ready:bytes") as usize, world.allocator.os().ready_bytes());
}

#[test]
fn both_ways_of_adding_up_agree() {
    let world = World::new();
    // SAFETY: this one thread drives all caches.
    let (fast, slow) = unsafe { world.allocator.read_slow() }.expect("nobody was stopped");
    assert_eq!(fast, slow);
    let mut read = MemStats::new();
    assert_eq!(world.allocator.mem_stats(Some(world.cache()), &mut read), Some(Answer::Complete));
    assert_eq!(read, fast, "nothing has happened since");
    // The operations of the test, counted by hand: 500 objects of the class and two large ones, one of which was freed.
    let row = fast.by_size[CLASS.index()];
    assert_eq!((row.size, row.mallocs), (CLASS.size() as u64, 500));
    assert_eq!((fast.mallocs, fast.heap_objects + fast.frees), (502, 502));
    assert_eq!(fast.total_alloc, 500 * 48 + 106_496 + 303_104, "large objects have whole pages");
    assert_eq!(fast.frees, row.frees + 1);
    assert!((1..=100).contains(&fast.in_transit), "{}", fast.in_transit);
    assert_eq!((fast.stack_inuse, fast.heap_alloc), (2 * PAGE_SIZE as u64, fast.alloc));
    assert_eq!(fast.mcache_inuse, 2 * size_of::<Cache>() as u64);
    let rest = fast.buck_hash_sys + fast.other_sys;
    assert_eq!(fast.sys, fast.heap_sys + fast.stack_sys + fast.mspan_sys + fast.mcache_sys + rest);
    assert!(fast.heap_released > 0 && fast.heap_released <= fast.heap_idle);
}

#[test]
fn the_only_thread_reads_what_is_exact() {
    let allocator = allocator::allocator(Sim::new());
    let cache = adopt(&allocator);
    for double_check in [false, true] {
        allocator.set_double_check(double_check);
        let mut stats = MemStats::new();
        let read = |stats: &mut MemStats| assert_eq!(allocator.mem_stats(Some(cache), stats), Some(Answer::Complete));
        read(&mut stats);
        let (mallocs, live) = (stats.mallocs, stats.heap_objects);
        let mut objects = Vec::new();
        for n in 1..=300 {
            objects.push(malloc::allocate(allocator.bind(cache), 40) as usize);
            if n % 3 == 0 {
                free(&allocator, cache, objects.remove(n % objects.len()));
            }
            read(&mut stats);
            let (made, left) = (n as u64, objects.len() as u64);
            assert_eq!((stats.mallocs - mallocs, stats.heap_objects - live), (made, left));
            assert_eq!(stats.by_size[CLASS.index()].mallocs - stats.by_size[CLASS.index()].frees, left);
            assert_eq!(stats.heap_alloc, stats.heap_objects * CLASS.size() as u64);
        }
        objects.into_iter().for_each(|at| free(&allocator, cache, at));
    }
    retire(&allocator, cache);
    allocator::empty(&allocator);
}

#[test]
fn a_double_check_prints_both_values_and_ends_nothing() {
    let world = World::new();
    let read = || {
        let (mut stats, before) = (MemStats::new(), world.allocator.os().printed().len());
        assert_eq!(world.allocator.mem_stats(Some(world.cache()), &mut stats), Some(Answer::Complete));
        (stats, world.allocator.os().printed()[before..].to_owned())
    };
    let (right, line) = read();
    assert_eq!(line, "", "nothing to say");
    let mut entry = Delta::new();
    entry.add(Total::Released, 1);
    world.post(&entry);
    let released = right.heap_released;
    let said = format!("crossfoot: double check: {RELEASED}: {released} against {}\n", released + 1);
    let (wrong, line) = read();
    assert_eq!((wrong, line.as_str()), (right.clone(), said.as_str()), "and the figures are given all the same");
    entry.add(Total::Released, -2);
    world.post(&entry);
    // More freed than allocated: the figures make no sense, and are given.
    let mut entry = Delta::new();
    entry.add(Total::LargeFrees, 5);
    world.post(&entry);
    world.count(Count::Received, 100_000);
    let (absurd, lines) = read();
    assert!(absurd.heap_objects > u64::MAX / 2 && lines.contains(LARGE) && lines.contains(ALLOCS), "{lines}");
    let mut entry = Delta::new();
    entry.add(Total::LargeFrees, -5);
    world.post(&entry);
    world.count(Count::Received, 100_000usize.wrapping_neg());
    world.allocator.set_double_check(false);
    assert_eq!(read(), (right, String::new()), "off, nobody looks");
}

#[test]
fn no_books_before_the_start() {
    let allocator = allocator::allocator(Sim::new());
    assert!(allocator.crossfoot(None).is_none() && allocator.mem_stats(None, &mut MemStats::new()).is_none());
    assert!(
        allocator.snapshot(&mut Snapshot::new()).is_none() && allocator.last_snapshot(&mut Snapshot::new()).is_none()
    );
    let cache = adopt(&allocator);
    assert!(allocator.crossfoot(Some(cache)).is_some());
    retire(&allocator, cache);
    allocator::empty(&allocator);
}
