//! Misuse that is detected only with `check:on`.

use crossfoot::allocator::Allocator;
use crossfoot::cache::Cache;
use crossfoot::malloc;
use crossfoot::os::sim::Sim;
use crossfoot::size_class::{Class, SMALL_MAX};
use crossfoot::stats::Account;

use crate::allocator::{self, adopt, balanced_with_machine, free, free_without_cache, reallocate, retire};
use crate::misuse::{FREED, INTERIOR, all_see, allocate, ends_with};

fn checked() -> Box<Allocator<Sim>> {
    let allocator = allocator::allocator(Sim::new());
    allocator.set_check(true);
    allocator
}

fn free_sized(allocator: &Allocator<Sim>, cache: &Cache, at: usize, size: usize, align: usize) {
    // SAFETY: what is not an object of that size is what must be seen.
    unsafe { malloc::free_sized(allocator.bind(cache), at as *mut u8, size, align, "free_sized") }
}

#[test]
fn any_free_object_freed_again() {
    let allocator = checked();
    let (cache, other) = (adopt(&allocator), adopt(&allocator));
    for size in [16, 48, 200, 3000, SMALL_MAX] {
        let objects: Vec<usize> = (0..20).map(|_| allocate(&allocator, cache, size)).collect();
        objects[..10].iter().for_each(|&at| free(&allocator, cache, at));
        objects[10..15].iter().for_each(|&at| free(&allocator, other, at));
        objects[15..18].iter().for_each(|&at| free_without_cache(&allocator, at));
        // The first one freed stands deep in its list, others are on their way.
        for &at in &objects[..18] {
            all_see(&allocator, cache, at, FREED);
            all_see(&allocator, other, at, FREED);
        }
        objects[18..].iter().for_each(|&at| free(&allocator, cache, at));
    }
    balanced_with_machine(&allocator, Some(cache));
    retire(&allocator, other);
    retire(&allocator, cache);
    allocator::empty(&allocator);
}

#[test]
fn an_address_inside_is_seen_at_once() {
    let allocator = checked();
    let cache = adopt(&allocator);
    let at = allocate(&allocator, cache, 100);
    [16, 32, 96].into_iter().for_each(|off| all_see(&allocator, cache, at + off, INTERIOR));
    free(&allocator, cache, at);
    balanced_with_machine(&allocator, Some(cache));
}

#[test]
fn an_object_never_handed_out() {
    let allocator = checked();
    let cache = adopt(&allocator);
    // In the cache's free list, and not carved yet.
    let (class, at) = (Class::of(64), allocate(&allocator, cache, 64));
    let last = at + (class.objects() - 1) * class.size();
    all_see(&allocator, cache, at + 64, FREED);
    all_see(&allocator, cache, last, FREED);
    free(&allocator, cache, at);
}

#[test]
fn the_size_is_what_was_asked_for() {
    let allocator = checked();
    let cache = adopt(&allocator);
    let wrong = |at: usize, size: usize, align: usize, has: usize| {
        let aligned = if align > 16 { format!(" aligned to {align}") } else { String::new() };
        let what = format!("{size} bytes{aligned} are not what was allocated: {has} bytes");
        ends_with(&format!("crossfoot: free_sized({at:#x}): {what}"), || {
            free_sized(&allocator, cache, at, size, align)
        });
    };
    // A class has sizes 81 to 96, another 97 to 112.
    let at = allocate(&allocator, cache, 90);
    [0, 16, 80, 97, 1000, SMALL_MAX + 1, usize::MAX].into_iter().for_each(|size| wrong(at, size, 1, 96));
    wrong(at, 90, 4096, 96);
    free_sized(&allocator, cache, at, 90, 16);
    for (size, has) in [(40_000, 5 * 8192), (1 << 20, 1 << 20)] {
        let at = allocate(&allocator, cache, size);
        [0, 100, SMALL_MAX, has + 1, 2 * has].into_iter().for_each(|size| wrong(at, size, 1, has));
        free_sized(&allocator, cache, at, size, 1);
    }
    for (size, align) in [(100, 256), (0, 64), (5000, 4096), (100, 16384), (0, 1 << 20)] {
        // SAFETY: no promise is asked.
        let at = malloc::allocate_aligned(allocator.bind(cache), size, align) as usize;
        free_sized(&allocator, cache, at, size, align);
    }
    balanced_with_machine(&allocator, Some(cache));
    retire(&allocator, cache);
    allocator::empty(&allocator);
}

/// An object is freed with its last requested size, however it got it.
#[test]
fn a_size_that_was_changed_is_the_size() {
    let allocator = checked();
    let cache = adopt(&allocator);
    let sizes = [1, 16, 17, 40, 90, 100, 1000, 1024, 1025, 5000, SMALL_MAX, SMALL_MAX + 1, 70_000, 300_000];
    for from in sizes {
        for to in sizes {
            let at = reallocate(&allocator, cache, allocate(&allocator, cache, from), to, 1);
            free_sized(&allocator, cache, at, to, 1);
        }
    }
    retire(&allocator, cache);
    allocator::empty(&allocator);
}

/// If there is no memory to shrink an object, it stays as it is, and may be freed with either size.
#[test]
fn an_object_that_could_not_be_made_smaller() {
    let allocator = checked();
    let cache = adopt(&allocator);
    let at = allocate(&allocator, cache, 30_000);
    allocator.os().limit_ready(allocator.os().ready_bytes());
    while allocate(&allocator, cache, 64) != 0 {}
    assert_eq!(reallocate(&allocator, cache, at, 64, 1), at);
    free_sized(&allocator, cache, at, 64, 1);
}

/// A write to freed memory is detected before the memory is allocated again.
#[test]
fn a_changed_link() {
    for size in [16, 100, 3000] {
        let link = |object: usize, to: usize| {
            // SAFETY: a free object's first word: what must not be done, and must be seen.
            unsafe { (object as *mut usize).write(to) };
        };
        // To nothing, to no object, to another span, out of the order, to a live one, to itself.
        for case in 0..7 {
            let allocator = checked();
            let cache = adopt(&allocator);
            let objects: Vec<usize> = (0..20).map(|_| allocate(&allocator, cache, size)).collect();
            let elsewhere = allocate(&allocator, cache, 640);
            objects[..10].iter().for_each(|&at| free(&allocator, cache, at));
            let to = [0, objects[4] + 8, elsewhere, objects[2], objects[15], objects[5], usize::MAX][case];
            link(objects[5], to);
            // Out of the order the list is too short by two, and ends at the first that was freed.
            let found = if case == 3 { objects[0] } else { objects[5] };
            let line = format!("crossfoot: malloc: the object at {found:#x} was written to after it was freed");
            ends_with(&line, || exhaust(&allocator, cache, size));
        }
    }
}

/// A link that is changed while its object is in the cache's free list.
#[test]
fn a_changed_link_in_the_free_list() {
    let allocator = checked();
    let cache = adopt(&allocator);
    let at = allocate(&allocator, cache, 64);
    let next = at + 64;
    // SAFETY: a free object's first word: what must not be done, and must be seen.
    unsafe { (next as *mut usize).write(0) };
    let line = format!("crossfoot: malloc: the object at {next:#x} was written to after it was freed");
    ends_with(&line, || exhaust(&allocator, cache, 64));
}

fn exhaust(allocator: &Allocator<Sim>, cache: &Cache, size: usize) {
    (0..5_000).for_each(|_| {
        allocate(allocator, cache, size);
    });
}

#[test]
fn bitmaps_are_in_the_accounts() {
    let allocator = checked();
    let cache = adopt(&allocator);
    let objects: Vec<usize> = (0..20_000).map(|_| allocate(&allocator, cache, 256)).collect();
    let balance = balanced_with_machine(&allocator, Some(cache));
    let in_bitmaps = balance.snapshot.account(Account::InBitmaps);
    // One bitmap of 128 bytes for each span of 16 KiB.
    let least = (20_000 * 256 / (16 * 1024)) * 128;
    assert!((least..2 * least + 8192).contains(&in_bitmaps), "{in_bitmaps} bytes of bitmaps, at least {least}");
    objects.iter().for_each(|&at| free(&allocator, cache, at));
    retire(&allocator, cache);
    allocator::empty(&allocator);
    // The bitmaps are used again.
    let cache = adopt(&allocator);
    let again: Vec<usize> = (0..20_000).map(|_| allocate(&allocator, cache, 256)).collect();
    let balance = balanced_with_machine(&allocator, Some(cache));
    assert_eq!(balance.snapshot.account(Account::InBitmaps), in_bitmaps);
    again.iter().for_each(|&at| free(&allocator, cache, at));
}

/// A signal handler calls while the thread is inside the allocator.
#[test]
fn a_call_from_a_handler_inside_the_allocator() {
    let allocator = checked();
    let cache = adopt(&allocator);
    let (small, large) = (allocate(&allocator, cache, 64), allocate(&allocator, cache, 100_000));
    let inside = cache.enter(|| unreachable!("the thread is outside"));
    let what = "called by a signal handler inside the allocator";
    for size in [64, 100_000] {
        ends_with(&format!("crossfoot: malloc: {what}"), || {
            allocate(&allocator, cache, size);
        });
    }
    for at in [small, large] {
        ends_with(&format!("crossfoot: free({at:#x}): {what}"), || free(&allocator, cache, at));
    }
    drop(inside);
    // The objects were as good as freed when the line came; others are as before.
    free(&allocator, cache, allocate(&allocator, cache, 64));
}

#[test]
fn without_memory_for_a_bitmap_there_is_no_object() {
    let allocator = allocator::allocator(Sim::new());
    allocator.os().limit_ready(64 << 20);
    allocator.set_check(true);
    let cache = adopt(&allocator);
    let mut objects = Vec::new();
    loop {
        match allocate(&allocator, cache, 3000) {
            0 => break,
            at => objects.push(at),
        }
    }
    assert!(objects.len() > 5_000, "{} objects", objects.len());
    balanced_with_machine(&allocator, Some(cache));
    all_see(&allocator, cache, objects[7] + 16, INTERIOR);
    objects.iter().for_each(|&at| free(&allocator, cache, at));
    retire(&allocator, cache);
    allocator::empty(&allocator);
}
