//! What it costs to read an allocator's statistics, and what a reader costs those who allocate.
//!
//! [`sources`] builds or finds the programs that read, one process per allocator and number of threads; here they
//! run, in turns, round after round; [`table`] prints what they found.

mod sources;
mod table;

use crate::{
    machine::Machine,
    measure,
    record::{self, FORMAT},
    verdict,
    workspace::Workspace,
};
use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};
use readers::{cost::Cost, session::Session};
use serde::Serialize;
use sources::Source;
use std::{
    env,
    path::PathBuf,
    process::{Command, ExitCode},
    time::{Instant, SystemTime},
};

/// What is wanted of this command.
#[derive(Debug, Args)]
pub struct Wanted {
    /// Short: one round, less time for each figure; ends within 20 s once everything is built.
    #[arg(long)]
    quick: bool,
    /// One of the two measurements.
    #[arg(long)]
    only: Option<Part>,
    /// Only these, separated by commas.
    #[arg(long, value_name = "NAME", value_delimiter = ',', value_parser = sources::KNOWN.to_vec())]
    peers: Vec<String>,
    /// Numbers of threads that have a cache each.
    #[arg(long, value_name = "N", value_delimiter = ',', default_values_t = [2, 64])]
    threads: Vec<usize>,
    /// Processes per allocator and number of threads [default: 3; quick: 1].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    rounds: Option<u32>,
    /// Milliseconds for each way to read, while the threads sleep [default: 500; quick: 60].
    #[arg(long, value_name = "MS")]
    asleep: Option<u64>,
    /// The same while they allocate and free [default: 2000; quick: 100].
    #[arg(long, value_name = "MS")]
    working: Option<u64>,
    /// Rounds of slices with and without a reader [default: 51; quick: 21].
    #[arg(long, value_name = "N")]
    slices: Option<u32>,
    /// Milliseconds that a slice takes, roughly [default: 100; quick: 15].
    #[arg(long, value_name = "MS")]
    slice: Option<u64>,
    /// Snapshots per second.
    #[arg(long, value_name = "N", default_value_t = 1000)]
    rate: u32,
    /// Where to write every figure as JSON.
    #[arg(long, value_name = "PATH")]
    json: Option<PathBuf>,
}

/// One of the two measurements.
#[derive(Clone, Copy, Debug, PartialEq, ValueEnum)]
enum Part {
    /// How long a read takes.
    Table,
    /// What a reader costs two threads that allocate.
    Cost,
}

/// Everything that one call found out: what the JSON file holds.
#[derive(Debug, Serialize)]
struct Found {
    format: u32,
    date: String,
    arguments: Vec<String>,
    machine: Machine,
    seconds: f64,
    threads: Vec<usize>,
    sources: Vec<Read>,
    cost: Option<Cost>,
    cost_missing: Option<String>,
}

/// What was found out about one allocator.
#[derive(Debug, Serialize)]
struct Read {
    name: String,
    /// Its version, as far as it is known.
    version: String,
    /// Why it is not measured, if so.
    missing: Option<String>,
    /// Runs that failed.
    failures: Vec<String>,
    /// Runs that did not.
    sessions: Vec<Session>,
}

/// Measures, prints and writes what is wanted.
pub fn run(workspace: &Workspace, wanted: &Wanted) -> Result<ExitCode> {
    let date = humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
    let names: Vec<&str> = sources::KNOWN
        .iter()
        .filter(|name| wanted.peers.is_empty() || wanted.peers.iter().any(|peer| peer == *name))
        .copied()
        .collect();
    let located: Vec<(&str, Result<Source>)> =
        names.iter().map(|name| (*name, sources::locate(workspace, name))).collect();
    let machine = Machine::read();
    let start = Instant::now();
    let reads = if wanted.only == Some(Part::Cost) { Vec::new() } else { read_all(wanted, &located) };
    let cost = if wanted.only == Some(Part::Table) { None } else { Some(read_cost(workspace, wanted, &located)) };
    let (cost, cost_missing) = match cost {
        None => (None, None),
        Some(Ok(cost)) => (Some(cost), None),
        Some(Err(error)) => (None, Some(format!("{error:#}"))),
    };
    let seconds = start.elapsed().as_secs_f64();
    let arguments = env::args().skip(1).collect();
    let found = Found {
        format: FORMAT,
        date,
        arguments,
        machine,
        seconds,
        threads: wanted.threads.clone(),
        sources: reads,
        cost,
        cost_missing,
    };
    print!("{}", table::render(&found));
    if let Some(path) = &wanted.json {
        record::write(&found, path)?;
    }
    Ok(verdict(found.sources.iter().all(|read| read.failures.is_empty())))
}

/// Round after round, each allocator with each number of threads.
fn read_all(wanted: &Wanted, located: &[(&str, Result<Source>)]) -> Vec<Read> {
    let mut reads: Vec<Read> = located.iter().map(|(name, source)| Read::new(name, source)).collect();
    let asleep = wanted.asleep.unwrap_or(if wanted.quick { 60 } else { 500 }).to_string();
    let working = wanted.working.unwrap_or(if wanted.quick { 100 } else { 2000 }).to_string();
    for _ in 0..wanted.rounds.unwrap_or(if wanted.quick { 1 } else { 3 }) {
        for threads in &wanted.threads {
            for (read, (_, source)) in reads.iter_mut().zip(located) {
                let Ok(source) = source else { continue };
                eprintln!("{}, {threads} threads", read.name);
                let mut command = source.command();
                command.args(["--threads", &threads.to_string(), "--asleep", &asleep, "--working", &working]);
                read.add(*threads, answer(command));
            }
        }
    }
    reads
}

/// What a reader costs; only Crossfoot's program knows how to ask.
fn read_cost(workspace: &Workspace, wanted: &Wanted, located: &[(&str, Result<Source>)]) -> Result<Cost> {
    match located.iter().find(|(name, _)| *name == sources::CROSSFOOT) {
        Some((_, Err(error))) => bail!("{error:#}"),
        Some(_) => {}
        None => drop(sources::locate(workspace, sources::CROSSFOOT)?),
    }
    let rounds = wanted.slices.unwrap_or(if wanted.quick { 21 } else { 51 });
    let slice = wanted.slice.unwrap_or(if wanted.quick { 15 } else { 100 });
    eprintln!("{}, {rounds} rounds of slices", sources::CROSSFOOT);
    let mut command = sources::cost(workspace);
    command.args(["--rounds", &rounds.to_string(), "--slice", &slice.to_string(), "--rate", &wanted.rate.to_string()]);
    answer(command)
}

/// Runs a program to its end and reads what it printed.
fn answer<T: serde::de::DeserializeOwned>(command: Command) -> Result<T> {
    let (_, output) = measure::run(command)?;
    serde_json::from_str(&output).context("the program printed something else")
}

impl Read {
    fn new(name: &str, source: &Result<Source>) -> Read {
        let (version, missing) = match source {
            Ok(source) => (source.version.clone(), None),
            Err(error) => (String::new(), Some(format!("{error:#}"))),
        };
        if let Some(reason) = &missing {
            eprintln!("missing: {name}: {reason}");
        }
        Read { name: name.to_owned(), version, missing, failures: Vec::new(), sessions: Vec::new() }
    }

    fn add(&mut self, threads: usize, outcome: Result<Session>) {
        match outcome {
            Ok(session) => {
                if self.version.is_empty() {
                    self.version.clone_from(&session.version);
                }
                self.sessions.push(session);
            }
            Err(error) => {
                eprintln!("failed: {}: {error:#}", self.name);
                self.failures.push(format!("{threads} threads: {error:#}"));
            }
        }
    }
}
