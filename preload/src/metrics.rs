//! The metrics for C, as `include/crossfoot-metrics.h` declares them.

use core::ffi::{CStr, c_char, c_int};
use core::fmt::{self, Write};
use core::ptr::null;

use crossfoot::metrics::{Aggregate, Aggregates, Kind, Metric, Reading, plain};
use crossfoot::process::metrics;
use crossfoot::stats::Answer;

/// `CROSSFOOT_ABSENT`.
const ABSENT: c_int = 1;

/// `struct crossfoot_metric`.
#[repr(C)]
pub struct Description {
    name: *const c_char,
    unit: *const c_char,
    help: *const c_char,
    kind: c_int,
    cumulative: c_int,
    length: usize,
    bounds: *const u64,
}

/// `struct crossfoot_sample`.
#[repr(C)]
pub struct Sample {
    name: *const c_char,
    values: *mut u64,
    capacity: usize,
    kind: c_int,
    value: u64,
    length: usize,
}

/// Returns the number of metrics.
#[unsafe(no_mangle)]
pub extern "C" fn crossfoot_metrics_count() -> usize {
    metrics::all().len()
}

/// Describes a metric. Returns 0, or -1 if there is no such metric.
///
/// # Safety
/// `out` can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn crossfoot_metric_describe(metric: usize, out: *mut Description) -> c_int {
    let Some(metric) = metrics::all().get(metric) else { return -1 };
    let name = metric.c_name().as_ptr();
    let description = Description {
        name,
        // SAFETY: the name ends with the unit.
        unit: unsafe { name.add(metric.name().len() - metric.unit().len()) },
        help: metric.c_help().as_ptr(),
        kind: metric.kind() as c_int,
        cumulative: c_int::from(metric.cumulative),
        length: metric.len(),
        bounds: metric.bounds().map_or(null(), <[u64]>::as_ptr),
    };
    // SAFETY: the caller's promise.
    unsafe { out.write(description) };
    0
}

/// Writes the label of an element of a vector, cut to `size` bytes. Returns its whole length, and 0 if there is no such
/// element.
///
/// # Safety
/// `size` bytes from `out` on can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn crossfoot_metric_label(metric: usize, element: usize, out: *mut c_char, size: usize) -> usize {
    let labels = metrics::all().get(metric).and_then(Metric::labels).filter(|labels| element < labels.len());
    let mut text = Text { at: out.cast(), room: size.saturating_sub(1), length: 0 };
    if let Some(labels) = labels {
        // Writing to a `Text` does not fail.
        let _ = write!(text, "{}=\"{}\"", labels.key(), labels.label(element));
    }
    if size > 0 {
        // SAFETY: the caller's promise. The index is at most `size - 1`.
        unsafe { out.add(text.length.min(text.room)).write(0) };
    }
    text.length
}

/// A buffer for a C string. Text that does not fit is cut, and counted all the same.
struct Text {
    at: *mut u8,
    room: usize,
    length: usize,
}

impl Write for Text {
    fn write_str(&mut self, s: &str) -> fmt::Result {
        for &byte in s.as_bytes() {
            if self.length < self.room {
                // SAFETY: the buffer has `room` bytes, by the promise of the caller of `crossfoot_metric_label`.
                unsafe { self.at.add(self.length).write(byte) };
            }
            self.length += 1;
        }
        Ok(())
    }
}

/// Returns the `enum crossfoot_answer`.
fn answer(answer: Option<Answer>) -> c_int {
    match answer {
        None | Some(Answer::Unavailable) => 0,
        Some(Answer::Stale { .. }) => 1,
        Some(Answer::Complete) => 2,
    }
}

/// Reads samples by their names, all from one snapshot. Returns an `enum crossfoot_answer`.
///
/// # Safety
/// `samples` points to `count` samples. Each name is a C string, and `capacity` numbers can be written to `values`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn crossfoot_metrics_read(samples: *mut Sample, count: usize) -> c_int {
    let samples = if count == 0 {
        &mut []
    } else {
        // SAFETY: the caller's promise.
        unsafe { core::slice::from_raw_parts_mut(samples, count) }
    };
    let (mut wanted, mut next) = (Aggregates::NONE, 0);
    for sample in &mut *samples {
        // SAFETY: the caller's promise.
        let name = unsafe { CStr::from_ptr(sample.name) }.to_bytes();
        // Programs often read many metrics in the order of the table: the next one is tried first.
        let place = match metrics::all().get(next).filter(|metric| metric.name().as_bytes() == name) {
            Some(_) => Some(next),
            None => metrics::all().binary_search_by(|metric| metric.name().as_bytes().cmp(name)).ok(),
        };
        next = place.map_or(next, |place| place + 1);
        let metric = place.and_then(|i| metrics::all().get(i));
        wanted = metric.map_or(wanted, |metric| wanted.with(metric.aggregate));
        (sample.kind, sample.value) = (metric.map_or(Kind::Bad as c_int, |_| ABSENT), 0);
        // Keeps the metric's index until the value is read.
        sample.length = place.unwrap_or(usize::MAX);
    }
    let read = metrics::with_reading(wanted, |reading| {
        for sample in &mut *samples {
            // SAFETY: the caller's promise.
            unsafe { take(sample, reading) };
        }
    });
    if read.is_none() {
        samples.iter_mut().for_each(|sample| sample.length = 0);
    }
    answer(read.map(|(answer, ())| answer))
}

/// # Safety
/// As for [`crossfoot_metrics_read`], which has put the metric's index into `length`.
/// Fills a sample from a reading.
///
unsafe fn take(sample: &mut Sample, reading: &Reading) {
    let metric = metrics::all().get(core::mem::take(&mut sample.length));
    let Some(metric) = metric.filter(|metric| metric.is_known(reading)) else { return };
    sample.kind = metric.kind() as c_int;
    sample.value = metric.number(reading).map_or(0, plain);
    sample.length = metric.len();
    let room = metric.len().min(sample.capacity);
    if metric.kind() != Kind::Uint64 && room > 0 {
        // SAFETY: `values` has `capacity` numbers, by the caller's promise.
        let values = unsafe {
            sample.values.write_bytes(0, room);
            core::slice::from_raw_parts_mut(sample.values, room)
        };
        metric.elements(reading, values);
    }
}

/// The metrics that add up to each word of `struct crossfoot_snapshot`, in its order.
const SNAPSHOT: [&[&str]; 15] = [
    &["/memory/classes/total:bytes"],
    &["/memory/ready:bytes"],
    &["/memory/classes/heap/objects:bytes"],
    &["/memory/classes/heap/unused:bytes"],
    &["/memory/classes/heap/free:bytes"],
    &["/memory/classes/heap/released:bytes"],
    &["/memory/classes/heap/stacks:bytes"],
    &[
        "/memory/classes/metadata/ledger:bytes",
        "/memory/classes/metadata/mcache/free:bytes",
        "/memory/classes/metadata/mcache/inuse:bytes",
        "/memory/classes/metadata/mspan/free:bytes",
        "/memory/classes/metadata/mspan/inuse:bytes",
        "/memory/classes/metadata/other:bytes",
    ],
    &["/gc/heap/objects:objects"],
    &["/heap/in-transit:objects"],
    &["/gc/heap/allocs:objects"],
    &["/gc/heap/allocs:bytes"],
    &["/gc/heap/frees:objects"],
    &["/gc/heap/frees:bytes"],
    &["/stats/age:nanoseconds"],
];

/// Reads the main figures. Returns an `enum crossfoot_answer`.
///
/// # Safety
/// `size` bytes from `out` on can be written, as whole words.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn crossfoot_snapshot_read(out: *mut u64, size: usize) -> c_int {
    let words = size / size_of::<u64>();
    let mut figures = [0; SNAPSHOT.len()];
    let read = metrics::with_reading(Aggregates::NONE.with(Aggregate::ConsistentStats), |reading| {
        for (figure, names) in figures.iter_mut().zip(SNAPSHOT) {
            let of =
                |name: &&str| Metric::find(name.as_bytes()).and_then(|metric| metric.number(reading)).map_or(0, plain);
            *figure = names.iter().map(of).sum();
        }
    });
    for i in 0..words {
        // SAFETY: the caller's promise. Words that this version does not know are zero.
        unsafe { out.add(i).write(figures.get(i).copied().unwrap_or(0)) };
    }
    answer(read.map(|(answer, ())| answer))
}
