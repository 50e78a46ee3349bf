//! A reading as OpenMetrics text.

use core::fmt::{self, Display, Write};

use super::reading::Reading;
use super::table::{Kind, Metric, TABLE};
use super::verdict::{Verdict, elements};

/// Writes a reading as text of OpenMetrics 1.0: a family for each metric that the reading has, in base units, then
/// whether the books balance, if that is known.
///
/// The name of a family is `crossfoot`, the path and the unit of the metric, joined by underscores; nanoseconds become
/// seconds. A cumulative histogram is a `histogram`, another one a `gaugehistogram`.
pub fn write_openmetrics(out: &mut impl Write, reading: &Reading, verdict: Verdict<'_>) -> fmt::Result {
    for metric in TABLE.iter().filter(|metric| metric.is_known(reading)) {
        family(out, metric)?;
        match metric.kind() {
            Kind::Vector => vector(out, metric, reading)?,
            Kind::Histogram => histogram(out, metric, reading)?,
            Kind::Uint64 | Kind::Bad => {
                let n = metric.number(reading).unwrap_or_default();
                writeln!(out, "{}{} {}", name(metric), suffix(metric), value(metric, n))?;
            }
        }
    }
    let balanced = match verdict {
        Verdict::Balanced => 1,
        Verdict::Unbalanced(_) => 0,
        Verdict::Incomplete | Verdict::Interrupted | Verdict::NotChecked => return out.write_str("# EOF\n"),
    };
    out.write_str("# HELP crossfoot_balanced Whether every identity of the books holds.\n")?;
    out.write_str("# TYPE crossfoot_balanced gauge\n")?;
    write!(out, "crossfoot_balanced {balanced}\n# EOF\n")
}

fn family(out: &mut impl Write, metric: &Metric) -> fmt::Result {
    let kind = match (metric.kind(), metric.cumulative) {
        (Kind::Histogram, true) => "histogram",
        (Kind::Histogram, false) => "gaugehistogram",
        (_, true) => "counter",
        (_, false) => "gauge",
    };
    let name = name(metric);
    writeln!(out, "# HELP {name} {}\n# TYPE {name} {kind}\n# UNIT {name} {}", metric.help(), unit(metric))
}

fn vector(out: &mut impl Write, metric: &Metric, reading: &Reading) -> fmt::Result {
    let Some(labels) = metric.labels() else { return Ok(()) };
    for (i, n) in elements(metric, reading).enumerate() {
        let (key, label, value) = (labels.key(), labels.label(i), value(metric, n as i64));
        writeln!(out, "{}{}{{{key}=\"{label}\"}} {value}", name(metric), suffix(metric))?;
    }
    Ok(())
}

fn histogram(out: &mut impl Write, metric: &Metric, reading: &Reading) -> fmt::Result {
    let (name, bounds) = (name(metric), metric.bounds().unwrap_or_default());
    let mut count = 0;
    for (i, n) in elements(metric, reading).enumerate() {
        count += n;
        match bounds.get(i) {
            // The format requires a decimal fraction in a bound.
            Some(bound) => writeln!(out, "{name}_bucket{{le=\"{bound}.0\"}} {count}")?,
            None => writeln!(out, "{name}_bucket{{le=\"+Inf\"}} {count}")?,
        }
    }
    let gauge = if metric.cumulative { "" } else { "g" };
    let sum = metric.number(reading).unwrap_or_default().max(0);
    writeln!(out, "{name}_{gauge}count {count}\n{name}_{gauge}sum {sum}")
}

/// Returns the name of the family.
fn name(metric: &Metric) -> impl Display + Copy {
    let (path, unit) = (metric.name().split_once(':').map_or("", |(path, _)| path), unit(metric));
    Shown(move |f: &mut fmt::Formatter<'_>| {
        f.write_str("crossfoot")?;
        path.chars().try_for_each(|c| f.write_char(if c.is_ascii_alphanumeric() { c } else { '_' }))?;
        write!(f, "_{unit}")
    })
}

/// A value with a function as its `Display`, to write it more than once.
#[derive(Clone, Copy)]
struct Shown<F>(F);

impl<F: Fn(&mut fmt::Formatter<'_>) -> fmt::Result> Display for Shown<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (self.0)(f)
    }
}

/// Returns the base unit.
fn unit(metric: &Metric) -> &'static str {
    match metric.unit() {
        "nanoseconds" => "seconds",
        unit => unit,
    }
}

fn suffix(metric: &Metric) -> &'static str {
    if metric.cumulative { "_total" } else { "" }
}

/// Returns a value in the base unit. A counter is never negative, even if the accounts are wrong.
fn value(metric: &Metric, n: i64) -> impl Display {
    let n = if metric.cumulative { n.max(0) } else { n };
    let nanos = metric.unit() == "nanoseconds";
    fmt::from_fn(move |f| {
        if nanos {
            write!(f, "{}.{:09}", n / 1_000_000_000, n.unsigned_abs() % 1_000_000_000)
        } else {
            write!(f, "{n}")
        }
    })
}
