//! Reads the statistics of the allocator behind the C functions: one that is preloaded, or the C library's own.

mod peers;

use anyhow::Result;
use clap::Parser;
use readers::session::{self, Task};

/// Measures what it costs to read an allocator's statistics.
#[derive(Debug, Parser)]
struct Options {
    /// The allocator that `malloc` belongs to.
    #[arg(value_parser = peers::NAMES.to_vec())]
    allocator: String,
    #[command(flatten)]
    task: Task,
}

fn main() -> Result<()> {
    let options = Options::parse();
    session::print(&peers::measure(&options.allocator, &options.task)?)
}
