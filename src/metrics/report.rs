//! The exit report, as a table or as JSON.

use core::fmt::{self, Write};

use super::reading::Reading;
use super::table::TABLE;
use crate::mem_stats::Balance;

/// Writes one JSON object: metric name → number, and `"crossfoot"`: `"balanced"`, a list of the identities that
/// failed, or that they could not be checked.
pub fn write_json(out: &mut impl Write, reading: &Reading, balance: &Balance) -> fmt::Result {
    out.write_str("{\n")?;
    for metric in TABLE {
        writeln!(out, "  \"{}\": {},", metric.name, (metric.value)(reading))?;
    }
    let failures = &balance.failures;
    if failures.is_empty() {
        writeln!(out, "  \"crossfoot\": \"{}\"\n}}", verdict(balance))
    } else {
        out.write_str("  \"crossfoot\": [")?;
        for (i, failure) in failures.iter().enumerate() {
            write!(out, "{}\n    \"{failure}\"", if i == 0 { "" } else { "," })?;
        }
        out.write_str("\n  ]\n}\n")
    }
}

/// Writes one line for each metric, and whether the books balance.
pub fn write_table(out: &mut impl Write, reading: &Reading, balance: &Balance) -> fmt::Result {
    for metric in TABLE {
        writeln!(out, "{:>20}  {}", (metric.value)(reading), metric.name)?;
    }
    let failures = &balance.failures;
    if failures.is_empty() {
        return writeln!(out, "{:>20}  crossfoot", verdict(balance));
    }
    let mut result = Ok(());
    failures.describe(|what| {
        if result.is_ok() {
            result = writeln!(out, "          UNBALANCED  {what}");
        }
    });
    result
}

/// What is said where no identity failed: that all hold, or that they could not be checked.
fn verdict(balance: &Balance) -> &'static str {
    if balance.complete {
        "balanced"
    } else {
        "unchecked: a thread was stopped in a movement, or the system refused a fence"
    }
}
