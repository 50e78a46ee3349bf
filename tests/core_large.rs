//! Large objects: growth without a lock and without a move, and reuse of resident memory.

mod allocator;

use crossfoot::allocator::Allocator;
use crossfoot::cache::Cache;
use crossfoot::heap::Use;
use crossfoot::malloc;
use crossfoot::metrics::{Aggregates, Metric, Reading};
use crossfoot::os::sim::{Sim, Verb};
use crossfoot::stats::{Account, Answer};
use crossfoot::units::{Addr, KIB, MIB, PAGE_SIZE, Pages};

use allocator::{adopt, balanced, balanced_with_machine, empty, free, reallocate, retire};

fn allocate(allocator: &Allocator<Sim>, cache: &Cache, size: usize) -> usize {
    let at = malloc::allocate(allocator.bind(cache), size) as usize;
    assert_ne!(at, 0, "there is memory");
    at
}

/// Writes or reads the words at both ends of an object.
fn ends(at: usize, size: usize) -> [*mut usize; 2] {
    [at as *mut usize, (at + size - size_of::<usize>()) as *mut usize]
}

fn all_freed(allocator: &Allocator<Sim>, cache: &Cache, objects: &[usize]) {
    objects.iter().for_each(|&at| free(allocator, cache, at));
    balanced_with_machine(allocator, Some(cache));
    retire(allocator, cache);
    empty(allocator);
    balanced_with_machine(allocator, None);
}

/// The heap grows behind its last object, from 1 MiB past the end of its first arena, and nothing moves.
#[test]
fn the_last_object_grows_with_the_heap() {
    let allocator = allocator::allocator(Sim::new());
    let cache = adopt(&allocator);
    let mut size = MIB;
    let at = allocate(&allocator, cache, size);
    while size <= 64 * MIB {
        // SAFETY: the object has so many bytes.
        ends(at, size).into_iter().for_each(|p| unsafe { p.write(size) });
        let before = allocator.os().ready_bytes();
        assert_eq!(reallocate(&allocator, cache, at, size * 2, 1), at, "to {} bytes", size * 2);
        // SAFETY: as above, of before.
        ends(at, size).into_iter().for_each(|p| assert_eq!(unsafe { p.read() }, size));
        let more = allocator.os().ready_bytes() - before;
        assert!(more <= size + MIB, "{more} bytes more for {size}");
        balanced_with_machine(&allocator, Some(cache));
        size *= 2;
    }
    all_freed(&allocator, cache, &[at]);
}

/// An object that is not the last one moves, even if the heap's end is free.
#[test]
fn an_object_before_another_does_not_grow_over_it() {
    let allocator = allocator::allocator(Sim::new());
    let cache = adopt(&allocator);
    let (first, second) = (allocate(&allocator, cache, 5 * MIB), allocate(&allocator, cache, 5 * MIB));
    let (low, high) = (first.min(second), first.max(second));
    let moved = reallocate(&allocator, cache, low, 20 * MIB, 1);
    assert!(moved > high, "{moved:#x} is not behind {high:#x}");
    all_freed(&allocator, cache, &[moved, high]);
}

/// Finds out whether an object can grow without the lock, which this thread holds: the next pages are local or used.
#[test]
fn growing_into_local_pages_takes_no_lock() {
    let allocator = allocator::allocator(Sim::new());
    let cache = adopt(&allocator);
    let heap = allocator.heap();
    // The first one makes the heap grow; then there is a block to have in hand.
    let (first, at) = (allocate(&allocator, cache, 40 * KIB), allocate(&allocator, cache, 40 * KIB));
    // SAFETY: the object has so many bytes.
    ends(at, 40 * KIB).into_iter().for_each(|p| unsafe { p.write(40) });
    let still = heap.stop_all();
    assert_eq!(reallocate(&allocator, cache, at, 60 * KIB, 1), at);
    drop(still);
    // SAFETY: as above.
    ends(at, 40 * KIB).into_iter().for_each(|p| assert_eq!(unsafe { p.read() }, 40));
    balanced_with_machine(&allocator, Some(cache));
    let behind = allocate(&allocator, cache, 40 * KIB);
    assert_eq!(behind, at + Pages::holding(60 * KIB).expect("some").bytes());
    let span = heap.span_of(Addr(at)).expect("an object's");
    let still = heap.stop_all();
    assert!(!heap.grow_in_place(cache.client(), span, Pages(9)), "somebody is behind");
    drop(still);
    assert_eq!(span.usable(), Pages::holding(60 * KIB).expect("some").bytes());
    all_freed(&allocator, cache, &[first, at, behind]);
}

/// A thread gets the pages that it freed in one of its blocks again without the lock, also after it used other blocks.
#[test]
fn several_blocks_of_local_pages_are_kept() {
    let allocator = allocator::allocator(Sim::new());
    let cache = adopt(&allocator);
    let heap = allocator.heap();
    let size = 32 * PAGE_SIZE;
    let objects: Vec<_> = (0..6).map(|_| allocate(&allocator, cache, size)).collect();
    let still = heap.stop_all();
    // Two of them fill a block, so the first and the last are of different ones.
    for at in [objects[0], objects[5]] {
        free(&allocator, cache, at);
        assert_eq!(allocate(&allocator, cache, size), at);
    }
    drop(still);
    balanced_with_machine(&allocator, Some(cache));
    all_freed(&allocator, cache, &objects);
}

/// A thread that frees much does not keep it.
#[test]
fn local_pages_are_bounded() {
    let allocator = allocator::allocator(Sim::new());
    let cache = adopt(&allocator);
    let objects: Vec<_> = (0..8).map(|_| allocate(&allocator, cache, 32 * PAGE_SIZE)).collect();
    objects.into_iter().for_each(|at| free(&allocator, cache, at));
    // SAFETY: this thread owns the cache.
    let (pages, _) = unsafe { cache.client().local_pages() };
    assert!(pages.0 <= 128, "{} pages are in hand", pages.0);
    all_freed(&allocator, cache, &[]);
}

/// Before an allocation fails, local pages are returned and merge with the free run around them.
#[test]
fn local_pages_are_returned_before_an_allocation_fails() {
    let allocator = allocator::allocator(Sim::new());
    let cache = adopt(&allocator);
    let objects: Vec<_> = (0..16).map(|_| allocate(&allocator, cache, 32 * PAGE_SIZE)).collect();
    objects.into_iter().for_each(|at| free(&allocator, cache, at));
    // SAFETY: this thread owns the cache.
    assert_ne!(unsafe { cache.client().local_pages() }.0, Pages(0));
    allocator.os().fail_from(1);
    let all = allocate(&allocator, cache, 4 * MIB);
    allocator.os().fail_never();
    all_freed(&allocator, cache, &[all]);
}

/// A fresh large object gets the memory of free pages that do not fit it; an object that must be zero gets new memory.
#[test]
fn free_pages_are_remapped_under_a_fresh_object() {
    for zero in [false, true] {
        let allocator = allocator::allocator(Sim::new());
        let cache = adopt(&allocator);
        let bound = allocator.bind(cache);
        let (a, behind) = (allocate(&allocator, cache, 8 * MIB), allocate(&allocator, cache, 3 * MIB));
        // SAFETY: the object has so many bytes.
        unsafe { (a as *mut u8).write_bytes(0xa5, 8 * MIB) };
        free(&allocator, cache, a);
        let before = balanced_with_machine(&allocator, Some(cache)).snapshot;
        let ready = allocator.os().ready_bytes();
        let size = 16 * MIB;
        let at = if zero { malloc::allocate_zeroed(bound, size) as usize } else { allocate(&allocator, cache, size) };
        assert!(at > behind, "it does not fit where there is memory");
        let after = balanced_with_machine(&allocator, Some(cache)).snapshot;
        let more = allocator.os().ready_bytes() - ready;
        let free_less = before.account(Account::HeapFree) - after.account(Account::HeapFree);
        if zero {
            assert_eq!((more, free_less), (size, 0), "all of it is new memory");
            // SAFETY: the object has so many bytes.
            assert!(unsafe { core::slice::from_raw_parts(at as *const u8, size) }.iter().all(|&b| b == 0));
        } else {
            let moved = size - more;
            assert!(moved >= 6 * MIB && moved.is_multiple_of(2 * MIB), "{moved} bytes moved");
            assert_eq!(free_less, moved as i64);
            // SAFETY: as above. All of it is there.
            unsafe { (at as *mut u8).write_bytes(0x5a, size) };
        }
        // The pages whose memory moved away read as zero.
        let again = malloc::allocate_zeroed(bound, 8 * MIB) as usize;
        assert_eq!(again, a);
        // SAFETY: as above.
        assert!(unsafe { core::slice::from_raw_parts(again as *const u8, 8 * MIB) }.iter().all(|&b| b == 0));
        all_freed(&allocator, cache, &[at, behind, again]);
    }
}

/// If one of the calls fails, the object has new memory, and nothing is lost.
#[test]
fn a_refused_move_loses_nothing() {
    for nth in 1..8 {
        let allocator = allocator::allocator(Sim::new());
        let cache = adopt(&allocator);
        let heap = allocator.heap();
        let (a, behind) = (allocate(&allocator, cache, 8 * MIB), allocate(&allocator, cache, 3 * MIB));
        free(&allocator, cache, a);
        // The heap has grown before, so that only moves are left to be refused.
        let large = heap.take_large(cache.client(), Pages::holding(16 * MIB).expect("some"), 1, true);
        let large = large.expect("there is memory");
        assert!(large.end_large());
        // SAFETY: nobody uses the span.
        unsafe { heap.give_back_near(cache.client(), large, Use::Large) };
        heap.release(cache.writer(), Pages(16 * MIB / PAGE_SIZE));
        allocator.os().fail_nth(nth);
        let at = malloc::allocate(allocator.bind(cache), 16 * MIB) as usize;
        allocator.os().fail_never();
        balanced_with_machine(&allocator, Some(cache));
        if at != 0 {
            // SAFETY: the object has so many bytes.
            unsafe { (at as *mut u8).write_bytes(0x5a, 16 * MIB) };
            free(&allocator, cache, at);
        }
        all_freed(&allocator, cache, &[behind]);
    }
}

/// A large object that is resized in place adds its bytes to the allocated or freed bytes, and no object.
#[test]
fn resizing_in_place_counts_bytes_and_no_object() {
    let allocator = allocator::allocator(Sim::new());
    let cache = adopt(&allocator);
    let (first, at) = (allocate(&allocator, cache, 40 * KIB), allocate(&allocator, cache, 40 * KIB));
    let read = || {
        let mut reading = Reading::new();
        let answer = allocator.fill_reading(Aggregates::ALL, || 1, &mut reading);
        assert_eq!(answer, Some(Answer::Complete));
        let names = ["allocs:bytes", "allocs:objects", "frees:bytes", "frees:objects"];
        names.map(|name| {
            let metric = Metric::find(format!("/gc/heap/{name}").as_bytes()).expect("a metric");
            metric.number(&reading).expect("a number")
        })
    };
    let grown = |pages: i64| pages * PAGE_SIZE as i64;
    let before = read();
    assert_eq!(reallocate(&allocator, cache, at, 60 * KIB, 1), at, "it grows in place");
    let after = read();
    assert_eq!(core::array::from_fn(|i| after[i] - before[i]), [grown(3), 0, 0, 0]);
    assert_eq!(reallocate(&allocator, cache, at, 40 * KIB, 1), at, "it shrinks in place");
    let last = read();
    assert_eq!(core::array::from_fn(|i| last[i] - after[i]), [0, 0, grown(3), 0]);
    all_freed(&allocator, cache, &[first, at]);
}

/// A process that has reached the limit of mappings: the heap grows by its existing mappings.
#[test]
fn the_heap_grows_without_another_mapping() {
    let allocator = allocator::allocator(Sim::new());
    let cache = adopt(&allocator);
    let mut objects: Vec<usize> = (0..8).map(|_| allocate(&allocator, cache, 3 * MIB)).collect();
    let before = allocator.os().mappings();
    allocator.os().limit_mappings(before);
    // Some arenas more, large objects and small ones.
    for i in 0..3_000 {
        let size = if i % 10 == 0 { 700 * KIB } else { 50 * KIB };
        objects.push(allocate(&allocator, cache, size));
    }
    // The rest of the last arena, which grew out of the mapping before it.
    assert!(allocator.os().mappings() <= before + 1);
    let moved = reallocate(&allocator, cache, objects[0], 90 * MIB, 1);
    assert_ne!(moved, 0, "an arena of its own needs no mapping more either");
    objects[0] = moved;
    balanced_with_machine(&allocator, Some(cache));
    all_freed(&allocator, cache, &objects);
}

/// A process with less address space left than a chunk: the heap grows by parts of chunks, down to 64 KiB, and by whole ones
/// again when there is room.
#[test]
fn the_heap_grows_by_parts_of_chunks() {
    for (page, part) in [(4 * KIB, 2 * MIB), (4 * KIB, 64 * KIB), (64 * KIB, 128 * KIB)] {
        let allocator = allocator::allocator(Sim::new().physical_page(page));
        let cache = adopt(&allocator);
        allocator.os().fail_above(Verb::Reserve, part);
        let mut objects: Vec<usize> = (0..200).map(|i| allocate(&allocator, cache, 16 + 7 * i)).collect();
        objects.extend((0..20).map(|_| allocate(&allocator, cache, part - 16 * KIB)));
        let bound = allocator.bind(cache);
        assert!(malloc::allocate(bound, part + 1).is_null(), "no part is larger");
        balanced_with_machine(&allocator, Some(cache));
        allocator.os().fail_never();
        objects.extend([5 * MIB, 100 * MIB].map(|size| allocate(&allocator, cache, size)));
        // Nothing grows over what is not there.
        let last = objects.len() - 3;
        objects[last] = reallocate(&allocator, cache, objects[last], part + MIB, 1);
        objects.iter().for_each(|&at| {
            ends(at, 16).into_iter().for_each(|p| {
                // SAFETY: each object has 16 bytes and more.
                unsafe { p.write(at) };
            })
        });
        all_freed(&allocator, cache, &objects);
    }
}

/// The same with each call refused in turn, and with each and all that follow: nothing is half done.
#[test]
fn a_part_of_a_chunk_succeeds_or_changes_nothing() {
    part_after(|sim, n| sim.fail_nth(n));
    part_after(|sim, n| sim.fail_from(n));
}

fn part_after(fail: impl Fn(&Sim, u64)) {
    let mut refusals = [0; 30];
    for (n, refusals) in (1..).zip(&mut refusals) {
        let allocator = allocator::allocator(Sim::new());
        let cache = adopt(&allocator);
        allocator.os().fail_above(Verb::Reserve, MIB);
        let before = allocator.os().injected();
        fail(allocator.os(), n);
        let bound = allocator.bind(cache);
        let first = malloc::allocate(bound, 500 * KIB) as usize;
        *refusals = allocator.os().injected() - before;
        // A table's page that could be made neither Ready nor Reserved again is in no account until it can be.
        balanced(&allocator, Some(cache));
        allocator.os().fail_never();
        let second = allocate(&allocator, cache, 500 * KIB);
        let objects: Vec<usize> = [first, second].into_iter().filter(|&at| at != 0).collect();
        all_freed(&allocator, cache, &objects);
    }
    // Beyond the calls that there are, what is refused is what is too large.
    let [of_size, most] = [refusals[29], *refusals.iter().max().expect("some")];
    assert!(refusals[28] == of_size && most > of_size, "{refusals:?}");
}
