//! Formats a reading of another process: the metrics in each form, and whether the books balance.

use std::fmt::Write as _;

use crossfoot::metrics::{self, Kind, Reading, TABLE, Verdict};
use crossfoot::options;
use crossfoot::stats::Failures;

use crate::args::Format;

/// A reading, with what is printed beside it.
pub struct Figures<'a> {
    /// The reading. Its `read_at` is set to the present, so that the ages in it are right.
    pub reading: &'a Reading,
    /// The identities that the reading fails.
    pub failures: &'a Failures,
    /// The reading that was printed before, and the seconds between the two.
    pub before: Option<(&'a Reading, f64)>,
}

/// Returns the text of a reading.
pub fn text(figures: &Figures<'_>, format: Format) -> String {
    let verdict = if figures.failures.is_empty() { Verdict::Balanced } else { Verdict::Unbalanced(figures.failures) };
    if let (Format::Table, Some((before, seconds))) = (format, figures.before) {
        return changes(figures.reading, before, seconds, figures.failures);
    }
    let format = options_format(format);
    let mut text = String::new();
    // Writing to a string does not fail.
    let _ = metrics::write(&mut text, format, figures.reading, verdict);
    text
}

/// Converts a format to the allocator's type.
pub fn options_format(format: Format) -> options::Format {
    match format {
        Format::Table => options::Format::Table,
        Format::Json => options::Format::Json,
        Format::OpenMetrics => options::Format::OpenMetrics,
    }
}

/// Returns a table of the numbers, each with its change per second.
fn changes(reading: &Reading, before: &Reading, seconds: f64, failures: &Failures) -> String {
    let mut text = String::new();
    for metric in TABLE.iter().filter(|metric| metric.kind() == Kind::Uint64) {
        let (Some(value), Some(was)) = (metric.number(reading), metric.number(before)) else { continue };
        let change = (value - was) as f64 / seconds;
        let _ = writeln!(text, "{value:>20}  {change:>+16.0}/s  {}", metric.name());
    }
    let column = "                    ";
    if failures.is_empty() {
        let _ = writeln!(text, "{:>20}{column}  crossfoot", "balanced");
    }
    failures.describe(|what| {
        let _ = writeln!(text, "          UNBALANCED{column}  {what}");
    });
    text
}
