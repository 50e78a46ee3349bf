//! The order of the runs: row by row, and within a row one run of each
//! allocator after the other (A B C, A B C, …), so that a change of the
//! machine's speed meets all of them.

use crate::{
    allocators::Allocator,
    locks,
    machine::Machine,
    measure::Sample,
    options::Options,
    programs::AS_INSTALLED,
    record::{FORMAT, Measured, Record, label},
    workloads::{Row, Work},
    workspace::Workspace,
};
use anyhow::{Result, bail};
use std::{
    collections::BTreeMap,
    env,
    time::{Instant, SystemTime},
};

/// The allocator that the others are divided by, if it is there.
const REFERENCE: &str = "mimalloc3";

/// Runs every row, as long as the budget lasts.
pub fn measure_all(
    workspace: &Workspace,
    options: &Options,
    allocators: Vec<Allocator>,
    rows: &[Row],
) -> Result<Record> {
    let present: Vec<&Allocator> = allocators.iter().filter(|one| one.missing.is_none()).collect();
    let reference = present.iter().find(|one| one.name == REFERENCE).or(present.first());
    let Some(reference) = reference.map(|one| one.name.clone()) else {
        bail!("no allocator can be measured");
    };
    if reference != REFERENCE {
        eprintln!("{REFERENCE} is not there: ratios are to {reference}");
    }
    let date = humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
    let machine = Machine::read();
    let start = Instant::now();
    let mut measured = Vec::new();
    let mut missing = BTreeMap::new();
    let mut dearest: f64 = 0.0;
    for row in rows {
        let label = label(&row.name, row.threads);
        let begun = start.elapsed().as_secs_f64();
        if let Work::Missing(reason) = &row.work {
            missing.insert(label, reason.clone());
        } else if begun + dearest > options.budget() as f64 {
            missing.insert(label, "cut: the time budget is used up".to_owned());
        } else {
            eprintln!("{begun:6.1} s  {label}");
            measured.push(measure_row(workspace, options, &present, row));
            // A row may take as long as an average one and half as much again.
            let average = start.elapsed().as_secs_f64() / measured.len() as f64;
            dearest = average * 1.5;
        }
    }
    Ok(Record {
        format: FORMAT,
        date,
        arguments: env::args().skip(1).collect(),
        settings: env::var("CROSSFOOT").ok(),
        machine,
        percent: options.percent(),
        repetitions: options.repetitions(),
        seconds: start.elapsed().as_secs_f64(),
        reference,
        allocators,
        rows: measured,
        missing,
    })
}

/// Runs one row. An allocator that fails once is left out of the row.
fn measure_row(workspace: &Workspace, options: &Options, allocators: &[&Allocator], row: &Row) -> Measured {
    let mut measured = Measured {
        name: row.name.clone(),
        threads: row.threads,
        group: row.group.clone(),
        samples: BTreeMap::new(),
        failures: BTreeMap::new(),
        absences: BTreeMap::new(),
        notes: BTreeMap::new(),
        locks: None,
    };
    let baseline = as_installed(row, &mut measured);
    let entrants: Vec<&Allocator> = allocators.iter().copied().chain(&baseline).collect();
    for allocator in &entrants {
        admit(workspace, options, allocator, row, &mut measured);
    }
    let mut expected: Option<String> = None;
    for _ in 0..options.repetitions() {
        for allocator in &entrants {
            if measured.failures.contains_key(&allocator.name) || measured.absences.contains_key(&allocator.name) {
                continue;
            }
            match one_run(workspace, options, allocator, row, &mut expected) {
                Ok(sample) => measured.samples.entry(allocator.name.clone()).or_default().push(sample),
                Err(error) => {
                    measured.samples.remove(&allocator.name);
                    measured.failures.insert(allocator.name.clone(), format!("{error:#}"));
                }
            }
        }
    }
    if let Some(own) =
        allocators.iter().find(|one| measured.samples.contains_key(&one.name) && one.name == locks::KNOWS)
    {
        match locks::read(workspace, options.percent(), row, own) {
            Ok(found) => measured.locks = Some(found),
            Err(error) => eprintln!("no lock waits of {}: {error:#}", measured.label()),
        }
    }
    for (name, reason) in &measured.failures {
        eprintln!("failed: {name} in {}: {reason}", measured.label());
    }
    measured
}

/// For a program that the distribution links to an allocator: that, as one more to measure.
fn as_installed(row: &Row, measured: &mut Measured) -> Option<Allocator> {
    let Work::Program(program) = &row.work else { return None };
    let own = program.own?;
    measured.notes.insert(AS_INSTALLED.to_owned(), format!("with nothing preloaded it runs on {own}"));
    let allocator = Allocator { name: AS_INSTALLED.to_owned(), version: own.to_owned(), object: None, missing: None };
    Some(allocator)
}

/// Finds out whether a program can be had with the allocator, and runs on it.
fn admit(workspace: &Workspace, options: &Options, allocator: &Allocator, row: &Row, measured: &mut Measured) {
    let Work::Program(program) = &row.work else { return };
    let name = allocator.name.clone();
    if let Err(error) = row.command(workspace, options.percent(), allocator) {
        measured.absences.insert(name, format!("{error:#}"));
    } else if let Err(error) = program.prove(workspace, allocator) {
        measured.failures.insert(name, format!("{error:#}"));
    } else if let Some(note) = program.note(allocator) {
        measured.notes.insert(name, note.to_owned());
    }
}

/// One run; a whole program must print what it printed first.
fn one_run(
    workspace: &Workspace,
    options: &Options,
    allocator: &Allocator,
    row: &Row,
    expected: &mut Option<String>,
) -> Result<Sample> {
    let (sample, output) = row.run(row.command(workspace, options.percent(), allocator)?)?;
    if let Work::Program(_) = row.work {
        let first = expected.get_or_insert_with(|| output.clone());
        if *first != output {
            bail!("the program printed something else");
        }
    }
    Ok(sample)
}
