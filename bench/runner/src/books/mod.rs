//! What it costs Crossfoot to keep its books: the patterns on two objects, one with the books and one that was built
//! without, in pairs of runs right after each other, on one processor.
//!
//! A pair is one run of every pattern on both objects, so each pair gives a geometric mean of its own, and all
//! patterns meet every change of the machine's speed. [`table`] prints the ratios.

mod objects;
mod table;

use crate::{
    allocators::{self, Allocator},
    machine::Machine,
    measure::{self, Sample},
    record::{self, FORMAT, label},
    verdict,
    workloads::{self, Row},
    workspace::Workspace,
};
use anyhow::{Context, Result, bail};
use clap::Args;
use serde::Serialize;
use std::{
    collections::BTreeMap,
    env, io, mem,
    os::unix::process::CommandExt,
    path::PathBuf,
    process::ExitCode,
    time::{Instant, SystemTime},
};

/// Work of a run in percent of the bench's, if the time allows.
const PERCENT: u32 = 50;

/// What is wanted of this command.
#[derive(Debug, Args)]
pub struct Wanted {
    /// Pairs of runs per pattern.
    #[arg(long, value_name = "N", default_value_t = 21)]
    pairs: usize,
    /// Only these patterns.
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    only: Vec<String>,
    /// Seconds for all runs: the work is made less until the pairs fit, and the last pairs are cut if they do not.
    #[arg(long, value_name = "SECONDS", default_value_t = 330)]
    budget: u64,
    /// Work per run in percent, instead of what fits.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    percent: Option<u32>,
    /// The processor that everything runs on [default: the last one].
    #[arg(long, value_name = "N")]
    processor: Option<usize>,
    /// The object with the books [default: built].
    #[arg(long, value_name = "PATH")]
    on: Option<PathBuf>,
    /// The object without [default: built].
    #[arg(long, value_name = "PATH")]
    off: Option<PathBuf>,
    /// Where to write every sample as JSON.
    #[arg(long, value_name = "PATH")]
    json: Option<PathBuf>,
}

/// Everything that one call found out: what the JSON file holds.
#[derive(Debug, Serialize)]
struct Found {
    format: u32,
    date: String,
    arguments: Vec<String>,
    machine: Machine,
    processor: usize,
    percent: u32,
    /// Pairs that were asked for; those that the time allowed have samples.
    pairs: usize,
    seconds: f64,
    rows: Vec<Paired>,
    /// Patterns that failed, with the reason.
    failures: BTreeMap<String, String>,
}

/// One pattern's samples, by pair.
#[derive(Debug, Serialize)]
struct Paired {
    label: String,
    /// Whether a run that does not count goes before each pair. Memory that was not used for a second or two may be
    /// gone from below a virtual machine, and the first who touches it again pays: ten times as much in `large-touch`.
    warmed: bool,
    on: Vec<Sample>,
    off: Vec<Sample>,
}

/// Who runs, and how.
struct Setting<'a> {
    workspace: &'a Workspace,
    on: Allocator,
    off: Allocator,
    processor: usize,
    percent: u32,
}

/// Measures, prints and writes what is wanted.
pub fn run(workspace: &Workspace, wanted: &Wanted) -> Result<ExitCode> {
    let (on, off) = objects::both(wanted.on.as_deref(), wanted.off.as_deref(), workspace)?;
    workspace.build("patterns")?;
    let processor = match wanted.processor {
        Some(processor) => processor,
        None => last_processor()?,
    };
    let mut setting = Setting {
        workspace,
        on: admit(workspace, "books on", on)?,
        off: admit(workspace, "books off", off)?,
        processor,
        percent: wanted.percent.unwrap_or(PERCENT),
    };
    let rows = workloads::smallest(workspace, &wanted.only)?;
    let date = humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
    let machine = Machine::read();
    let start = Instant::now();
    let (rows, failures) = all_pairs(&mut setting, wanted, &rows);
    let found = Found {
        format: FORMAT,
        date,
        arguments: env::args().skip(1).collect(),
        machine,
        processor,
        percent: setting.percent,
        pairs: wanted.pairs,
        seconds: start.elapsed().as_secs_f64(),
        rows,
        failures,
    };
    print!("{}", table::render(&found));
    if let Some(path) = &wanted.json {
        record::write(&found, path)?;
    }
    Ok(verdict(found.failures.is_empty()))
}

/// The object, tried.
fn admit(workspace: &Workspace, name: &str, object: PathBuf) -> Result<Allocator> {
    let admitted = allocators::admit(workspace, name, Ok(Some(object)));
    match &admitted.missing {
        Some(reason) => bail!("{name}: {reason}"),
        None => Ok(admitted),
    }
}

/// Pair after pair, as long as the time lasts. A pattern that fails once is left out.
fn all_pairs(setting: &mut Setting, wanted: &Wanted, rows: &[Row]) -> (Vec<Paired>, BTreeMap<String, String>) {
    let start = Instant::now();
    let mut failures = BTreeMap::new();
    let mut paired: Vec<Paired> = rows
        .iter()
        .map(|row| Paired { label: label(&row.name, row.threads), warmed: false, on: Vec::new(), off: Vec::new() })
        .collect();
    // The first pair does not count: it says how much work fits, and who must be warmed.
    let mut dearest = one_pair(setting, rows, 0, &mut paired, &mut failures);
    for row in &mut paired {
        row.warmed = row.is_mostly_system();
        dearest += if row.warmed { row.off.iter().map(|sample| sample.seconds).sum() } else { 0.0 };
        (row.on, row.off) = (Vec::new(), Vec::new());
    }
    let budget = wanted.budget as f64;
    let share = (budget - dearest) / (dearest * wanted.pairs as f64);
    if wanted.percent.is_none() && share < 1.0 {
        setting.percent = ((f64::from(setting.percent) * share * 0.9) as u32).max(1);
        dearest *= share;
    }
    for pair in 1..=wanted.pairs {
        let begun = start.elapsed().as_secs_f64();
        if begun + dearest > budget {
            eprintln!("cut: the time is used up after {} of {} pairs", pair - 1, wanted.pairs);
            break;
        }
        eprintln!("{begun:6.1} s  pair {pair} of {}", wanted.pairs);
        dearest = one_pair(setting, rows, pair, &mut paired, &mut failures);
    }
    paired.retain(|row| !failures.contains_key(&row.label));
    (paired, failures)
}

/// One run of every pattern on both objects; says how many seconds all took.
fn one_pair(
    setting: &Setting,
    rows: &[Row],
    pair: usize,
    paired: &mut [Paired],
    failures: &mut BTreeMap<String, String>,
) -> f64 {
    let start = Instant::now();
    for (place, (row, samples)) in rows.iter().zip(paired).enumerate() {
        if failures.contains_key(&samples.label) {
            continue;
        }
        // Each object goes first as often as the other.
        let on_first = (pair + place).is_multiple_of(2);
        let order = if on_first { [true, false] } else { [false, true] };
        let warming = samples.warmed.then_some((order[1], false));
        for (is_on, counts) in warming.into_iter().chain(order.map(|is_on| (is_on, true))) {
            match one_run(setting, row, is_on) {
                Ok(_) if !counts => {}
                Ok(sample) if is_on => samples.on.push(sample),
                Ok(sample) => samples.off.push(sample),
                Err(error) => {
                    let name = if is_on { &setting.on.name } else { &setting.off.name };
                    failures.insert(samples.label.clone(), format!("{name}: {error:#}"));
                    break;
                }
            }
        }
    }
    start.elapsed().as_secs_f64()
}

fn one_run(setting: &Setting, row: &Row, is_on: bool) -> Result<Sample> {
    let allocator = if is_on { &setting.on } else { &setting.off };
    let mut command = row.command(setting.workspace, setting.percent, allocator)?;
    // The books are compared as they are kept by default.
    command.env_remove("CROSSFOOT");
    let processor = setting.processor;
    // SAFETY: between fork and exec the closure makes one system call and allocates nothing.
    unsafe { command.pre_exec(move || pin(processor)) };
    measure::run(command).map(|(sample, _)| sample)
}

/// Binds the calling process to one processor.
fn pin(processor: usize) -> io::Result<()> {
    // SAFETY: all-zero is the empty set.
    let mut set: libc::cpu_set_t = unsafe { mem::zeroed() };
    if processor >= libc::CPU_SETSIZE as usize {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    // SAFETY: the set has room for this processor.
    unsafe { libc::CPU_SET(processor, &mut set) };
    // SAFETY: the set is valid for the call and has the size that is named.
    match unsafe { libc::sched_setaffinity(0, size_of_val(&set), &raw const set) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// The last processor that this process may use: the first has most of the interrupts.
fn last_processor() -> Result<usize> {
    // SAFETY: all-zero is the empty set.
    let mut set: libc::cpu_set_t = unsafe { mem::zeroed() };
    // SAFETY: the set is valid for the call and has the size that is named.
    let code = unsafe { libc::sched_getaffinity(0, size_of_val(&set), &raw mut set) };
    if code != 0 {
        return Err(io::Error::last_os_error()).context("sched_getaffinity");
    }
    // SAFETY: all numbers are within the set.
    let last = (0..libc::CPU_SETSIZE as usize).rfind(|processor| unsafe { libc::CPU_ISSET(*processor, &set) });
    last.context("no processor is allowed")
}
