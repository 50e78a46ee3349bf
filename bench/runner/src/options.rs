//! The command line.

use clap::Args;
use std::path::PathBuf;

/// Names of everything that can be compared, in the order of the tables.
pub const KNOWN: &[&str] =
    &["crossfoot", "mimalloc3", "mimalloc2", "jemalloc", "snmalloc", "glibc", "rpmalloc", "tcmalloc"];

/// How many of [`KNOWN`] quick mode compares.
const QUICK: usize = 6;

/// The options of a measurement.
#[derive(Debug, Args)]
pub struct Options {
    /// Fewer rows, less work, 3 repetitions, at most 3 minutes.
    #[arg(long)]
    pub quick: bool,
    /// Only these patterns or programs, in all their thread counts.
    #[arg(long, value_name = "NAME", num_args = 1.., value_delimiter = ',')]
    pub only: Vec<String>,
    /// Only these allocators, separated by commas.
    #[arg(long, value_name = "NAME", value_delimiter = ',', value_parser = KNOWN.to_vec())]
    pub peers: Vec<String>,
    /// One more allocator: any shared object that exports the C functions.
    #[arg(long, value_name = "NAME=PATH", value_parser = named_path)]
    pub object: Vec<(String, PathBuf)>,
    /// Runs per row and allocator [default: 5; quick: 3].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub reps: Option<u32>,
    /// Work per run in percent of what the patterns are made for [default: 60; quick: 25].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub percent: Option<u32>,
    /// Seconds after which the remaining rows are cut [default: 1400; quick: 170].
    #[arg(long, value_name = "SECONDS")]
    pub budget: Option<u64>,
    /// Crossfoot's shared object [default: target/release/libcrossfoot.so of the project].
    #[arg(long, value_name = "PATH")]
    pub crossfoot: Option<PathBuf>,
    /// Where to write every sample, with machine and versions, as JSON.
    #[arg(long, value_name = "PATH")]
    pub json: Option<PathBuf>,
}

impl Options {
    /// Names of the allocators that are wanted.
    pub fn wanted(&self) -> Vec<&str> {
        if !self.peers.is_empty() {
            return self.peers.iter().map(String::as_str).collect();
        }
        let count = if self.quick { QUICK } else { KNOWN.len() };
        KNOWN[..count].to_vec()
    }

    /// Runs per row and allocator.
    pub fn repetitions(&self) -> u32 {
        self.reps.unwrap_or(if self.quick { 3 } else { 5 })
    }

    /// Work per run in percent of what the patterns are made for.
    pub fn percent(&self) -> u32 {
        self.percent.unwrap_or(if self.quick { 25 } else { 60 })
    }

    /// Seconds for all rows together.
    pub fn budget(&self) -> u64 {
        self.budget.unwrap_or(if self.quick { 170 } else { 1400 })
    }
}

/// Reads `NAME=PATH`.
fn named_path(text: &str) -> Result<(String, PathBuf), String> {
    match text.split_once('=') {
        Some((name, path)) if !name.is_empty() && !path.is_empty() => Ok((name.to_owned(), PathBuf::from(path))),
        _ => Err("expected NAME=PATH".to_owned()),
    }
}
