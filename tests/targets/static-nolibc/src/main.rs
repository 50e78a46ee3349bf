//! Two threads without a libc share the allocator: each frees what the other allocated, and at the end the
//! books balance.

#![no_std]
#![no_main]

extern crate alloc;

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicUsize, Ordering};

use crossfoot::stats::Totals;
use crossfoot::process::{self, on_system_stack};
use crossfoot::mem_stats::MemStats;
use origin::{program, thread};

#[global_allocator]
static A: crossfoot::Crossfoot = crossfoot::Crossfoot::new();

/// Vectors that each thread hands to the other.
const HANDED: usize = 5_000;
/// Rounds of handing over.
const ROUNDS: usize = 4;

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    say(b"panicked\n");
    program::immediate_exit(101)
}

/// The prebuilt `core` refers to it; nothing unwinds here.
#[unsafe(no_mangle)]
extern "C" fn rust_eh_personality() {}

/// What is handed over.
struct PendingBatch(Vec<Vec<u8>>);

/// Vectors of all small sizes and some large ones, each filled with its length.
fn make(seed: usize) -> Box<PendingBatch> {
    let mut made = Vec::new();
    for i in 0..HANDED {
        let length = if i % 500 == 0 { 100_000 + i } else { (i * 31 + seed * 17) % 3000 };
        let mut v = Vec::new();
        v.resize(length, length as u8);
        made.push(v);
    }
    Box::new(PendingBatch(made))
}

/// Whether all vectors still hold what [`make`] wrote; frees them.
fn intact(pending: PendingBatch) -> bool {
    pending.0.iter().all(|v| v.iter().all(|&byte| byte == v.len() as u8))
}

/// What one thread gives to the other: null while nothing is there.
struct Hatch(AtomicUsize);

impl Hatch {
    fn put(&self, made: Box<PendingBatch>) {
        let address = Box::into_raw(made).expose_provenance();
        while self.0.compare_exchange(0, address, Ordering::AcqRel, Ordering::Relaxed).is_err() {
            thread::yield_current();
        }
    }

    fn take(&self) -> Box<PendingBatch> {
        loop {
            match self.0.swap(0, Ordering::AcqRel) {
                0 => thread::yield_current(),
                // SAFETY: the address is one that `put` gave up, and it is taken once.
                address => return unsafe { Box::from_raw(core::ptr::with_exposed_provenance_mut(address)) },
            }
        }
    }
}

static THERE: Hatch = Hatch(AtomicUsize::new(0));
static BACK: Hatch = Hatch(AtomicUsize::new(0));

fn say(text: &[u8]) {
    // SAFETY: standard output is only written to.
    let _ = rustix::io::write(unsafe { rustix::stdio::stdout() }, text);
}

/// Gives and takes `ROUNDS` times. Returns whether everything arrived as it was sent.
fn trade(seed: usize, out: &Hatch, back: &Hatch) -> bool {
    (0..ROUNDS).all(|round| {
        out.put(make(seed + round));
        intact(*back.take())
    })
}

/// The stack of the small thread, in bytes.
const SMALL: usize = 8 << 10;
/// What it uses of that before it reads: with the frames around it, three quarters.
const USED: usize = 6_300;

/// Reads everything, with three quarters of the thread's stack used up. Returns whether all is well.
#[inline(never)]
fn read_in_little(low: usize) -> bool {
    let used = core::hint::black_box([1u8; USED]);
    // The end of the frame, as good as.
    let left = used.as_ptr().addr() - low;
    let read = on_system_stack(|| {
        let mut stats = MemStats::new();
        process::mem_stats(&mut stats).is_some_and(|answer| answer.is_complete()) && stats.mallocs > 0
    });
    let mut totals = Totals::new();
    let read = read && process::read_totals(&mut totals).is_some();
    left <= SMALL / 4 && read && A.crossfoot() && core::hint::black_box(&used).iter().all(|&byte| byte == 1)
}

/// A thread of a small stack.
fn small() -> bool {
    let body = |_: &mut [Option<NonNull<core::ffi::c_void>>]| {
        // SAFETY: the calling thread is there.
        let (low, size, _) = unsafe { thread::stack(thread::current()) };
        let good = size <= SMALL && read_in_little(low.addr());
        A.retire_thread();
        NonNull::new(core::ptr::without_provenance_mut(if good { 1 } else { 2 }))
    };
    // SAFETY: the function touches nothing of others.
    let Ok(thread) = (unsafe { thread::create(body, &[], SMALL, thread::default_guard_size()) }) else { return false };
    // SAFETY: the thread was created above and is joined once.
    unsafe { thread::join(thread) }.is_some_and(|value| value.as_ptr().addr() == 1)
}

#[unsafe(no_mangle)]
unsafe fn origin_main(_argc: usize, _argv: *mut *mut u8, _envp: *mut *mut u8) -> i32 {
    let stack = thread::default_stack_size();
    let body = |_: &mut [Option<NonNull<core::ffi::c_void>>]| {
        let good = trade(100, &BACK, &THERE);
        A.retire_thread();
        NonNull::new(core::ptr::without_provenance_mut(if good { 1 } else { 2 }))
    };
    // SAFETY: the function touches only statics.
    let Ok(other) = (unsafe { thread::create(body, &[], stack, thread::default_guard_size()) }) else {
        say(b"no thread\n");
        return 1;
    };
    let mine = trade(0, &THERE, &BACK);
    // SAFETY: the thread was created above and is joined once.
    let theirs = unsafe { thread::join(other) }.is_some_and(|value| value.as_ptr().addr() == 1);
    let balanced = A.crossfoot();
    if !small() {
        say(b"a small thread failed\n");
        return 1;
    }
    say(match (mine && theirs, balanced) {
        (true, true) => b"balanced\n",
        (false, _) => b"damaged\n",
        (true, false) => b"unbalanced\n",
    });
    if mine && theirs && balanced { 0 } else { 1 }
}
