//! An audit of a process whose memory says anything: it ends, and nothing in it overflows, whatever it reads.
//!
//! Memory of this process stands for another one's: a heap of eight pages with its records. It is audited once as it is, and
//! then with each of its words, and each word of the ledger, being something else.

use std::ptr::null_mut;

use crossfoot::audit::{Audit, Cause, Places, Range, audit};
use crossfoot::ledger::layout::{PLACES, What};
use crossfoot::ledger::view::Mapping;
use crossfoot::os::{OsError, Process};

const PAGE: u64 = 8192;
/// Where the records lie behind the heap, and how much everything takes.
const RECORDS: u64 = 8 * PAGE;
const SIZE: u64 = RECORDS + 0x5000;

/// Memory that says what it is told.
struct World {
    base: u64,
    places: [u64; PLACES],
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
        let mut world = World { base, places: [0; PLACES], process };
        let places = [
            // The form; pages of 8 and 4 KiB; the word that leads to the cache.
            &[Places::FORM, 13, 4096, records + 0x4000][..],
            // A record: its size, then base, pages, size, objects, kind, class, owner, free, out, carved; an object's words.
            &[128, 0, 8, 12, 16, 18, 19, 24, 32, 40, 48, 0, 8],
            // The page map, and the bits of pages.
            &[records, base / PAGE, 8],
            &[base, 512, 128, records + 0x2000, records + 0x2000, 512, 0, 64],
            &[records + 0x3000, records + 0x3800],
            // A cache, and its outbox.
            &[0, 4, 8, 8, 40, 16, 0, 8, 104, 112, 120],
            &[0, 16, 2, 16, 0, 8],
        ];
        world.places.iter_mut().zip(places.concat()).for_each(|(to, place)| *to = place);
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
        // Page 4 is free, page 5 at a cache's hand, the others are released. The second half of page 3 is not there.
        world.set(RECORDS + 0x2000, 0b10_1111);
        world.set(RECORDS + 0x2000 + 64, 0b11_1111);
        (0..6 * PAGE).step_by(4096).filter(|&at| at != 3 * PAGE + 4096).for_each(|at| world.set(at + 4088, 1));
        // The cache has object 2 in hand, 5 came home and is in its inbox; 6 is in its outbox.
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

    /// Audits it with these ranges. `None`: the places are refused.
    fn audit(&self, ranges: &[Mapping]) -> Option<Result<Audit, OsError>> {
        let places = Places::from_words(&self.places)?;
        let ranges: Vec<Range> = ranges.iter().filter_map(Range::of).collect();
        Some(audit(&self.process, &places, |i| ranges.get(i).copied()))
    }

    fn heap(&self) -> Mapping {
        Mapping { start: self.base, end: self.base + RECORDS, what: What::Heap as u64 }
    }
}

#[test]
fn whatever_is_read_the_audit_ends() {
    let mut world = World::new();
    let heap = world.heap();
    let found = world.audit(&[heap]).expect("understood").expect("read to the end");
    let of = |cause| (found.causes.get(cause).bytes, found.causes.get(cause).resident);
    // Of 14 objects that are out one is in hand and two are on their way; three are out of the other span.
    assert_eq!((of(Cause::LiveSmall), of(Cause::InTransit)), ((14 * 512, 14 * 512), (2 * 512, 2 * 512)));
    assert_eq!((of(Cause::LiveLarge), of(Cause::Free)), ((2 * PAGE, 2 * PAGE), (PAGE, PAGE)));
    assert_eq!(of(Cause::Fragmentation).0, 13 * 512);

    let base = world.base;
    let high = 1 << 63;
    let values = [0, 1, 1 << 20, base, base.wrapping_neg(), high, high - 1, u64::MAX, u64::MAX - 7];
    for value in values {
        for i in 0..world.places.len() {
            let was = std::mem::replace(&mut world.places[i], value);
            world.audit(&[heap]);
            world.places[i] = was;
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
            world.audit(&[heap, Mapping { start: value, end, what: What::Stacks as u64 }]);
        }
    }
    assert_eq!(world.audit(&[heap]).expect("understood").expect("read to the end").causes, found.causes);
}
