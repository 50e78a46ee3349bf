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
    /// Mean resident memory.
    Mean,
    /// Page faults.
    Faults,
}

impl Measure {
    /// All of them, in the order of the tables.
    pub const ALL: [Measure; 5] = [Measure::Time, Measure::Cpu, Measure::Peak, Measure::Mean, Measure::Faults];

    /// The table's title.
    pub fn title(self) -> &'static str {
        match self {
            Measure::Time => "time",
            Measure::Cpu => "CPU time",
            Measure::Peak => "peak Rss",
            Measure::Mean => "mean Rss",
            Measure::Faults => "page faults",
        }
    }

    /// Whether it is a size, of which the small ones say more about an allocator's start than about its appetite.
    pub fn is_size(self) -> bool {
        matches!(self, Measure::Peak | Measure::Mean)
    }

    /// The quantity in a sample: seconds, MiB, or a number.
    fn of(self, sample: &Sample) -> f64 {
        match self {
            Measure::Time => sample.seconds,
            Measure::Cpu => sample.cpu_seconds,
            Measure::Peak => sample.peak_kib as f64 / 1024.0,
            Measure::Mean => sample.mean_kib as f64 / 1024.0,
            Measure::Faults => sample.minor_faults as f64,
        }
    }

    /// A median with its unit.
    pub fn show(self, value: f64) -> String {
        match self {
            Measure::Time | Measure::Cpu => format!("{:.0} ms", value * 1000.0),
            Measure::Peak | Measure::Mean => format!("{value:.1} MiB"),
            Measure::Faults => format!("{value:.0}"),
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

/// The geometric mean of an allocator's ratios over those of these rows in which it has one, and the number of those.
pub fn mean_over(record: &Record, rows: &[&Measured], allocator: &str, measure: Measure) -> Option<(f64, usize)> {
    let ratios = rows.iter().filter_map(|row| ratio(record, row, allocator, measure));
    let ratios: Vec<f64> = ratios.filter(|ratio| *ratio > 0.0).collect();
    Some((geometric_mean(&ratios)?, ratios.len()))
}

/// Megabytes of the reference's peak, above which a row is one of large memory.
const LARGE: f64 = 20.0;

/// The rows in which the reference's peak is above [`LARGE`].
fn large_rows(record: &Record) -> Vec<&Measured> {
    let megabyte = 1e6 / f64::from(1 << 20);
    let is_large =
        |row: &&Measured| median_of(row, &record.reference, Measure::Peak).is_some_and(|peak| peak > LARGE * megabyte);
    record.rows.iter().filter(is_large).collect()
}

/// The kinds of rows, in the order of their first ones.
fn groups(record: &Record) -> Vec<(&str, Vec<&Measured>)> {
    let mut found: Vec<(&str, Vec<&Measured>)> = Vec::new();
    for row in record.rows.iter().filter(|row| !row.group.is_empty()) {
        match found.iter_mut().find(|(name, _)| *name == row.group) {
            Some((_, rows)) => rows.push(row),
            None => found.push((&row.group, vec![row])),
        }
    }
    found
}

/// The sets of rows that have a mean in the table of a measure, with their titles: all, each kind, and for sizes the
/// rows of large memory.
pub fn means(record: &Record, measure: Measure) -> Vec<(String, Vec<&Measured>)> {
    let mut sets = vec![("geometric mean".to_owned(), record.rows.iter().collect())];
    sets.extend(groups(record).into_iter().map(|(name, rows)| (format!("- {name}"), rows)));
    let large = large_rows(record);
    if measure.is_size() && !large.is_empty() {
        sets.push((format!("- above {LARGE} MB"), large));
    }
    sets
}

/// The smallest ratio of a row, and whose it is.
pub fn best<'a>(record: &'a Record, row: &Measured, measure: Measure) -> Option<(f64, &'a str)> {
    let all = record.allocators.iter();
    let ratios = all.filter_map(|one| Some((ratio(record, row, &one.name, measure)?, one.name.as_str())));
    ratios.min_by(|left, right| left.0.total_cmp(&right.0))
}

/// An allocator's median divided by the smallest of the row.
pub fn behind(record: &Record, row: &Measured, allocator: &str, measure: Measure) -> Option<f64> {
    let own = ratio(record, row, allocator, measure)?;
    let (best, _) = best(record, row, measure)?;
    (best > 0.0).then(|| own / best)
}

/// How far an allocator is behind the best of each row.
pub struct Distance<'a> {
    /// The geometric mean.
    pub mean: f64,
    /// Rows in which it is more than a tenth behind.
    pub beyond: usize,
    /// The row in which it is furthest behind, and by how much.
    pub worst: (f64, &'a Measured),
}

/// An allocator's [`behind`] in all rows; none if it has no row.
pub fn distance<'a>(record: &'a Record, allocator: &str, measure: Measure) -> Option<Distance<'a>> {
    let of = |row: &'a Measured| Some((behind(record, row, allocator, measure)?, row));
    let all: Vec<(f64, &Measured)> = record.rows.iter().filter_map(of).collect();
    let factors: Vec<f64> = all.iter().map(|(factor, _)| *factor).collect();
    let beyond = factors.iter().filter(|factor| **factor > 1.1).count();
    let worst = all.into_iter().max_by(|left, right| left.0.total_cmp(&right.0))?;
    Some(Distance { mean: geometric_mean(&factors)?, beyond, worst })
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
    use crate::allocators::Allocator;
    use std::collections::BTreeMap;

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

    fn sample(seconds: f64, peak_kib: u64) -> Sample {
        Sample { seconds, cpu_seconds: seconds, system_seconds: 0.0, peak_kib, mean_kib: peak_kib, minor_faults: 1 }
    }

    /// Two allocators in three rows of two kinds: slow and fast, in 10, 100 and 1,000 MiB.
    fn record() -> Record {
        let allocator =
            |name: &str| Allocator { name: name.to_owned(), version: String::new(), object: None, missing: None };
        let row = |name: &str, group: &str, times: [f64; 2], peak: u64| Measured {
            name: name.to_owned(),
            threads: 1,
            group: group.to_owned(),
            samples: BTreeMap::from([
                ("a".to_owned(), vec![sample(times[0], peak << 10)]),
                ("b".to_owned(), vec![sample(times[1], peak << 9)]),
            ]),
            failures: BTreeMap::new(),
            absences: BTreeMap::new(),
            notes: BTreeMap::new(),
            locks: None,
        };
        let rows = vec![
            row("one", "x", [1.0, 2.0], 10),
            row("two", "y", [1.0, 0.5], 100),
            row("three", "x", [1.0, 1.05], 1000),
        ];
        Record { reference: "a".to_owned(), allocators: ["a", "b"].map(allocator).into(), rows, ..Record::empty() }
    }

    #[test]
    fn groups_and_large_rows_have_means_of_their_own() {
        let record = record();
        let groups = groups(&record);
        let names: Vec<_> = groups.iter().map(|(name, rows)| (*name, rows.len())).collect();
        assert_eq!(names, [("x", 2), ("y", 1)]);
        let (mean, rows) = mean_over(&record, &groups[0].1, "b", Measure::Time).expect("it has rows");
        assert!((mean - 2.1_f64.sqrt()).abs() < 1e-12 && rows == 2);
        let large: Vec<_> = large_rows(&record).iter().map(|row| row.name.as_str()).collect();
        assert_eq!(large, ["two", "three"]);
    }

    #[test]
    fn the_distance_is_to_the_best_of_each_row() {
        let record = record();
        assert_eq!(best(&record, &record.rows[1], Measure::Time), Some((0.5, "b")));
        let a = distance(&record, "a", Measure::Time).expect("it has rows");
        assert_eq!((a.beyond, a.worst.0, a.worst.1.name.as_str()), (1, 2.0, "two"));
        let b = distance(&record, "b", Measure::Time).expect("it has rows");
        assert_eq!((b.beyond, b.worst.0, b.worst.1.name.as_str()), (1, 2.0, "one"));
        assert!((b.mean - 2.1_f64.cbrt()).abs() < 1e-12);
        assert!(distance(&record, "c", Measure::Time).is_none());
    }
}
