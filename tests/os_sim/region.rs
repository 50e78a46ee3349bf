//! One given piece of memory.

use crossfoot::config::ARENA_SIZE;
use crossfoot::os::{Platform, Region};
use crossfoot::units::MIB;

use super::*;

/// Memory for a region, at an offset from a multiple of `align`.
struct Memory {
    block: *mut u8,
    layout: std::alloc::Layout,
}

impl Memory {
    fn new(size: usize, align: usize) -> Memory {
        let layout = std::alloc::Layout::from_size_align(size, align).unwrap();
        // SAFETY: the size is not zero.
        let block = unsafe { std::alloc::alloc_zeroed(layout) };
        assert!(!block.is_null());
        Memory { block, layout }
    }

    fn fill(&self, byte: u8) {
        // SAFETY: ours, and no region uses it yet.
        unsafe { self.block.write_bytes(byte, self.layout.size()) };
    }

    fn region(&self) -> Region {
        // SAFETY: valid, and dropped after the region; nobody else uses it meanwhile.
        unsafe { Region::new(self.block, self.layout.size()) }
    }

    fn zero_region(&self) -> Region {
        // SAFETY: the block came zeroed and nothing wrote to it since.
        unsafe { self.region().zeroed() }
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: allocated with this layout.
        unsafe { std::alloc::dealloc(self.block, self.layout) };
    }
}

#[test]
fn a_region_is_split_once_and_for_all() {
    let memory = Memory::new(16 * MIB + 123, PAGE);
    let region = memory.region();
    let window = region.window();
    assert_eq!(
        (window.base, window.size),
        (Addr::of(memory.block), 15 * MIB)
    );
    assert_eq!(region.side_left(), MIB);
    let at = region.alloc(PAGE).unwrap();
    assert_eq!(at, window.base.plus(15 * MIB));
    region.reserve(Some(window.base), MIB).unwrap();
    assert_eq!(region.window(), window);
    assert_eq!(
        (
            region.physical_page_size(),
            region.cpus(),
            region.side_left()
        ),
        (PAGE, 1, MIB - PAGE)
    );
    let last = memory.block.addr() + memory.layout.size() - 1;
    assert_eq!(
        (
            last >> region.address_bits(),
            last >> (region.address_bits() - 1)
        ),
        (0, 1)
    );
    assert_eq!((Region::now(), region.register_fence()), (0, false));
    region.fence_all();
}

#[test]
fn a_region_keeps_whole_arenas_whole() {
    // A little less than four arenas, from a little behind an arena border: below the side area
    // two arenas would fit, above it three. Nothing of it is touched.
    let (memory, behind) = (Memory::new(4 * ARENA_SIZE, ARENA_SIZE), ARENA_SIZE / 32);
    // SAFETY: inside the block, which outlives the region.
    let region = unsafe { Region::new(memory.block.add(behind), 4 * ARENA_SIZE - behind) };
    let window = region.window();
    let border = Addr::of(memory.block);
    assert_eq!(window.base.plus(window.size), border.plus(4 * ARENA_SIZE));
    assert!(window.base > border.plus(ARENA_SIZE / 4) && window.base < border.plus(ARENA_SIZE / 3));
    let arena = border.plus(ARENA_SIZE);
    assert_eq!(region.reserve(Some(arena), 3 * ARENA_SIZE), Ok(arena));
    assert_eq!(region.lost(), arena.since(window.base));
}

#[test]
fn a_region_too_small_refuses_with_errors() {
    let memory = Memory::new(64 * KIB, PAGE);
    for size in [0, 1, PAGE, 32 * KIB, 64 * KIB] {
        // SAFETY: inside the block, which outlives the region.
        let region = unsafe { Region::new(memory.block, size) };
        assert_eq!(region.window().size, 0, "{size}");
        assert_eq!(
            region.reserve(Some(region.window().base), 128 * KIB),
            Err(OsError::Errno(22))
        );
        assert_eq!(region.alloc(128 * KIB), Err(OsError::OutOfMemory));
    }
    let region = memory.region().with_physical_page(64 * KIB);
    assert_eq!(region.window().size, 0);
}

#[test]
fn memory_of_a_region_reads_as_zero_when_it_becomes_ready() {
    for dirty in [false, true] {
        let memory = Memory::new(4 * MIB, PAGE);
        let region = if dirty {
            memory.fill(0xaa);
            memory.region()
        } else {
            memory.zero_region()
        };
        let base = region.window().base;
        let ready = |at, size| {
            call!(region, map(at, size)).unwrap();
            call!(region, used(at, size)).unwrap();
            assert!(is_all(at, size, 0));
            write(at, size, 1);
        };
        region.reserve(Some(base), MIB).unwrap();
        ready(base, MIB);
        call!(region, used(base, MIB)).unwrap();
        assert!(is_all(base, MIB, 1), "used over Ready keeps the content");
        call!(region, unused(base.plus(PAGE), PAGE)).unwrap();
        call!(region, used(base, MIB)).unwrap();
        assert!(
            is_all(base, PAGE, 1)
                && is_all(base.plus(PAGE), PAGE, 0)
                && is_all(base.plus(2 * PAGE), PAGE, 1)
        );

        // What was given back last comes back, and is clear.
        call!(region, free(base.plus(PAGE), MIB - PAGE)).unwrap();
        assert_eq!(
            region.reserve(Some(base.plus(PAGE)), MIB),
            Ok(base.plus(PAGE))
        );
        ready(base.plus(PAGE), MIB);
        for _ in 0..2 {
            let at = region.alloc(8 * PAGE).unwrap();
            assert!(is_all(at, 8 * PAGE, 0));
            write(at, 8 * PAGE, 1);
            call!(region, free(at, 8 * PAGE)).unwrap();
            let at = region.sparse(8 * PAGE).unwrap();
            call!(region, sparse_ready(at.plus(5), 9)).unwrap();
            assert!(is_all(at, 8 * PAGE, 0));
            write(at, 8 * PAGE, 1);
            call!(region, free(at, 8 * PAGE)).unwrap();
            let at = region.reserve(None, 8 * PAGE).unwrap();
            ready(at, 8 * PAGE);
            call!(region, free(at, 8 * PAGE)).unwrap();
        }
        assert_eq!(region.lost(), 0);
    }
}

#[test]
fn a_zero_region_is_not_cleared_for_the_first_use() {
    // A false promise shows it: what was not cleared is still there.
    let memory = Memory::new(4 * MIB, PAGE);
    memory.fill(0xaa);
    // SAFETY: a lie, but one that only this test reads the consequences of.
    let region = unsafe { memory.region().zeroed() };
    let base = region.window().base;
    region.reserve(Some(base), 2 * PAGE).unwrap();
    call!(region, map(base, 2 * PAGE)).unwrap();
    assert!(is_all(base, 2 * PAGE, 0xaa));
    call!(region, used(base, PAGE)).unwrap();
    call!(region, free(base, 2 * PAGE)).unwrap();
    region.reserve(Some(base), 2 * PAGE).unwrap();
    call!(region, map(base, 2 * PAGE)).unwrap();
    assert!(is_all(base, PAGE, 0) && is_all(base.plus(PAGE), PAGE, 0xaa));
}

#[test]
fn a_region_hands_no_byte_out_twice() {
    let memory = Memory::new(4 * MIB, PAGE);
    let region = memory.zero_region();
    let base = region.window().base;
    region.reserve(Some(base.plus(PAGE)), 2 * PAGE).unwrap();
    assert_eq!(region.lost(), PAGE, "what was passed over is lost");
    for at in 0..3 {
        assert_eq!(
            region.reserve(Some(base.plus(at * PAGE)), PAGE),
            Err(OsError::Taken)
        );
    }
    assert_eq!(
        region.reserve(Some(base.plus(3 * PAGE)), PAGE),
        Ok(base.plus(3 * PAGE))
    );
    call!(region, free(base.plus(PAGE), PAGE)).unwrap();
    assert_eq!(region.lost(), 2 * PAGE, "given back out of order");
    assert_eq!(
        region.reserve(Some(base.plus(PAGE)), PAGE),
        Err(OsError::Taken)
    );
    let side = region.alloc(PAGE).unwrap();
    assert_eq!(
        region.reserve(Some(side.plus(PAGE)), PAGE),
        Err(OsError::Taken),
        "not in the window"
    );

    let left = region.side_left();
    let taken: Vec<Vec<Addr>> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|_| scope.spawn(|| std::iter::from_fn(|| region.alloc(2 * PAGE).ok()).collect()))
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    });
    let mut all: Vec<Addr> = taken.concat();
    all.sort();
    assert_eq!(all.len(), left / (2 * PAGE));
    assert!(
        all.windows(2)
            .all(|pair| pair[1].since(pair[0]) == 2 * PAGE)
    );
}

#[test]
fn a_region_says_what_it_cannot_do() {
    static PRINTED: std::sync::Mutex<Vec<u8>> = std::sync::Mutex::new(Vec::new());
    let memory = Memory::new(4 * MIB, PAGE);
    memory.region().print(b"nobody hears this");
    let region = memory
        .region()
        .with_cpus(2)
        .with_printer(|text| PRINTED.lock().unwrap().extend(text));
    region.print(b"heard");
    assert_eq!(*PRINTED.lock().unwrap(), b"heard");
    assert_eq!(region.cpus(), 2);
    let base = region.window().base;
    assert_eq!(call!(region, fault(base, PAGE)), Err(OsError::Unsupported));
    assert_eq!(
        call!(region, collapse(base, PAGE)),
        Err(OsError::Unsupported)
    );
    assert_eq!(call!(region, huge_page(base, PAGE)), Ok(()));
    let invalid = Err(OsError::Errno(22));
    for (at, size) in [
        (base.plus(1), PAGE),
        (base, 0),
        (base, 1),
        (Addr(PAGE), PAGE),
        (base, 4 * MIB),
    ] {
        for verb in [
            Verb::Map,
            Verb::Used,
            Verb::Unused,
            Verb::Free,
            Verb::HugePage,
            Verb::NoHugePage,
        ] {
            assert_eq!(act(&region, verb, at, size), invalid, "{verb:?}");
        }
        assert_eq!(region.reserve(Some(at), size), Err(OsError::Errno(22)));
    }
    assert_eq!(region.alloc(1), Err(OsError::Errno(22)));
    assert_eq!(
        call!(region, sparse_ready(base, 1)),
        invalid,
        "not in the side area"
    );
}

#[test]
fn pages_of_a_region_move_and_leave_zero_behind() {
    let memory = Memory::new(4 * MIB, PAGE);
    let region = memory.zero_region();
    let base = region.window().base;
    region.reserve(Some(base), 4 * PAGE).unwrap();
    call!(region, map(base, 4 * PAGE)).unwrap();
    call!(region, used(base, 4 * PAGE)).unwrap();
    write(base, 4 * PAGE, 1);
    write(base.plus(2 * PAGE), 2 * PAGE, 2);
    call!(region, move_pages(base, base.plus(2 * PAGE), PAGE)).unwrap();
    let at = |page| base.plus(page * PAGE);
    let pages = [(0, 0), (1, 1), (2, 1), (3, 2)];
    assert!(
        pages
            .iter()
            .all(|&(page, byte)| is_all(at(page), PAGE, byte))
    );
}
