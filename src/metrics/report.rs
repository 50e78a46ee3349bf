//! A reading as a table or as JSON.

use core::fmt::{self, Display, Write};

use super::openmetrics::write_openmetrics;
use super::reading::Reading;
use super::table::{Kind, Metric, TABLE};
use super::verdict::{Verdict, elements};
use crate::options::Format;

/// The head of a report: the process that it is about.
#[derive(Clone, Copy, Debug)]
pub struct Heading<'a> {
    /// The process id.
    pub pid: u64,
    /// The name of its program (`comm`).
    pub command: &'a [u8],
    /// How the process ended, if another process wrote the report; otherwise empty.
    pub ended: &'a str,
}

impl Heading<'_> {
    /// Returns the command as ASCII text that needs no escapes in any format.
    pub fn command(&self) -> impl Display + '_ {
        fmt::from_fn(|f| {
            let plain = |&byte: &u8| (b' '..=b'~').contains(&byte) && !b"\"\\".contains(&byte);
            self.command.iter().try_for_each(|byte| f.write_char(if plain(byte) { char::from(*byte) } else { '?' }))
        })
    }

    /// Returns how the process ended, after a comma.
    fn ended(&self) -> impl Display + '_ {
        fmt::from_fn(|f| if self.ended.is_empty() { Ok(()) } else { write!(f, ", {}", self.ended) })
    }

    fn write(&self, out: &mut impl Write, format: Format) -> fmt::Result {
        let (pid, command) = (self.pid, self.command());
        match format {
            Format::Table => writeln!(out, "{pid:>20}  process {command}{}", self.ended()),
            Format::Json => {
                write!(out, "{{\n  \"process\": {{\"pid\": {pid}, \"command\": \"{command}\"")?;
                if !self.ended.is_empty() {
                    write!(out, ", \"ended\": \"{}\"", self.ended)?;
                }
                out.write_str("},\n")
            }
            Format::OpenMetrics => {
                out.write_str(
                    "# HELP crossfoot_process The process of these figures.\n# TYPE crossfoot_process info\n",
                )?;
                write!(out, "crossfoot_process_info{{pid=\"{pid}\",command=\"{command}\"")?;
                if !self.ended.is_empty() {
                    write!(out, ",ended=\"{}\"", self.ended)?;
                }
                out.write_str("} 1\n")
            }
        }
    }
}

/// Writes a reading in a format.
pub fn write(out: &mut impl Write, format: Format, reading: &Reading, verdict: Verdict<'_>) -> fmt::Result {
    match format {
        Format::Table => write_table(out, reading, verdict),
        Format::Json => write_json(out, reading, verdict),
        Format::OpenMetrics => write_openmetrics(out, reading, verdict),
    }
}

/// Like [`write()`], with a head.
pub fn write_headed(
    out: &mut impl Write,
    format: Format,
    heading: &Heading<'_>,
    reading: &Reading,
    verdict: Verdict<'_>,
) -> fmt::Result {
    heading.write(out, format)?;
    match format {
        Format::Json => write_members(out, reading, verdict),
        _ => write(out, format, reading, verdict),
    }
}

/// Returns the metrics that the reading has: numbers first.
fn known(reading: &Reading) -> impl Iterator<Item = &'static Metric> {
    let numbers = TABLE.iter().filter(|metric| metric.kind() == Kind::Uint64);
    let others = TABLE.iter().filter(|metric| metric.kind() != Kind::Uint64);
    numbers.chain(others).filter(|metric| metric.is_known(reading))
}

/// Returns a number, or 0 if the metric is not a number.
fn number(metric: &Metric, reading: &Reading) -> i64 {
    metric.number(reading).unwrap_or_default()
}

/// Writes one JSON object, described by `docs/metrics.schema.json`: metric name → number; label → number for a vector;
/// or bounds, counts and sum of a histogram. The member `"crossfoot"` is `"balanced"`, a list of the identities that
/// failed, or the reason why they were not checked.
pub fn write_json(out: &mut impl Write, reading: &Reading, verdict: Verdict<'_>) -> fmt::Result {
    out.write_str("{\n")?;
    write_members(out, reading, verdict)
}

/// Writes the members of the object, and its end.
fn write_members(out: &mut impl Write, reading: &Reading, verdict: Verdict<'_>) -> fmt::Result {
    for metric in known(reading) {
        write!(out, "  \"{}\": ", metric.name())?;
        match (metric.labels(), metric.bounds()) {
            (Some(labels), _) => {
                let pairs = elements(metric, reading).enumerate();
                list(
                    out,
                    '{',
                    pairs.map(|(i, n)| fmt::from_fn(move |f| write!(f, "\"{}\": {n}", labels.label(i)))),
                    '}',
                )?;
            }
            (_, Some(bounds)) => {
                out.write_str("{\"bounds\": ")?;
                list(out, '[', bounds.iter(), ']')?;
                out.write_str(", \"counts\": ")?;
                list(out, '[', elements(metric, reading), ']')?;
                write!(out, ", \"sum\": {}}}", number(metric, reading))?;
            }
            _ => write!(out, "{}", number(metric, reading))?,
        }
        out.write_str(",\n")?;
    }
    if let Verdict::Unbalanced(failures) = verdict {
        out.write_str("  \"crossfoot\": [")?;
        for (i, failure) in failures.iter().enumerate() {
            write!(out, "{}\n    \"{failure}\"", if i == 0 { "" } else { "," })?;
        }
        out.write_str("\n  ]\n}\n")
    } else {
        writeln!(out, "  \"crossfoot\": \"{}\"\n}}", verdict.words())
    }
}

fn list<T: Display>(out: &mut impl Write, open: char, items: impl Iterator<Item = T>, close: char) -> fmt::Result {
    out.write_char(open)?;
    for (i, item) in items.enumerate() {
        write!(out, "{}{item}", if i == 0 { "" } else { ", " })?;
    }
    out.write_char(close)
}

/// Writes one line for each number and for each element of a vector or histogram that is not zero, then whether the
/// books balance.
pub fn write_table(out: &mut impl Write, reading: &Reading, verdict: Verdict<'_>) -> fmt::Result {
    for metric in known(reading) {
        if metric.kind() == Kind::Uint64 {
            writeln!(out, "{:>20}  {}", number(metric, reading), metric.name())?;
            continue;
        }
        for (i, n) in elements(metric, reading).enumerate().filter(|&(_, n)| n != 0) {
            write!(out, "{n:>20}  {}[", metric.name())?;
            match (metric.labels(), metric.bounds().and_then(|bounds| bounds.get(i))) {
                (Some(labels), _) => write!(out, "{}", labels.label(i))?,
                (_, Some(bound)) => write!(out, "<={bound}")?,
                _ => out.write_str("above")?,
            }
            out.write_str("]\n")?;
        }
    }
    let Verdict::Unbalanced(failures) = verdict else {
        return writeln!(out, "{:>20}  crossfoot", verdict.words());
    };
    let mut result = Ok(());
    failures.describe(|what| {
        if result.is_ok() {
            result = writeln!(out, "          UNBALANCED  {what}");
        }
    });
    result
}
