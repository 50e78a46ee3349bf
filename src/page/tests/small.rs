//! Tests of the parts: summaries, chunks, the page cache, the window.

use super::super::chunk::Chunk;
use super::super::summary::Summary;
use super::super::{CHUNK_BYTES, CHUNK_PAGES, GrowError, PageCache, Pages, Release, ReleaseShape};
use super::{BASE, Mapped, OutOfMemory, World};
use crate::units::{Addr, PAGE_SIZE};
use std::os::unix::fs::FileExt;
use std::vec::Vec;

#[test]
fn a_summary_keeps_its_lengths() {
    for (s, m, e) in [
        (0, 0, 0),
        (0, 1, 0),
        (1, 1, 1),
        (512, 512, 512),
        (0, (1 << 21) - 1, (1 << 21) - 1),
        ((1 << 21) - 1, (1 << 21) - 1, 0),
        (1 << 21, 1 << 21, 1 << 21),
    ] {
        let sum = Summary::new(s, m, e);
        assert_eq!((sum.start(), sum.max(), sum.end()), (s, m, e));
        assert!(sum.is_grown());
        assert_eq!(sum.has_free(), m != 0);
    }
    assert!(!Summary::NONE.is_grown() && !Summary::NONE.has_free());
    assert!(Summary::FULL.is_grown() && !Summary::FULL.has_free());
}

#[test]
fn summaries_merge() {
    let s = Summary::new;
    let (none, full, free) = (Summary::NONE, Summary::FULL, Summary::free(9));
    let rows: &[(&str, [Summary; 4], Summary)] = &[
        ("nothing grown", [none; 4], none),
        ("all taken", [full; 4], full),
        ("one grown, taken", [none, none, full, none], full),
        ("one grown, free", [none, free, none, none], s(0, 512, 0)),
        ("all free", [free; 4], s(2048, 2048, 2048)),
        ("free but the last", [free, free, free, full], s(1536, 1536, 0)),
        ("free but the first", [full, free, free, free], s(0, 1536, 1536)),
        ("a run across", [s(1, 10, 10), s(20, 20, 3), full, full], s(1, 30, 0)),
        ("a run over a whole one", [s(1, 10, 10), free, s(7, 7, 5), full], s(1, 529, 0)),
        ("the ends grow", [free, s(9, 9, 0), s(0, 8, 8), free], s(521, 521, 520)),
        ("longest inside", [s(1, 100, 2), s(3, 4, 0), full, s(0, 50, 9)], s(1, 100, 9)),
    ];
    for (name, children, merged) in rows {
        assert_eq!(Summary::merge(children, 9), *merged, "{name}");
    }
    let root = Summary::merge(&[Summary::free(18); 8], 18);
    assert_eq!(root, Summary::free(21), "the largest node, all free");
    assert_eq!((root.start(), root.max(), root.end()), (1 << 21, 1 << 21, 1 << 21));
    let mut children = [Summary::free(18); 8];
    children[7] = s((1 << 18) - 1, (1 << 18) - 1, 0);
    let short = Summary::merge(&children, 18);
    let n = (1 << 21) - 1;
    assert_eq!((short.start(), short.max(), short.end()), (n, n, 0), "one page short of it");
}

const fn shape(at_most: usize, unit: usize, huge: usize) -> ReleaseShape {
    ReleaseShape { at_most: Pages(at_most), unit: Pages(unit), huge: Pages(huge) }
}

/// Taken runs `(start, length)`, released runs, the wanted shape, the expected run.
type ReleaseRow =
    (&'static str, &'static [(usize, usize)], &'static [(usize, usize)], ReleaseShape, Option<(usize, usize)>);

const RELEASE_ROWS: &[ReleaseRow] = &[
    ("all, one page", &[], &[], shape(1, 1, 0), Some((511, 1))),
    ("all, ten", &[], &[], shape(10, 1, 0), Some((502, 10))),
    ("all", &[], &[], shape(512, 1, 0), Some((0, 512))),
    ("nothing", &[(0, 512)], &[], shape(512, 1, 0), None),
    ("all released", &[], &[(0, 512)], shape(512, 1, 0), None),
    ("below a taken page", &[(511, 1)], &[], shape(4, 1, 0), Some((507, 4))),
    ("below released pages", &[], &[(500, 12)], shape(4, 1, 0), Some((496, 4))),
    ("over a word's edge", &[(0, 60), (70, 442)], &[], shape(64, 1, 0), Some((60, 10))),
    ("one in the middle", &[(0, 100), (101, 411)], &[], shape(64, 1, 0), Some((100, 1))),
    ("between both kinds", &[(0, 100)], &[(110, 402)], shape(64, 1, 0), Some((100, 10))),
    ("unit 8", &[(500, 1)], &[], shape(8, 8, 0), Some((504, 8))),
    ("unit 8, cut above", &[(510, 2)], &[], shape(8, 8, 0), Some((496, 8))),
    ("unit 8, less asked", &[], &[], shape(3, 8, 0), Some((504, 8))),
    ("unit 8, more asked", &[], &[], shape(15, 8, 0), Some((504, 8))),
    ("unit 8, both ends cut", &[(0, 101), (119, 393)], &[], shape(64, 8, 0), Some((104, 8))),
    ("unit 8, nothing whole", &[(0, 101), (111, 401)], &[], shape(64, 8, 0), None),
    ("unit 64", &[(0, 65), (192, 320)], &[], shape(64, 64, 0), Some((128, 64))),
    ("huge, whole", &[], &[], shape(1, 1, 256), Some((256, 256))),
    ("huge, taken in part", &[(256, 1)], &[], shape(1, 1, 256), Some((511, 1))),
    ("huge below, cut above", &[(511, 1)], &[], shape(1, 1, 256), Some((510, 1))),
    ("huge, ends at it", &[(256, 256)], &[], shape(1, 1, 256), Some((0, 256))),
    ("huge, runs over it", &[(300, 212)], &[], shape(60, 1, 256), Some((0, 300))),
    ("huge, misses its edge", &[(300, 212)], &[], shape(44, 1, 256), Some((256, 44))),
];

#[test]
fn a_chunk_finds_what_to_release() {
    for &(name, taken, released, want, found) in RELEASE_ROWS {
        let mut chunk = Chunk::default();
        chunk.clear_released(0, CHUNK_PAGES);
        for &(i, n) in released {
            chunk.set_released(i, n);
        }
        for &(i, n) in taken {
            chunk.take(i, n);
        }
        assert_eq!(chunk.last_releasable(want), found, "{name}");
    }
}

#[test]
fn a_chunk_counts_released_pages() {
    let mut chunk = Chunk::default();
    assert_eq!(chunk.count(), (0, 512), "zeroed memory is a fresh chunk");
    assert_eq!(chunk.take(10, 20), 20);
    assert_eq!(chunk.released_in(0, 512), 492);
    chunk.free(10, 20);
    assert_eq!(chunk.count(), (20, 492));
    assert_eq!(chunk.take(0, 40), 20);
    assert!(chunk.is_valid());
    chunk.free(0, 40);
    chunk.set_released(5, 5);
    assert_eq!(chunk.released_in(0, 10), 5);
    assert_eq!(chunk.take(0, 10), 5);
    assert_eq!(chunk.count(), (30, 472));
}

#[test]
fn a_page_cache_gives_and_takes() {
    let mut world = World::<5>::with_chunks(1, &[0]);
    world.take(0, 0, 3);
    world.take(0, 10, 1);
    let at = |i| world.at(0, i);
    let (p0, p3, p9, p11) = (at(0), at(3), at(9), at(11));
    let mut cache = world.heap.allocate_to_cache(Pages(1));
    world.check();
    assert_eq!(cache.count(), (Pages(0), Pages(60)));
    assert_eq!(cache.alloc(Pages(65)), None);
    assert_eq!(cache.alloc(Pages(54)), None, "longer than the run of 53");
    assert_eq!(cache.alloc(Pages(53)), Some((p11, Pages(53))));
    assert_eq!(cache.alloc(Pages(1)), Some((p3, Pages(1))));
    assert!(cache.free(p3, Pages(1)));
    assert_eq!(cache.alloc(Pages(2)), Some((p3, Pages(1))), "one of them was resident");
    assert!(!cache.free(world.at(0, 64), Pages(1)), "above the block");
    assert!(!cache.free(world.at(0, 63), Pages(2)), "across the block's end");
    assert!(!cache.free(Addr(PAGE_SIZE), Pages(1)), "below the block");
    assert!(cache.free(p0, Pages(3)), "pages that were not taken from the cache");
    assert_eq!(cache.count(), (Pages(3), Pages(5)));
    cache.flush(&mut world.heap);
    world.check();
    assert_eq!(cache, PageCache::EMPTY);
    assert!(!cache.free(p0, Pages(1)) && !cache.free(Addr(PAGE_SIZE), Pages(1)), "no block");
    assert_eq!(world.heap.count(), (Pages(3), Pages(5 + 448)));
    assert!(world.heap.is_free(p9) && !world.heap.is_free(p3) && !world.heap.is_free(p11));
    assert_eq!(world.heap.alloc(Pages(1)), Some((p0, Pages(0))));
}

#[test]
fn take_at_takes_exactly_these_pages() {
    let mut world = World::<5>::with_chunks(1, &[0]);
    world.take(0, 10, 1);
    let at = |i| world.at(0, i);
    let (p8, p20, p62, p64) = (at(8), at(20), at(62), at(64));
    let mut cache = world.heap.allocate_to_cache(Pages(1));
    assert_eq!(cache.free_pages(), Pages(63));
    assert!(cache.has(Pages(53)) && !cache.has(Pages(54)) && !cache.has(Pages(0)) && !cache.has(Pages(65)));
    assert!(!cache.take_at(p8, Pages(3)), "one of them is taken");
    assert!(!cache.take_at(p62, Pages(3)), "across the block's end");
    assert!(!cache.take_at(p64, Pages(1)) && !cache.take_at(Addr(PAGE_SIZE), Pages(1)), "of no block");
    assert!(!cache.take_at(p20, Pages(0)), "none");
    assert_eq!(cache.free_pages(), Pages(63), "nothing was taken");
    assert!(cache.make_resident(|_, _| true).1);
    assert!(cache.take_at(p20, Pages(4)) && !cache.take_at(p20, Pages(1)));
    assert_eq!(cache.free_pages(), Pages(59));
    assert!(cache.free(p20, Pages(4)));
    assert_eq!(cache.alloc(Pages(53)), Some((world.at(0, 11), Pages(49))), "four of them do not read as zero");
    cache.flush(&mut world.heap);
    world.check();
    assert!(!cache.take_at(p8, Pages(1)) && !cache.has(Pages(1)), "no block");
}

#[test]
fn a_page_cache_keeps_its_block_after_give_back() {
    let mut world = World::<5>::with_chunks(1, &[0]);
    let mut cache = world.heap.allocate_to_cache(Pages(1));
    assert!(cache.make_resident(|_, _| true).1);
    let (base, _) = cache.alloc(Pages(2)).expect("the block is free");
    cache.give_back(&mut world.heap);
    world.check();
    assert!(cache.is_empty() && cache.alloc(Pages(1)).is_none());
    assert_eq!(world.heap.count(), (Pages(62), Pages(448)));
    let other = world.heap.allocate_to_cache(Pages(63));
    assert!(!other.is_same_block(&cache), "only the next block has 63 free pages");
    let mut same = world.heap.allocate_to_cache(Pages(1));
    assert!(same.is_same_block(&cache));
    same.flush(&mut world.heap);
    assert!(cache.free(base, Pages(2)));
    assert_eq!(cache.alloc(Pages(2)), Some((base, Pages(0))), "freed pages are taken again");
    assert!(cache.free(base, Pages(2)));
    cache.flush(&mut world.heap);
    world.check();
}

#[test]
fn a_page_cache_becomes_resident_run_by_run() {
    let mut world = World::<5>::with_chunks(1, &[0]);
    world.take(0, 4, 6);
    world.heap.free(world.at(0, 6), Pages(2));
    let mut cache = world.heap.allocate_to_cache(Pages(1));
    assert_eq!(cache.count(), (Pages(2), Pages(58)));
    let mut runs = Vec::new();
    let first = cache.make_resident(|at, n| {
        runs.push((world.page(at), n.0));
        n.0 == 4
    });
    assert_eq!(first, (Pages(4), false), "the second run fails");
    assert_eq!(cache.count(), (Pages(6), Pages(54)));
    let second = cache.make_resident(|at, n| {
        runs.push((world.page(at), n.0));
        true
    });
    assert_eq!(second, (Pages(54), true));
    assert_eq!(runs, [(0, 4), (10, 54), (10, 54)]);
    assert_eq!(cache.make_resident(|_, _| panic!("nothing is released")), (Pages(0), true));
    assert_eq!(cache.count(), (Pages(60), Pages(0)));
    assert_eq!(cache.alloc(Pages(3)), Some((world.at(0, 0), Pages(3))), "they read as zero");
    assert!(cache.free(world.at(0, 0), Pages(2)));
    assert_eq!(cache.alloc(Pages(1)), Some((world.at(0, 0), Pages(0))), "not any more");
    assert_eq!(cache.alloc(Pages(2)), Some((world.at(0, 6), Pages(0))), "not these");
    cache.flush(&mut world.heap);
    world.check();
    assert_eq!(world.heap.count(), (Pages(56), Pages(448)));
}

#[test]
fn failed_make_resident_keeps_released_pages() {
    let mut world = World::<1>::with_chunks(1, &[0]);
    world.take(0, 8, 8);
    let mut cache = world.heap.allocate_to_cache(Pages(1));
    assert_eq!(cache.make_resident(|_, n| n.0 == 8), (Pages(8), false));
    cache.flush(&mut world.heap);
    world.check();
    assert_eq!(world.heap.count(), (Pages(8), Pages(48 + 448)));
}

#[test]
fn a_full_page_cache_is_a_whole_block() {
    let mut world = World::<1>::with_chunks(1, &[0]);
    let mut cache = world.heap.allocate_to_cache(Pages(1));
    assert_eq!(cache.alloc(Pages(64)), Some((world.at(0, 0), Pages(64))));
    assert!(cache.is_empty());
    assert!(cache.free(world.at(0, 0), Pages(64)), "the block stays its block");
    assert_eq!(cache.count(), (Pages(64), Pages(0)));
    cache.flush(&mut world.heap);
    world.check();
    assert_eq!(world.heap.count(), (Pages(64), Pages(448)));
}

#[test]
fn no_page_cache_from_a_full_heap() {
    let mut world = World::<5>::with_chunks(1, &[0]);
    world.take(0, 0, 512);
    assert!(world.heap.allocate_to_cache(Pages(1)).is_empty());
    assert!(World::<5>::with_chunks(1, &[]).heap.allocate_to_cache(Pages(1)).is_empty());
    world.check();
}

#[test]
fn find_run_takes_nothing() {
    let mut world = World::<5>::with_chunks(2, &[0, 1]);
    world.take(0, 0, 5);
    let before = world.heap.count();
    for (n, align, found) in [(1, 1, Some(5)), (3, 8, Some(8)), (600, 512, None), (0, 1, None), (0, 8, None)] {
        let found = found.map(|i| world.at(0, i));
        assert_eq!(world.heap.find_run(Pages(n), Pages(align)), found, "{n} at {align}");
        assert_eq!(world.heap.find_run(Pages(n), Pages(align)), found, "{n} at {align}, again");
        world.check();
        assert_eq!(world.heap.count(), before);
    }
    let run = world.heap.find_run(Pages(513), Pages(1)).expect("a run over two chunks");
    assert!(world.heap.all_free(run, Pages(513)));
    assert!(!world.heap.all_free(run, Pages(1020)), "beyond the heap");
    assert!(!world.heap.all_free(run, Pages(0)) && !world.heap.all_free(world.at(0, 4), Pages(2)));
    world.heap.clear_released(run, Pages(13));
    world.heap.take_run(run, Pages(513));
    world.check();
    assert!(!world.heap.all_free(run, Pages(1)) && world.heap.is_allocated(world.at(1, 5)));
    assert_eq!(world.heap.released_in(run, Pages(513)), Pages(0), "taken pages are resident");
    assert_eq!(world.heap.count(), (Pages(0), Pages(506)));
}

#[test]
fn an_empty_heap_has_no_pages() {
    let mut heap = super::super::PageAlloc::<5>::new();
    assert_eq!(heap.alloc(Pages(1)), None);
    assert_eq!(heap.alloc_aligned(Pages(1), Pages(8)), None);
    assert_eq!(heap.alloc_range_at(BASE, Pages(1)), None);
    assert!(!heap.is_free(BASE) && !heap.is_allocated(BASE));
    assert_eq!(heap.next_unreleased(BASE, Pages(1)), None);
    assert_eq!(heap.count(), (Pages(0), Pages(0)));
    assert!(heap.is_valid());
}

#[test]
fn growth_outside_the_window_fails() {
    let mut world = World::<5>::new(BASE, 8 * CHUNK_BYTES);
    world.grow(2, 2);
    let rows = [
        ("empty", 0, 0),
        ("below the window", -1, 1),
        ("above the window", 8, 1),
        ("across the window's end", 7, 2),
        ("over what is grown", 2, 1),
        ("into what is grown", 1, 2),
        ("around what is grown", 0, 8),
    ];
    for (name, c, n) in rows {
        let at = Addr(BASE.0.wrapping_add_signed(c * CHUNK_BYTES as isize));
        let grown = world.heap.grow(&mut world.backing, at, n * CHUNK_BYTES);
        assert_eq!(grown, Err(GrowError::Range), "{name}");
    }
    for (addr, size) in [(PAGE_SIZE, CHUNK_BYTES), (0, PAGE_SIZE), (0, CHUNK_BYTES + 1)] {
        let grown = world.heap.grow(&mut world.backing, BASE.plus(addr), size);
        assert_eq!(grown, Err(GrowError::Range), "not whole chunks: {addr}, {size}");
    }
    world.check();
    assert_eq!(world.heap.count(), (Pages(0), Pages(1024)));
}

/// Grows at far-apart places and lets each call of the backing fail once.
fn growth_fails_atomically<const LEVELS: usize>(window: usize, places: &[(usize, usize)]) {
    let mut world = World::<LEVELS>::new(BASE, window * CHUNK_BYTES);
    let mut grown = 0;
    for &(c, n) in places {
        let before = world.heap.count();
        let at = world.at(c, 0);
        let mut failures = 0;
        loop {
            world.backing.left = Some(failures);
            match world.heap.grow(&mut world.backing, at, n * CHUNK_BYTES) {
                Ok(()) => break,
                Err(e) => assert_eq!(e, GrowError::Backing(OutOfMemory)),
            }
            failures += 1;
            world.check();
            assert_eq!(world.heap.count(), before);
            assert!(!world.heap.is_grown(at));
            assert_eq!(world.heap.alloc_range_at(at, Pages(1)), None);
            assert_eq!(world.heap.alloc(Pages(before.1.0 + 1)), None);
        }
        assert!(failures > LEVELS, "one part per table at least: {failures}");
        grown += n * CHUNK_PAGES;
        world.check();
        assert_eq!(world.heap.count(), (Pages(0), Pages(grown)));
        // Takes and frees a page, so that the test touches every table.
        world.take(c, 0, 1);
        world.heap.free(at, Pages(1));
        assert_eq!(world.heap.take_for_release(shape(1, 1, 0)), Release::Run(at, Pages(1)));
        world.heap.give_back_released(at, Pages(1));
        world.check();
    }
}

#[test]
fn growth_that_fails_changes_nothing() {
    let far = [(1 << 23, 16), (1 << 24, 16), (16, 16), (0, 3), ((1 << 25) - 5000, 5000), (40, 1)];
    growth_fails_atomically::<5>(1 << 25, &far);
    growth_fails_atomically::<1>(1024, &[(512, 1), (0, 1), (1023, 1), (511, 1), (513, 500)]);
}

#[test]
fn siblings_become_ready_together() {
    // A parent is merged from all of its children, whichever of them were grown. A backing with large
    // physical pages would hide a mistake here.
    let mut world = World::<5>::new(BASE, 1 << 47);
    let eight = 8 * size_of::<Summary>();
    for (c, n) in [(9, 1), (21, 6), (4095, 2), (99, 1234), (1, 7)] {
        world.backing.calls.clear();
        world.grow(c, n);
        for level in 1..5 {
            let log = 3 * (4 - level);
            let blocks = c >> log >> 3..=(c + n - 1) >> log >> 3;
            for block in blocks.start().saturating_sub(1)..=blocks.end() + 1 {
                let at = world.heap.tree.address_of_node(level, 8 * block);
                let ready = world.backing.calls.iter().map(|&(from, bytes)| {
                    let (lo, hi) = (from.max(at), from.plus(bytes).min(at.plus(eight)));
                    hi.0.saturating_sub(lo.0)
                });
                let wanted = if blocks.contains(&block) { eight } else { 0 };
                assert_eq!(ready.max(), Some(wanted), "chunks {c} and {n}, level {level}, block {block}");
            }
        }
    }
}

#[test]
fn tables_of_a_small_heap_fit_one_page() {
    let mut world = World::<5>::new(BASE, 1 << 44);
    world.grow(0, 1);
    assert!(world.heap.alloc(Pages(1)).is_some());
    world.grow(1, 15);
    for c in 0..16 {
        assert!(world.heap.alloc_range_at(BASE.plus(c * CHUNK_BYTES + PAGE_SIZE), Pages(1)).is_some());
        world.heap.free(BASE.plus(c * CHUNK_BYTES + PAGE_SIZE), Pages(1));
    }
    assert!(world.heap.is_valid());
    let &[tables] = world.backing.reservations.as_slice() else { panic!("one reservation") };
    assert_eq!(resident_pages((tables.0, super::PHYSICAL)), 1);
    let rest = (tables.0.plus(super::PHYSICAL), tables.1 - super::PHYSICAL);
    assert_eq!(resident_pages(rest), 0);
    world.grow(16, 1);
    assert!(resident_pages(rest) > 0);
}

#[test]
fn failed_reservation_is_an_error() {
    struct NoMemory;
    // SAFETY: it provides no memory.
    unsafe impl super::Backing for NoMemory {
        type Error = ();
        fn reserve(&mut self, _: usize) -> Option<Addr> {
            None
        }
        fn ready(&mut self, _: Addr, _: usize) -> Result<(), ()> {
            Err(())
        }
    }
    let mut heap = super::super::PageAlloc::<5>::new();
    let no = heap.init(&mut NoMemory, BASE, 1 << 30);
    assert_eq!(no, Err(super::super::NoAddressSpace));
    assert!(heap.is_valid());
    assert_eq!(heap.grow(&mut NoMemory, BASE, CHUNK_BYTES), Err(GrowError::Range));
}

#[test]
fn the_window_may_be_the_whole_address_space() {
    let mut heap = super::super::PageAlloc::<1>::new();
    let mut backing = Mapped::default();
    let size = 1usize << 32;
    heap.init(&mut backing, Addr(0), size - 1).unwrap();
    let last = Addr(size - CHUNK_BYTES);
    assert_eq!(heap.grow(&mut backing, Addr(0), CHUNK_BYTES), Err(GrowError::Range), "null");
    heap.grow(&mut backing, last, CHUNK_BYTES).unwrap();
    assert_eq!(heap.alloc(Pages(512)), Some((last, Pages(512))));
    assert_eq!(heap.alloc(Pages(1)), None);
    heap.free(Addr(size - PAGE_SIZE), Pages(1));
    assert_eq!(heap.alloc(Pages(1)), Some((Addr(size - PAGE_SIZE), Pages(0))));
    assert!(heap.is_valid());
}

#[test]
fn a_fresh_heap_touches_no_bitmap() {
    // A fresh chunk is zeros, so that a large heap touches the summaries only.
    let mut world = World::<5>::new(BASE, 1 << 40);
    world.grow(0, 1 << 18);
    assert!(world.backing.calls.len() <= 15, "two calls per table, one for the root");
    // The first chunks' bitmaps share a page with their summaries.
    let beyond = world.heap.tree.address_of_chunk(64).align_up(super::PHYSICAL);
    let bitmaps = (beyond, world.heap.tree.address_of_chunk((1 << 18) - 64).align_down(super::PHYSICAL).since(beyond));
    assert_eq!(resident_pages(bitmaps), 0);
    assert!(world.heap.alloc_range_at(BASE.plus(128 * CHUNK_BYTES), Pages(1)).is_some());
    assert_eq!(resident_pages(bitmaps), 1);
}

/// Returns how many physical pages of a mapping are resident.
fn resident_pages((at, bytes): (Addr, usize)) -> usize {
    let mut words = std::vec![0; bytes / super::PHYSICAL * 8];
    let map = std::fs::File::open("/proc/self/pagemap").expect("a system with /proc");
    map.read_exact_at(&mut words, (at.0 / super::PHYSICAL * 8) as u64).expect("the mapping");
    // The top bit of each little-endian word says that the page is present.
    words.iter().skip(7).step_by(8).filter(|&&byte| byte & 0x80 != 0).count()
}
