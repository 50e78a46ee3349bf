//! The order of the runs: row by row, and within a row one run of each
//! allocator after the other (A B C, A B C, …), so that a change of the
//! machine's speed meets all of them.

use crate::{
    allocators::Allocator,
    machine::Machine,
    measure::{self, Sample},
    options::Options,
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
        } else if options.budget().is_some_and(|budget| begun + dearest > budget as f64) {
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
    let mut samples: BTreeMap<String, Vec<Sample>> = BTreeMap::new();
    let mut failures = BTreeMap::new();
    if let Work::Program(program) = &row.work {
        for allocator in allocators {
            let proof = allocator.object.as_ref().map(|object| program.prove(workspace, object));
            if let Some(Err(error)) = proof {
                failures.insert(allocator.name.clone(), format!("{error:#}"));
            }
        }
    }
    let mut expected: Option<String> = None;
    for _ in 0..options.repetitions() {
        for allocator in allocators {
            if failures.contains_key(&allocator.name) {
                continue;
            }
            match one_run(workspace, options, allocator, row, &mut expected) {
                Ok(sample) => samples.entry(allocator.name.clone()).or_default().push(sample),
                Err(error) => {
                    samples.remove(&allocator.name);
                    failures.insert(allocator.name.clone(), format!("{error:#}"));
                }
            }
        }
    }
    for (name, reason) in &failures {
        eprintln!("failed: {name} in {}: {reason}", label(&row.name, row.threads));
    }
    Measured { name: row.name.clone(), threads: row.threads, group: row.group.clone(), samples, failures }
}

/// One run; a whole program must print what it printed first.
fn one_run(
    workspace: &Workspace,
    options: &Options,
    allocator: &Allocator,
    row: &Row,
    expected: &mut Option<String>,
) -> Result<Sample> {
    let command = row.command(workspace, options.percent(), allocator.object.as_deref());
    let Some(command) = command else { bail!("nothing to run") };
    let (sample, output) = measure::run(command)?;
    if let Work::Program(_) = row.work {
        let first = expected.get_or_insert_with(|| output.clone());
        if *first != output {
            bail!("the program printed something else");
        }
    }
    Ok(sample)
}
