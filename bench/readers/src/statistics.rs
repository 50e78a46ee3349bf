//! Medians, and intervals of ratios.
//!
//! Ratios are taken of pairs that ran right after each other, and as logarithms, so that a half and a double cancel.

use serde::{Deserialize, Serialize};

/// The standard normal quantile that 97.5 % lie below.
const TWO_SIDED: f64 = 1.959_964;
/// And the one for 95 %.
const ONE_SIDED: f64 = 1.644_854;

/// A ratio with what is known of it.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
pub struct Estimate {
    /// The ratio.
    pub ratio: f64,
    /// The lower end of the 95 % interval.
    pub low: f64,
    /// Its upper end.
    pub high: f64,
    /// What it is less than with 95 % confidence, asked on this side alone.
    pub upper: f64,
}

impl Estimate {
    fn of_logs(ratio: f64, low: f64, high: f64, upper: f64) -> Estimate {
        Estimate { ratio: ratio.exp(), low: low.exp(), high: high.exp(), upper: upper.exp() }
    }
}

/// The value that `part` of all are not above; sorts. The nearest rank, or the mean of two ranks at a half.
pub fn quantile(values: &mut [f64], part: f64) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let last = values.len().checked_sub(1)?;
    if part == 0.5 {
        return Some((values[last / 2] + values[last.div_ceil(2)]) / 2.0);
    }
    let rank = (part * values.len() as f64).ceil() as usize;
    Some(values[rank.saturating_sub(1).min(last)])
}

/// The median of the ratios. The interval is that of the sign test: its ends are ratios that occurred, and it
/// holds whatever the distribution. `None` if there are fewer than six.
pub fn by_median(ratios: &[f64]) -> Option<Estimate> {
    let mut logs: Vec<f64> = ratios.iter().map(|ratio| ratio.ln()).collect();
    let middle = quantile(&mut logs, 0.5)?;
    let count = logs.len();
    let outer = sign_rank(count, 0.025)?;
    let upper = sign_rank(count, 0.05)?;
    Some(Estimate::of_logs(middle, logs[outer], logs[count - 1 - outer], logs[count - 1 - upper]))
}

/// How many of `count` ratios at one end lie outside of an interval that `tail` of all medians miss at this end.
fn sign_rank(count: usize, tail: f64) -> Option<usize> {
    // The chance that exactly, and that at most so many of them are on one side of the median.
    let mut exactly = 0.5_f64.powi(i32::try_from(count).ok()?);
    let mut at_most = exactly;
    let mut outside = 0;
    if at_most > tail {
        return None;
    }
    while outside < count {
        exactly *= (count - outside) as f64 / (outside + 1) as f64;
        at_most += exactly;
        if at_most > tail {
            break;
        }
        outside += 1;
    }
    Some(outside)
}

/// The geometric mean of the ratios, with Student's interval of the logarithms. `None` if there are fewer than
/// three.
pub fn by_mean(ratios: &[f64]) -> Option<Estimate> {
    let logs: Vec<f64> = ratios.iter().map(|ratio| ratio.ln()).collect();
    if logs.len() < 3 {
        return None;
    }
    let count = logs.len() as f64;
    let mean = logs.iter().sum::<f64>() / count;
    let variance = logs.iter().map(|log| (log - mean).powi(2)).sum::<f64>() / (count - 1.0);
    let error = (variance / count).sqrt();
    let [both, one] = [TWO_SIDED, ONE_SIDED].map(|normal| student(normal, count - 1.0) * error);
    Some(Estimate::of_logs(mean, mean - both, mean + both, mean + one))
}

/// The quantile of Student's distribution that belongs to this one of the normal distribution: the expansion of
/// Abramowitz and Stegun, 26.7.5.
fn student(normal: f64, freedom: f64) -> f64 {
    let z = normal;
    let first = (z.powi(3) + z) / 4.0;
    let second = (5.0 * z.powi(5) + 16.0 * z.powi(3) + 3.0 * z) / 96.0;
    let third = (3.0 * z.powi(7) + 19.0 * z.powi(5) + 17.0 * z.powi(3) - 15.0 * z) / 384.0;
    z + first / freedom + second / freedom.powi(2) + third / freedom.powi(3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_ranks() {
        assert_eq!(quantile(&mut [], 0.5), None);
        assert_eq!(quantile(&mut [3.0, 1.0, 2.0], 0.5), Some(2.0));
        assert_eq!(quantile(&mut [4.0, 1.0, 2.0, 8.0], 0.5), Some(3.0));
        let mut hundred: Vec<f64> = (1..=100).rev().map(f64::from).collect();
        assert_eq!(quantile(&mut hundred, 0.99), Some(99.0));
        assert_eq!(quantile(&mut hundred, 1.0), Some(100.0));
    }

    #[test]
    fn the_sign_test_is_that_of_the_tables() {
        // Of 21: the 6th and the 16th, 97.3 %; on one side, the 15th, 96.1 %.
        assert_eq!(sign_rank(21, 0.025), Some(5));
        assert_eq!(sign_rank(21, 0.05), Some(6));
        assert_eq!(sign_rank(5, 0.025), None);
        assert_eq!(sign_rank(6, 0.025), Some(0));
        let ratios: Vec<f64> = (1..=21).map(f64::from).collect();
        let found = by_median(&ratios).expect("enough");
        let ends = [found.ratio, found.low, found.high, found.upper].map(|end| end.round() as u32);
        assert_eq!(ends, [11, 6, 16, 15]);
    }

    #[test]
    fn student_is_that_of_the_tables() {
        assert!((student(TWO_SIDED, 20.0) - 2.086).abs() < 0.001);
        assert!((student(ONE_SIDED, 20.0) - 1.725).abs() < 0.001);
        assert!((student(TWO_SIDED, 5.0) - 2.571).abs() < 0.01);
    }

    #[test]
    fn a_mean_lies_in_its_interval() {
        let found = by_mean(&[0.5, 2.0, 0.9, 1.0 / 0.9]).expect("enough");
        assert!((found.ratio - 1.0).abs() < 1e-12);
        assert!(found.low < 1.0 && 1.0 < found.upper && found.upper < found.high);
        assert!(by_mean(&[1.0, 1.0]).is_none());
    }
}
