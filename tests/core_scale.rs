//! A span costs at most 1.5 times as much on a heap of 16 TiB as on one of 64 MiB.
//!
//! Measured in release builds: `cargo test --release --test core_scale`. Other builds print the ratio and do not judge
//! it.

#![cfg(target_pointer_width = "64")]

mod allocator;

use std::time::Instant;

use crossfoot::allocator::Allocator;
use crossfoot::cache::Cache;
use crossfoot::heap::Use;
use crossfoot::mem_stats;
use crossfoot::os::sim::Sim;
use crossfoot::span::Span;
use crossfoot::stats::{Account, Failures, Snapshot, Total};
use crossfoot::units::{GIB, MIB, PAGE_SIZE, Pages};

use allocator::{Rng, adopt, allocator as boxed};

const TIB: usize = 1 << 40;
/// The smallest and the largest heap that are compared.
const SMALL: usize = 64 * MIB;
const LARGE: usize = 16 * TIB;
/// The largest ratio.
const MOST: f64 = 1.5;
/// The distance of the spans that fragment the large heap.
const APART: usize = 64 * GIB;
/// The spans in use during the measurement.
const HELD: usize = 300;
/// The number of span sizes, from two pages on.
const SIZES: usize = 8;
/// Takes and gives in one measurement, and how many measurements there are.
const BATCH: usize = if cfg!(debug_assertions) { 500 } else { 5_000 };
const ROUNDS: usize = 31;

/// Returns an allocator whose heap has `size` bytes, all free.
fn heap_of(size: usize) -> Box<Allocator<Sim>> {
    let allocator = boxed(Sim::new().window(size + TIB));
    let cache = adopt(&allocator);
    // The heap grows for a span that then cannot become Ready. So all of it is Prepared, and costs the host only the
    // tables.
    allocator.os().limit_ready(allocator.os().ready_bytes() + size / 32);
    assert!(take(&allocator, cache, Pages(size / PAGE_SIZE), 1).is_none());
    allocator.os().limit_ready(usize::MAX);
    let grown = allocator.heap().accounts().get(Account::HeapReleased);
    assert!((size..=size + 64 * MIB).contains(&grown), "{grown:#x} of {size:#x}");
    allocator
}

fn take<'a>(allocator: &'a Allocator<Sim>, cache: &Cache, pages: Pages, align: usize) -> Option<&'a Span> {
    allocator.heap().take(cache.writer(), pages, align, Use::Large)
}

fn give(allocator: &Allocator<Sim>, cache: &Cache, span: &Span) {
    // SAFETY: the span came from `take`, and nobody uses it.
    unsafe { allocator.heap().give_back(cache.writer(), span, Use::Large) }
}

/// A heap under measurement.
struct Field<'a> {
    allocator: &'a Allocator<Sim>,
    cache: &'a Cache,
    rng: Rng,
    held: Vec<&'a Span>,
    nanos: Vec<f64>,
}

impl<'a> Field<'a> {
    fn empty(allocator: &'a Allocator<Sim>) -> Field<'a> {
        Field { allocator, cache: adopt(allocator), rng: Rng(7), held: Vec::new(), nanos: Vec::new() }
    }

    /// A field with the same spans and holes at its low end, whatever its size; in pieces above.
    fn in_pieces(allocator: &'a Allocator<Sim>, size: usize) -> Field<'a> {
        let mut field = Field::empty(allocator);
        for _ in 2..size / APART {
            take(allocator, field.cache, Pages(1), APART).expect("there is room");
        }
        // Twice as many as are held, and every other one given back: holes of every size.
        field.hold(2 * HELD);
        for i in (0..HELD).rev() {
            let span = field.held.swap_remove(2 * i);
            give(allocator, field.cache, span);
        }
        field
    }

    /// A field with holes at its low end that are too small, and room for more at the far end only.
    fn full(allocator: &'a Allocator<Sim>, size: usize) -> Field<'a> {
        let mut field = Field::empty(allocator);
        let low: Vec<&Span> =
            (0..HELD).map(|_| take(allocator, field.cache, Pages(1), 1).expect("there is room")).collect();
        take(allocator, field.cache, Pages((size - SMALL / 2) / PAGE_SIZE), 1).expect("there is room");
        low.into_iter().step_by(2).for_each(|span| give(allocator, field.cache, span));
        field.hold(HELD);
        field
    }

    fn hold(&mut self, count: usize) {
        for _ in 0..count {
            let span = self.take();
            self.held.push(span);
        }
    }

    fn take(&mut self) -> &'a Span {
        let pages = Pages(2 + self.rng.below(SIZES));
        take(self.allocator, self.cache, pages, 1).expect("there is room")
    }

    /// Frees spans and allocates others, and notes the nanoseconds of one pair.
    fn measure(&mut self) {
        let start = Instant::now();
        for _ in 0..BATCH {
            let i = self.rng.below(self.held.len());
            give(self.allocator, self.cache, self.held[i]);
            self.held[i] = self.take();
        }
        self.nanos.push(start.elapsed().as_nanos() as f64 / BATCH as f64);
    }

    fn median(&mut self) -> f64 {
        self.nanos.sort_by(f64::total_cmp);
        self.nanos[self.nanos.len() / 2]
    }
}

/// Measures both in turn, and judges.
fn compare(what: &str, mut fields: [Field<'_>; 2]) {
    for round in 0..2 * ROUNDS {
        fields[round % 2].measure();
    }
    for field in &fields {
        let mut snapshot = Snapshot::new();
        assert!(mem_stats::snapshot(field.allocator.heap(), &mut snapshot).is_complete());
        let mut failures = Failures::default();
        snapshot.check(&mut failures);
        assert!(failures.is_empty());
        assert_eq!(field.allocator.os().ready_bytes() as i64, snapshot.total(Total::MappedReady));
    }
    let [small, large] = fields.each_mut().map(Field::median);
    let ratio = large / small;
    eprintln!("a span {what}: {small:.0} ns in 64 MiB, {large:.0} ns in 16 TiB, ratio {ratio:.2}");
    if cfg!(debug_assertions) {
        eprintln!("skipped: the ratio is judged in release builds only");
    } else {
        assert!(ratio <= MOST, "{ratio:.2} is more than {MOST}");
    }
}

/// One after the other, so that neither disturbs the other's measurement.
#[test]
fn a_span_costs_as_much_in_a_large_heap_as_in_a_small_one() {
    {
        let (small, large) = (heap_of(SMALL), heap_of(LARGE));
        compare("near the low end", [Field::in_pieces(&small, SMALL), Field::in_pieces(&large, LARGE)]);
    }
    if cfg!(debug_assertions) {
        eprintln!("skipped: to fill 16 TiB takes too long in other builds");
        return;
    }
    let (small, large) = (heap_of(SMALL), heap_of(LARGE));
    compare("at the far end", [Field::full(&small, SMALL), Field::full(&large, LARGE)]);
}
