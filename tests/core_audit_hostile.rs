//! Audits a process whose memory has arbitrary content: the audit ends, and no arithmetic in it overflows.
//!
//! Memory of this process stands for the memory of another one: a heap of eight pages with its records. It is audited
//! as it is, and then with each of its words, and each word of the stats page, changed.

use std::cell::{Cell, RefCell};
use std::ptr::null_mut;

use crossfoot::audit::{Audit, Cause, Line, Offsets, Range, Request, audit};
use crossfoot::os::{OsError, Process};
use crossfoot::stats::Account;
use crossfoot::stats_page::layout::{MappingKind, OFFSETS};
use crossfoot::stats_page::view::Mapping;

const PAGE: u64 = 8192;
/// Where the records lie behind the heap, and how much everything takes.
const RECORDS: u64 = 8 * PAGE;
const SIZE: u64 = RECORDS + 0x5000;

/// Ranges that stay, looked at three times.
struct Fixed {
    ranges: Vec<Range>,
    looks: Cell<u32>,
}

impl Request for Fixed {
    fn range(&self, i: usize) -> Option<Range> {
        self.ranges.get(i).copied()
    }

    fn changes(&self) -> u64 {
        0
    }

    fn again(&self) -> bool {
        self.looks.set(self.looks.get() + 1);
        self.looks.get() < 3
    }
}

/// Memory with given content.
struct World {
    base: u64,
    offsets: [u64; OFFSETS],
    process: Process,
}

impl World {
    fn set(&mut self, at: u64, value: u64) {
        assert!(at < SIZE);
        // SAFETY: inside of the mapping, which is this value's; nobody borrows from it.
        unsafe { std::ptr::with_exposed_provenance_mut::<u64>((self.base + at) as usize).write(value) };
    }

    fn get(&self, at: u64) -> u64 {
        // SAFETY: as in `set`.
        unsafe { std::ptr::with_exposed_provenance::<u64>((self.base + at) as usize).read() }
    }

    /// A record of a span.
    fn record(&mut self, at: u64, page: u64, [pages, size, objects, kind, class]: [u64; 5]) {
        self.set(RECORDS + 8 * page, at - RECORDS);
        self.set(at, self.base + page * PAGE);
        self.set(at + 8, pages | size << 32);
        self.set(at + 16, objects | kind << 16 | class << 24);
    }

    fn new() -> World {
        let (protection, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
        // SAFETY: a new mapping disturbs nobody. It stays.
        let start = unsafe { libc::mmap(null_mut(), (SIZE + PAGE) as usize, protection, flags, -1, 0) };
        assert_ne!(start, libc::MAP_FAILED);
        let base = (start.expose_provenance() as u64).next_multiple_of(PAGE);
        let records = base + RECORDS;
        let process = Process::open(None, 4096).expect("there is /proc");
        let mut world = World { base, offsets: [0; OFFSETS], process };
        let offsets = [
            // The form; pages of 8 and 4 KiB; the word that leads to the cache.
            &[Offsets::FORM, 13, 4096, records + 0x4000][..],
            // A record: its size, then base, pages, size, objects, kind, class, owner, free, out, carved; an object's words.
            &[128, 0, 8, 12, 16, 18, 19, 24, 32, 40, 48, 0, 8],
            // The page map, and the bits of pages.
            &[records, base / PAGE, 8],
            &[base, 512, 128, records + 0x2000, records + 0x2000, 512, 0, 64],
            &[records + 0x3000, records + 0x3800],
            // A writer, in the cache; the turns of two locks.
            &[records + 0x4000, 0, 0, 0, records + 0x3900, records + 0x3908],
            // A cache, and its outbox.
            &[0, 4, 8, 8, 40, 16, 0, 8, 112, 120],
            &[0, 16, 2, 16, 0, 8],
        ];
        world.offsets.iter_mut().zip(offsets.concat()).for_each(|(to, place)| *to = place);
        // Objects of 512 bytes with an owner; a large one of two pages; objects without an owner, some never made.
        world.record(RECORDS + 0x1000, 0, [1, 512, 16, 1, 1]);
        world.record(RECORDS + 0x1100, 1, [2, 0, 1, 2, 0]);
        world.record(RECORDS + 0x1200, 3, [1, 512, 16, 1, 2]);
        let cache = RECORDS + 0x4100;
        for (at, value) in [(24, base + cache), (32, base + 512), (40, 14 * base), (48, 16)] {
            world.set(RECORDS + 0x1000 + at, value);
        }
        for (at, value) in [(40, 3 * (base + 3 * PAGE)), (48, 3)] {
            world.set(RECORDS + 0x1200 + at, value);
        }
        // Page 4 is free, page 5 is a local page of a cache, the others are released. The second half of page 3 is not
        // mapped.
        world.set(RECORDS + 0x2000, 0b10_1111);
        world.set(RECORDS + 0x2000 + 64, 0b11_1111);
        (0..6 * PAGE).step_by(4096).filter(|&at| at != 3 * PAGE + 4096).for_each(|at| world.set(at + 4088, 1));
        // Object 2 is in the cache's free list, 5 was sent to its inbox, and 6 is in its outbox.
        for (at, value) in [
            (RECORDS + 0x4000, base + cache),
            (cache + 8 + 8, base + 2 * 512),
            (cache + 40 + 16, records + 0x1000),
            (cache + 104, 5),
            (cache + 112, base + 5 * 512),
            (5 * 512, base + 5 * 512),
            (cache + 120, 1),
            (cache + 120 + 16, records + 0x1000),
            (cache + 120 + 24, base + 6 * 512),
        ] {
            world.set(at, value);
        }
        world
    }

    /// Audits it with these ranges. Returns `None` if the offsets are refused.
    fn audit(&self, ranges: &[Mapping]) -> Option<Result<Audit, OsError>> {
        let offsets = Offsets::from_words(&self.offsets)?;
        let ranges: Vec<Range> = ranges.iter().filter_map(Range::of).collect();
        let request = Fixed { ranges, looks: Cell::new(0) };
        Some(audit(&self.process, &offsets, &request, &mut [Line::EMPTY; 3]))
    }

    fn heap(&self) -> Mapping {
        Mapping { start: self.base, end: self.base + RECORDS, what: MappingKind::Heap as u64 }
    }
}

#[test]
fn an_audit_of_arbitrary_memory_ends() {
    let mut world = World::new();
    let heap = world.heap();
    let found = world.audit(&[heap]).expect("understood").expect("read to the end");
    let of = |cause| (found.causes.get(cause).bytes, found.causes.get(cause).resident);
    // Of 14 objects that are out, one is in a free list and two are in transit; three of the other span are out.
    assert_eq!((of(Cause::LiveSmall), of(Cause::InTransit)), ((14 * 512, 14 * 512), (2 * 512, 2 * 512)));
    assert_eq!((of(Cause::LiveLarge), of(Cause::Free)), ((2 * PAGE, 2 * PAGE), (PAGE, PAGE)));
    assert_eq!(of(Cause::Fragmentation).0, 13 * 512);

    let base = world.base;
    let high = 1 << 63;
    let values = [0, 1, 1 << 20, base, base.wrapping_neg(), high, high - 1, u64::MAX, u64::MAX - 7];
    for value in values {
        for i in 0..world.offsets.len() {
            let was = std::mem::replace(&mut world.offsets[i], value);
            world.audit(&[heap]);
            world.offsets[i] = was;
        }
        // There are many words: the values that differ in kind will do.
        let differs = [1, base, high, u64::MAX].contains(&value);
        for at in (0..SIZE).step_by(8).filter(|_| differs) {
            let was = world.get(at);
            // What is zero is a link that ends, or nothing.
            if was != 0 && at % 4096 != 4088 || (RECORDS + 0x4100..RECORDS + 0x4100 + 160).contains(&at) {
                world.set(at, value);
                world.audit(&[heap]);
                world.set(at, was);
            }
        }
        for end in values {
            world.audit(&[Mapping { start: value, end, ..heap }]);
            world.audit(&[heap, Mapping { start: value, end, what: MappingKind::Stacks as u64 }]);
        }
    }
    assert_eq!(world.audit(&[heap]).expect("understood").expect("read to the end").causes, found.causes);
}

/// The sequence of the writer and the turns of the heap's lock in the world of `World::new`.
const SEQUENCE: u64 = RECORDS + 0x3a00;
const TURNS: u64 = RECORDS + 0x3900;

/// The changes of the world each time that the audit asks whether the ranges changed: at the beginning and the end of a
/// reading of the counters, one of which comes before each look and one after it.
struct Moving<'a> {
    world: RefCell<&'a mut World>,
    happens: &'a dyn Fn(&mut World, u32),
    asked: Cell<u32>,
    looks: Cell<u32>,
}

impl Request for Moving<'_> {
    fn range(&self, i: usize) -> Option<Range> {
        if i == 0 { Range::of(&self.world.borrow().heap()) } else { None }
    }

    fn changes(&self) -> u64 {
        self.asked.set(self.asked.get() + 1);
        (self.happens)(&mut self.world.borrow_mut(), self.asked.get());
        0
    }

    fn again(&self) -> bool {
        self.looks.set(self.looks.get() + 1);
        self.looks.get() < 3
    }
}

/// Returns a world whose accounts equal its pages.
fn balanced() -> World {
    let mut world = World::new();
    let offsets = Offsets::from_words(&world.offsets).expect("understood");
    // The writer has words of its own: its sequence, no other writer, nothing moved.
    let of = |at: u64| world.offsets.iter().position(|&word| word == at).expect("among the places");
    let writers = of(offsets.writers.first).max(of(offsets.accounts.mapped_ready) + 1);
    let base = world.base;
    world.offsets[writers..writers + 4].copy_from_slice(&[base + RECORDS + 0x3a40, 0, 8, 16]);
    world.set(RECORDS + 0x3a40, base + SEQUENCE);
    for (account, pages) in [(Account::HeapInUse, 4), (Account::HeapFree, 2)] {
        world.set(RECORDS + 0x3000 + 8 * account as u64, pages * PAGE);
    }
    world
}

fn audited(world: &mut World, happens: &dyn Fn(&mut World, u32)) -> Audit {
    let offsets = Offsets::from_words(&world.offsets).expect("understood");
    let (page, mut lines) = (4096, [Line::EMPTY; 3]);
    let process = Process::open(None, page).expect("there is /proc");
    let request = Moving { world: RefCell::new(world), happens, asked: Cell::new(0), looks: Cell::new(0) };
    audit(&process, &offsets, &request, &mut lines).expect("read to the end")
}

const IN_USE: u64 = RECORDS + 0x3000 + 8 * Account::HeapInUse as u64;

#[test]
fn a_difference_that_two_looks_agree_on_is_reported() {
    let mut world = balanced();
    let found = audited(&mut world, &|_, _| {});
    assert!(found.is_balanced() && (found.moved, found.movements, found.passes) == (0, 0, 1), "{found:#?}");
    world.set(IN_USE, 5 * PAGE);
    let found = audited(&mut world, &|_, _| {});
    assert!(!found.is_balanced() && (found.moved, found.movements, found.passes) == (0, 0, 2), "{found:#?}");
    // A page map that leads nowhere is as wrong.
    world.set(IN_USE, 4 * PAGE);
    world.set(RECORDS + 8, 0xa5a5_a5a5_a5a5_a5a5);
    let found = audited(&mut world, &|_, _| {});
    assert!(!found.is_balanced() && (found.moved, found.passes) == (0, 2), "{found:#?}");
}

#[test]
fn a_process_that_changed_and_changed_back_has_moved() {
    // In each look the span at page 1 is gone, and back before the look ends: the states before and after are the same.
    let mut world = balanced();
    let entry = world.get(RECORDS + 8);
    let step = |counter: u64| {
        move |world: &mut World, asked: u32| {
            let is_in_look = asked % 4 == 2;
            world.set(RECORDS + 8, if is_in_look { 0 } else { entry });
            world.set(counter, world.get(counter) + 2 * u64::from(is_in_look));
        }
    };
    for counter in [SEQUENCE, TURNS] {
        let found = audited(&mut world, &step(counter));
        assert!(found.movements > 0 && found.moved > 0 && found.passes == 3, "{found:#?}");
        // Two pages are missing among those in use. By the lock's turns a look is given up; the next one finds them.
        assert!(counter == TURNS || !found.is_balanced() && found.moved >= 2 * PAGE, "{found:#?}");
    }
}

#[test]
fn a_thread_stopped_in_a_movement_is_no_difference() {
    for counter in [SEQUENCE, TURNS] {
        let mut world = balanced();
        world.set(counter, 1);
        world.set(IN_USE, 5 * PAGE);
        let found = audited(&mut world, &|_, _| {});
        assert!(!found.is_balanced() && found.movements > 0 && found.moved >= PAGE, "{found:#?}");
    }
}

#[test]
fn two_looks_that_disagree_report_no_difference() {
    let mut world = balanced();
    // Without a counter that says so, another span is missing in each look.
    let [first, second] = [RECORDS + 8, RECORDS + 3 * 8].map(|at| (at, world.get(at)));
    let found = audited(&mut world, &|world, asked| {
        let is_first = asked / 2 % 2 == 0;
        world.set(first.0, if is_first { 0 } else { first.1 });
        world.set(second.0, if is_first { second.1 } else { 0 });
    });
    assert!(!found.is_balanced() && found.moved > 0 && found.passes > 3, "{found:#?}");
}

/// A thread overwrites the words that the audit reads as links.
#[test]
fn a_link_that_was_overwritten_ends_its_list() {
    let mut world = balanced();
    // In the free list, in the inbox, in the outbox, the owner of a span.
    let (cache, wild) = (RECORDS + 0x4100, 0xa5a5_a5a5_a5a5_a5a5);
    for at in [2 * 512, 5 * 512, 5 * 512 + 8, cache + 8 + 8, cache + 112, cache + 120 + 16, RECORDS + 0x1000 + 24] {
        for value in [wild, 8, u64::MAX - 7, world.base + (1 << 40)] {
            let was = world.get(at);
            world.set(at, value);
            let found = audited(&mut world, &|_, _| {});
            assert!(found.is_balanced() || found.moved > 0, "{at:#x} {value:#x}: {found:#?}");
            world.set(at, was);
        }
    }
}
