//! Runs allocation patterns and whole programs with one allocator after the
//! other and prints how they compare.
//!
//! The way of a run: [`options`] says what is wanted; [`workspace`] builds the
//! patterns and each peer; [`allocators`] finds out which of them really take
//! over `malloc`; [`workloads`] and [`programs`] list the rows; [`schedule`]
//! runs them interleaved through [`measure`], which has [`watch`] look at each process; [`record`] keeps every sample and
//! is what the JSON file holds; [`report`] prints the tables that [`summary`]
//! computes, and [`draw`] draws them.
//!
//! Two other questions have a command each: [`reading`] asks what it costs to
//! read an allocator's statistics, [`books`] what it costs Crossfoot to keep
//! them.

mod allocators;
mod books;
mod draw;
mod locks;
mod machine;
mod measure;
mod options;
mod programs;
mod reading;
mod record;
mod report;
mod schedule;
mod summary;
mod watch;
mod workloads;
mod workspace;

use anyhow::Result;
use clap::{Parser, Subcommand};
use options::Options;
use record::Record;
use std::path::PathBuf;
use std::process::ExitCode;
use workspace::Workspace;

/// Measures Crossfoot side by side with other allocators.
#[derive(Debug, Parser)]
#[command(name = "bench", args_conflicts_with_subcommands = true)]
struct Arguments {
    /// Something else than measuring.
    #[command(subcommand)]
    action: Option<Action>,
    #[command(flatten)]
    options: Options,
}

/// What `bench` does besides measuring.
#[derive(Debug, Subcommand)]
enum Action {
    /// Draws the tables of a JSON file as an SVG picture.
    Draw {
        /// A file that `--json` wrote.
        json: PathBuf,
        /// The picture.
        out: PathBuf,
    },
    /// What it costs to read an allocator's statistics, and what a reader costs those who allocate.
    Readers(reading::Wanted),
    /// What it costs Crossfoot to keep its books: the patterns with them and without, in pairs.
    Books(books::Wanted),
}

fn main() -> Result<ExitCode> {
    let Arguments { action, options } = Arguments::parse();
    match &action {
        Some(Action::Draw { json, out }) => {
            draw::draw(&Record::load(json)?, out)?;
            return Ok(ExitCode::SUCCESS);
        }
        Some(Action::Readers(wanted)) => return reading::run(&Workspace::find()?, wanted),
        Some(Action::Books(wanted)) => return books::run(&Workspace::find()?, wanted),
        None => {}
    }
    let workspace = Workspace::find()?;
    workspace.build("patterns")?;
    let entrants = allocators::gather(&workspace, &options)?;
    let rows = workloads::gather(&workspace, &options)?;
    let record = schedule::measure_all(&workspace, &options, entrants, &rows)?;
    print!("{}", report::render(&record));
    if let Some(path) = &options.json {
        record::write(&record, path)?;
    }
    let clean = record.rows.iter().all(|row| row.failures.is_empty());
    Ok(verdict(clean))
}

/// The exit code: whether every run did what it should.
fn verdict(clean: bool) -> ExitCode {
    if clean { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
