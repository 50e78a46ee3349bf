//! What one process measured: one allocator with one number of threads, first asleep, then at work.

pub use crate::method::{Cell, Method};
use crate::{crew::Crew, timing};
use anyhow::Result;
use clap::Args;
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    mem,
    time::{Duration, Instant},
};

/// What a process is asked to measure.
#[derive(Clone, Debug, Args)]
pub struct Task {
    /// Threads that have a cache each, beside the one that reads.
    #[arg(long, default_value_t = 2)]
    pub threads: usize,
    /// Milliseconds for each way to read, while the threads sleep.
    #[arg(long, default_value_t = 100)]
    pub asleep: u64,
    /// Milliseconds for each way to read, while the threads allocate and free.
    #[arg(long, default_value_t = 300)]
    pub working: u64,
}

/// What one process found out. The Go program prints the same fields.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Session {
    /// The allocator's version.
    pub version: String,
    /// Threads beside the reader.
    pub threads: usize,
    /// Nanoseconds that two readings of the clock take; they are part of each read that is timed alone.
    pub clock_ns: f64,
    /// What one should know beside the figures.
    pub notes: Vec<String>,
    /// Objects that the threads replaced while they were read at work.
    pub replaced: u64,
    /// Processors that the process had meanwhile, on average. If these are not all of the machine's, its threads
    /// waited for each other, or other processes ran and the reader met fewer of its own threads than it should.
    pub processors: f64,
    /// The figures.
    pub cells: Vec<Cell>,
    /// Ways to read that cannot be had here, with the reason.
    pub missing: BTreeMap<String, String>,
}

impl Session {
    /// A way to read that cannot be had.
    pub fn lacks(&mut self, method: &str, reason: impl Into<String>) {
        self.missing.insert(method.to_owned(), reason.into());
    }
}

/// Measures `methods`, in turns, with sleeping and with working threads. `settle` runs before the first of them,
/// when all threads have their caches.
pub fn measure(task: &Task, version: String, methods: &mut [Method], settle: impl FnOnce()) -> Session {
    let clock_ns = timing::clock_cost();
    let (cells, replaced, processors) = Crew::run(task.threads, |crew| {
        settle();
        let mut cells = timing::measure(methods, false, Duration::from_millis(task.asleep));
        crew.start();
        let (start, used) = (Instant::now(), processor_seconds());
        cells.extend(timing::measure(methods, true, Duration::from_millis(task.working)));
        let processors = (processor_seconds() - used) / start.elapsed().as_secs_f64();
        (cells, crew.stop(), processors)
    });
    Session {
        version,
        threads: task.threads,
        clock_ns,
        notes: Vec::new(),
        replaced,
        processors,
        cells,
        missing: BTreeMap::new(),
    }
}

/// Processor time of the whole process so far.
fn processor_seconds() -> f64 {
    // SAFETY: all-zero is a valid value of this plain C structure.
    let mut usage: libc::rusage = unsafe { mem::zeroed() };
    // SAFETY: the out pointer is valid for the call.
    unsafe { libc::getrusage(libc::RUSAGE_SELF, &raw mut usage) };
    let seconds = |time: libc::timeval| time.tv_sec as f64 + time.tv_usec as f64 / 1e6;
    seconds(usage.ru_utime) + seconds(usage.ru_stime)
}

/// Prints what a process found out, for the runner.
pub fn print<T: Serialize>(found: &T) -> Result<()> {
    println!("{}", serde_json::to_string(found)?);
    Ok(())
}
