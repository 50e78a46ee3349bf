//! `crossfoot stat`: prints the figures of a running process.

use std::time::{Duration, Instant};

use crossfoot::metrics::Reading;
use crossfoot::stats::Failures;

use crate::args::{Format, Stat};
use crate::failure::Failure;
use crate::figures::{Figures, text};
use crate::process::{Refusal, Target};
use crate::summary::{self, Summary};
use crate::tables;

/// The age in nanoseconds above which a fresh reading is asked for.
const OLD: u64 = 50_000_000;
/// The longest wait for a fresh reading: a process gives none while its threads neither allocate nor free.
const TIMEOUT: Duration = Duration::from_millis(1);

/// Prints the figures. With `--watch`, repeats that until the process ends.
pub fn stat(stat: &Stat) -> Result<(), Failure> {
    let mut before: Option<(Reading, u64)> = None;
    let watch = stat.watch.map(Duration::from_secs_f64);
    let mut next = Instant::now();
    loop {
        let target = match Target::find(stat.pid) {
            // The process was watched and has ended: that is success.
            Err(Refusal::Gone) if before.is_some() => return Ok(()),
            found => found.map_err(|refusal| refusal.failure(stat.pid))?,
        };
        let (mut reading, taken) = fresh(&target).ok_or_else(|| {
            Failure::refused(format!("process {} has written no reading to its stats page yet", stat.pid))
        })?;
        drop(target);
        let mut failures = Failures::default();
        reading.snapshot.check(&mut failures);
        let change = before.as_ref().map(|(reading, then)| (reading, taken.saturating_sub(*then)));
        let before_this = change.filter(|&(_, nanos)| nanos > 0).map(|(reading, nanos)| (reading, nanos as f64 / 1e9));
        reading.read_at = now();
        if stat.all || stat.format != Format::Table {
            let figures = Figures { reading: &reading, failures: &failures, before: before_this };
            tables::print(&text(&figures, stat.format))?;
        } else {
            let before_any = before.is_some();
            let age = reading.read_at.saturating_sub(taken) as f64 / 1e9;
            let before = before_this.map(|(reading, seconds)| (&reading.snapshot, seconds));
            let (books, failures) = (&reading.snapshot, &failures);
            let summary = Summary { pid: stat.pid, books, failures, age, before, raw: stat.bytes };
            // An empty line separates two readings.
            let gap = if before_any { "\n" } else { "" };
            tables::print(&format!("{gap}{}", summary::text(&summary)))?;
        }
        if !failures.is_empty() {
            let line = format!("the books of process {} do not balance", stat.pid);
            return Err(Failure { status: Failure::UNBALANCED, line });
        }
        let Some(watch) = watch else { return Ok(()) };
        before = Some((reading, taken));
        next += watch;
        std::thread::sleep(next.saturating_duration_since(Instant::now()));
    }
}

/// Returns the last reading, with its time. Asks for a fresh one first if it is old.
pub fn fresh(target: &Target) -> Option<(Reading, u64)> {
    let found = target.reading();
    if found.as_ref().is_none_or(|(_, taken)| now().saturating_sub(taken.nanos) > OLD) {
        target.want_fresh(TIMEOUT);
        return target.reading().or(found).map(|(reading, taken)| (reading, taken.nanos));
    }
    found.map(|(reading, taken)| (reading, taken.nanos))
}

/// Returns the nanoseconds of the clock that readings are dated by.
pub fn now() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the call writes to this frame.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut time) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}
