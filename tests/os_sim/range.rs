//! Linux inside one range: what it grants and refuses; nothing leaves the range.

use crossfoot::os::{Extent, Fence, Memory, OsError, RangeOs};
use crossfoot::units::{Addr, KIB, MIB};

const WINDOW: usize = 128 * MIB;
const HEAD: usize = 20 * KIB;
const PAGE: usize = 64 * KIB;

/// A range OS with its extent.
fn range() -> (RangeOs, Extent) {
    let (os, extent) = (RangeOs::new(), Extent::reserve(WINDOW, HEAD).expect("address space"));
    os.enclose(extent);
    (os, extent)
}

fn inside(extent: &Extent, at: Addr, size: usize) -> bool {
    extent.base() <= at && at.plus(size) <= extent.base().plus(extent.size())
}

/// Returns whether any part of a range is mapped.
fn is_mapped(at: Addr, size: usize) -> bool {
    let maps = std::fs::read_to_string("/proc/self/maps").expect("Linux");
    maps.lines().any(|line| {
        let (start, end) = line.split_once(' ').and_then(|(range, _)| range.split_once('-')).expect("a range");
        let number = |digits| usize::from_str_radix(digits, 16).expect("a number");
        number(start) < at.0 + size && at.0 < number(end)
    })
}

fn write(at: Addr, size: usize) {
    // SAFETY: the tests write what is Ready and theirs.
    unsafe { at.ptr::<u8>().write_bytes(7, size) };
}

fn is_zero(at: Addr, size: usize) -> bool {
    // SAFETY: the tests read what is Ready or sparse, and theirs.
    unsafe { std::slice::from_raw_parts(at.ptr::<u8>(), size) }.iter().all(|&byte| byte == 0)
}

#[test]
fn the_head_is_ready_and_the_window_is_where_it_says() {
    let (os, extent) = range();
    assert!(extent.head() >= HEAD && is_zero(extent.base(), extent.head()));
    write(extent.base(), extent.head());
    let window = os.window();
    assert!(window.size == WINDOW && window.base.is_aligned(64 * MIB) && inside(&extent, window.base, WINDOW));
    assert_eq!(os.extent(), extent);
    let first = os.alloc(PAGE).expect("room");
    assert!(first >= extent.base().plus(extent.head()) && first.plus(PAGE) <= window.base);
    // SAFETY: nobody uses it any more.
    unsafe { extent.give_back() };
}

#[test]
fn the_side_area_ends_before_the_window() {
    let (os, extent) = range();
    let mut total = 0;
    let end = loop {
        match os.alloc(PAGE) {
            Ok(at) => {
                assert!(is_zero(at, PAGE) && at.plus(PAGE) <= os.window().base);
                write(at, PAGE);
                total += PAGE;
            }
            Err(e) => break e,
        }
    };
    assert_eq!(end, OsError::OutOfMemory);
    assert!(total >= WINDOW / 32, "{total}");
    assert_eq!(os.reserve(None, PAGE), Err(OsError::OutOfMemory));
    assert_eq!(os.sparse(PAGE), Err(OsError::OutOfMemory));
    assert_eq!(os.alloc(usize::MAX - 5), Err(OsError::OutOfMemory));
    // SAFETY: nobody uses it any more.
    unsafe { extent.give_back() };
}

#[test]
fn the_window_is_taken_upward() {
    let (os, extent) = range();
    let base = os.window().base;
    assert_eq!(os.reserve(Some(base), 4 * MIB), Ok(base));
    assert_eq!(os.reserve(Some(base), 4 * MIB), Err(OsError::Taken));
    assert_eq!(os.reserve(Some(base.plus(8 * MIB)), 4 * MIB), Ok(base.plus(8 * MIB)));
    assert_eq!(os.reserve(Some(base.plus(4 * MIB)), 4 * MIB), Err(OsError::Taken), "passed over");
    assert_eq!(os.reserve(Some(base.plus(WINDOW - MIB)), 2 * MIB), Err(OsError::Taken), "beyond the window");
    assert_eq!(os.reserve(Some(base.plus(MIB)), usize::MAX), Err(OsError::Taken));
    // SAFETY: what is mapped, written and given back is this test's.
    unsafe {
        let last = base.plus(8 * MIB);
        os.map(last, MIB).and_then(|()| os.used(last, MIB)).expect("Reserved memory");
        write(last, MIB);
        assert_eq!(os.unused(last, MIB), Ok(()));
        assert!(is_zero(last, MIB));
        write(last, MIB);
        // The last reservation is taken back, and is fresh when it is reserved again.
        assert_eq!(os.free(last, 4 * MIB), Ok(()));
        assert!(is_mapped(last, 4 * MIB), "the range stays whole");
        assert_eq!(os.reserve(Some(last), 4 * MIB), Ok(last));
        os.map(last, MIB).expect("Reserved memory");
        assert!(is_zero(last, MIB));
        extent.give_back();
    }
}

#[test]
fn sparse_memory_reads_as_zero_and_is_written_in_parts() {
    let (os, extent) = range();
    let at = os.sparse(MIB).expect("room");
    assert!(is_zero(at, MIB) && inside(&extent, at, MIB));
    // SAFETY: a part of what was handed out.
    assert_eq!(unsafe { os.sparse_ready(at.plus(100), 5_000) }, Ok(()));
    write(at.plus(100), 5_000);
    assert!(is_zero(at, 100) && is_zero(at.plus(5_100), MIB - 5_100));
    // SAFETY: nobody uses it any more.
    unsafe { extent.give_back() };
}

#[test]
fn pages_are_not_moved() {
    let (os, extent) = range();
    let (from, to) = (os.alloc(MIB).expect("room"), os.alloc(MIB).expect("room"));
    write(from, MIB);
    // SAFETY: both are Ready and this test's.
    assert_eq!(unsafe { os.move_pages(from, to, MIB) }, Err(OsError::Unsupported));
    assert!(is_zero(to, MIB) && !is_zero(from, MIB));
    // SAFETY: nobody uses it any more.
    unsafe { extent.give_back() };
}

#[test]
fn what_the_system_does_not_have_is_refused() {
    assert_eq!(Extent::reserve(1 << 50, HEAD), Err(OsError::OutOfMemory));
    assert_eq!(Extent::reserve(usize::MAX - (PAGE - 1), HEAD), Err(OsError::OutOfMemory));
    let os = RangeOs::new();
    assert_eq!(os.alloc(PAGE), Err(OsError::OutOfMemory), "an enclosure without an extent has nothing");
    assert_eq!(os.reserve(Some(Addr(64 * MIB)), PAGE), Err(OsError::Taken));
    assert!(!os.register_fence());
}
