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
    let mut measured: Vec<(usize, Measured)> = Vec::new();
    let mut missing = BTreeMap::new();
    let mut dearest: f64 = 0.0;
    for place in by_turns(rows) {
        let row = &rows[place];
        let label = label(&row.name, row.threads);
        let begun = start.elapsed().as_secs_f64();
        if let Work::Missing(reason) = &row.work {
            missing.insert(label, reason.clone());
        } else if begun + dearest > options.budget() as f64 {
            missing.insert(label, "cut: the time budget is used up".to_owned());
        } else {
            eprintln!("{begun:6.1} s  {label}");
            measured.push((place, measure_row(workspace, options, &present, row)));
            // A row may take as long as an average one and half as much again.
            let average = start.elapsed().as_secs_f64() / measured.len() as f64;
            dearest = average * 1.5;
        }
    }
    measured.sort_by_key(|(place, _)| *place);
    let measured = measured.into_iter().map(|(_, row)| row).collect();
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

/// The places of the rows in the order in which they are measured: the first row of each pattern and each program, then
/// the second rows, and so on. If the time does not suffice, every pattern and program has a row nevertheless.
fn by_turns(rows: &[Row]) -> Vec<usize> {
    let turn = |place: &usize| rows[..*place].iter().filter(|earlier| earlier.name == rows[*place].name).count();
    let mut places: Vec<usize> = (0..rows.len()).collect();
    places.sort_by_key(turn);
    places
}

/// The entrants in the order of one repetition: each has another place and comes after another one than the time before.
/// Memory that a process gave back to a virtual machine is slow to get for the one that comes next, whoever that is.
fn in_turn<T>(entrants: &[T], repetition: usize) -> impl Iterator<Item = &T> {
    let count = entrants.len();
    let steps: Vec<usize> = (1..=count).filter(|&step| divisor(step, count) == 1).collect();
    let step = steps.get(repetition % steps.len().max(1)).copied().unwrap_or(1);
    (0..count).filter_map(move |place| entrants.get((repetition + place * step) % count))
}

/// The greatest common divisor of two numbers, the second one not zero.
fn divisor(a: usize, b: usize) -> usize {
    if a.is_multiple_of(b) { b } else { divisor(b, a % b) }
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
    for repetition in 0..options.repetitions() {
        for allocator in in_turn(&entrants, repetition as usize) {
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn each_repetition_has_all_in_another_order() {
        for count in 1..=9 {
            let entrants: Vec<usize> = (0..count).collect();
            let orders: Vec<Vec<usize>> = (0..4).map(|n| in_turn(&entrants, n).copied().collect()).collect();
            for order in &orders {
                let mut sorted = order.clone();
                sorted.sort_unstable();
                assert_eq!(sorted, entrants, "{order:?}");
            }
            assert!(count < 3 || orders[0] != orders[1], "{orders:?}");
        }
        // With eight, nobody follows the same one twice in a row of repetitions.
        let eight: Vec<usize> = (0..8).collect();
        let before = |n| in_turn(&eight, n).copied().collect::<Vec<_>>();
        let pairs = |order: Vec<usize>| order.windows(2).map(|pair| (pair[0], pair[1])).collect::<HashSet<_>>();
        assert!((0..3).all(|n| pairs(before(n)).is_disjoint(&pairs(before(n + 1)))));
    }

    #[test]
    fn every_name_has_its_turn_before_any_has_two() {
        let row =
            |name: &str, threads| Row { name: name.to_owned(), threads, group: String::new(), work: Work::Pattern };
        let rows = [row("a", 1), row("a", 2), row("a", 8), row("b", 2), row("b", 8), row("c", 0)];
        assert_eq!(by_turns(&rows), [0, 3, 5, 1, 4, 2]);
    }
}
