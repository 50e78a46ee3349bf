//! The ratios as text.

use super::{Found, Paired};
use crate::measure::Sample;
use readers::statistics::{Estimate, by_mean, by_median, quantile};
use std::fmt::Write;

/// A quantity of a sample.
type Quantity = fn(&Sample) -> f64;

/// Those that are compared.
const QUANTITIES: [Quantity; 2] = [|sample| sample.cpu_seconds, |sample| sample.seconds];

/// The table: a row for each pattern, and the geometric mean.
pub fn render(found: &Found) -> String {
    let machine = &found.machine;
    let pairs = found.rows.iter().map(|row| row.on.len().min(row.off.len())).min().unwrap_or(0);
    let mut text = format!(
        "\n{} · {} processors · Linux {} · load before {:.2}\n{} · {pairs} of {} pairs · {} % of the work · on \
         processor {} · {:.0} s\n\nWith the books, divided by without: medians of the pairs' ratios, and what they are \
         less than with 95 % confidence\n",
        machine.processor,
        machine.processors,
        machine.kernel,
        machine.load,
        found.date,
        found.pairs,
        found.percent,
        found.processor,
        found.seconds,
    );
    line(&mut text, &cells("pattern/threads", "off", ["CPU", "below", "time", "below"].map(str::to_owned)));
    for row in &found.rows {
        let mut off: Vec<f64> = row.off.iter().map(QUANTITIES[0]).collect();
        let off = quantile(&mut off, 0.5).map_or("-".to_owned(), |median| format!("{:.0} ms", median * 1000.0));
        let [cpu, time] = QUANTITIES.map(|of| by_median(&row.ratios(of)));
        line(&mut text, &cells(&row.label, &off, [ratio(cpu), upper(cpu), ratio(time), upper(time)]));
    }
    let all: Vec<&Paired> = found.rows.iter().collect();
    text += &mean("geometric mean", &all);
    let (system, own): (Vec<&Paired>, Vec<&Paired>) = all.iter().partition(|row| row.is_mostly_system());
    if !system.is_empty() {
        text += &mean("without the system's", &own);
        let labels: Vec<&str> = system.iter().map(|row| row.label.as_str()).collect();
        line(&mut text, &format!("the system's, with more than half of the time in the kernel: {}", labels.join(", ")));
    }
    for (label, reason) in &found.failures {
        line(&mut text, &format!("failed: {label}: {reason}"));
    }
    text
}

impl Paired {
    /// Each pair's ratio.
    fn ratios(&self, of: Quantity) -> Vec<f64> {
        self.on.iter().zip(&self.off).map(|(on, off)| of(on) / of(off)).collect()
    }

    /// Whether more than half of the time is the kernel's: then it depends on where the system finds pages.
    pub(super) fn is_mostly_system(&self) -> bool {
        let mut shares: Vec<f64> = self.off.iter().map(|off| off.system_seconds / off.cpu_seconds).collect();
        quantile(&mut shares, 0.5).is_some_and(|share| share > 0.5)
    }
}

/// The row of a geometric mean, and what is known of it.
fn mean(title: &str, rows: &[&Paired]) -> String {
    let mut text = String::new();
    let pairs = QUANTITIES.map(|of| means(rows, of));
    let [cpu, time] = [by_median(&pairs[0]), by_median(&pairs[1])];
    line(&mut text, &cells(title, "", [ratio(cpu), upper(cpu), ratio(time), upper(time)]));
    let found = [("median", cpu), ("mean", by_mean(&pairs[0]))];
    let found = found.iter().filter_map(|(how, found)| {
        let found = (*found)?;
        Some(format!("{how} {:.4}, 95 % from {:.4} to {:.4}", found.ratio, found.low, found.high))
    });
    let found: Vec<String> = found.collect();
    line(&mut text, &format!("  of the pairs' CPU time: {}", found.join("; ")));
    text
}

/// Each pair's geometric mean over these patterns.
fn means(rows: &[&Paired], of: Quantity) -> Vec<f64> {
    let ratios: Vec<Vec<f64>> = rows.iter().map(|row| row.ratios(of)).collect();
    let pairs = ratios.iter().map(Vec::len).min().unwrap_or(0);
    let mean = |pair: usize| {
        let logs = ratios.iter().map(|row| row[pair].ln());
        (logs.sum::<f64>() / ratios.len() as f64).exp()
    };
    (0..pairs).map(mean).collect()
}

fn ratio(found: Option<Estimate>) -> String {
    found.map_or("-".to_owned(), |found| format!("{:.4}", found.ratio))
}

fn upper(found: Option<Estimate>) -> String {
    found.map_or("-".to_owned(), |found| format!("{:.4}", found.upper))
}

fn cells(label: &str, off: &str, ratios: [String; 4]) -> String {
    let ratios: String = ratios.iter().map(|ratio| format!("{ratio:>9}")).collect();
    format!("{label:<22} {off:>8}{ratios}")
}

/// Appends a line without trailing spaces.
fn line(text: &mut String, content: &str) {
    let _infallible = writeln!(text, "{}", content.trim_end());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(cpu_seconds: f64) -> Sample {
        Sample { seconds: 1.0, cpu_seconds, system_seconds: 0.4, peak_kib: 0, mean_kib: 0, minor_faults: 0 }
    }

    #[test]
    fn each_pair_has_a_mean_over_the_patterns() {
        let row = |on: [f64; 2]| Paired {
            label: String::new(),
            warmed: false,
            on: on.map(sample).to_vec(),
            off: [1.0, 1.0].map(sample).to_vec(),
        };
        let (one, other) = (row([2.0, 8.0]), row([0.5, 2.0]));
        let found = means(&[&one, &other], QUANTITIES[0]);
        assert!((found[0] - 1.0).abs() < 1e-12 && (found[1] - 4.0).abs() < 1e-12);
        assert!(!one.is_mostly_system());
        assert_eq!(one.ratios(QUANTITIES[0]), [2.0, 8.0]);
    }
}
