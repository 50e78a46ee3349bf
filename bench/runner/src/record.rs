//! Everything that one call of the bench found out: what the JSON file holds.

use crate::{allocators::Allocator, locks::Locks, machine::Machine, measure::Sample};
use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, fs, path::Path};

/// The layout of the JSON file; changes when a reader would have to.
pub const FORMAT: u32 = 1;

/// One call of the bench.
#[derive(Debug, Deserialize, Serialize)]
pub struct Record {
    /// [`FORMAT`] at the time of writing.
    pub format: u32,
    /// When the measurement began, in UTC.
    pub date: String,
    /// The arguments of the call.
    pub arguments: Vec<String>,
    /// Crossfoot's settings, if the environment has any; everything else is at its defaults.
    #[serde(default)]
    pub settings: Option<String>,
    /// The machine.
    pub machine: Machine,
    /// Work per run in percent of what the patterns are made for.
    pub percent: u32,
    /// Runs per row and allocator.
    pub repetitions: u32,
    /// Seconds that all rows took together.
    pub seconds: f64,
    /// The allocator that the others are divided by.
    pub reference: String,
    /// The allocators in the order in which they ran.
    pub allocators: Vec<Allocator>,
    /// The rows that were measured.
    pub rows: Vec<Measured>,
    /// Rows that were not measured, with the reason.
    pub missing: BTreeMap<String, String>,
}

/// One row with every sample.
#[derive(Debug, Deserialize, Serialize)]
pub struct Measured {
    /// Name of the pattern or program.
    pub name: String,
    /// Threads at work; 0 for a whole program.
    pub threads: usize,
    /// The kind of row, which has a mean of its own; empty in files of before there were kinds.
    #[serde(default)]
    pub group: String,
    /// By allocator, in the order of the runs.
    pub samples: BTreeMap<String, Vec<Sample>>,
    /// What went wrong with an allocator, which therefore has no samples here.
    pub failures: BTreeMap<String, String>,
    /// Why the row cannot be had with an allocator.
    #[serde(default)]
    pub absences: BTreeMap<String, String>,
    /// What is unlike the other columns with an allocator.
    #[serde(default)]
    pub notes: BTreeMap<String, String>,
    /// Where threads waited for Crossfoot's locks, in a run of its own.
    #[serde(default)]
    pub locks: Option<Locks>,
}

impl Measured {
    /// The row's name with the number of threads.
    pub fn label(&self) -> String {
        label(&self.name, self.threads)
    }
}

/// A row's name with the number of threads, where the row has one.
pub fn label(name: &str, threads: usize) -> String {
    if threads == 0 { name.to_owned() } else { format!("{name}/{threads}") }
}

/// Writes everything that was found out as JSON.
pub fn write(record: &impl Serialize, path: &Path) -> Result<()> {
    let text = serde_json::to_string_pretty(record)?;
    fs::write(path, text + "\n").with_context(|| format!("writing {}", path.display()))
}

impl Record {
    /// Reads a file that the bench wrote.
    pub fn load(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path).with_context(|| format!("{}", path.display()))?;
        let record: Record = serde_json::from_str(&text).context("not a file of this bench")?;
        ensure!(record.format == FORMAT, "the file has format {}, not {FORMAT}", record.format);
        Ok(record)
    }
}

#[cfg(test)]
impl Record {
    /// A record of nothing.
    pub fn empty() -> Self {
        Record {
            format: FORMAT,
            date: String::new(),
            arguments: Vec::new(),
            settings: None,
            machine: Machine::read(),
            percent: 100,
            repetitions: 1,
            seconds: 0.0,
            reference: String::new(),
            allocators: Vec::new(),
            rows: Vec::new(),
            missing: BTreeMap::new(),
        }
    }
}
