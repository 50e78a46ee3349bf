//! Calls an allocator in fixed patterns under callgrind and cuts its record after every call.
//!
//! The record is cut by client requests, a few instructions that do nothing outside valgrind. Only what runs
//! inside the functions under measurement is counted, so what this driver does itself does not matter.

use std::arch::asm;
use std::ffi::{CStr, CString};
use std::hint::black_box;

/// Sizes that are measured.
pub const SIZES: [usize; 7] = [8, 16, 24, 64, 128, 512, 1024];
/// Objects that live at once.
const BATCH: usize = 16;
/// Repetitions of a pattern before it is measured: every span, list and summary is as it will stay.
const WARM_UP: usize = 4096;
/// Calls of each function in the long run: a multiple of how many objects of each size are handed to a cache at
/// once, so that the phase in which it starts makes no difference.
const LONG: usize = 43_520;

/// How many long runs there are of each pattern: what comes by the clock falls into some of them.
const RUNS: usize = 3;

/// `CALLGRIND_ZERO_STATS` of `valgrind/callgrind.h`.
const ZERO: usize = REQUESTS + 1;
/// `CALLGRIND_DUMP_STATS_AT` of `valgrind/callgrind.h`.
const DUMP_AT: usize = REQUESTS + 3;
/// Callgrind's requests are numbered from the letters `CT`.
const REQUESTS: usize = (b'C' as usize) << 24 | (b'T' as usize) << 16;

/// Asks valgrind for something; returns `default` without valgrind.
fn request(number: usize, argument: usize) -> usize {
    let block = [number, argument, 0, 0, 0, 0];
    let mut result = 0usize;
    // SAFETY: valgrind's client request for x86-64: rotations of rdi by 128 in total and an exchange of
    // rbx with itself change nothing; valgrind sees them, reads the block at rax and answers in rdx.
    unsafe {
        asm!("rol rdi, 3", "rol rdi, 13", "rol rdi, 61", "rol rdi, 51", "xchg rbx, rbx",
            in("rax") block.as_ptr(), inlateout("rdx") result, inlateout("rdi") 0usize => _);
    }
    result
}

fn zero() {
    request(ZERO, 0);
}

fn dump(label: &CStr) {
    request(DUMP_AT, label.as_ptr() as usize);
}

/// The order in which objects of a batch are freed.
#[derive(Clone, Copy)]
enum Order {
    /// Each at once after it was allocated.
    Pair,
    /// The last one first.
    Lifo,
    /// The first one first.
    Fifo,
}

/// An allocator under measurement.
pub struct Face {
    /// What it is called in the record.
    pub name: &'static str,
    /// Allocates.
    pub alloc: fn(usize) -> *mut u8,
    /// Frees an object of this size.
    pub free: fn(*mut u8, usize),
}

/// Runs every pattern. Each part of the record is labelled `face function size order call|long`, where the
/// function of a long run is `mean`.
pub fn run(face: &Face) {
    for size in SIZES {
        for (order, name) in [(Order::Pair, "pair"), (Order::Lifo, "lifo"), (Order::Fifo, "fifo")] {
            let label = |function: &str, what: &str| {
                CString::new(format!("{} {function} {size} {name} {what}", face.name)).expect("no zero byte")
            };
            let calls = [label("malloc", "call"), label("free", "call")];
            let long = label("mean", "long");
            for _ in 0..WARM_UP {
                batch(face, size, order, None);
            }
            for _ in 0..8 {
                batch(face, size, order, Some(&calls));
            }
            for _ in 0..RUNS {
                zero();
                for _ in 0..LONG / BATCH {
                    batch(face, size, order, None);
                }
                dump(&long);
            }
        }
    }
}

/// Allocates and frees a batch; with labels, the record is cut after every call.
fn batch(face: &Face, size: usize, order: Order, labels: Option<&[CString; 2]>) {
    let before = || labels.map_or((), |_| zero());
    let after = |function: usize| labels.map_or((), |labels| dump(&labels[function]));
    let free = |p: *mut u8| {
        before();
        // The compiler knows `malloc` and would leave out a pair whose result nobody needs.
        (face.free)(black_box(p), size);
        after(1);
    };
    let mut kept = [std::ptr::null_mut(); BATCH];
    for place in &mut kept {
        before();
        *place = black_box((face.alloc)(size));
        after(0);
        if let Order::Pair = order {
            free(*place);
        }
    }
    match order {
        Order::Pair => {}
        Order::Lifo => kept.iter().rev().for_each(|&p| free(p)),
        Order::Fifo => kept.iter().for_each(|&p| free(p)),
    }
}
