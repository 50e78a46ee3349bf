//! What a program asks for, and gets.

use core::fmt;
use core::ptr::NonNull;

use super::aggregates::Aggregates;
use super::labels::Labels;
use super::reading::Reading;
use super::table::{Kind, Metric};

/// Who gives samples memory for vectors and histograms.
#[derive(Clone, Copy, Debug)]
pub struct Memory {
    /// So many bytes, aligned to eight; null: there are none.
    pub allocate: fn(usize) -> *mut u8,
    /// Takes back what `allocate` gave.
    pub free: unsafe fn(*mut u8),
}

/// A vector: a number for each label.
#[derive(Clone, Copy, Debug)]
pub struct Vector<'a> {
    /// The numbers, in the order of the labels.
    pub values: &'a [u64],
    /// What they are told apart by.
    pub labels: Labels,
}

/// A distribution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Histogram<'a> {
    /// How many there are in each group: above the bound before and at most its own; in the last one, all above.
    pub counts: &'a [u64],
    /// The bounds, ascending: one less than groups.
    pub bounds: &'a [u64],
    /// The sum of everything that was counted.
    pub sum: u64,
}

/// The value of a sample.
#[derive(Clone, Copy, Debug)]
pub enum Value<'a> {
    /// No metric has the sample's name.
    Bad,
    /// It is not known: nothing was read yet, the home does not have it, no audit has found it out, or there was no
    /// memory for it.
    Absent,
    /// A number.
    Uint64(u64),
    /// A number for each label.
    Vector(Vector<'a>),
    /// A distribution.
    Histogram(Histogram<'a>),
}

impl Value<'_> {
    /// The number, where it is one.
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
        // SAFETY: the memory was just given, for so many words, and is nobody else's.
        unsafe { at.write_bytes(0, len) };
        Some(Buffer { at, len, free: memory.free })
    }

    fn values(&self) -> &[u64] {
        // SAFETY: it has so many words, which were written, and is this buffer's until it is dropped.
        unsafe { core::slice::from_raw_parts(self.at.as_ptr(), self.len) }
    }

    fn values_mut(&mut self) -> &mut [u64] {
        // SAFETY: as above, and the buffer is borrowed alone.
        unsafe { core::slice::from_raw_parts_mut(self.at.as_ptr(), self.len) }
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        // SAFETY: it came from the allocation that this belongs to, and nobody uses it any more.
        unsafe { (self.free)(self.at.as_ptr().cast()) };
    }
}

// SAFETY: the memory is the buffer's alone, and any thread may free it.
unsafe impl Send for Buffer {}
// SAFETY: a shared buffer is only read.
unsafe impl Sync for Buffer {}

/// What was found of a name.
#[derive(Clone, Copy)]
enum Row {
    /// Nobody has looked.
    New,
    /// No metric has it.
    Bad,
    /// This one has.
    Known(&'static Metric),
}

/// A metric that a program asks for, by name, and its value when it was last read.
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
    /// A sample of the metric of this name.
    pub const fn new(name: &'a str) -> Sample<'a> {
        Sample { name, row: Row::New, filled: false, number: 0, buffer: None }
    }

    /// The name.
    pub fn name(&self) -> &'a str {
        self.name
    }

    /// The metric, once it was read; `None`: there is none of this name.
    pub fn metric(&self) -> Option<&'static Metric> {
        match self.row {
            Row::Known(metric) => Some(metric),
            Row::New | Row::Bad => None,
        }
    }

    /// What kind of value it has; [`Kind::Bad`]: no metric has its name, or it was never read.
    pub fn kind(&self) -> Kind {
        self.metric().map_or(Kind::Bad, Metric::kind)
    }

    /// What was read last.
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

    /// Finds the metric, and takes memory for its value if it needs any, at the first call; later ones do nothing.
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

    /// Takes its value from a reading. Allocates nothing: where it was not prepared, it is absent.
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

/// A figure as it is handed out: wrong books may have one below zero, which [`crate::mem_stats::crossfoot`] reports.
pub fn plain(n: i64) -> u64 {
    n.max(0) as u64
}

/// What must be read for these samples.
pub(crate) fn wanted(samples: &[Sample<'_>]) -> Aggregates {
    samples.iter().filter_map(Sample::metric).fold(Aggregates::NONE, |wanted, metric| wanted.with(metric.aggregate))
}
