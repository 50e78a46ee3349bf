//! The tables as text.

mod distances;

use crate::{
    locks,
    record::{Measured, Record},
    summary::{Measure, best, mean_over, means, median_of, ratio},
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
    text += &distances::render(record);
    text += &wins(record);
    text += &lock_waits(record);
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
    if let Some(settings) = &record.settings {
        line(&mut text, &format!("not at its defaults: CROSSFOOT={settings}"));
    }
    for allocator in &record.allocators {
        let state = match &allocator.missing {
            Some(reason) => format!("missing: {reason}"),
            None => allocator.version.clone(),
        };
        line(&mut text, &format!("  {:<11} {state}", allocator.name));
    }
    text
}

/// Width of the column of labels: the longest label's.
fn label_width(record: &Record) -> usize {
    let rows = record.rows.iter().map(|row| row.label().len());
    let means = means(record, Measure::Peak).into_iter().map(|(title, _)| title.len());
    rows.chain(means).max().unwrap_or(0)
}

/// The names of all allocators, or what there is to say about each, as columns.
fn columns(record: &Record, cell: impl Fn(&str) -> String) -> String {
    record.allocators.iter().map(|one| format!("{:>COLUMN$}", cell(&one.name))).collect()
}

/// One table of ratios.
fn table(record: &Record, measure: Measure) -> String {
    let reference = &record.reference;
    let mut text = format!(
        "\n{}: medians, divided by {reference}'s; less is better, * is the best of the row\n",
        measure.title(),
    );
    let width = label_width(record);
    let names = columns(record, str::to_owned);
    line(&mut text, &format!("{:<width$} {:>12}{names}", "row/threads", "reference"));
    for row in &record.rows {
        let absolute = median_of(row, reference, measure).map(|value| measure.show(value));
        let absolute = absolute.unwrap_or_else(|| "-".to_owned());
        let cells = columns(record, |name| cell(record, row, name, measure));
        line(&mut text, &format!("{:<width$} {absolute:>12}{cells}", row.label()));
    }
    for (title, rows) in means(record, measure) {
        let count = format!("{} rows", rows.len());
        let cells = columns(record, |name| mean_cell(record, &rows, name, measure));
        line(&mut text, &format!("{title:<width$} {count:>12}{cells}"));
    }
    text
}

/// A ratio, with a mark if it is the best of its row.
pub fn cell(record: &Record, row: &Measured, allocator: &str, measure: Measure) -> String {
    if row.failures.contains_key(allocator) {
        return "failed ".to_owned();
    }
    match ratio(record, row, allocator, measure) {
        None => "missing ".to_owned(),
        Some(value) if is_best(record, row, allocator, measure) => format!("{value:.2}*"),
        Some(value) => format!("{value:.2} "),
    }
}

/// Whether nobody has a smaller ratio in this row.
fn is_best(record: &Record, row: &Measured, allocator: &str, measure: Measure) -> bool {
    let own = ratio(record, row, allocator, measure);
    own.is_some() && own == best(record, row, measure).map(|(ratio, _)| ratio)
}

/// The mean of an allocator over these rows; in brackets the number of rows, if not all.
pub fn mean_cell(record: &Record, rows: &[&Measured], allocator: &str, measure: Measure) -> String {
    match mean_over(record, rows, allocator, measure) {
        None => "missing ".to_owned(),
        Some((mean, count)) if count == rows.len() => format!("{mean:.3} "),
        Some((mean, count)) => format!("{mean:.3}({count})"),
    }
}

/// How often each allocator is the best of a row.
fn wins(record: &Record) -> String {
    let mut text = format!("\nbest of the row, out of {}:\n", record.rows.len());
    for measure in Measure::ALL {
        let counts = record.allocators.iter().map(|one| {
            let wins = record.rows.iter().filter(|row| is_best(record, row, &one.name, measure));
            format!("{} {}", one.name, wins.count())
        });
        let counts: Vec<String> = counts.collect();
        line(&mut text, &format!("  {:<11} {}", measure.title(), counts.join(", ")));
    }
    text
}

/// Where threads waited for Crossfoot's locks.
fn lock_waits(record: &Record) -> String {
    let rows: Vec<_> = record.rows.iter().filter_map(|row| Some((row, row.locks?))).collect();
    if rows.is_empty() {
        return String::new();
    }
    let mut text = format!("\nwaiting for locks, {} alone, in one more run that is not timed\n", locks::KNOWS);
    let width = label_width(record);
    line(
        &mut text,
        &format!("{:<width$} {:>12}{:>14}{:>20}", "row/threads", "contended", "ns waited", "of its CPU time"),
    );
    for (row, found) in rows {
        let seconds = median_of(row, locks::KNOWS, Measure::Cpu).unwrap_or(f64::INFINITY);
        let share = found.nanoseconds as f64 / 1e7 / seconds;
        let figures = format!("{:>12}{:>14}{share:>18.2} %", found.contended, found.nanoseconds);
        line(&mut text, &format!("{:<width$} {figures}", row.label()));
    }
    text
}

/// Rows and cells that have no figures, or others than the rest, with the reasons.
fn absences(record: &Record) -> String {
    let mut text = "\n".to_owned();
    for (label, reason) in &record.missing {
        line(&mut text, &format!("missing row: {label}: {reason}"));
    }
    for row in &record.rows {
        let kinds = [("failed", &row.failures), ("missing", &row.absences), ("note", &row.notes)];
        for (kind, reasons) in kinds {
            for (name, reason) in reasons {
                let figures = beside_columns(record, row, name);
                line(&mut text, &format!("{kind}: {name} in {}: {reason}{figures}", row.label()));
            }
        }
    }
    text
}

/// The ratios of samples that have no column.
fn beside_columns(record: &Record, row: &Measured, name: &str) -> String {
    if !row.samples.contains_key(name) || record.allocators.iter().any(|one| one.name == name) {
        return String::new();
    }
    let figures = Measure::ALL.into_iter().filter_map(|measure| {
        let ratio = ratio(record, row, name, measure)?;
        Some(format!("{} {ratio:.2}", measure.title()))
    });
    format!(": {}", figures.collect::<Vec<_>>().join(", "))
}

/// Appends a line without trailing spaces.
fn line(text: &mut String, content: &str) {
    let _infallible = writeln!(text, "{}", content.trim_end());
}
