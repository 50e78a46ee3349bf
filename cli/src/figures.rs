//! What is printed of a reading from outside: the metrics, how old it is, and whether it balances.

use std::fmt::Write as _;

use kernel::account::Failures;
use kernel::metrics::{Reading, TABLE};

use crate::args::Format;

/// A reading, as it is printed.
pub struct Figures<'a> {
    /// The reading.
    pub reading: &'a Reading,
    /// How old it is, in nanoseconds.
    pub age: u64,
    /// The identities that fail in it.
    pub failures: &'a Failures,
    /// The reading that was printed before, and how many seconds lie between.
    pub before: Option<(&'a Reading, f64)>,
}

/// What its age stands under.
const AGE: &str = "/ledger/age:nanoseconds";

/// The text of a reading.
pub fn text(figures: &Figures<'_>, format: Format) -> String {
    match format {
        Format::Table => table(figures),
        Format::Json => json(figures),
    }
}

// Writing to a string does not fail.

fn table(figures: &Figures<'_>) -> String {
    let mut text = String::new();
    for metric in TABLE {
        let value = (metric.value)(figures.reading);
        let _ = write!(text, "{value:>20}");
        if let Some((before, seconds)) = figures.before {
            let change = (value - (metric.value)(before)) as f64 / seconds;
            let _ = write!(text, "  {change:>+16.0}/s");
        }
        let _ = writeln!(text, "  {}", metric.name);
    }
    let column = if figures.before.is_some() { "                    " } else { "" };
    let _ = writeln!(text, "{:>20}{column}  {AGE}", figures.age);
    if figures.failures.is_empty() {
        let _ = writeln!(text, "{:>20}{column}  crossfoot", "balanced");
    }
    figures.failures.describe(|what| {
        let _ = writeln!(text, "          UNBALANCED{column}  {what}");
    });
    text
}

fn json(figures: &Figures<'_>) -> String {
    let mut text = String::from("{\n");
    for metric in TABLE {
        let _ = writeln!(text, "  \"{}\": {},", metric.name, (metric.value)(figures.reading));
    }
    let _ = writeln!(text, "  \"{AGE}\": {},", figures.age);
    if figures.failures.is_empty() {
        text += "  \"crossfoot\": \"balanced\"\n}\n";
        return text;
    }
    let mut lines = Vec::new();
    figures.failures.describe(|what| lines.push(format!("\n    \"{what}\"")));
    let _ = writeln!(text, "  \"crossfoot\": [{}\n  ]\n}}", lines.join(","));
    text
}
