//! One given piece of memory.

use crossfoot::config::ARENA_SIZE;
use crossfoot::os::{Fence, Identity, Platform, Region};
use crossfoot::units::MIB;
use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous, munmap};

use super::*;

/// The side area of [`Block::small`].
const SIDE: usize = ARENA_SIZE / 16 + 4 * MIB;

/// Zero memory for a region that starts at an arena boundary. Untouched memory costs nothing.
struct Block {
    block: *mut u8,
    size: usize,
    mapping: (*mut core::ffi::c_void, usize),
}

impl Block {
    fn new(size: usize) -> Block {
        let mapped = size + ARENA_SIZE;
        let (rights, flags) = (ProtFlags::READ | ProtFlags::WRITE, MapFlags::PRIVATE | MapFlags::NORESERVE);
        // SAFETY: a new mapping where the kernel likes it.
        let start = unsafe { mmap_anonymous(std::ptr::null_mut(), mapped, rights, flags) }.unwrap();
        let block = start.cast::<u8>();
        let block = block.wrapping_add(block.align_offset(ARENA_SIZE));
        Block { block, size, mapping: (start, mapped) }
    }

    /// Room for a window of one arena and a side area of [`SIDE`].
    fn small() -> Block {
        Block::new(ARENA_SIZE + SIDE)
    }

    /// Dirties the first pages of the window and of the side area.
    fn dirty(&self) {
        write(Addr::of(self.block), 2 * MIB, 0xaa);
        write(Addr::of(self.block).plus(ARENA_SIZE), MIB, 0xaa);
    }

    fn region(&self) -> Region {
        // SAFETY: valid, and dropped after the region; nobody else uses it meanwhile.
        unsafe { Region::new(self.block, self.size) }
    }

    fn zero_region(&self) -> Region {
        // SAFETY: the block came zeroed and nothing wrote to it since.
        unsafe { self.region().zeroed() }
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        // SAFETY: mapped by `new`; the tests drop the region, and all of its memory, before.
        unsafe { munmap(self.mapping.0, self.mapping.1) }.unwrap();
    }
}

#[test]
fn a_region_is_split_once_and_for_all() {
    let memory = Block::new(ARENA_SIZE + SIDE + 123);
    let region = memory.region();
    let window = region.window();
    assert_eq!((window.base, window.size), (Addr::of(memory.block), ARENA_SIZE));
    assert_eq!(region.side_left(), SIDE, "whole pages");
    assert_eq!(region.alloc(PAGE), Ok(window.base.plus(ARENA_SIZE)));
    region.reserve(Some(window.base), MIB).unwrap();
    assert_eq!(region.window(), window);
    assert_eq!((region.physical_page_size(), region.side_left()), (PAGE, SIDE - PAGE));
    assert_eq!((Region::now(), region.register_fence()), (0, false));
    assert!(!region.fence_all(), "it reaches nobody");
}

#[test]
fn a_region_has_as_many_arenas_as_fit() {
    // Offset and end of the region, and where the window begins and ends, all in 32nds of an arena.
    let rows = [
        ("too small for an arena", 0, 32, 0, 0),
        ("one, and the side area behind", 0, 48, 0, 32),
        ("no room for the side area", 0, 33, 0, 0),
        ("a border inside, but no arena", 16, 40, 0, 0),
        ("what is left of an arena before the window", 1, 104, 32, 96),
        ("the side area before the window", 1, 128, 32, 128),
        ("the side area before the window, and the rest behind", 1, 100, 32, 96),
    ];
    let memory = Block::new(4 * ARENA_SIZE);
    for (name, start, end, first, last) in rows {
        let part = ARENA_SIZE / 32;
        // SAFETY: inside the block, which outlives the region.
        let region = unsafe { Region::new(memory.block.add(start * part), (end - start) * part) };
        let window = region.window();
        assert_eq!(window.size, (last - first) * part, "{name}");
        if window.size != 0 {
            assert_eq!(window.base, Addr::of(memory.block).plus(first * part), "{name}");
        }
        if window.size == 0 {
            assert_eq!(region.side_left(), (end - start) * part, "{name}");
        }
        let side = region.alloc(PAGE).unwrap();
        assert!(side < window.base || side >= window.base.plus(window.size), "{name}");
        assert!(side.0 >= memory.block.addr() + start * part, "{name}");
        assert!(region.side_left() + PAGE >= (end - start) * part / 16, "{name}");
        assert!(side.0 + PAGE + region.side_left() <= memory.block.addr() + end * part, "{name}");
    }
}

#[cfg(target_pointer_width = "64")]
#[test]
fn a_large_region_keeps_a_smaller_share_aside() {
    let memory = Block::new(64 * ARENA_SIZE);
    let region = memory.region();
    assert_eq!((region.window().size, region.side_left()), (62 * ARENA_SIZE, 2 * ARENA_SIZE));
}

#[test]
fn a_region_too_small_refuses_with_errors() {
    let memory = Block::new(64 * KIB);
    for size in [0, 1, PAGE, 32 * KIB, 64 * KIB] {
        // SAFETY: inside the block, which outlives the region.
        let region = unsafe { Region::new(memory.block, size) };
        assert_eq!(region.window().size, 0, "{size}");
        assert_eq!(region.side_left(), size & !(PAGE - 1));
        assert_eq!(region.reserve(Some(region.window().base), 128 * KIB), Err(OsError::Errno(22)));
        assert_eq!(region.alloc(128 * KIB), Err(OsError::OutOfMemory));
    }
    // SAFETY: inside the block, which outlives the region.
    let region = unsafe { Region::new(memory.block.add(PAGE), 32 * KIB) }.with_physical_page(64 * KIB);
    assert_eq!((region.window().size, region.side_left()), (0, 0));
    assert_eq!(region.alloc(64 * KIB), Err(OsError::OutOfMemory));
}

#[test]
fn memory_of_a_region_reads_as_zero_when_it_becomes_ready() {
    for dirty in [false, true] {
        let memory = Block::small();
        let region = if dirty { memory.region() } else { memory.zero_region() };
        if dirty {
            memory.dirty();
        }
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
        assert!(is_all(base, PAGE, 1) && is_all(base.plus(PAGE), PAGE, 0) && is_all(base.plus(2 * PAGE), PAGE, 1));

        call!(region, fault(base.plus(2 * PAGE), PAGE)).unwrap();
        call!(region, map(base.plus(2 * PAGE), PAGE)).unwrap();
        call!(region, used(base.plus(2 * PAGE), PAGE)).unwrap();
        assert!(is_all(base.plus(2 * PAGE), PAGE, 0) && is_all(base.plus(3 * PAGE), PAGE, 1));

        // The range released last is reserved again, and is clear.
        call!(region, free(base.plus(PAGE), MIB - PAGE)).unwrap();
        assert_eq!(region.reserve(Some(base.plus(PAGE)), MIB), Ok(base.plus(PAGE)));
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
    // After a false promise of zero memory the old content is still there: nothing was cleared.
    let memory = Block::small();
    // SAFETY: true until the next line, which only this test reads the consequences of.
    let region = unsafe { memory.region().zeroed() };
    let base = region.window().base;
    write(base, 2 * PAGE, 0xaa);
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
    let memory = Block::small();
    let region = memory.zero_region();
    let base = region.window().base;
    region.reserve(Some(base.plus(PAGE)), 2 * PAGE).unwrap();
    assert_eq!(region.lost(), PAGE, "what was passed over is lost");
    for at in 0..3 {
        assert_eq!(region.reserve(Some(base.plus(at * PAGE)), PAGE), Err(OsError::Taken));
    }
    assert_eq!(region.reserve(Some(base.plus(3 * PAGE)), PAGE), Ok(base.plus(3 * PAGE)));
    call!(region, free(base.plus(PAGE), PAGE)).unwrap();
    assert_eq!(region.lost(), 2 * PAGE, "given back out of order");
    assert_eq!(region.reserve(Some(base.plus(PAGE)), PAGE), Err(OsError::Taken));
    let side = region.alloc(PAGE).unwrap();
    assert_eq!(region.reserve(Some(side.plus(PAGE)), PAGE), Err(OsError::Taken), "not in the window");

    let left = region.side_left();
    let taken: Vec<Vec<Addr>> = std::thread::scope(|scope| {
        let threads: Vec<_> =
            (0..4).map(|_| scope.spawn(|| std::iter::from_fn(|| region.alloc(2 * PAGE).ok()).collect())).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let mut all: Vec<Addr> = taken.concat();
    all.sort();
    assert_eq!(all.len(), left / (2 * PAGE));
    assert!(all.windows(2).all(|pair| pair[1].since(pair[0]) == 2 * PAGE));
}

#[test]
fn a_region_reports_what_it_cannot_do() {
    static PRINTED: std::sync::Mutex<Vec<u8>> = std::sync::Mutex::new(Vec::new());
    let memory = Block::small();
    memory.region().print(b"nobody hears this");
    let region = memory.region().with_printer(|text| PRINTED.lock().unwrap().extend(text));
    region.print(b"heard");
    assert_eq!(*PRINTED.lock().unwrap(), b"heard");
    let base = region.window().base;
    assert_eq!(call!(region, collapse(base, PAGE)), Err(OsError::Unsupported));
    assert_eq!(call!(region, huge_page(base, PAGE)), Ok(()));
    let invalid = Err(OsError::Errno(22));
    for (at, size) in [(base.plus(1), PAGE), (base, 0), (base, 1), (Addr(PAGE), PAGE), (base, ARENA_SIZE + PAGE)] {
        for verb in [
            Verb::Map,
            Verb::Used,
            Verb::Unused,
            Verb::Fault,
            Verb::Free,
            Verb::HugePage,
            Verb::NoHugePage,
            Verb::Guard,
        ] {
            assert_eq!(act(&region, verb, at, size), invalid, "{verb:?}");
        }
        assert_eq!(region.reserve(Some(at), size), Err(OsError::Errno(22)));
    }
    assert_eq!(region.alloc(1), Err(OsError::Errno(22)));
    assert_eq!(call!(region, sparse_ready(base, 1)), invalid, "not in the side area");
}

#[test]
fn pages_of_a_region_move_and_leave_zero_behind() {
    let memory = Block::small();
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
    assert!(pages.iter().all(|&(page, byte)| is_all(at(page), PAGE, byte)));
}
