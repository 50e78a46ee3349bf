//! Signal handlers that come while the thread is on its system stack, and forks.

use std::ffi::c_void;
use std::hint::black_box;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crossfoot::process::{self, on_system_stack, stack};
use crossfoot::stats::Snapshot;
use crossfoot::system_stack;
use crossfoot::units::KIB;

use crate::{here, read_everything};

const SIGUSR1: i32 = 10;
const SA_ONSTACK: i32 = 0x0800_0000;

/// `struct sigaction` of glibc on x86-64.
#[repr(C)]
struct Action {
    handler: extern "C" fn(i32),
    mask: [u64; 16],
    flags: i32,
    restorer: usize,
}

/// `stack_t`.
#[repr(C)]
struct Aside {
    at: *mut c_void,
    flags: i32,
    size: usize,
}

unsafe extern "C" {
    fn sigaction(signal: i32, new: *const Action, old: *mut Action) -> i32;
    fn sigaltstack(new: *const Aside, old: *mut Aside) -> i32;
    fn raise(signal: i32) -> i32;
    fn fork() -> i32;
    fn waitpid(pid: i32, status: *mut i32, options: i32) -> i32;
    fn _exit(status: i32) -> !;
}

static SEEN: AtomicUsize = AtomicUsize::new(0);
static ON: AtomicBool = AtomicBool::new(false);

/// Reads, as a handler may that knows what it interrupts.
extern "C" fn handler(_: i32) {
    on_system_stack(|| {
        SEEN.store(here().0, Ordering::Relaxed);
        ON.store(system_stack::is_on(), Ordering::Relaxed);
        let mut snapshot = Snapshot::new();
        assert!(process::read(&mut snapshot).is_some() && process::last(&mut snapshot).is_some());
    });
}

/// A handler's call runs in place, whichever stack that is, and what it interrupted is as it was.
pub fn in_place(aside: bool) {
    let other = stack::take(128 * KIB).expect("memory");
    let action = Action { handler, mask: [0; 16], flags: if aside { SA_ONSTACK } else { 0 }, restorer: 0 };
    let place = Aside { at: other.base().cast(), flags: 0, size: other.size() };
    // SAFETY: an action and a stack that stay.
    unsafe {
        assert_eq!(sigaction(SIGUSR1, &raw const action, std::ptr::null_mut()), 0);
        assert_eq!(sigaltstack(&raw const place, std::ptr::null_mut()), 0);
    }
    let (bounds, whole) = on_system_stack(|| {
        let mine = black_box([0x5a5a_u64; 500]);
        // SAFETY: the handler is there.
        unsafe { raise(SIGUSR1) };
        (system_stack::bounds().expect("in use"), mine.iter().all(|&n| n == 0x5a5a))
    });
    let seen = SEEN.load(Ordering::Relaxed);
    let on_system = bounds.0.0 <= seen && seen < bounds.1.0;
    let on_other = (other.base().addr()..other.top().addr()).contains(&seen);
    assert!(whole && on_system != aside && on_other == aside && ON.load(Ordering::Relaxed) != aside);
    read_everything();
    // Outside, the handler has the system stack.
    // SAFETY: as above.
    unsafe { raise(SIGUSR1) };
    assert!(ON.load(Ordering::Relaxed));
    let off = Aside { at: std::ptr::null_mut(), flags: 2, size: 0 };
    // SAFETY: no handler runs.
    unsafe { sigaltstack(&raw const off, std::ptr::null_mut()) };
}

/// Children of a fork beside threads that take stacks and read: the child finds the pool whole.
pub fn fork_beside() {
    static STOP: AtomicBool = AtomicBool::new(false);
    let work = |seed: usize| {
        move || {
            let mut i = seed;
            while !STOP.load(Ordering::Relaxed) {
                i += 1;
                let stacks = [stack::take(KIB << (i % 9)), stack::take(64 * KIB)];
                assert!(stacks.iter().all(Result::is_ok));
                if i.is_multiple_of(64) {
                    process::release_free();
                }
                on_system_stack(|| black_box(0));
            }
        }
    };
    let threads: Vec<_> = (0..2).map(|seed| std::thread::spawn(work(seed))).collect();
    for _ in 0..40 {
        // SAFETY: the child calls what a child may: the allocator was told.
        let child = unsafe { fork() };
        if child == 0 {
            let good = (0..20).all(|i| stack::take((8 * KIB) << (i % 4)).is_ok());
            read_everything();
            process::release_free();
            // SAFETY: it ends the child.
            unsafe { _exit(if good && crate::A.crossfoot() { 0 } else { 1 }) };
        }
        let mut status = 0;
        // SAFETY: a child of this process, and a word.
        assert_eq!(unsafe { waitpid(child, &raw mut status, 0) }, child);
        assert_eq!(status, 0);
    }
    STOP.store(true, Ordering::Relaxed);
    threads.into_iter().for_each(|thread| thread.join().expect("a thread"));
}
