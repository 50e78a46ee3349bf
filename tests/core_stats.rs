//! Wrong entries in the accounts: for each, `crossfoot` names exactly the identities that no longer hold, and nothing
//! reports a balance; when the entry is corrected, everything balances.

mod allocator;
#[path = "core_stats/right.rs"]
mod right;

use crossfoot::allocator::Allocator;
use crossfoot::cache::Cache;
use crossfoot::heap::Use;
use crossfoot::malloc;
use crossfoot::mem_stats::{self, Balance};
use crossfoot::metrics::{Aggregates, Reading, write_json, write_table};
use crossfoot::os::sim::Sim;
use crossfoot::size_class::Class;
use crossfoot::span::{Kind, Span};
use crossfoot::stats::{Account, Accounts, ClassDelta, Count, Delta, Failures, Snapshot, Total};
use crossfoot::units::{Addr, PAGE_SIZE, Pages};

use allocator::{adopt, balanced_with_machine, free};

const TOTAL: &str = "total_mapped = sum of accounts";
const READY: &str = "mapped_ready = total_mapped - heap_released";
const IN_HEAP: &str = "heap_in_use = in_heap";
const RELEASED: &str = "heap_released = released";
const COMMITTED: &str = "heap_in_use + heap_free = committed - manual spans";
const SPANS: &str = "spans of all classes + large = in_heap";
const LARGE: &str = "large allocations >= large frees";
const ALLOCS: &str = "allocations >= frees";
const LIVE: &str = "live bytes <= bytes of spans";
const SENT: &str = "sent >= received";
const PAGES: &str = "pages walked = account";
const CLASS_BYTES: &str = "spans walked = bytes of class";
const LARGE_BYTES: &str = "large objects walked = large";
const LARGE_COUNT: &str = "large objects walked = large allocations - frees";
const RECORDS: &str = "spans walked = span records";
const SPAN_SYS: &str = "span_sys = span records in use + free";
const SPAN_USE: &str = "span records = span records in use";
const CACHE_SYS: &str = "cache_sys = caches in use + free";
const CACHE_USE: &str = "caches made = caches in use";
const OFFSETS: &str = "live + vacant = slots in spans";
const VACANT: &str = "free objects found = vacant";
const FOUND: &str = "allocations - frees = objects found";
const TRANSIT: &str = "objects in transit <= objects";
const INBOXES: &str = "objects in inboxes = sent - received";

/// The class of which every test has many objects.
const CLASS: Class = Class::of(48);

/// An allocator in which every account and every total is above zero.
struct World {
    allocator: Box<Allocator<Sim>>,
}

impl World {
    fn new() -> World {
        let allocator = allocator::allocator(Sim::new());
        let (cache, other) = (adopt(&allocator), adopt(&allocator));
        let (heap, bound, writer) = (allocator.heap(), allocator.bind(cache), cache.writer());
        let objects: Vec<usize> = (0..500).map(|_| malloc::allocate(bound, CLASS.size()) as usize).collect();
        objects[..100].iter().for_each(|&at| free(&allocator, cache, at));
        // Some are sent to an inbox, some stay in an outbox.
        objects[100..200].iter().for_each(|&at| free(&allocator, other, at));
        malloc::allocate(bound, 100_000);
        // Too large for the local pages, which would not be released.
        let large = malloc::allocate(bound, 300_000) as usize;
        for kind in [Kind::Stack, Kind::WorkBuf, Kind::Bitmap] {
            heap.take(writer, Pages(2), 1, Use::Manual(kind)).expect("there is room");
        }
        free(&allocator, cache, large);
        assert_eq!(heap.release(writer, Pages(5)), Pages(5));
        balanced_with_machine(&allocator, Some(cache));
        World { allocator }
    }

    /// Returns the cache that posts.
    fn cache(&self) -> &Cache {
        let mut found = None;
        // SAFETY: caches live as long as the kernel, and this one thread drives them all.
        self.allocator.caches().each(|cache| found = Some(unsafe { &*core::ptr::from_ref(cache) }));
        found.expect("two caches were made")
    }

    fn post(&self, entry: &Delta) {
        self.allocator.stats().post(self.cache().writer(), entry);
    }

    fn post_class(&self, entry: &ClassDelta) {
        self.allocator.stats().post_class(self.cache().writer(), CLASS, entry);
    }

    fn count(&self, count: Count, n: usize) {
        self.allocator.stats().count(self.cache().writer(), CLASS, count, n);
    }

    fn accounts(&self) -> &Accounts {
        self.allocator.heap().accounts()
    }

    fn crossfoot(&self, quiet: bool) -> Balance {
        let balance = match quiet {
            // SAFETY: one thread drives all caches.
            true => unsafe { self.allocator.crossfoot_quiet(Some(self.cache())) },
            false => self.allocator.crossfoot(Some(self.cache())),
        };
        let balance = balance.expect("the kernel has started");
        assert!(balance.complete && balance.failures.more() == 0);
        balance
    }

    /// Returns the reading of metrics, with the snapshot of a balance.
    fn reading(&self, balance: &Balance) -> Reading {
        let mut reading = Reading::new();
        reading.snapshot = balance.snapshot.clone();
        self.allocator.fill_around(Aggregates::ALL, balance.answer, || 1, &mut reading);
        reading
    }

    /// Asserts that `crossfoot` and both forms of the report name these identities in this order, and no others.
    #[track_caller]
    fn fails(&self, quiet: bool, expected: &[&str]) {
        let balance = self.crossfoot(quiet);
        let names: Vec<&str> = balance.failures.iter().map(|failure| failure.identity).collect();
        assert_eq!(names, expected, "quiet: {quiet}");
        for failure in balance.failures.iter() {
            let of_class =
                [ALLOCS, LIVE, SENT, OFFSETS, CLASS_BYTES, FOUND, VACANT, TRANSIT, INBOXES].contains(&failure.identity);
            assert_eq!(failure.class, of_class.then_some(CLASS.index()), "{failure}");
        }
        let (mut json, mut table) = (String::new(), String::new());
        let reading = self.reading(&balance);
        write_json(&mut json, &reading, (&balance).into()).expect("a string takes everything");
        write_table(&mut table, &reading, (&balance).into()).expect("a string takes everything");
        assert_eq!(json.contains("\"crossfoot\": \"balanced\""), expected.is_empty(), "{json}");
        assert_eq!(table.contains(" balanced  crossfoot"), expected.is_empty(), "{table}");
        for failure in balance.failures.iter() {
            let (left, right) = (failure.left, failure.right);
            assert!(json.contains(&format!("{}: {left} against {right}", failure.identity)), "{json}");
            assert!(table.contains(&format!("UNBALANCED  {}: {left} against {right}", failure.identity)), "{table}");
        }
    }

    #[track_caller]
    fn is_balanced(&self) {
        self.fails(false, &[]);
        self.fails(true, &[]);
        balanced_with_machine(&self.allocator, Some(self.cache()));
    }
}

/// Makes one total wrong by `n`: these identities fail, quiet or not.
#[track_caller]
fn total_off(total: impl Into<usize> + Copy, n: isize, expected: &[&str]) {
    let world = World::new();
    for n in [n, -n] {
        let mut entry = Delta::new();
        entry.add(total, n);
        world.post(&entry);
        if n > 0 {
            world.fails(false, expected);
            world.fails(true, expected);
        }
    }
    world.is_balanced();
}

/// Makes a class's figures wrong: these fail always, and these while no other thread works.
#[track_caller]
fn class_off(wrong: ClassDelta, always: &[&str], quiet: &[&str]) {
    let world = World::new();
    world.is_balanced();
    world.post_class(&wrong);
    world.fails(false, always);
    world.fails(true, quiet);
}

/// Makes a class's count of objects wrong: these fail always, and these while no other thread works.
#[track_caller]
fn count_off(count: Count, n: usize, always: &[&str], quiet: &[&str]) {
    let world = World::new();
    world.is_balanced();
    world.count(count, n);
    world.fails(false, always);
    world.fails(true, quiet);
    world.count(count, n.wrapping_neg());
    world.is_balanced();
}

const NONE: ClassDelta = ClassDelta { span_bytes: 0, slots: 0 };
/// One less.
const LESS: usize = 1usize.wrapping_neg();

#[test]
fn a_total_that_is_off_by_a_byte() {
    total_off(Total::TotalMapped, 1, &[TOTAL, READY]);
    total_off(Total::MappedReady, 1, &[READY, "mapped_ready"]);
    total_off(Total::Committed, 1, &[COMMITTED]);
    total_off(Total::Released, 1, &[RELEASED]);
    total_off(Total::InHeap, 1, &[IN_HEAP, SPANS]);
    total_off(Total::LargeAllocBytes, 1, &[SPANS, LARGE_BYTES]);
    total_off(Total::LargeFreeBytes, 1, &[SPANS, LARGE_BYTES]);
    total_off(Total::SpanInUse, 1, &[SPAN_SYS, SPAN_USE]);
    total_off(Total::SpanFree, 1, &[SPAN_SYS]);
    total_off(Total::CacheInUse, 1, &[CACHE_SYS, CACHE_USE]);
    total_off(Total::CacheFree, 1, &[CACHE_SYS]);
}

#[test]
fn a_count_that_is_off_by_one() {
    total_off(Total::LargeAllocs, 1, &[LARGE_COUNT]);
    total_off(Total::LargeFrees, 1, &[LARGE_COUNT]);
    total_off(Total::LargeFrees, 2, &[LARGE, LARGE_COUNT]);
}

#[test]
fn an_account_of_pages_that_is_off_by_a_byte() {
    let off = |account: Account, expected: &[&str]| total_off(Total::of(account), 1, expected);
    off(Account::HeapInUse, &[TOTAL, IN_HEAP, COMMITTED, "heap_in_use", PAGES]);
    off(Account::HeapFree, &[TOTAL, COMMITTED, "heap_free", PAGES]);
    off(Account::HeapReleased, &[TOTAL, READY, RELEASED, "heap_released", PAGES]);
    off(Account::InStacks, &[TOTAL, COMMITTED, "in_stacks", PAGES]);
    off(Account::InWorkBufs, &[TOTAL, COMMITTED, "in_work_bufs", PAGES]);
    off(Account::InBitmaps, &[TOTAL, COMMITTED, "in_bitmaps", PAGES]);
}

#[test]
fn an_account_of_records_that_is_off_by_a_byte() {
    for account in Account::ALL.into_iter().skip(Account::SpanSys as usize) {
        match account {
            Account::SpanSys => total_off(Total::of(account), 1, &[TOTAL, SPAN_SYS, account.name()]),
            Account::CacheSys => total_off(Total::of(account), 1, &[TOTAL, CACHE_SYS, account.name()]),
            _ => total_off(Total::of(account), 1, &[TOTAL, account.name()]),
        }
    }
}

#[test]
fn a_class_that_is_off() {
    let bytes = &[OFFSETS, SPANS, CLASS_BYTES];
    class_off(ClassDelta { span_bytes: 1, ..NONE }, bytes, bytes);
    class_off(ClassDelta { span_bytes: -1, ..NONE }, bytes, bytes);
    class_off(ClassDelta { slots: 1, ..NONE }, &[OFFSETS], &[OFFSETS, VACANT]);
    class_off(ClassDelta { slots: -1, ..NONE }, &[OFFSETS], &[OFFSETS, VACANT]);
    for n in [1, LESS] {
        count_off(Count::Freed, n, &[], &[FOUND, VACANT]);
        count_off(Count::Received, n, &[], &[FOUND, VACANT, INBOXES]);
        count_off(Count::Sent, n, &[], &[INBOXES]);
    }
}

#[test]
fn a_class_that_is_off_by_far() {
    let far = 100_000usize;
    count_off(Count::Freed, far, &[ALLOCS, TRANSIT], &[ALLOCS, TRANSIT, FOUND, VACANT]);
    count_off(Count::Freed, far.wrapping_neg(), &[LIVE], &[LIVE, FOUND, VACANT]);
    count_off(Count::Received, far, &[ALLOCS, SENT], &[ALLOCS, SENT, FOUND, VACANT, INBOXES]);
    count_off(Count::Sent, far, &[TRANSIT], &[TRANSIT, INBOXES]);
}

/// Makes one side of one identity wrong by one byte or one object: a snapshot fails that identity and no other.
#[test]
fn each_identity_of_a_snapshot_alone() {
    type Wrong = fn(&mut Delta);
    /// A class that has no spans.
    const BARE: Class = Class::of(1024);
    let rows: &[(&str, Wrong)] = &[
        (TOTAL, |e| e.add(Total::of(Account::OtherSys), 1)),
        (READY, |e| e.add(Total::MappedReady, -1)),
        (IN_HEAP, |e| {
            e.add(Total::of(Account::HeapInUse), 1);
            e.add(Total::of(Account::HeapFree), -1);
        }),
        (RELEASED, |e| e.add(Total::Released, 1)),
        (COMMITTED, |e| e.add(Total::Committed, -1)),
        (SPAN_SYS, |e| e.add(Total::SpanFree, 1)),
        (CACHE_SYS, |e| e.add(Total::CacheInUse, -1)),
        (SPANS, |e| e.add(Total::LargeAllocBytes, 1)),
        (LARGE, |e| e.add(Total::LargeFrees, 2)),
        (OFFSETS, |e| e.class(BARE, ClassDelta { slots: 1, ..NONE })),
    ];
    for (identity, wrong) in rows {
        let world = World::new();
        let mut entry = Delta::new();
        wrong(&mut entry);
        world.post(&entry);
        let mut snapshot = Snapshot::new();
        assert!(mem_stats::snapshot(world.allocator.heap(), &mut snapshot).is_complete());
        let mut failures = Failures::default();
        snapshot.check(&mut failures);
        let names: Vec<&str> = failures.iter().map(|failure| failure.identity).collect();
        assert_eq!(names, [*identity]);
    }
}

/// Entries that are consistent, so that every snapshot holds, but wrong.
#[test]
fn comparisons_that_a_snapshot_cannot_make() {
    let world = World::new();
    world.count(Count::Freed, 1);
    world.fails(true, &[FOUND, VACANT]);
    for total in [Total::SpanInUse, Total::CacheInUse] {
        let world = World::new();
        let (free, name) = match total {
            Total::SpanInUse => (Total::SpanFree, SPAN_USE),
            _ => (Total::CacheFree, CACHE_USE),
        };
        let mut entry = Delta::new();
        entry.add(total, 1);
        entry.add(free, -1);
        world.post(&entry);
        world.fails(true, &[name]);
    }
}

/// Both sides are wrong together, so that only the other way of adding up detects it.
#[test]
fn pages_that_are_not_what_both_sides_say() {
    let world = World::new();
    let page = PAGE_SIZE as isize;
    for (from, to, sign) in
        [(Account::HeapFree, Account::HeapReleased, 1), (Account::HeapReleased, Account::HeapFree, -1)]
    {
        let mut entry = Delta::new();
        world.accounts().transfer(from, to, PAGE_SIZE, &mut entry);
        entry.add(Total::Committed, -page * sign);
        entry.add(Total::Released, page * sign);
        match sign {
            1 => world.accounts().no_longer_ready(PAGE_SIZE, &mut entry),
            _ => world.accounts().became_ready(PAGE_SIZE, &mut entry),
        }
        world.post(&entry);
        if sign == 1 {
            world.fails(true, &[PAGES, PAGES]);
            assert_ne!(world.allocator.os().ready_bytes(), world.accounts().mapped_ready(), "the machine tells too");
        }
    }
    world.is_balanced();
}

#[test]
fn more_records_than_memory_for_them() {
    let world = World::new();
    let bytes = world.accounts().get(Account::SpanSys);
    let mut entry = Delta::new();
    world.accounts().unmapped(Account::SpanSys, bytes, &mut entry);
    world.accounts().no_longer_ready(bytes, &mut entry);
    world.post(&entry);
    world.fails(true, &[SPAN_SYS]);
    let mut entry = Delta::new();
    world.accounts().mapped(Account::SpanSys, bytes, &mut entry);
    world.accounts().became_ready(bytes, &mut entry);
    world.post(&entry);
    world.is_balanced();
}

/// A change of the accounts that is not posted.
#[test]
fn an_entry_that_was_forgotten() {
    let forgotten = &mut Delta::new();
    for account in Account::ALL {
        let world = World::new();
        world.accounts().mapped(account, 8, forgotten);
        world.fails(true, &[account.name()]);
        world.accounts().unmapped(account, 8, forgotten);
        world.is_balanced();
    }
    let world = World::new();
    world.accounts().became_ready(8, forgotten);
    world.fails(true, &["mapped_ready"]);
    world.accounts().no_longer_ready(8, forgotten);
    world.is_balanced();
}

#[test]
fn a_span_that_covers_another() {
    let world = World::new();
    let heap = world.allocator.heap();
    let take = || heap.take(world.cache().writer(), Pages(60), 1, Use::Manual(Kind::Stack)).expect("there is room");
    let (one, two): (&Span, &Span) = (take(), take());
    assert_eq!(one.base().plus(one.pages().bytes()), two.base(), "the lowest room comes first");
    world.is_balanced();
    one.set_pages(Pages(120));
    world.fails(true, &[RECORDS]);
    one.set_pages(Pages(60));
    world.is_balanced();
}

#[test]
fn a_span_that_counts_an_object_too_many() {
    let world = World::new();
    let at = malloc::allocate(world.allocator.bind(world.cache()), CLASS.size());
    let span = world.allocator.heap().span_of(Addr::of(at)).expect("an object has a span");
    world.is_balanced();
    span.carved.set(span.carved.get() + 1);
    world.fails(true, &[FOUND, VACANT]);
}
