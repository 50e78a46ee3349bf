//! An isolated heap is dropped whole: all its memory is returned to the OS, by the figures of Linux. They count the
//! whole process, so these tests have a binary of their own and run one by one.

use std::fs;
use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crossfoot::Heap;
use crossfoot::mem_stats::MemStats;
use crossfoot::process;
use crossfoot::stats::Total;
use crossfoot::system_stack;
use crossfoot::units::{GIB, KIB, MIB};

/// One test at a time. The harness and the libc take some memory meanwhile: an arena of the libc has 64 MiB of address
/// space, a heap more than 64 GiB.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn heap() -> Heap {
    Heap::new().expect("address space")
}

/// Returns a figure of `/proc/self/status`, in bytes.
fn status(name: &str) -> usize {
    let text = fs::read_to_string("/proc/self/status").expect("Linux");
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).expect("a known figure");
    line.trim().trim_end_matches(" kB").parse::<usize>().expect("a number") * KIB
}

/// A mapping of this process: its addresses, and whether it can be written.
fn mappings() -> Vec<(Range<usize>, bool)> {
    let text = fs::read_to_string("/proc/self/maps").expect("Linux");
    let hex = |digits: &str| usize::from_str_radix(digits, 16).expect("a number");
    let mapping = |line: &str| {
        let (range, rest) = line.split_once(' ').expect("two columns");
        let (start, end) = range.split_once('-').expect("a range");
        (hex(start)..hex(end), rest.starts_with("rw"))
    };
    text.lines().map(mapping).collect()
}

/// Returns how many bytes of a heap's range are mapped, and how many of them are writable.
fn mapped(range: &Range<usize>) -> (usize, usize) {
    let inside = |m: &Range<usize>| m.end.min(range.end).saturating_sub(m.start.max(range.start));
    let all = mappings();
    let writable = all.iter().filter(|(_, writable)| *writable);
    (all.iter().map(|(m, _)| inside(m)).sum(), writable.map(|(m, _)| inside(m)).sum())
}

fn range(heap: &Heap) -> Range<usize> {
    let (base, bytes) = heap.range();
    base.0..base.0 + bytes
}

/// Allocates objects of many sizes and writes to them; they are never freed.
fn fill(heap: &Heap, bytes: usize) {
    let mut taken = 0;
    for size in [24, 200, 3_000, 40 * KIB, 700 * KIB].iter().cycle() {
        if taken >= bytes {
            return;
        }
        let p = heap.allocate(*size);
        assert!(!p.is_null());
        // SAFETY: it is live.
        unsafe { p.write_bytes(1, *size) };
        taken += size;
    }
}

#[test]
fn dropping_a_full_heap_returns_everything() {
    let _alone = alone();
    drop(heap());
    let (size, resident, count) = (status("VmSize"), status("VmRSS"), mappings().len());
    let heap = heap();
    fill(&heap, 200 * MIB);
    let range = range(&heap);
    assert_eq!(mapped(&range).0, range.len(), "all of the range is the heap's");
    assert!(status("VmSize") >= size + range.len() && status("VmRSS") >= resident + 190 * MIB);
    drop(heap);
    assert_eq!(mapped(&range), (0, 0));
    assert!(status("VmSize") <= size + GIB / 4, "{} against {size}", status("VmSize"));
    assert!(status("VmRSS") <= resident + 4 * MIB, "{} against {resident}", status("VmRSS"));
    assert!(mappings().len() <= count + 8);
}

#[test]
fn a_reading_borrows_a_stack_and_gives_it_back() {
    let _alone = alone();
    let heap = heap();
    assert!(!heap.allocate(100).is_null());
    let taken = || (status("VmSize"), mappings().len());
    let kept_nothing = || {
        let before = taken();
        let bounds = heap.crossfoot_with(|balance| {
            assert!(balance.is_some_and(|balance| balance.failures.is_empty()));
            system_stack::bounds().filter(|_| system_stack::is_on()).expect("on a stack of its own")
        });
        // The heap does not start the process's allocator.
        assert!(!process::ALLOCATOR.is_ready());
        assert_eq!(mapped(&(bounds.0.0..bounds.1.0)), (0, 0));
        taken() == before
    };
    // The harness starts threads meanwhile, with stacks and arenas of the libc. A leak would show each time.
    assert!((0..20).any(|_| kept_nothing()), "each of 20 readings left something mapped");
}

#[test]
fn the_accounts_equal_the_figures_of_linux() {
    let _alone = alone();
    let heap = heap();
    for bytes in [0, MIB, 100 * MIB] {
        fill(&heap, bytes);
        let stats = heap.crossfoot().expect("this build keeps books").snapshot;
        let (total, writable) = (stats.total(Total::TotalMapped) as usize, mapped(&range(&heap)).1);
        // The page map is below the accounts: 8 bytes for each page of 8 KiB, and its head.
        let most = total / 1024 + 16 * KIB;
        assert!(writable >= total && writable <= total + most, "{writable} can be written, {total} is in the books");
    }
}

#[test]
fn a_thousand_heaps_live_beside_each_other_and_ten_thousand_come_and_go() {
    let _alone = alone();
    drop(heap());
    let (size, resident, count) = (status("VmSize"), status("VmRSS"), mappings().len());
    let heaps: Vec<Heap> = (0..1_000).map(|_| heap()).collect();
    for heap in &heaps {
        assert!(!heap.allocate(1_000).is_null());
    }
    let each = (status("VmRSS") - resident) / heaps.len();
    assert!(each < 256 * KIB, "a heap with one object takes {each} bytes");
    let mut stats = MemStats::new();
    heaps[500].mem_stats(&mut stats);
    assert_eq!(stats.mallocs, 1);
    // Half of them in the order of their addresses, and half against it.
    let (left, right): (Vec<_>, Vec<_>) = heaps.into_iter().enumerate().partition(|(i, _)| i % 2 == 0);
    drop(left);
    right.into_iter().rev().for_each(drop);
    let began = Instant::now();
    for _ in 0..10_000 {
        assert!(!heap().allocate(100).is_null());
    }
    eprintln!("a heap comes and goes in {:?}", began.elapsed() / 10_000);
    assert!(status("VmSize") <= size + GIB / 4, "{} against {size}", status("VmSize"));
    assert!(status("VmRSS") <= resident + 4 * MIB, "{} against {resident}", status("VmRSS"));
    assert!(mappings().len() <= count + 8, "{} mappings against {count}", mappings().len());
}

#[test]
fn where_address_space_is_limited_a_heap_is_smaller() {
    let _alone = alone();
    let used = status("VmSize") as u64;
    in_child(|| {
        let limit = libc::rlimit { rlim_cur: used + GIB as u64, rlim_max: used + GIB as u64 };
        // SAFETY: a limit of this frame.
        if unsafe { libc::setrlimit(libc::RLIMIT_AS, &limit) } == 0 { limited() } else { 9 }
    });
}

/// Runs `act` in a child that is ended after 20 seconds; it may call nothing but heaps and what a signal handler may.
fn in_child(act: impl FnOnce() -> i32) {
    // SAFETY: the caller's promise.
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        // SAFETY: no conditions.
        unsafe {
            libc::alarm(20);
            libc::_exit(act());
        }
    }
    let mut status = 0;
    // SAFETY: an out parameter.
    assert_eq!(unsafe { libc::waitpid(pid, &mut status, 0) }, pid);
    assert_eq!(status, 0, "signal {} status {}", status & 127, libc::WEXITSTATUS(status));
}

/// Creates several heaps in one gibibyte. Returns 0 if some exist and work, and the others are refused.
fn limited() -> i32 {
    let mut heaps = [const { None }; 32];
    for place in &mut heaps {
        match Heap::new() {
            Ok(heap) => *place = Some(heap),
            Err(_) => break,
        }
    }
    let made = heaps.iter().flatten().count();
    if !(4..32).contains(&made) {
        return 1;
    }
    for heap in heaps.iter().flatten() {
        let p = heap.allocate(30 * MIB);
        if p.is_null() || heap.range().1 > 200 * MIB || !heap.crossfoot().is_some_and(|b| b.failures.is_empty()) {
            return 2;
        }
    }
    let [first, ..] = &mut heaps;
    *first = None;
    // The next heap gets the memory of a dropped one.
    if Heap::new().is_ok() { 0 } else { 3 }
}

#[test]
fn where_no_more_mappings_are_granted_a_heap_can_still_be_dropped() {
    use std::io::Write;
    if most_mappings() > PAGES / 2 {
        let _ = writeln!(std::io::stderr(), "skipped: a process may have more mappings here than the test can make");
        return;
    }
    let _alone = alone();
    in_child(without_mappings);
}

/// Returns whether the page at `at` is mapped.
fn is_mapped(at: usize) -> bool {
    // SAFETY: asks only.
    unsafe { libc::msync(at as *mut libc::c_void, 4 * KIB, libc::MS_ASYNC) == 0 }
}

/// The pages of a range that is cut into mappings.
const PAGES: usize = 1 << 20;

/// Returns how many mappings a process may have; `usize::MAX` if that is unknown.
fn most_mappings() -> usize {
    let text = std::fs::read_to_string("/proc/sys/vm/max_map_count").unwrap_or_default();
    text.trim().parse().unwrap_or(usize::MAX)
}

/// Uses up the mappings of the process: every other page of a range gets another protection.
fn use_up_mappings() {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
    // SAFETY: a new mapping, of which every other page is made readable.
    unsafe {
        let at = libc::mmap(std::ptr::null_mut(), PAGES * 4 * KIB, libc::PROT_NONE, flags, -1, 0);
        let mut page = at.cast::<u8>();
        while libc::mprotect(page.cast(), 4 * KIB, libc::PROT_READ) == 0
            && page < at.cast::<u8>().add((PAGES - 2) * 4 * KIB)
        {
            page = page.add(8 * KIB);
        }
    }
}

/// Returns 0 if heaps stay whole while every system call fails, and are dropped whole.
fn without_mappings() -> i32 {
    let (Ok(one), Ok(two)) = (Heap::new(), Heap::new()) else { return 1 };
    if one.allocate(100).is_null() {
        return 2;
    }
    use_up_mappings();
    let mut refused = 0;
    // Two mappings may be left after the last refusal, but not many.
    let made = (0..20).filter_map(|_| Heap::new().map_err(|_| refused += 1).ok().map(std::mem::forget)).count();
    if made > 2 || refused < 18 {
        return 3;
    }
    // Objects of every size, as far as what is there goes.
    for heap in [&one, &two] {
        for shift in 4..24 {
            for _ in 0..100 {
                if heap.allocate(1 << shift).is_null() {
                    break;
                }
            }
        }
        if !heap.crossfoot().is_some_and(|balance| balance.failures.is_empty()) {
            return 4;
        }
    }
    let ranges = [range(&one), range(&two)];
    drop((one, two));
    if ranges.iter().any(|range| is_mapped(range.start) || is_mapped(range.end - 4 * KIB)) {
        return 5;
    }
    // There is room for another now.
    match Heap::new() {
        Ok(heap) if !heap.allocate(100).is_null() => 0,
        _ => 6,
    }
}
