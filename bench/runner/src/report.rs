//! The tables as text.

use crate::{
    record::{Measured, Record},
    summary::{Measure, best, median_of, overall, ratio},
};
use std::fmt::Write;

/// Width of a column of ratios.
const COLUMN: usize = 10;

/// All tables, and everything that is missing from them.
pub fn render(record: &Record) -> String {
    let mut text = header(record);
    for measure in Measure::ALL {
        text += &table(record, measure);
    }
    text += &wins(record);
    text += &absences(record);
    text
}

/// Machine, versions, date.
fn header(record: &Record) -> String {
    let machine = &record.machine;
    let mut text = format!(
        "\n{} · {} processors · {} MiB · Linux {} · huge pages {} · load before {:.2}\n{} · {} % of the work · \
         {} repetitions · {:.0} s\n",
        machine.processor,
        machine.processors,
        machine.memory_kib / 1024,
        machine.kernel,
        machine.huge_pages,
        machine.load,
        record.date,
        record.percent,
        record.repetitions,
        record.seconds,
    );
    for allocator in &record.allocators {
        let state = match &allocator.missing {
            Some(reason) => format!("missing: {reason}"),
            None => allocator.version.clone(),
        };
        line(&mut text, &format!("  {:<11} {state}", allocator.name));
    }
    text
}

/// One table of ratios.
fn table(record: &Record, measure: Measure) -> String {
    let reference = &record.reference;
    let mut text = format!(
        "\n{}: medians, divided by {reference}'s; less is better, * is the best of the row\n",
        measure.title(),
    );
    let width = record.rows.iter().map(|row| row.label().len()).max().unwrap_or(0).max(14);
    let names = record.allocators.iter().map(|one| format!("{:>COLUMN$}", one.name));
    let names: String = names.collect();
    line(&mut text, &format!("{:<width$} {:>12}{names}", "row/threads", "reference"));
    for row in &record.rows {
        let absolute = median_of(row, reference, measure).map(|value| measure.show(value));
        let absolute = absolute.unwrap_or_else(|| "-".to_owned());
        let cells = record.allocators.iter().map(|one| cell(record, row, &one.name, measure));
        let cells: String = cells.map(|cell| format!("{cell:>COLUMN$}")).collect();
        line(&mut text, &format!("{:<width$} {absolute:>12}{cells}", row.label()));
    }
    let means = record.allocators.iter().map(|one| mean_cell(record, &one.name, measure));
    let means: String = means.map(|cell| format!("{cell:>COLUMN$}")).collect();
    line(&mut text, &format!("{:<width$} {:>12}{means}", "geometric mean", ""));
    text
}

/// A ratio, with a mark if it is the best of its row.
pub fn cell(record: &Record, row: &Measured, allocator: &str, measure: Measure) -> String {
    if row.failures.contains_key(allocator) {
        return "failed ".to_owned();
    }
    match ratio(record, row, allocator, measure) {
        None => "missing ".to_owned(),
        Some(value) if Some(value) == best(record, row, measure) => format!("{value:.2}*"),
        Some(value) => format!("{value:.2} "),
    }
}

/// The mean of an allocator; in brackets the number of rows, if not all.
pub fn mean_cell(record: &Record, allocator: &str, measure: Measure) -> String {
    match overall(record, allocator, measure) {
        None => "missing ".to_owned(),
        Some((mean, rows)) if rows == record.rows.len() => format!("{mean:.3} "),
        Some((mean, rows)) => format!("{mean:.3}({rows})"),
    }
}

/// How often each allocator is the best of a row.
fn wins(record: &Record) -> String {
    let mut text = "\nbest of the row, out of ".to_owned();
    line(&mut text, &format!("{}:", record.rows.len()));
    for measure in Measure::ALL {
        let counts = record.allocators.iter().map(|one| {
            let is_best = |row: &&Measured| {
                let own = ratio(record, row, &one.name, measure);
                own.is_some() && own == best(record, row, measure)
            };
            format!("{} {}", one.name, record.rows.iter().filter(is_best).count())
        });
        let counts: Vec<String> = counts.collect();
        line(&mut text, &format!("  {:<9} {}", measure.title(), counts.join(", ")));
    }
    text
}

/// Rows and cells that have no figures, with the reasons.
fn absences(record: &Record) -> String {
    let mut text = String::new();
    for (label, reason) in &record.missing {
        line(&mut text, &format!("missing row: {label}: {reason}"));
    }
    for row in &record.rows {
        for (name, reason) in &row.failures {
            line(&mut text, &format!("failed: {name} in {}: {reason}", row.label()));
        }
    }
    text
}

/// Appends a line without trailing spaces.
fn line(text: &mut String, content: &str) {
    let _infallible = writeln!(text, "{}", content.trim_end());
}
