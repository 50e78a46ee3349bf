//! Uses the crate's implementations of `Allocator` under collections and call by call.

use std::alloc::Layout;
use std::ptr::NonNull;

use allocator_api2::alloc::Allocator;
use allocator_api2::boxed::Box as BoxIn;
use allocator_api2::vec::Vec as VecIn;
use crossfoot::mem_stats::MemStats;
use crossfoot::{Crossfoot, Heap};
use hashbrown::HashMap;

type Map<K, V, A> = HashMap<K, V, hashbrown::DefaultHashBuilder, A>;

fn heap() -> Heap {
    Heap::new().expect("address space")
}

/// Returns the live bytes and objects in a heap's accounts.
fn live(heap: &Heap) -> (u64, u64) {
    let mut stats = MemStats::new();
    assert!(heap.mem_stats(&mut stats).is_some_and(|answer| answer.is_complete()));
    (stats.heap_alloc, stats.heap_objects)
}

/// A vector and a map, filled, changed and compared.
fn collections<A: Allocator + Copy>(allocator: A, within: impl Fn(*const u8) -> bool) {
    let mut numbers = VecIn::new_in(allocator);
    (0..100_000u64).for_each(|n| numbers.push(n * n));
    assert!(within(numbers.as_ptr().cast()));
    numbers.truncate(1_000);
    numbers.shrink_to_fit();
    assert!(numbers.iter().enumerate().all(|(n, &square)| square == (n * n) as u64));

    let mut names: Map<u64, VecIn<u8, A>, A> = HashMap::new_in(allocator);
    for n in 0..5_000u64 {
        let mut name = VecIn::new_in(allocator);
        name.extend_from_slice(n.to_string().as_bytes());
        names.insert(n, name);
    }
    names.retain(|n, _| n % 3 == 0);
    names.shrink_to_fit();
    assert_eq!(names.len(), 1_667);
    assert!(names.iter().all(|(n, name)| within(name.as_ptr()) && **name == *n.to_string().as_bytes()));
    let boxed = BoxIn::new_in([7u8; 100], allocator);
    assert!(within(boxed.as_ptr()) && *boxed == [7; 100]);
    let nothing = BoxIn::new_in((), allocator);
    assert_eq!(*nothing, ());
}

/// The bytes of a block.
fn bytes<'a>(block: NonNull<[u8]>) -> &'a mut [u8] {
    // SAFETY: the tests look at live blocks only, which were written or are zero.
    unsafe { &mut *block.as_ptr() }
}

/// Makes every call with every pair of layouts: sizes from zero to some pages, alignments below and above 16.
fn calls<A: Allocator>(a: &A) {
    let sizes = [0usize, 1, 40, 700, 5_000, 33_000, 300_000];
    let layouts: Vec<Layout> = sizes
        .iter()
        .flat_map(|&size| [1usize, 16, 64, 8_192].map(|align| Layout::from_size_align(size, align).unwrap()))
        .collect();
    let fits = |block: NonNull<[u8]>, layout: Layout| {
        block.len() == layout.size() && block.cast::<u8>().addr().get().is_multiple_of(layout.align())
    };
    for &old in &layouts {
        for &new in &layouts {
            let block = a.allocate(old).expect("memory");
            assert!(fits(block, old));
            bytes(block).fill(5);
            let p = block.cast::<u8>();
            // SAFETY: each block is live and has the layout that it was last given.
            let changed = unsafe {
                match new.size() >= old.size() {
                    true if new.align() == 16 => a.grow_zeroed(p, old, new),
                    true => a.grow(p, old, new),
                    false => a.shrink(p, old, new),
                }
            };
            let block = changed.expect("memory");
            assert!(fits(block, new), "{old:?} to {new:?}: {block:?}");
            let (kept, fresh) = bytes(block).split_at(old.size().min(new.size()));
            assert!(kept.iter().all(|&byte| byte == 5), "{old:?} to {new:?}");
            assert!(new.align() != 16 || fresh.iter().all(|&byte| byte == 0), "{old:?} to {new:?}");
            bytes(block).fill(6);
            // SAFETY: as above.
            unsafe { a.deallocate(block.cast(), new) };
        }
        let zeroed = a.allocate_zeroed(old).expect("memory");
        assert!(fits(zeroed, old) && bytes(zeroed).iter().all(|&byte| byte == 0));
        // SAFETY: as above.
        unsafe { a.deallocate(zeroed.cast(), old) };
    }
    assert!(a.allocate(Layout::from_size_align(isize::MAX as usize / 2, 1).unwrap()).is_err());
    // An allocation that cannot grow is unchanged.
    let (small, huge) = (Layout::new::<u64>(), Layout::from_size_align(isize::MAX as usize / 2, 8).unwrap());
    let block = a.allocate(small).expect("memory");
    bytes(block).fill(9);
    // SAFETY: as above.
    unsafe {
        assert!(a.grow(block.cast(), small, huge).is_err());
        assert!(bytes(block).iter().all(|&byte| byte == 9));
        a.deallocate(block.cast(), small);
    }
}

#[test]
fn collections_in_a_heap() {
    let heap = heap();
    collections(&heap, |p| heap.contains(p));
    assert_eq!(live(&heap), (0, 0), "everything was given back");
    let mut kept = VecIn::new_in(&heap);
    kept.extend_from_slice(&[1u64; 1_000]);
    assert!(live(&heap).0 >= 8_000);
    // Dropping the heap frees it.
    std::mem::forget(kept);
}

#[test]
fn collections_in_the_process() {
    let heap = heap();
    collections(Crossfoot, |p| !heap.contains(p));
    // The process's accounts of this thread's objects.
    let mut stats = MemStats::new();
    assert!(crossfoot::process::mem_stats(&mut stats).is_some_and(|answer| answer.is_complete()));
    assert!(stats.mallocs > 5_000 && stats.frees > 5_000, "{} {}", stats.mallocs, stats.frees);
    assert_eq!(live(&heap), (0, 0));
}

#[test]
fn every_call_keeps_content_alignment_and_size() {
    let heap = heap();
    calls(&&heap);
    assert_eq!(live(&heap), (0, 0), "no block was lost, and none of no bytes was taken");
    calls(&Crossfoot);
}
