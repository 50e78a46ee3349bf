//! Isolated heaps: objects in them, their accounts, threads, misuse, and both sides of a fork. `core_isolated_whole`
//! tests that a heap is dropped whole, by the mappings of the process.

#[path = "allocator/mod.rs"]
mod allocator;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use allocator::{Rng, fill, holds, reads_zero};
use crossfoot::Heap;
use crossfoot::mem_stats::MemStats;
use crossfoot::stats::Account;
use crossfoot::units::{GIB, KIB, MIB};

fn heap() -> Heap {
    Heap::new().expect("address space")
}

/// Asserts every identity of the heap's accounts.
fn balanced(heap: &Heap) -> MemStats {
    let balance = heap.crossfoot().expect("this build keeps books");
    let failures: Vec<String> = balance.failures.iter().map(ToString::to_string).collect();
    assert!(balance.complete && failures.is_empty(), "unbalanced: {failures:#?}");
    balance.mem_stats()
}

/// Returns a size that is small more often than large.
fn size(rng: &mut Rng) -> usize {
    match rng.below(8) {
        0 => rng.below(4 * MIB),
        1 => rng.below(64 * KIB),
        _ => rng.below(1024),
    }
}

/// Allocates, resizes and frees objects with known content, and frees all of them at the end.
fn churn(heap: &Heap, seed: u64, rounds: usize) {
    let mut rng = Rng(seed);
    let mut live: Vec<(usize, usize, u64)> = Vec::new();
    for id in 0..rounds as u64 {
        if live.len() > 200 || (!live.is_empty() && rng.one_in(3)) {
            let (at, bytes, id) = live.swap_remove(rng.below(live.len()));
            assert!(holds(at, bytes, bytes, id));
            // SAFETY: it is live, and forgotten here.
            unsafe { heap.free(at as *mut u8) };
        } else if !live.is_empty() && rng.one_in(4) {
            let i = rng.below(live.len());
            let (at, bytes, id) = live[i];
            let new = size(&mut rng).max(1);
            // SAFETY: it is live, and the result is used instead.
            let moved = unsafe { heap.reallocate(at as *mut u8, new, 1) };
            assert!(!moved.is_null() && holds(moved.addr(), bytes, bytes.min(new), id));
            fill(moved.addr(), new, id);
            live[i] = (moved.addr(), new, id);
        } else {
            let (bytes, align) = (size(&mut rng).max(1), 1 << rng.below(14));
            let p = if rng.one_in(4) { heap.allocate_zeroed(bytes) } else { heap.allocate_aligned(bytes, align) };
            assert!(!p.is_null() && heap.contains(p) && heap.contains(p.wrapping_add(bytes - 1)));
            // SAFETY: it is live.
            assert!(unsafe { heap.usable_size(p) } >= bytes);
            fill(p.addr(), bytes, id);
            live.push((p.addr(), bytes, id));
        }
    }
    for (at, bytes, id) in live {
        assert!(holds(at, bytes, bytes, id));
        // SAFETY: as above.
        unsafe { heap.free(at as *mut u8) };
    }
}

#[test]
fn objects_hold_what_was_written_and_the_books_balance() {
    let heap = heap();
    churn(&heap, 1, 4_000);
    let stats = balanced(&heap);
    assert_eq!((stats.mallocs, stats.heap_objects, stats.heap_alloc), (stats.frees, 0, 0));
    assert!(stats.mallocs > 1_000);
}

#[test]
fn alignment_zeros_and_sizes_are_kept() {
    let heap = heap();
    for shift in 0..=30 {
        let p = heap.allocate_aligned(100, 1 << shift);
        assert!(!p.is_null() && p.addr().is_multiple_of(1 << shift), "aligned to 2^{shift}");
    }
    assert!(heap.allocate_aligned(100, 1 << 31).is_null() && heap.allocate_aligned(100, 24).is_null());
    assert!(heap.allocate(usize::MAX).is_null() && heap.allocate(100 * GIB).is_null());
    assert_ne!(heap.allocate(0), heap.allocate(0));
    // Reuses dirty memory.
    for bytes in [24, 3_000, 100 * KIB, 3 * MIB] {
        let dirty = heap.allocate(bytes);
        fill(dirty.addr(), bytes, 7);
        // SAFETY: it is live.
        unsafe { heap.free(dirty) };
        assert!(reads_zero(heap.allocate_zeroed(bytes).addr(), bytes), "{bytes} zero bytes");
    }
    // SAFETY: null is allowed.
    unsafe {
        heap.free(std::ptr::null_mut());
        assert_eq!(heap.usable_size(std::ptr::null_mut()), 0);
    }
    balanced(&heap);
}

#[test]
fn each_heap_has_books_of_its_own() {
    let (one, two) = (heap(), heap());
    let mut before = MemStats::new();
    assert!(two.mem_stats(&mut before).is_some_and(|answer| answer.is_complete()));
    // The structures of a heap are in its accounts too: its allocator and a cache.
    let empty = two.crossfoot().expect("this build keeps books").snapshot;
    assert!(
        empty.account(Account::OtherSys) as usize
            >= size_of::<crossfoot::allocator::Allocator<crossfoot::os::RangeOs>>()
    );
    for _ in 0..1_000 {
        assert!(one.contains(one.allocate(1_000)));
    }
    let mut stats = MemStats::new();
    one.mem_stats(&mut stats);
    assert_eq!(stats.mallocs - stats.frees, 1_000);
    assert!(stats.heap_alloc >= 1_000_000 && stats.sys >= stats.heap_alloc);
    let mut after = MemStats::new();
    two.mem_stats(&mut after);
    assert_eq!((after.mallocs, after.sys), (0, before.sys), "the other heap took no part");
    let ((a, bytes), (b, _)) = (one.range(), two.range());
    assert!(a.0.abs_diff(b.0) >= bytes, "ranges do not overlap");
}

#[test]
fn threads_share_a_heap() {
    let heap = heap();
    // Objects of one thread are freed by another.
    let passed: Vec<AtomicUsize> = (0..64).map(|_| AtomicUsize::new(0)).collect();
    thread::scope(|scope| {
        for seed in 0..4 {
            let (heap, passed) = (&heap, &passed);
            scope.spawn(move || {
                churn(heap, seed, 1_000);
                let mut rng = Rng(seed);
                for _ in 0..5_000 {
                    let new = heap.allocate(rng.below(2_000));
                    let old = passed[rng.below(64)].swap(new.addr(), Ordering::AcqRel);
                    // SAFETY: whoever swaps it out owns it.
                    unsafe { heap.free(old as *mut u8) };
                }
            });
        }
    });
    let left = passed.iter().filter(|p| p.load(Ordering::Relaxed) != 0).count() as u64;
    let stats = balanced(&heap);
    assert_eq!(stats.heap_objects, left);
    assert!(stats.mallocs > 20_000);
}

#[test]
fn allocation_works_again_after_a_limit_was_reached() {
    let heap = Heap::with_limit(5 * MIB).expect("address space");
    for bytes in [16, 1_000, 40 * KIB, MIB] {
        let mut all = Vec::new();
        loop {
            let p = heap.allocate(bytes);
            if p.is_null() {
                break;
            }
            all.push(p);
        }
        let total = all.len() * bytes;
        assert!((6 * MIB..=8 * MIB).contains(&total), "{total} bytes in objects of {bytes}");
        // SAFETY: each is live, and forgotten here.
        all.into_iter().for_each(|p| unsafe { heap.free(p) });
        assert_eq!(balanced(&heap).heap_objects, 0);
    }
    assert!(Heap::with_limit(usize::MAX).is_err() && Heap::with_limit(1 << 50).is_err());
}

/// Returns the fatal line of `misuse`.
fn line(misuse: impl FnOnce()) -> String {
    let panic = catch_unwind(AssertUnwindSafe(misuse)).expect_err("this is misuse");
    panic.downcast_ref::<String>().expect("fatal panics with its line").clone()
}

#[test]
fn misuse_ends_with_one_line() {
    let (one, two) = (heap(), heap());
    let foreign = two.allocate(100);
    let large = two.allocate(100 * KIB);
    let of_process = Box::into_raw(Box::new([0u8; 64])).cast::<u8>();
    let unknown = "not an address of this allocator, or already freed";
    // SAFETY: misuse that is seen: nothing is done with the pointers.
    unsafe {
        for p in [foreign, large, of_process, (&raw const one).cast_mut().cast()] {
            let p = p.map_addr(|a| a & !15);
            assert_eq!(line(|| one.free(p)), format!("crossfoot: free({p:p}): {unknown}"));
            assert_eq!(line(|| _ = one.reallocate(p, 8, 1)), format!("crossfoot: realloc({p:p}): {unknown}"));
            assert_eq!(line(|| _ = one.usable_size(p)), format!("crossfoot: malloc_usable_size({p:p}): {unknown}"));
        }
        let inside = large.add(16);
        assert_eq!(line(|| two.free(inside)), format!("crossfoot: free({inside:p}): inside an object, not its start"));
        two.free(foreign);
        assert_eq!(line(|| two.free(foreign)), format!("crossfoot: free({foreign:p}): already freed"));
        two.free(large);
        assert_eq!(line(|| two.free(large)), format!("crossfoot: free({large:p}): {unknown}"));
        drop(Box::from_raw(of_process.cast::<[u8; 64]>()));
    }
    // Neither heap took harm, and no lock is held.
    balanced(&one);
    assert_eq!(balanced(&two).heap_objects, 0);
}

/// The work of the child of a fork, without the C library's locks. Returns 0 if the heaps are whole and work.
fn child(heaps: &[Heap]) -> i32 {
    for heap in heaps {
        let p = heap.allocate(5_000);
        let q = heap.allocate_zeroed(200 * KIB);
        if p.is_null() || q.is_null() {
            return 1;
        }
        // SAFETY: both are live and forgotten here.
        unsafe {
            heap.free(p);
            heap.free(q);
        }
        match heap.crossfoot() {
            Some(balance) if balance.complete && balance.failures.is_empty() => {}
            _ => return 2,
        }
    }
    // A heap of the child's own, which the list takes and gives back.
    match Heap::new() {
        Ok(heap) if !heap.allocate(100).is_null() => 0,
        _ => 3,
    }
}

/// Ends the threads of a scope, also if the test fails.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn a_child_uses_heaps_that_other_threads_were_in() {
    let heaps: Vec<Heap> = (0..3).map(|_| heap()).collect();
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let _stop = Stop(&stop);
        for seed in 0..3 {
            let (heaps, stop) = (&heaps, &stop);
            scope.spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    churn(&heaps[seed], seed as u64, 100);
                    // Heaps come and go meanwhile: the list must be whole in the child too.
                    drop(heap());
                }
            });
        }
        for round in 0..60 {
            // SAFETY: the child calls nothing but the heaps and what may be called by a signal handler.
            let pid = unsafe { libc::fork() };
            if pid == 0 {
                // SAFETY: a child that waits for a lock that nobody has is ended.
                unsafe {
                    libc::alarm(10);
                    libc::_exit(child(&heaps));
                }
            }
            assert!(pid > 0);
            let mut status = 0;
            // SAFETY: an out parameter.
            assert_eq!(unsafe { libc::waitpid(pid, &mut status, 0) }, pid);
            assert_eq!(status, 0, "round {round}: signal {} status {}", status & 127, libc::WEXITSTATUS(status));
        }
    });
    heaps.iter().for_each(|heap| assert_eq!(balanced(heap).heap_objects, 0));
}
