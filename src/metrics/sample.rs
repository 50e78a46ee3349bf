//! Samples: metrics that a program asks for by name, and their values.

use core::fmt;
use core::ptr::NonNull;

use super::aggregates::Aggregates;
use super::labels::{Labels, plain};
use super::reading::Reading;
use super::table::{Kind, Metric};

/// The allocation functions for the memory of vectors and histograms.
#[derive(Clone, Copy, Debug)]
pub struct Memory {
    /// Allocates bytes, aligned to eight. Returns null if there is no memory.
    pub allocate: fn(usize) -> *mut u8,
    /// Frees memory from `allocate`.
    pub free: unsafe fn(*mut u8),
}

/// A vector: a number for each label.
#[derive(Clone, Copy, Debug)]
pub struct Vector<'a> {
    /// The numbers, in the order of the labels.
    pub values: &'a [u64],
    /// The labels of the numbers.
    pub labels: Labels,
}

/// A distribution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Histogram<'a> {
    /// The number of values in each group: above the previous bound and at most the group's own. The last group has all
    /// values above the last bound.
    pub counts: &'a [u64],
    /// The bounds in ascending order: one fewer than groups.
    pub bounds: &'a [u64],
    /// The sum of all values counted.
    pub sum: u64,
}

/// The value of a sample.
#[derive(Clone, Copy, Debug)]
pub enum Value<'a> {
    /// No metric has the sample's name.
    Bad,
    /// The value is not known: nothing was read yet, the environment does not have it, no audit has read it, or there
    /// was no memory for it.
    Absent,
    /// A number.
    Uint64(u64),
    /// A number for each label.
    Vector(Vector<'a>),
    /// A distribution.
    Histogram(Histogram<'a>),
}

impl Value<'_> {
    /// Returns the number, if the value is one.
    pub fn number(&self) -> Option<u64> {
        match self {
            Value::Uint64(n) => Some(*n),
            _ => None,
        }
    }
}

/// Memory for the numbers of a vector or a histogram.
struct Buffer {
    at: NonNull<u64>,
    len: usize,
    free: unsafe fn(*mut u8),
}

impl Buffer {
    fn new(len: usize, memory: &Memory) -> Option<Buffer> {
        let at = NonNull::new((memory.allocate)(len * size_of::<u64>()).cast::<u64>())?;
        // SAFETY: the memory was just allocated, for this many words, and nothing else refers to it.
        unsafe { at.write_bytes(0, len) };
        Some(Buffer { at, len, free: memory.free })
    }

    fn values(&self) -> &[u64] {
        // SAFETY: the buffer has this many words, which were written, and owns them until it is dropped.
        unsafe { core::slice::from_raw_parts(self.at.as_ptr(), self.len) }
    }

    fn values_mut(&mut self) -> &mut [u64] {
        // SAFETY: as above, and the buffer is borrowed mutably.
        unsafe { core::slice::from_raw_parts_mut(self.at.as_ptr(), self.len) }
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        // SAFETY: the memory came from the `allocate` that belongs to this `free`, and is not used any more.
        unsafe { (self.free)(self.at.as_ptr().cast()) };
    }
}

// SAFETY: only the buffer refers to its memory, and any thread may free it.
unsafe impl Send for Buffer {}
// SAFETY: a shared buffer is only read.
unsafe impl Sync for Buffer {}

/// The result of a lookup by name.
#[derive(Clone, Copy)]
enum Row {
    /// The name was not looked up yet.
    New,
    /// No metric has the name.
    Bad,
    /// The metric with the name.
    Known(&'static Metric),
}

/// A metric that a program asks for by name, and its value when it was last read.
pub struct Sample<'a> {
    name: &'a str,
    row: Row,
    filled: bool,
    /// The number, or the sum of a histogram.
    number: u64,
    buffer: Option<Buffer>,
}

impl fmt::Debug for Sample<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sample").field("name", &self.name).field("value", &self.value()).finish()
    }
}

impl<'a> Sample<'a> {
    /// Returns a sample of the metric with this name.
    pub const fn new(name: &'a str) -> Sample<'a> {
        Sample { name, row: Row::New, filled: false, number: 0, buffer: None }
    }

    /// Returns the name.
    pub fn name(&self) -> &'a str {
        self.name
    }

    /// Returns the metric, after the first read. Returns `None` if no metric has the name.
    pub fn metric(&self) -> Option<&'static Metric> {
        match self.row {
            Row::Known(metric) => Some(metric),
            Row::New | Row::Bad => None,
        }
    }

    /// Returns the kind of its value; [`Kind::Bad`] if no metric has its name or it was never read.
    pub fn kind(&self) -> Kind {
        self.metric().map_or(Kind::Bad, Metric::kind)
    }

    /// Returns the value read last.
    pub fn value(&self) -> Value<'_> {
        let Row::Known(metric) = self.row else {
            return if matches!(self.row, Row::Bad) { Value::Bad } else { Value::Absent };
        };
        if !self.filled {
            return Value::Absent;
        }
        let values = self.buffer.as_ref().map(Buffer::values).unwrap_or_default();
        match (metric.labels(), metric.bounds()) {
            (Some(labels), _) => Value::Vector(Vector { values, labels }),
            (_, Some(bounds)) => Value::Histogram(Histogram { counts: values, bounds, sum: self.number }),
            _ => Value::Uint64(self.number),
        }
    }

    /// Looks the metric up, and allocates memory for its value if it needs any. Does nothing after the first call.
    pub fn prepare(&mut self, memory: &Memory) {
        if let Row::New = self.row {
            self.row = Metric::find(self.name.as_bytes()).map_or(Row::Bad, Row::Known);
        }
        if let Row::Known(metric) = self.row
            && metric.kind() != Kind::Uint64
            && self.buffer.is_none()
        {
            self.buffer = Buffer::new(metric.len(), memory);
        }
    }

    /// Takes its value from a reading. Allocates nothing: a sample that was not prepared is absent.
    pub(crate) fn take(&mut self, reading: &Reading) {
        self.filled = false;
        let Row::Known(metric) = self.row else { return };
        if !metric.is_known(reading) {
            return;
        }
        self.number = metric.number(reading).map_or(0, plain);
        if metric.kind() != Kind::Uint64 {
            let Some(buffer) = &mut self.buffer else { return };
            metric.elements(reading, buffer.values_mut());
        }
        self.filled = true;
    }
}

/// Returns the aggregates that have to be read for these samples.
pub(crate) fn wanted(samples: &[Sample<'_>]) -> Aggregates {
    samples.iter().filter_map(Sample::metric).fold(Aggregates::NONE, |wanted, metric| wanted.with(metric.aggregate))
}
