//! The table of reads, and what a reader costs, as text.

use super::{Found, Read};
use readers::{
    cost::{Cost, Pair},
    session::{Cell, Session},
    statistics::{Estimate, by_mean, by_median, quantile},
};
use std::{collections::BTreeSet, fmt::Write};

/// What a reader may cost at most, as a ratio of processor time.
const AIM: f64 = 1.005;

/// The part of the machine that a process with working threads should have.
const ENOUGH: f64 = 0.9;

/// Width of the columns of names.
const NAMES: (usize, usize) = (10, 34);

/// Everything that was found out.
pub fn render(found: &Found) -> String {
    let machine = &found.machine;
    let mut text = format!(
        "\n{} · {} processors · Linux {} · load before {:.2}\n{} · {:.0} s\n",
        machine.processor, machine.processors, machine.kernel, machine.load, found.date, found.seconds,
    );
    for read in &found.sources {
        text += &source(read, machine.processors);
    }
    if !found.sources.is_empty() {
        text += &reads(found);
    }
    if let Some(cost) = &found.cost {
        text += &costs(cost);
    }
    if let Some(reason) = &found.cost_missing {
        line(&mut text, &format!("\nwhat a reader costs: missing: {reason}"));
    }
    text
}

/// An allocator's version, and what one should know.
fn source(read: &Read, processors: usize) -> String {
    let mut text = String::new();
    let state = match &read.missing {
        Some(reason) => format!("missing: {reason}"),
        None => read.version.clone(),
    };
    line(&mut text, &format!("  {:<width$} {state}", read.name, width = NAMES.0));
    let notes: BTreeSet<&String> = read.sessions.iter().flat_map(|session| &session.notes).collect();
    for note in notes {
        line(&mut text, &format!("  {:<width$} {note}", "", width = NAMES.0));
    }
    for session in read.sessions.iter().filter(|session| session.processors < processors as f64 * ENOUGH) {
        let had = session.processors;
        let note = format!(
            "{} threads at work had {had:.2} of {processors} processors: others ran, or it waited",
            session.threads
        );
        line(&mut text, &format!("  {:<width$} {note}", "", width = NAMES.0));
    }
    for failure in &read.failures {
        line(&mut text, &format!("  {:<width$} failed: {failure}", "", width = NAMES.0));
    }
    text
}

/// The table of reads: a part for each number of threads, asleep and at work.
fn reads(found: &Found) -> String {
    let mut text = "\nNanoseconds per read: the median of batches; 99th percentile and longest of reads timed one by \
                    one, with the clock\n"
        .to_owned();
    for &threads in &found.threads {
        for working in [false, true] {
            let state = if working { "at work" } else { "asleep" };
            let title = format!("{threads} threads {state}");
            let width = NAMES.0 + NAMES.1 + 1;
            line(
                &mut text,
                &format!("\n{title:<width$} {:>13} {:>13} {:>13} {:>9}", "median", "p99", "longest", "reads"),
            );
            for read in &found.sources {
                text += &rows(read, threads, working);
            }
        }
    }
    text
}

/// The rows of one allocator in one part of the table.
fn rows(read: &Read, threads: usize, working: bool) -> String {
    let mut text = String::new();
    let mut row = |method: &str, cells: &str| {
        line(&mut text, &format!("{:<a$} {method:<b$} {cells}", read.name, a = NAMES.0, b = NAMES.1));
    };
    let sessions: Vec<&Session> = read.sessions.iter().filter(|session| session.threads == threads).collect();
    let Some(first) = sessions.first() else {
        let reason = read.missing.as_ref().map(|reason| format!("missing: {reason}"));
        row("", &reason.unwrap_or_else(|| "failed".to_owned()));
        return text;
    };
    for cell in first.cells.iter().filter(|cell| cell.working == working) {
        let same = |other: &&Cell| other.working == working && other.method == cell.method;
        let all: Vec<&Cell> = sessions.iter().flat_map(|session| session.cells.iter().filter(same)).collect();
        row(&cell.method, &figures(&all));
    }
    for (method, reason) in &first.missing {
        row(method, &format!("missing: {reason}"));
    }
    text
}

/// One row's figures: the median over the rounds, but the longest of all.
fn figures(cells: &[&Cell]) -> String {
    let middle = |of: fn(&Cell) -> f64| {
        let mut values: Vec<f64> = cells.iter().map(|cell| of(cell)).collect();
        grouped(quantile(&mut values, 0.5).unwrap_or(f64::NAN))
    };
    let longest = cells.iter().map(|cell| cell.longest_ns).fold(0.0, f64::max);
    let reads: usize = cells.iter().map(|cell| cell.singles).sum();
    let incomplete: u64 = cells.iter().map(|cell| cell.incomplete).sum();
    let incomplete = if incomplete > 0 { format!("  {incomplete} not complete") } else { String::new() };
    format!(
        "{:>13} {:>13} {:>13} {:>9}{incomplete}",
        middle(|cell| cell.median_ns),
        middle(|cell| cell.p99_ns),
        grouped(longest),
        grouped(reads as f64),
    )
}

/// What a reader costs.
fn costs(cost: &Cost) -> String {
    let mut text = format!(
        "\nWhat a reader costs two threads that allocate, bound to processors 0 and 1: their own processor time in \
         slices of {} replacements each, with somebody who does this {} times a second, divided by that without\n",
        grouped(cost.replacements as f64),
        cost.rate,
    );
    // In the order in which they ran first.
    let mut deeds: Vec<&str> = Vec::new();
    for pair in &cost.pairs {
        if !deeds.contains(&pair.deed.as_str()) {
            deeds.push(&pair.deed);
        }
    }
    for deed in deeds {
        let pairs: Vec<&Pair> = cost.pairs.iter().filter(|pair| pair.deed == deed).collect();
        text += &one_cost(deed, &pairs);
    }
    text
}

/// What a reader costs that does this.
fn one_cost(deed: &str, pairs: &[&Pair]) -> String {
    let mut text = String::new();
    let ratios: Vec<f64> = pairs.iter().map(|pair| pair.ratio()).collect();
    line(&mut text, &format!("  {deed:<16} {}", both(&ratios)));
    let deeds: u64 = pairs.iter().map(|pair| pair.with.deeds).sum();
    let incomplete: u64 = pairs.iter().map(|pair| pair.with.incomplete).sum();
    let seconds: f64 = pairs.iter().map(|pair| pair.with.seconds).sum();
    let count =
        format!("{} pairs, {} times, {:.0} a second", pairs.len(), grouped(deeds as f64), deeds as f64 / seconds);
    line(&mut text, &format!("  {:<16} {count}; {incomplete} not complete", ""));
    if let Some(found) = by_median(&ratios) {
        let verdict = match found {
            Estimate { high, .. } if high < AIM => "kept",
            Estimate { low, .. } if low >= AIM => "missed",
            _ => "not decided: the interval of the median holds it",
        };
        line(&mut text, &format!("  {:<16} less than {:.1} % more: {verdict}", "", (AIM - 1.0) * 100.0));
    }
    text
}

/// A ratio by its median and by its mean.
fn both(ratios: &[f64]) -> String {
    let show = |found: Option<Estimate>, how: &str| match found {
        Some(found) => format!("{how} {:.4}, 95 % from {:.4} to {:.4}", found.ratio, found.low, found.high),
        None => format!("{how} unknown: too few rounds"),
    };
    format!("{}; {}", show(by_median(ratios), "median"), show(by_mean(ratios), "mean"))
}

/// A whole number with a comma after each three digits.
fn grouped(value: f64) -> String {
    if !value.is_finite() {
        return "-".to_owned();
    }
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Appends a line without trailing spaces.
fn line(text: &mut String, content: &str) {
    let _infallible = writeln!(text, "{}", content.trim_end());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_grouped_by_three() {
        let numbers = [0.0, 999.4, 1000.0, 123_456.0, 1_234_567.0, f64::NAN];
        assert_eq!(numbers.map(grouped), ["0", "999", "1,000", "123,456", "1,234,567", "-"]);
    }
}
