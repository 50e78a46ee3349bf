//! Medians, ratios and means.

use crate::{
    measure::Sample,
    record::{Measured, Record},
};

/// A quantity that is compared; less is better in each.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Measure {
    /// Wall-clock time.
    Time,
    /// Processor time.
    Cpu,
    /// Peak resident memory.
    Peak,
}

impl Measure {
    /// All of them, in the order of the tables.
    pub const ALL: [Measure; 3] = [Measure::Time, Measure::Cpu, Measure::Peak];

    /// The table's title.
    pub fn title(self) -> &'static str {
        match self {
            Measure::Time => "time",
            Measure::Cpu => "CPU time",
            Measure::Peak => "peak Rss",
        }
    }

    /// The quantity in a sample: seconds, or MiB.
    fn of(self, sample: &Sample) -> f64 {
        match self {
            Measure::Time => sample.seconds,
            Measure::Cpu => sample.cpu_seconds,
            Measure::Peak => sample.peak_kib as f64 / 1024.0,
        }
    }

    /// A median with its unit.
    pub fn show(self, value: f64) -> String {
        match self {
            Measure::Time | Measure::Cpu => format!("{:.0} ms", value * 1000.0),
            Measure::Peak => format!("{value:.1} MiB"),
        }
    }
}

/// The median of an allocator's samples in a row.
pub fn median_of(row: &Measured, allocator: &str, measure: Measure) -> Option<f64> {
    let samples = row.samples.get(allocator)?;
    median(samples.iter().map(|sample| measure.of(sample)).collect())
}

/// The allocator's median divided by the reference's.
pub fn ratio(record: &Record, row: &Measured, allocator: &str, measure: Measure) -> Option<f64> {
    let reference = median_of(row, &record.reference, measure)?;
    let own = median_of(row, allocator, measure)?;
    (reference > 0.0).then(|| own / reference)
}

/// The geometric mean of an allocator's ratios over all rows in which it has
/// one, and the number of those rows.
pub fn overall(record: &Record, allocator: &str, measure: Measure) -> Option<(f64, usize)> {
    let ratios = record.rows.iter().filter_map(|row| ratio(record, row, allocator, measure));
    let ratios: Vec<f64> = ratios.filter(|ratio| *ratio > 0.0).collect();
    Some((geometric_mean(&ratios)?, ratios.len()))
}

/// The smallest ratio of a row.
pub fn best(record: &Record, row: &Measured, measure: Measure) -> Option<f64> {
    let names = row.samples.keys();
    names.filter_map(|name| ratio(record, row, name, measure)).min_by(f64::total_cmp)
}

/// The middle value; the mean of the two middle ones of an even number.
fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    let upper = *values.get(middle)?;
    if values.len().is_multiple_of(2) { Some((values[middle - 1] + upper) / 2.0) } else { Some(upper) }
}

/// The n-th root of the product.
fn geometric_mean(values: &[f64]) -> Option<f64> {
    let sum: f64 = values.iter().map(|value| value.ln()).sum();
    (!values.is_empty()).then(|| (sum / values.len() as f64).exp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn median_takes_the_middle() {
        assert_eq!(median(vec![]), None);
        assert_eq!(median(vec![3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(vec![4.0, 1.0, 2.0, 8.0]), Some(3.0));
    }

    #[test]
    fn geometric_mean_cancels_inverse_ratios() {
        assert_eq!(geometric_mean(&[]), None);
        let mean = geometric_mean(&[0.5, 2.0, 4.0, 0.25]).expect("not empty");
        assert!((mean - 1.0).abs() < 1e-12);
    }
}
