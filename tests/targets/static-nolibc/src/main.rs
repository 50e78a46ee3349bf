//! Two threads without a libc share the allocator: each frees what the other allocated, and at the end the
//! books balance.

#![no_std]
#![no_main]

extern crate alloc;

mod start;

use alloc::alloc::Layout;
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::ptr::null_mut;
use core::sync::atomic::{AtomicUsize, Ordering};

use crossfoot::mem_stats::MemStats;
use crossfoot::process::{self, on_system_stack};
use crossfoot::stats::Totals;
use start::{Thread, say};

#[global_allocator]
static A: crossfoot::Crossfoot = crossfoot::Crossfoot::new();

/// Vectors that each thread hands to the other.
const HANDED: usize = 5_000;
/// Rounds of handing over.
const ROUNDS: usize = 4;

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
            rustix::thread::sched_yield();
        }
    }

    fn take(&self) -> Box<PendingBatch> {
        loop {
            match self.0.swap(0, Ordering::AcqRel) {
                0 => rustix::thread::sched_yield(),
                // SAFETY: the address is one that `put` gave up, and it is taken once.
                address => return unsafe { Box::from_raw(core::ptr::with_exposed_provenance_mut(address)) },
            }
        }
    }
}

static THERE: Hatch = Hatch(AtomicUsize::new(0));
static BACK: Hatch = Hatch(AtomicUsize::new(0));

/// Gives and takes `ROUNDS` times. Returns whether everything arrived as it was sent.
fn trade(seed: usize, out: &Hatch, back: &Hatch) -> bool {
    (0..ROUNDS).all(|round| {
        out.put(make(seed + round));
        intact(*back.take())
    })
}

/// The stack of the other thread, in bytes.
const STACK: usize = 256 << 10;
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

/// Called by every thread but the first before it exits.
fn thread_exit() {
    A.retire_thread();
}

/// A thread of a small stack.
fn small() -> bool {
    Thread::spawn(SMALL, read_in_little).is_some_and(Thread::join)
}

/// The first two numbers of `/proc/self/statm`: mapped and resident pages of this process.
fn say_pages() {
    let Ok(file) = rustix::fs::open("/proc/self/statm", rustix::fs::OFlags::RDONLY, rustix::fs::Mode::empty()) else {
        return say(b"no /proc\n");
    };
    let mut text = [0; 64];
    let n = rustix::io::read(&file, &mut text).unwrap_or(0);
    let second = |&(_, &byte): &(usize, &u8)| byte == b' ';
    let end = text[..n].iter().enumerate().filter(second).nth(1).map_or(n, |(i, _)| i);
    say(&text[..end]);
    say(b"\n");
}

/// What the first object costs. The mode says what is done: `none` nothing, `one` one allocation, `first` one between two
/// readings of this process's pages.
fn first(mode: &[u8]) -> i32 {
    if mode == b"first" {
        say_pages();
    }
    if mode != b"none" {
        core::hint::black_box(Box::new(7u32));
    }
    if mode == b"first" {
        say_pages();
    }
    0
}

/// Uses up the address space with objects of 1 MiB, which are linked by their first words, frees them, and does the
/// same again: as many objects must fit, but for a few where the thread keeps pages.
fn full() -> i32 {
    let layout = Layout::new::<[u8; 1 << 20]>();
    let fill = || {
        let (mut last, mut count) = (null_mut::<*mut u8>(), 0);
        loop {
            // SAFETY: the size is not zero.
            let next = unsafe { alloc::alloc::alloc(layout) }.cast::<*mut u8>();
            if next.is_null() {
                break;
            }
            // SAFETY: the object is new and aligned to 16 bytes.
            unsafe { next.write(last.cast()) };
            (last, count) = (next, count + 1);
        }
        let is_balanced = A.crossfoot();
        while !last.is_null() {
            // SAFETY: the object is live until here, and its first word is the one before.
            unsafe {
                let before = (*last).cast();
                alloc::alloc::dealloc(last.cast(), layout);
                last = before;
            }
        }
        (count, is_balanced && A.crossfoot())
    };
    // The thread's system stack, on which the check runs, is taken while there are addresses.
    let before = A.crossfoot();
    let ((first, once), (second, twice)) = (fill(), fill());
    let text: &[u8] = match (first > 1_000, second + first / 50 >= first, before && once && twice) {
        (true, true, true) => b"balanced\n",
        (false, ..) => b"less than 1,000 objects fit\n",
        (_, false, _) => b"less objects fit the second time\n",
        (.., false) => b"unbalanced\n",
    };
    say(text);
    i32::from(text != b"balanced\n")
}

/// The program: its exit status.
fn program(mode: Option<&[u8]>) -> i32 {
    match mode {
        None => balanced(),
        Some(b"full") => full(),
        Some(mode) => first(mode),
    }
}

/// Two threads that hand objects over, and a thread of a small stack that reads.
fn balanced() -> i32 {
    let Some(other) = Thread::spawn(STACK, |_| trade(100, &BACK, &THERE)) else {
        say(b"no thread\n");
        return 1;
    };
    let mine = trade(0, &THERE, &BACK);
    let theirs = other.join();
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
