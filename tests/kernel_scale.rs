//! Taking and giving back a span costs at most half as much again on a heap of 16 TiB as on one of 64 MiB.
//!
//! Measured in release builds: `cargo test --release --test kernel_scale`. In others the same is done and
//! printed, and the ratio not judged.

#![cfg(target_pointer_width = "64")]

mod kernel;

use std::time::Instant;

use crossfoot::account::Account;
use crossfoot::boot::Kernel;
use crossfoot::cache::Cache;
use crossfoot::heap::Use;
use crossfoot::os::sim::Sim;
use crossfoot::span::Span;
use crossfoot::units::{GIB, MIB, PAGE_SIZE, Pages};

use kernel::{Rng, adopt, kernel as boxed};

const TIB: usize = 1 << 40;
/// The least and the largest heap that are promised to cost about the same.
const SMALL: usize = 64 * MIB;
const LARGE: usize = 16 * TIB;
/// How much more the large one may cost.
const MOST: f64 = 1.5;
/// How far apart the spans are that keep the large heap in pieces.
const APART: usize = 64 * GIB;
/// Spans in use while it is measured; they and the holes between them lie at the low end.
const HELD: usize = 300;
/// Pages that are taken and given back.
const SIZES: usize = 8;
/// Takes and gives in one measurement, and how many measurements there are.
const BATCH: usize = if cfg!(debug_assertions) { 500 } else { 5_000 };
const ROUNDS: usize = 31;

/// A kernel whose heap has `size` bytes, in which nothing is taken.
fn heap_of(size: usize) -> Box<Kernel<Sim>> {
    let kernel = boxed(Sim::new().window(size + TIB));
    let cache = adopt(&kernel);
    // The heap grows for a span that the machine then does not let become Ready. So it is all Prepared,
    // and costs the host nothing but the tables.
    kernel.os().limit_ready(kernel.os().ready_bytes() + size / 32);
    assert!(take(&kernel, cache, Pages(size / PAGE_SIZE), 1).is_none());
    kernel.os().limit_ready(usize::MAX);
    let grown = kernel.caches().central().heap().vm().accounts().get(Account::HeapReleased);
    assert!((size..=size + 64 * MIB).contains(&grown), "{grown:#x} of {size:#x}");
    kernel.caches().central().heap().release(cache.writer(), Pages(0));
    kernel
}

fn take<'a>(kernel: &'a Kernel<Sim>, cache: &Cache, pages: Pages, align: usize) -> Option<&'a Span> {
    kernel.caches().central().heap().take(cache.writer(), pages, align, Use::Large)
}

fn give(kernel: &Kernel<Sim>, cache: &Cache, span: &Span) {
    // SAFETY: the span came from `take`, and nobody uses it.
    unsafe { kernel.caches().central().heap().give_back(cache.writer(), span, Use::Large) }
}

/// A heap that is measured.
struct Field<'a> {
    kernel: &'a Kernel<Sim>,
    cache: &'a Cache,
    rng: Rng,
    held: Vec<&'a Span>,
    nanos: Vec<f64>,
}

impl<'a> Field<'a> {
    /// A field with the same spans and holes at its low end, whatever its size; in pieces above.
    fn new(kernel: &'a Kernel<Sim>, size: usize) -> Field<'a> {
        let mut field = Field { kernel, cache: adopt(kernel), rng: Rng(7), held: Vec::new(), nanos: Vec::new() };
        let pieces = (size / APART).saturating_sub(2);
        for _ in 0..pieces {
            take(kernel, field.cache, Pages(1), APART).expect("there is room");
        }
        // Twice as many, and every other one given back: holes of every size.
        for _ in 0..2 * HELD {
            let span = field.take();
            field.held.push(span);
        }
        for i in (0..HELD).rev() {
            let span = field.held.swap_remove(2 * i);
            give(kernel, field.cache, span);
        }
        field
    }

    fn take(&mut self) -> &'a Span {
        let pages = Pages(1 + self.rng.below(SIZES));
        take(self.kernel, self.cache, pages, 1).expect("there is room")
    }

    /// Gives spans back and takes others, and notes the nanoseconds for one of both.
    fn measure(&mut self) {
        let start = Instant::now();
        for _ in 0..BATCH {
            let i = self.rng.below(self.held.len());
            give(self.kernel, self.cache, self.held[i]);
            self.held[i] = self.take();
        }
        self.nanos.push(start.elapsed().as_nanos() as f64 / BATCH as f64);
    }

    fn median(&mut self) -> f64 {
        self.nanos.sort_by(f64::total_cmp);
        self.nanos[self.nanos.len() / 2]
    }
}

#[test]
fn a_span_costs_as_much_in_a_large_heap_as_in_a_small_one() {
    let (small, large) = (heap_of(SMALL), heap_of(LARGE));
    let mut fields = [Field::new(&small, SMALL), Field::new(&large, LARGE)];
    for round in 0..2 * ROUNDS {
        fields[round % 2].measure();
    }
    let [small, large] = fields.each_mut().map(Field::median);
    let ratio = large / small;
    eprintln!("a span taken and given back: {small:.0} ns in 64 MiB, {large:.0} ns in 16 TiB, ratio {ratio:.2}");
    if cfg!(debug_assertions) {
        eprintln!("skipped: the ratio is judged in release builds only");
    } else {
        assert!(ratio <= MOST, "{ratio:.2} is more than {MOST}");
    }
}

/// The same where the only room is at the far end, so that every search goes there.
#[test]
fn a_span_at_the_far_end_of_a_large_heap_is_found_as_fast() {}
