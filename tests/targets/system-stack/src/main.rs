//! What runs on system stacks, and what may not. The first argument is the case; what is wrong ends it by a panic, and
//! what is right prints "right", or the figures that the test looks at.

mod handlers;
mod misuse;

use std::ffi::c_void;
use std::hint::black_box;

use crossfoot::mem_stats::MemStats;
use crossfoot::process::{self, on_system_stack, stack};
use crossfoot::stats::{Account, Snapshot, Totals};
use crossfoot::system_stack;
use crossfoot::units::{Addr, KIB};

#[global_allocator]
static A: crossfoot::Crossfoot = crossfoot::Crossfoot::new();

unsafe extern "C" {
    fn _Unwind_Backtrace(f: unsafe extern "C" fn(*mut c_void, *mut c_void) -> i32, argument: *mut c_void) -> i32;
    fn _Unwind_GetIP(context: *mut c_void) -> usize;
    fn _Unwind_FindEnclosingFunction(ip: *mut c_void) -> *mut c_void;
}

/// Where the caller's frames are.
#[inline(never)]
fn here() -> Addr {
    let local = 0u8;
    Addr::of(black_box(&raw const local))
}

/// What the books have as stacks.
fn in_stacks() -> i64 {
    process::crossfoot_with(|balance| {
        let balance = balance.expect("there are books");
        assert!(balance.failures.is_empty() && balance.complete);
        balance.snapshot.account(Account::InStacks)
    })
}

/// Everything that reads. Each runs on the system stack, or did.
fn read_everything() {
    let (mut stats, mut totals, mut snapshot) = (MemStats::new(), Totals::new(), Snapshot::new());
    assert!(process::read(&mut snapshot).is_some() && process::read_posted(&mut snapshot).is_some());
    assert!(process::read_totals(&mut totals).is_some() && process::mem_stats(&mut stats).is_some());
    assert!(process::last(&mut snapshot).is_some());
    assert!(A.crossfoot() && process::crossfoot().is_some_and(|balance| balance.failures.is_empty()));
}

/// Finds `inner` in a backtrace, and `outer` behind it.
fn leads_to(functions: &[usize]) -> bool {
    unsafe extern "C" fn each(context: *mut c_void, argument: *mut c_void) -> i32 {
        // SAFETY: the context is that of the call, and the argument what was handed to the backtrace.
        unsafe {
            let left = &mut *argument.cast::<&[usize]>();
            let function =
                _Unwind_FindEnclosingFunction(_Unwind_GetIP(context).wrapping_sub(1) as *mut c_void) as usize;
            if left.first() == Some(&function) {
                *left = &left[1..];
            }
        }
        0
    }
    let mut left = functions;
    // SAFETY: as above.
    unsafe { _Unwind_Backtrace(each, (&raw mut left).cast()) };
    left.is_empty()
}

#[inline(never)]
fn unwind() {
    // The first use of the unwinder may allocate.
    assert!(leads_to(&[unwind as *const () as usize]));
    let functions = [unwind as *const () as usize, main as *const () as usize];
    assert!(on_system_stack(|| system_stack::is_on() && leads_to(&functions)));
}

fn nested() {
    assert_eq!((system_stack::bounds(), system_stack::is_on()), (None, false));
    let outside = here();
    let (bounds, a, b) = on_system_stack(|| {
        let a = here();
        let b = on_system_stack(|| (here(), system_stack::is_on()));
        (system_stack::bounds().expect("in use"), a, b)
    });
    let inside = |at| bounds.0 <= at && at < bounds.1;
    assert!(inside(a) && inside(b.0) && b.1 && !inside(outside));
    assert!(b.0 < a, "a nested call goes on where the first one is");
    assert_eq!((system_stack::bounds(), system_stack::is_on()), (None, false));
    // It is the same stack at every call, and another for another thread.
    assert_eq!(on_system_stack(system_stack::bounds), Some(bounds));
    let other = std::thread::spawn(|| on_system_stack(system_stack::bounds)).join().expect("a thread");
    assert!(other.is_some_and(|other| other != bounds));
    // What it returns may be large.
    assert!(on_system_stack(|| [7u64; 1000]).iter().all(|&n| n == 7));
}

/// Prints how much of its stack a call uses, and how much there is.
fn high_water() {
    const PAINT: u8 = 0xa5;
    read_everything();
    let (base, end) = on_system_stack(system_stack::bounds).expect("in use");
    // SAFETY: the stack is this thread's, and nothing runs on it.
    unsafe { base.ptr::<u8>().write_bytes(PAINT, end.since(base)) };
    read_everything();
    let heap = crossfoot::Heap::new().expect("address space");
    assert!(heap.crossfoot().is_some());
    let mut stats = MemStats::new();
    heap.mem_stats(&mut stats);
    process::at_exit();
    // SAFETY: as above.
    let untouched = (0..end.since(base)).take_while(|&i| unsafe { *base.ptr::<u8>().add(i) } == PAINT).count();
    println!("used {} of {}", system_stack::SIZE - untouched, system_stack::SIZE);
}

/// A thread whose cache is gone has a stack for each call, and gives it back.
fn without_a_cache() {
    let before = in_stacks();
    let thread = std::thread::spawn(move || {
        A.retire_thread();
        let mut seen = None;
        for _ in 0..100 {
            // No cache is taken by a reading.
            let bounds = on_system_stack(system_stack::bounds).expect("in use");
            assert_eq!(*seen.get_or_insert(bounds), bounds, "the pool has it for the next");
            read_everything();
        }
        assert!(crossfoot::local::cache::<u8>().is_null());
    });
    thread.join().expect("a thread");
    let listed = process::ALLOCATOR.stacks().listed();
    assert_eq!(listed, (1, system_stack::SIZE));
    // One of the pool's.
    assert_eq!(in_stacks() - before, (system_stack::SIZE + 8 * KIB) as i64);
    process::release_free();
    assert_eq!((in_stacks(), process::ALLOCATOR.stacks().listed()), (before, (0, 0)));
}

/// A thread's stack stays with its cache, and goes to the next thread with it.
fn kept() {
    let stack = || std::thread::spawn(|| on_system_stack(system_stack::bounds)).join().expect("a thread");
    let first = stack();
    let all = in_stacks();
    for _ in 0..20 {
        assert_eq!(stack(), first);
    }
    assert_eq!(in_stacks(), all);
}

fn isolated() {
    let heap = crossfoot::Heap::new().expect("address space");
    assert!(!heap.allocate(100).is_null());
    assert!(heap.crossfoot_with(|balance| system_stack::is_on() && balance.is_some_and(|b| b.failures.is_empty())));
}

fn taken() {
    let before = in_stacks();
    let mut stacks: Vec<stack::Stack> = Vec::new();
    for size in [0, 20_000, 64 * KIB, 1_000_000, 8 << 20] {
        let stack = stack::take(size).expect("memory");
        assert!(stack.size() >= size && stack.size().is_power_of_two());
        assert_eq!(stack.top().addr() - stack.base().addr(), stack.size());
        // SAFETY: all of it is the stack's.
        unsafe { stack.base().write_bytes(9, stack.size()) };
        stacks.push(stack);
    }
    assert!(stack::take(usize::MAX).is_err());
    assert!(in_stacks() > before + (9 << 20));
    // Any thread may give it back, and one without a cache.
    std::thread::spawn(move || {
        stacks.pop();
        let mut left = [const { None }; 8];
        stacks.into_iter().zip(&mut left).for_each(|(stack, place)| *place = Some(stack));
        A.retire_thread();
        drop(left);
    })
    .join()
    .expect("a thread");
    process::release_free();
    assert_eq!(in_stacks(), before);
}

/// Dies.
fn overflow() {
    let stack = stack::take(64 * KIB).expect("memory");
    // SAFETY: it is not: this is the guard.
    unsafe { stack.base().sub(1).write_volatile(1) };
}

fn main() {
    // There is a cache, and there are books.
    drop(black_box(vec![1u8; 100]));
    let case = std::env::args().nth(1).unwrap_or_default();
    match case.as_str() {
        "unwind" => unwind(),
        "nested" => nested(),
        "high-water" => return high_water(),
        "without-a-cache" => without_a_cache(),
        "kept" => kept(),
        "isolated" => isolated(),
        "taken" => taken(),
        "overflow" => overflow(),
        "handler" => handlers::in_place(false),
        "handler-aside" => handlers::in_place(true),
        "fork" => handlers::fork_beside(),
        other => return misuse::run(other),
    }
    assert!(A.crossfoot());
    println!("right");
}
