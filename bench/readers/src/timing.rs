//! Times of single reads and of batches of them.

use crate::{
    method::{Cell, Method},
    statistics::quantile,
};
use std::{
    hint::black_box,
    time::{Duration, Instant},
};

/// How often each method has its turn, so that a change of the machine's speed meets all of them.
const TURNS: u32 = 4;
/// Nanoseconds that a batch should take: the clock and its grain must vanish in them, and few of them may be
/// interrupted.
const BATCH_NS: f64 = 30_000.0;
/// Reads in the largest batch.
const LARGEST: usize = 100;
/// Batches that are made although the time is over: among many threads the reader has a CPU seldom.
const FEWEST: usize = 20;
/// How often the time may pass for these.
const PATIENCE: u32 = 2;
/// Reads that say how large a batch is.
const PROBES: usize = 7;
/// Single reads that are kept per method; all of the memory is there before the first.
const KEPT: usize = 400_000;

/// What was measured of one method so far.
struct Tally {
    batch: usize,
    batches: Vec<f64>,
    singles: Vec<f64>,
    incomplete: u64,
    /// Time that it took so far.
    spent: Duration,
}

/// Nanoseconds that a read takes which reads nothing but the clock.
pub fn clock_cost() -> f64 {
    let mut costs: Vec<f64> = (0..1001).map(|_| nanos(black_box(Instant::now()))).collect();
    quantile(&mut costs, 0.5).unwrap_or(0.0)
}

/// Measures each method for this long.
pub fn measure(methods: &mut [Method], working: bool, budget: Duration) -> Vec<Cell> {
    let mut tallies: Vec<Tally> = methods.iter_mut().map(|method| Tally::calibrated(method, budget)).collect();
    for turn in 1..=TURNS {
        for (method, tally) in methods.iter_mut().zip(&mut tallies) {
            tally.turn(method, budget * turn / TURNS, FEWEST * turn as usize / TURNS as usize);
        }
    }
    methods.iter().zip(tallies).map(|(method, tally)| tally.cell(method.name, working)).collect()
}

fn nanos(since: Instant) -> f64 {
    since.elapsed().as_nanos() as f64
}

impl Tally {
    /// Finds out how many reads make a batch. The shortest probe counts: another may have been interrupted.
    fn calibrated(method: &mut Method, budget: Duration) -> Tally {
        let begun = Instant::now();
        let mut shortest = f64::INFINITY;
        for _ in 0..PROBES {
            let start = Instant::now();
            black_box((method.read)());
            shortest = shortest.min(nanos(start));
            if begun.elapsed() > budget / TURNS {
                break;
            }
        }
        Tally {
            batch: ((BATCH_NS / shortest.max(1.0)) as usize).clamp(1, LARGEST),
            batches: Vec::with_capacity(KEPT),
            singles: Vec::with_capacity(KEPT),
            incomplete: 0,
            spent: begun.elapsed(),
        }
    }

    /// Batches and single reads in turn, until so much of the time is spent or the lists are full. A method that
    /// is so slow that one turn spends it all has no other.
    fn turn(&mut self, method: &mut Method, until: Duration, fewest: usize) {
        let due = |tally: &Tally| match tally.batches.len() {
            0 => true,
            few if few < fewest => tally.spent < until * PATIENCE,
            _ => tally.spent < until && tally.singles.len() + tally.batch <= KEPT,
        };
        while due(self) {
            let begun = Instant::now();
            for _ in 0..self.batch {
                self.incomplete += u64::from(!(method.read)());
            }
            self.batches.push(nanos(begun) / self.batch as f64);
            match self.batch {
                // It was one.
                1 => self.singles.extend(self.batches.last()),
                _ => self.one_by_one(method),
            }
            self.spent += begun.elapsed();
        }
    }

    fn one_by_one(&mut self, method: &mut Method) {
        for _ in 0..self.batch {
            let start = Instant::now();
            let complete = (method.read)();
            self.singles.push(nanos(start));
            self.incomplete += u64::from(!complete);
        }
    }

    fn cell(mut self, method: &str, working: bool) -> Cell {
        Cell {
            method: method.to_owned(),
            working,
            median_ns: quantile(&mut self.batches, 0.5).unwrap_or(f64::NAN),
            p99_ns: quantile(&mut self.singles, 0.99).unwrap_or(f64::NAN),
            longest_ns: quantile(&mut self.singles, 1.0).unwrap_or(f64::NAN),
            batch: self.batch,
            batches: self.batches.len(),
            singles: self.singles.len(),
            incomplete: self.incomplete,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_read_is_a_batch_of_its_own() {
        let mut answers = [false, true].into_iter().cycle();
        let slow = move || {
            std::thread::sleep(Duration::from_micros(100));
            answers.next() == Some(true)
        };
        let mut methods = [Method::new("slow", slow), Method::new("fast", || true)];
        let cells = measure(&mut methods, true, Duration::from_millis(40));
        assert_eq!(cells.len(), 2);
        assert_eq!(cells[0].batch, 1);
        assert!(cells[0].median_ns > 100_000.0 && cells[0].longest_ns >= cells[0].p99_ns);
        assert!(cells[0].incomplete > 0);
        assert_eq!((cells[1].batch, cells[1].incomplete), (LARGEST, 0));
        assert!(cells[1].median_ns < cells[0].median_ns);
    }
}
