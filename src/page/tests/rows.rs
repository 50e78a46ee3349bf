//! A table of tests: the heap before, the calls, the heap after.
//!
//! Each row runs with five levels and with one.

use super::super::{CHUNK_PAGES, Pages};
use super::World;
use crate::units::PAGE_SIZE;
use std::vec::Vec;

/// A grown chunk, and the runs of taken pages in it: start and length.
type Chunk = (usize, &'static [(usize, usize)]);

/// One call and its expected result. A place is a chunk and a page in it.
#[derive(Debug)]
enum Call {
    /// Asks for this many pages; expects them at this place.
    Alloc(usize, Option<(usize, usize)>),
    /// Asks for this many pages at a multiple of the second number; expects them at this place.
    Aligned(usize, usize, Option<(usize, usize)>),
    /// Asks for this many pages at exactly this place; expects success or failure.
    At((usize, usize), usize, bool),
    /// Gives this many pages back from this place on.
    Free((usize, usize), usize),
    /// Fills a page cache, which is then lost. Expects this block with this many free pages.
    Cache((usize, usize), usize),
    /// Grows the heap by this many chunks from this one on.
    Grow(usize, usize),
}
use Call::*;

struct Row {
    name: &'static str,
    before: &'static [Chunk],
    calls: &'static [Call],
    after: &'static [Chunk],
}

const ALL: &[(usize, usize)] = &[(0, 512)];
const NONE: &[(usize, usize)] = &[];

const ROWS: &[Row] = &[
    Row {
        name: "one page, then the next",
        before: &[(0, NONE)],
        calls: &[Alloc(1, Some((0, 0))), Alloc(1, Some((0, 1))), Alloc(1, Some((0, 2)))],
        after: &[(0, &[(0, 3)])],
    },
    Row {
        name: "one page where the heap is full",
        before: &[(0, ALL)],
        calls: &[Alloc(1, None), Alloc(1, None), Alloc(5000, None)],
        after: &[(0, ALL)],
    },
    Row {
        name: "no page at all, and far too many",
        before: &[(0, NONE)],
        calls: &[Alloc(0, None), Alloc(usize::MAX, None), Aligned(0, 1, None)],
        after: &[(0, NONE)],
    },
    Row {
        name: "first fit passes over what is too small",
        before: &[(0, &[(0, 3), (4, 4), (10, 30)])],
        calls: &[Alloc(2, Some((0, 8))), Alloc(2, Some((0, 40))), Alloc(1, Some((0, 3))), Alloc(1, Some((0, 42)))],
        after: &[(0, &[(0, 43)])],
    },
    Row {
        name: "a run over the edge of two chunks",
        before: &[(0, &[(0, 511)]), (1, &[(1, 511)])],
        calls: &[Alloc(3, None), Alloc(2, Some((0, 511))), Alloc(1, None)],
        after: &[(0, ALL), (1, ALL)],
    },
    Row {
        name: "a run over many chunks",
        before: &[(0, &[(0, 500)]), (1, NONE), (2, NONE), (3, &[(100, 412)])],
        calls: &[Alloc(1137, None), Alloc(1136, Some((0, 500))), Alloc(1, None)],
        after: &[(0, ALL), (1, ALL), (2, ALL), (3, ALL)],
    },
    Row {
        name: "whole chunks",
        before: &[(0, &[(7, 1)]), (1, NONE), (2, NONE), (3, NONE)],
        calls: &[Alloc(512, Some((0, 8))), Alloc(1024, Some((1, 8))), Alloc(7, Some((0, 0)))],
        after: &[(0, ALL), (1, ALL), (2, ALL), (3, &[(0, 8)])],
    },
    Row {
        name: "a hole in the heap ends a run",
        before: &[(0, NONE), (2, NONE)],
        calls: &[Alloc(513, None), Alloc(512, Some((0, 0))), Alloc(512, Some((2, 0)))],
        after: &[(0, ALL), (2, ALL)],
    },
    Row {
        name: "chunks far apart, across the blocks of every level",
        before: &[(7, &[(0, 511)]), (8, &[(1, 511)]), (63, ALL), (64, NONE), (600, NONE)],
        calls: &[
            Alloc(2, Some((7, 511))),
            Alloc(512, Some((64, 0))),
            Alloc(1, Some((600, 0))),
            Free((63, 511), 1),
            Alloc(1, Some((63, 511))),
            Alloc(511, Some((600, 1))),
            Alloc(1, None),
        ],
        after: &[(7, ALL), (8, ALL), (63, ALL), (64, ALL), (600, ALL)],
    },
    Row {
        name: "the first free page lies in a node that is not grown at its beginning",
        before: &[(0, ALL), (9, &[(0, 256), (257, 255)]), (15, &[(0, 500)]), (16, &[(12, 500)]), (600, NONE)],
        calls: &[Alloc(20, Some((15, 500))), Alloc(2, Some((16, 8))), Alloc(1, Some((9, 256)))],
        after: &[(0, ALL), (9, ALL), (15, ALL), (16, &[(0, 10), (12, 500)])],
    },
    Row {
        name: "the only free page is the last one",
        before: &[(0, ALL), (1, ALL), (1023, &[(0, 511)])],
        calls: &[Alloc(2, None), Alloc(1, Some((1023, 511))), Alloc(1, None)],
        after: &[(0, ALL), (1, ALL), (1023, ALL)],
    },
    Row {
        name: "what is freed below is found again",
        before: &[(0, ALL), (1, &[(0, 100)])],
        calls: &[
            Alloc(1, Some((1, 100))),
            Free((0, 5), 1),
            Alloc(2, Some((1, 101))),
            Alloc(1, Some((0, 5))),
            Free((0, 0), 512),
            Alloc(512, Some((0, 0))),
        ],
        after: &[(0, ALL), (1, &[(0, 103)])],
    },
    Row {
        name: "what is freed joins its neighbours",
        before: &[(0, ALL), (1, ALL), (2, ALL)],
        calls: &[
            Free((0, 510), 2),
            Free((2, 0), 3),
            Alloc(3, Some((2, 0))),
            Free((2, 0), 3),
            Free((1, 0), 512),
            Alloc(518, None),
            Alloc(517, Some((0, 510))),
        ],
        after: &[(0, ALL), (1, ALL), (2, ALL)],
    },
    Row {
        name: "freed in parts",
        before: &[(0, ALL), (1, ALL)],
        calls: &[Free((0, 500), 6), Free((0, 506), 6), Free((1, 0), 1)],
        after: &[(0, &[(0, 500)]), (1, &[(1, 511)])],
    },
    Row {
        name: "growth below, above, and between",
        before: &[(16, ALL)],
        calls: &[
            Alloc(1, None),
            Grow(17, 1),
            Alloc(1, Some((17, 0))),
            Grow(3, 1),
            Alloc(1, Some((3, 0))),
            Grow(15, 1),
            Alloc(511, Some((3, 1))),
            Alloc(1, Some((15, 0))),
            Grow(4, 11),
            Alloc(12 * 512, None),
            Alloc(11 * 512, Some((4, 0))),
        ],
        after: &[(3, ALL), (4, ALL), (9, ALL), (15, &[(0, 1)]), (16, ALL), (17, &[(0, 1)])],
    },
    Row {
        name: "growth joins what was free",
        before: &[(0, &[(0, 500)])],
        calls: &[Alloc(20, None), Grow(1, 1), Alloc(20, Some((0, 500)))],
        after: &[(0, ALL), (1, &[(0, 8)])],
    },
    Row {
        name: "alignment",
        before: &[(0, &[(0, 3)]), (1, NONE), (2, NONE)],
        calls: &[
            Aligned(1, 1, Some((0, 3))),
            Aligned(1, 8, Some((0, 8))),
            Aligned(10, 512, Some((1, 0))),
            Aligned(1015, 1, None),
            Aligned(500, 256, Some((1, 256))),
            Alloc(4, Some((0, 4))),
        ],
        after: &[(0, &[(0, 9)]), (1, &[(0, 10), (256, 256)]), (2, &[(0, 244)])],
    },
    Row {
        name: "alignment without room to spare",
        before: &[(0, &[(0, 256)]), (1, ALL)],
        calls: &[Aligned(256, 512, None), Aligned(256, 256, Some((0, 256))), Aligned(1, usize::MAX / 2 + 1, None)],
        after: &[(0, ALL), (1, ALL)],
    },
    Row {
        name: "an exact place",
        before: &[(0, &[(10, 10)]), (2, NONE)],
        calls: &[
            At((0, 9), 2, false),
            At((0, 19), 1, false),
            At((0, 20), 100, true),
            At((0, 500), 13, false),
            At((0, 120), 392, true),
            At((1, 0), 1, false),
            At((2, 0), 512, true),
            At((1024, 0), 1, false),
            At((0, 0), 0, false),
            At((0, 0), usize::MAX, false),
            At((0, 0), 10, true),
            Alloc(1, None),
        ],
        after: &[(0, ALL), (2, ALL)],
    },
    Row {
        name: "an exact place over chunks",
        before: &[(0, NONE), (1, NONE), (2, &[(5, 1)])],
        calls: &[At((0, 511), 519, false), At((0, 511), 518, true), Alloc(511, Some((0, 0)))],
        after: &[(0, ALL), (1, ALL), (2, &[(0, 6)])],
    },
    Row {
        name: "page caches take what is lowest",
        before: &[(0, &[(0, 130), (135, 377)]), (3, NONE)],
        calls: &[
            Cache((0, 128), 5),
            Cache((3, 0), 64),
            Alloc(1, Some((3, 64))),
            Cache((3, 64), 63),
            Free((0, 100), 1),
            Cache((0, 64), 1),
            Alloc(1, Some((3, 128))),
        ],
        after: &[(0, ALL), (3, &[(0, 129)])],
    },
    Row {
        name: "a page cache of the last block",
        before: &[(0, &[(0, 448)]), (9, &[(0, 511)])],
        calls: &[Cache((0, 448), 64), Cache((9, 448), 1), Alloc(1, None), Free((9, 511), 1), Alloc(1, Some((9, 511)))],
        after: &[(0, ALL), (9, ALL)],
    },
];

fn call<const LEVELS: usize>(world: &mut World<LEVELS>, call: &Call) {
    let place = |world: &World<LEVELS>, at| {
        let page = world.page(at);
        (page / CHUNK_PAGES, page % CHUNK_PAGES)
    };
    match *call {
        Alloc(n, found) => {
            let got = world.heap.alloc(Pages(n));
            assert_eq!(got.map(|g| place(world, g.0)), found);
        }
        Aligned(n, align, found) => {
            let got = world.heap.alloc_aligned(Pages(n), Pages(align));
            assert_eq!(got.map(|g| place(world, g.0)), found);
        }
        At((c, i), n, had) => {
            let at = world.at(c, i);
            assert_eq!(world.heap.alloc_range_at(at, Pages(n)).is_some(), had);
        }
        Free((c, i), n) => world.heap.free(world.at(c, i), Pages(n)),
        Cache((c, i), n) => {
            let mut cache = world.heap.allocate_to_cache(Pages(1));
            let (free, released) = cache.count();
            assert_eq!(free.0 + released.0, n);
            let (first, _) = cache.alloc(Pages(1)).expect("a page");
            assert_eq!(place(world, first.align_down(64 * PAGE_SIZE)), (c, i));
        }
        Grow(c, n) => world.grow(c, n),
    }
}

/// Returns the runs of taken pages of chunk `c`.
fn taken<const LEVELS: usize>(world: &World<LEVELS>, c: usize) -> Vec<(usize, usize)> {
    let mut runs: Vec<(usize, usize)> = Vec::new();
    for i in (0..CHUNK_PAGES).filter(|&i| world.heap.is_allocated(world.at(c, i))) {
        match runs.last_mut() {
            Some((start, n)) if *start + *n == i => *n += 1,
            _ => runs.push((i, 1)),
        }
    }
    runs
}

fn run<const LEVELS: usize>() {
    for row in ROWS {
        std::println!("{} ({LEVELS})", row.name);
        let grown: Vec<usize> = row.before.iter().map(|b| b.0).collect();
        let mut world = World::<LEVELS>::with_chunks(1024, &grown);
        for &(c, runs) in row.before {
            runs.iter().for_each(|&(i, n)| world.take(c, i, n));
        }
        world.check();
        for (k, step) in row.calls.iter().enumerate() {
            std::println!("  call {k}: {step:?}");
            call(&mut world, step);
            world.check();
        }
        for &(c, runs) in row.after {
            assert!(world.heap.is_grown(world.at(c, 0)), "{}: chunk {c}", row.name);
            assert_eq!(taken(&world, c), runs, "{}: chunk {c}", row.name);
        }
    }
}

#[test]
fn rows_with_five_levels() {
    run::<5>();
}

#[test]
fn rows_with_one_level() {
    run::<1>();
}

/// Runs longer than a node of each level, in a window of the largest size.
#[test]
fn runs_longer_than_a_root_entry() {
    // A root entry has 4096 chunks.
    let mut world = World::<5>::with_chunks(1 << 25, &[]);
    let at = (1 << 25) - 5 * 4096;
    world.grow(at + 7, 4 * 4096);
    world.check();
    let all = 4 * 4096 * CHUNK_PAGES;
    assert_eq!(world.heap.alloc(Pages(all + 1)), None);
    for n in [1 << 21, (1 << 21) + 1, 2 << 21, (3 << 21) + 12345, all] {
        let (addr, released) = world.heap.alloc(Pages(n)).expect("a run");
        assert_eq!(addr, world.at(at + 7, 0));
        world.heap.free(addr, Pages(n));
        assert!(released.0 <= n);
    }
    world.check();
    assert_eq!(world.heap.count(), (Pages(all), Pages(0)));
    // Taking a page in the middle splits the run in two and changes its root entry.
    world.take(at + 7 + 2 * 4096, 0, 1);
    world.check();
    assert_eq!(world.heap.alloc(Pages(all / 2 + 1)), None);
    let (low, _) = world.heap.alloc(Pages(all / 2)).expect("the lower half");
    assert_eq!(low, world.at(at + 7, 0));
    let (high, _) = world.heap.alloc(Pages(all / 2 - 1)).expect("the upper half");
    assert_eq!(high, world.at(at + 7 + 2 * 4096, 1));
    assert_eq!(world.heap.alloc(Pages(1)), None);
    world.check();
}
