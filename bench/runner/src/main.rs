//! Runs allocation patterns and whole programs with one allocator after the
//! other and prints how they compare.
//!
//! The way of a run: [`options`] says what is wanted; [`workspace`] builds the
//! patterns and each peer; [`allocators`] finds out which of them really take
//! over `malloc`; [`workloads`] and [`programs`] list the rows; [`schedule`]
//! runs them interleaved through [`measure`]; [`record`] keeps every sample and
//! is what the JSON file holds; [`report`] prints the tables that [`summary`]
//! computes, and [`draw`] draws them.

mod allocators;
mod draw;
mod machine;
mod measure;
mod options;
mod programs;
mod record;
mod report;
mod schedule;
mod summary;
mod workloads;
mod workspace;

use anyhow::{Context, Result};
use clap::Parser;
use options::{Action, Options};
use record::Record;
use std::{fs, process::ExitCode};
use workspace::Workspace;

fn main() -> Result<ExitCode> {
    let options = Options::parse();
    if let Some(Action::Draw { json, out }) = &options.action {
        draw::draw(&Record::load(json)?, out)?;
        return Ok(ExitCode::SUCCESS);
    }
    let workspace = Workspace::find()?;
    workspace.build("patterns")?;
    let entrants = allocators::gather(&workspace, &options)?;
    let rows = workloads::gather(&workspace, &options)?;
    let record = schedule::measure_all(&workspace, &options, entrants, &rows)?;
    print!("{}", report::render(&record));
    if let Some(path) = &options.json {
        let text = serde_json::to_string_pretty(&record)?;
        fs::write(path, text + "\n").with_context(|| format!("writing {}", path.display()))?;
    }
    let clean = record.rows.iter().all(|row| row.failures.is_empty());
    Ok(if clean {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
