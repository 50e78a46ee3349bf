//! A way to read statistics, and its figures.

use serde::{Deserialize, Serialize};

/// One way to read the statistics.
pub struct Method<'a> {
    /// Its name in the table.
    pub name: &'static str,
    /// Reads once; says whether the answer is what was asked for.
    pub read: Box<dyn FnMut() -> bool + 'a>,
}

impl<'a> Method<'a> {
    /// A way to read.
    pub fn new(name: &'static str, read: impl FnMut() -> bool + 'a) -> Self {
        Method { name, read: Box::new(read) }
    }
}

/// One way to read in one state of the threads.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Cell {
    /// The way to read.
    pub method: String,
    /// Whether the threads allocate and free; if not, they sleep.
    pub working: bool,
    /// The median of batches: nanoseconds per read.
    pub median_ns: f64,
    /// The 99th percentile of reads that were timed alone.
    pub p99_ns: f64,
    /// The longest of them.
    pub longest_ns: f64,
    /// Reads in a batch.
    pub batch: usize,
    /// Batches.
    pub batches: usize,
    /// Reads that were timed alone.
    pub singles: usize,
    /// Reads, in batches and alone, whose answer was not what was asked for.
    pub incomplete: u64,
}
