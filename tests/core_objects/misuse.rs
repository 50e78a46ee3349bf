//! Misuse that is detected by default: one exact line each.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crossfoot::allocator::Allocator;
use crossfoot::cache::Cache;
use crossfoot::heap::Use;
use crossfoot::malloc;
use crossfoot::os::Linux;
use crossfoot::os::sim::Sim;
use crossfoot::size_class::Class;
use crossfoot::span::Kind;
use crossfoot::units::{Addr, GIB, PAGE_SIZE, Pages};

use crate::allocator::{self, adopt, balanced_with_machine, free, free_without_cache, retire, usable};

pub const FREED: &str = "already freed";
pub const FOREIGN: &str = "not an address of this allocator, or already freed";
pub const INTERIOR: &str = "inside an object, not its start";
const MISALIGNED: &str = "misaligned";
const NO_OBJECT: &str = "not an object";

/// The thread id of a thread that owns nothing.
const IDLE: usize = 8;

/// Returns the fatal line of `act`.
#[track_caller]
pub fn ends_with(line: &str, act: impl FnOnce()) {
    let payload = catch_unwind(AssertUnwindSafe(act)).expect_err(line);
    assert_eq!(payload.downcast_ref::<String>().map(String::as_str), Some(line));
}

/// Asserts that `free` by a cache and by the shared cache, `realloc` and `malloc_usable_size` all detect it.
#[track_caller]
pub fn all_see(allocator: &Allocator<Sim>, cache: &Cache, at: usize, found: &str) {
    ends_with(&format!("crossfoot: free({at:#x}): {found}"), || free(allocator, cache, at));
    all_but_free_see(allocator, cache, at, found);
}

#[track_caller]
fn all_but_free_see(allocator: &Allocator<Sim>, cache: &Cache, at: usize, found: &str) {
    ends_with(&format!("crossfoot: free({at:#x}): {found}"), || free_without_cache(allocator, at));
    ends_with(&format!("crossfoot: realloc({at:#x}): {found}"), || {
        allocator::reallocate(allocator, cache, at, 100, 1);
    });
    ends_with(&format!("crossfoot: malloc_usable_size({at:#x}): {found}"), || {
        usable(allocator, at);
    });
}

pub fn allocate(allocator: &Allocator<Sim>, cache: &Cache, size: usize) -> usize {
    malloc::allocate(allocator.bind(cache), size) as usize
}

#[test]
fn a_foreign_address() {
    let allocator = allocator::allocator(Sim::new());
    let cache = adopt(&allocator);
    let mine = allocate(&allocator, cache, 40);
    let window = allocator.os().place();
    let local = [0u128; 4];
    let pages_beyond = window.base.0 + 33 * GIB;
    for at in
        [local.as_ptr() as usize, adopt::<Sim> as *const () as usize & !15, pages_beyond, window.base.0 + window.size]
    {
        all_see(&allocator, cache, at, FOREIGN);
        all_see(&allocator, cache, at + 1, FOREIGN);
    }
    for at in [1, 15, 16, 4096, usize::MAX, usize::MAX - 15, 1 << 63, (1 << 63) - 16, window.base.0 - 16, 1 << 47] {
        all_see(&allocator, cache, at, FOREIGN);
    }
    // A page of the heap that was never taken, and the window's last bytes.
    all_see(&allocator, cache, (mine & !0x3f_ffff) + 0x3f_e000, FOREIGN);
    all_see(&allocator, cache, window.base.0 + window.size - 16, FOREIGN);
    free(&allocator, cache, mine);
    balanced_with_machine(&allocator, Some(cache));
}

/// The page map begins with records of its own, where the first pages have their entries.
#[test]
fn an_address_below_every_heap() {
    let allocator = allocator::allocator(Sim::new());
    let cache = adopt(&allocator);
    let base = allocator.os().place().base.0;
    (1..600).for_each(|page| all_see(&allocator, cache, base - page * PAGE_SIZE, FOREIGN));
    // On Linux these are the addresses from zero up, such as numbers that are no pointers.
    let allocator: &Allocator<Linux> = Box::leak(allocator::allocator(Linux));
    let (cache, heap) = (adopt(allocator), allocator.heap());
    for at in (16..16 + 600 * PAGE_SIZE).step_by(PAGE_SIZE) {
        let line = format!("crossfoot: free({at:#x}): {FOREIGN}");
        ends_with(&line, || free(allocator, cache, at));
        ends_with(&line, || free_without_cache(allocator, at));
        // The fast path of a thread without a cache finds no span either.
        assert!(heap.span_of_thread(Addr(at), IDLE).is_none());
    }
    retire(allocator, cache);
    allocator::empty(allocator);
}

#[test]
fn an_object_of_another_allocator() {
    let (one, other) = (allocator::allocator(Sim::new()), allocator::allocator(Sim::new()));
    let (cache, foreign) = (adopt(&one), adopt(&other));
    for size in [40, 40_000] {
        let at = allocate(&other, foreign, size);
        all_see(&one, cache, at, FOREIGN);
        free(&other, foreign, at);
    }
    balanced_with_machine(&one, Some(cache));
    balanced_with_machine(&other, Some(foreign));
}

#[test]
fn a_pointer_into_a_small_object() {
    let allocator = allocator::allocator(Sim::new());
    let (cache, other) = (adopt(&allocator), adopt(&allocator));
    let at = allocate(&allocator, cache, 100);
    for off in [1, 7, 8, 15, 17, 111] {
        all_see(&allocator, cache, at + off, MISALIGNED);
    }
    // The fast path of `free` by the owner does not divide: see `an_address_inside_that_its_owner_frees`.
    for off in [16, 32, 96] {
        all_see(&allocator, other, at + off, INTERIOR);
        all_but_free_see(&allocator, cache, at + off, INTERIOR);
    }
    balanced_with_machine(&allocator, Some(cache));
    // Behind the last object of a span whose class leaves bytes to spare.
    let spare = |c: &Class| c.objects() * c.size() < c.span_pages().bytes();
    let class = Class::all().find(spare).expect("not every size divides its span");
    let big = allocate(&allocator, cache, class.size());
    all_see(&allocator, other, big + class.objects() * class.size(), INTERIOR);
    free(&allocator, cache, at);
    free(&allocator, cache, big);
    balanced_with_machine(&allocator, Some(cache));
}

/// The fast path of `free` does not divide, so the call succeeds, and is detected before the address can be allocated.
#[test]
fn an_address_inside_that_its_owner_frees() {
    for size in [48, 96, 100, 1000, 3000, 20_000] {
        let allocator = allocator::allocator(Sim::new());
        let cache = adopt(&allocator);
        let objects: Vec<usize> = (0..100).map(|_| allocate(&allocator, cache, size)).collect();
        let inside = objects[0] + 16;
        free(&allocator, cache, objects[1]);
        free(&allocator, cache, inside);
        free(&allocator, cache, objects[2]);
        let mut handed = Vec::new();
        ends_with(&format!("crossfoot: free({inside:#x}): {INTERIOR}"), || {
            (0..10_000).for_each(|_| handed.push(allocate(&allocator, cache, size)));
        });
        assert!(!handed.contains(&inside));
    }
}

/// It is also detected when the span would be returned with a live object in it.
#[test]
fn an_address_inside_that_its_owner_frees_last() {
    let allocator = allocator::allocator(Sim::new());
    let cache = adopt(&allocator);
    // Two spans, so that the first is not the one that a cache keeps.
    let objects: Vec<usize> = (0..64).map(|_| allocate(&allocator, cache, 3000)).collect();
    let (inside, rest) = (objects[3] + 1024, [&objects[..3], &objects[5..]].concat());
    // The first free into a full span is looked at.
    ends_with(&format!("crossfoot: free({inside:#x}): {INTERIOR}"), || free(&allocator, cache, inside));
    free(&allocator, cache, objects[4]);
    free(&allocator, cache, inside);
    ends_with(&format!("crossfoot: free({inside:#x}): {INTERIOR}"), || {
        rest.iter().for_each(|&at| free(&allocator, cache, at));
        retire(&allocator, cache);
    });
}

#[test]
fn a_pointer_into_a_large_object() {
    let allocator = allocator::allocator(Sim::new());
    let cache = adopt(&allocator);
    let at = allocate(&allocator, cache, 100_000);
    for off in [1, 8, 16, 8192, 99_999, 100_000] {
        all_see(&allocator, cache, at + off, INTERIOR);
    }
    // A very large one is found by its first page only.
    let huge = allocate(&allocator, cache, GIB);
    all_see(&allocator, cache, huge + 16, INTERIOR);
    all_see(&allocator, cache, huge + GIB / 2, FOREIGN);
    free(&allocator, cache, at);
    free(&allocator, cache, huge);
    balanced_with_machine(&allocator, Some(cache));
}

#[test]
fn a_large_object_freed_twice() {
    let allocator = allocator::allocator(Sim::new());
    let (cache, other) = (adopt(&allocator), adopt(&allocator));
    for size in [40_000, 3 << 20, GIB] {
        let at = allocate(&allocator, cache, size);
        free(&allocator, cache, at);
        all_see(&allocator, cache, at, FOREIGN);
        all_see(&allocator, other, at, FOREIGN);
    }
    balanced_with_machine(&allocator, Some(cache));
}

/// Another thread has marked the object freed and not yet returned its pages.
#[test]
fn a_large_object_freed_by_two_threads_at_once() {
    let allocator = allocator::allocator(Sim::new());
    let cache = adopt(&allocator);
    let at = allocate(&allocator, cache, 100_000);
    let heap = allocator.heap();
    let span = heap.span_of(Addr(at)).expect("an object has a span");
    assert!(span.end_large(), "the first to end it gives it back");
    assert!(!span.end_large());
    balanced_with_machine(&allocator, Some(cache));
    all_see(&allocator, cache, at, FREED);
    // SAFETY: nobody uses the object.
    unsafe { heap.give_back(cache.writer(), span, Use::Large) };
    all_see(&allocator, cache, at, FOREIGN);
    retire(&allocator, cache);
    allocator::empty(&allocator);
}

#[test]
fn the_small_object_that_was_freed_last_freed_again() {
    let allocator = allocator::allocator(Sim::new());
    let (cache, other) = (adopt(&allocator), adopt(&allocator));
    let objects: Vec<usize> = (0..100).map(|_| allocate(&allocator, cache, 200)).collect();
    let line = |at: usize| format!("crossfoot: free({at:#x}): {FREED}");
    for &at in &objects[..10] {
        free(&allocator, cache, at);
        ends_with(&line(at), || free(&allocator, cache, at));
    }
    // By a thread that does not own the span.
    for &at in &objects[10..14] {
        free(&allocator, other, at);
        ends_with(&line(at), || free(&allocator, other, at));
    }
    balanced_with_machine(&allocator, Some(cache));
    for &at in &objects[14..] {
        free(&allocator, cache, at);
    }
    retire(&allocator, other);
    retire(&allocator, cache);
    allocator::empty(&allocator);
    // By now the span went back.
    let cache = adopt(&allocator);
    all_see(&allocator, cache, objects[50], FOREIGN);
    balanced_with_machine(&allocator, Some(cache));
}

#[test]
fn a_span_that_is_no_object() {
    let allocator = allocator::allocator(Sim::new());
    let cache = adopt(&allocator);
    let heap = allocator.heap();
    for kind in [Kind::Stack, Kind::WorkBuf, Kind::Bitmap] {
        let span = heap.take(cache.writer(), Pages(3), 1, Use::Manual(kind)).expect("there is room");
        balanced_with_machine(&allocator, Some(cache));
        all_see(&allocator, cache, span.base().0, NO_OBJECT);
        all_see(&allocator, cache, span.base().0 + 8192 + 1, NO_OBJECT);
        // SAFETY: nobody uses the span.
        unsafe { heap.give_back(cache.writer(), span, Use::Manual(kind)) };
    }
    balanced_with_machine(&allocator, Some(cache));
}

#[test]
fn null_is_freed_in_silence() {
    let allocator = allocator::allocator(Sim::new());
    let cache = adopt(&allocator);
    free(&allocator, cache, 0);
    free_without_cache(&allocator, 0);
    assert_eq!(usable(&allocator, 0), 0);
    // The first thing that a thread does.
    let linux: &Allocator<Linux> = Box::leak(allocator::allocator(Linux));
    let cache_there = adopt(linux);
    assert!(linux.heap().span_of_thread(Addr(0), IDLE).is_none());
    free(linux, cache_there, 0);
    free_without_cache(linux, 0);
    balanced_with_machine(&allocator, Some(cache));
}
