//! The outcome of every test case, on two sides.

use std::collections::{BTreeMap, BTreeSet};
use std::process::ExitStatus;
use std::time::Duration;

use anyhow::Result;

use super::Findings;
use super::yard::Side;

/// How often a test file with a difference is run again on each side.
const RERUNS: usize = 4;
/// How many differences are printed.
const SHOWN: usize = 40;

/// A test file and a case in it. Without a case: the file as a whole.
type Key = (String, String);

/// By test file and test case, how it went: `passed`, `failed`, `skipped`… With the outcome of the file as a whole,
/// so that a file that crashes differs.
#[derive(Default)]
pub struct Outcomes(BTreeMap<Key, String>);

impl Outcomes {
    /// Notes one. A case that comes more than once keeps all.
    pub fn note(&mut self, file: &str, case: &str, outcome: &str) {
        let known = self.0.entry((file.to_owned(), case.to_owned())).or_default();
        let mut words: Vec<&str> = known.split(' ').filter(|word| !word.is_empty()).collect();
        words.push(outcome);
        words.sort_unstable();
        *known = words.join(" ");
    }

    /// Notes how a file's process ended.
    pub fn ended(&mut self, file: &str, status: ExitStatus) {
        self.note(file, "", &status.to_string().replace(' ', "-"));
    }

    fn outcome(&self, key: &Key) -> &str {
        self.0.get(key).map_or("missing", String::as_str)
    }

    /// How many cases have each outcome.
    fn counts(&self) -> String {
        let mut counts = BTreeMap::<&str, usize>::new();
        for (_, outcome) in self.0.iter().filter(|((_, case), _)| !case.is_empty()) {
            *counts.entry(outcome).or_default() += 1;
        }
        let files = self.0.keys().filter(|(_, case)| case.is_empty()).count();
        let counts: Vec<String> = counts.into_iter().map(|(outcome, count)| format!("{count} {outcome}")).collect();
        format!("{files} files, cases: {}", counts.join(", "))
    }

    fn differences(&self, other: &Outcomes) -> BTreeSet<Key> {
        let keys = self.0.keys().chain(other.0.keys());
        keys.filter(|&key| self.outcome(key) != other.outcome(key)).cloned().collect()
    }
}

/// What running one test file gave.
#[derive(Default)]
pub struct Unit {
    pub outcomes: Outcomes,
    pub cpu: Duration,
    /// What it printed, where lines of Crossfoot's could be.
    pub printed: String,
}

/// Runs every file on both sides, compares them case by case, and says what differs.
///
/// The sides run beside each other, and on each side one file after the other: many test suites use fixed names.
/// Files with differences are run again on both sides; a difference is excused only if the case went the same way
/// without Crossfoot at least once. Each is printed.
pub fn compare(
    sides: &[Side; 2],
    files: &[String],
    findings: &mut Findings,
    unit: impl Fn(&Side, &str) -> Result<Unit> + Sync,
) -> Result<()> {
    let run = |side: &Side, files: &[String]| -> Result<Unit> {
        let mut all = Unit::default();
        for file in files {
            let one = unit(side, file)?;
            all.cpu += one.cpu;
            all.printed += &one.printed;
            all.outcomes.0.extend(one.outcomes.0);
        }
        Ok(all)
    };
    let both = |files: &[String]| -> Result<[Unit; 2]> {
        std::thread::scope(|scope| {
            let ours = scope.spawn(|| run(&sides[1], files));
            let plain = run(&sides[0], files)?;
            Ok([plain, ours.join().expect("the thread only runs programs")?])
        })
    };
    let [plain, ours] = both(files)?;
    findings.see(format!("on Crossfoot: {}", ours.outcomes.counts()));
    findings.times("the tests", plain.cpu, ours.cpu);
    sides[1].said(&ours.printed, findings);
    let differences = plain.outcomes.differences(&ours.outcomes);
    if differences.is_empty() {
        findings.see("every case as without");
        return Ok(());
    }
    let outcomes = |key: &Key| [&plain, &ours].map(|side| vec![side.outcomes.outcome(key).to_owned()]);
    let mut seen: BTreeMap<Key, [Vec<String>; 2]> =
        differences.into_iter().map(|key| (key.clone(), outcomes(&key))).collect();
    let again: Vec<String> = files.iter().filter(|&file| seen.keys().any(|(of, _)| of == file)).cloned().collect();
    for _ in 0..RERUNS {
        let rerun = both(&again)?;
        for (key, lists) in &mut seen {
            for (list, side) in lists.iter_mut().zip(&rerun) {
                list.push(side.outcomes.outcome(key).to_owned());
            }
        }
    }
    report(&seen, findings);
    Ok(())
}

/// Says what was seen of each case that differed: without Crossfoot and on it.
fn report(seen: &BTreeMap<Key, [Vec<String>; 2]>, findings: &mut Findings) {
    let mut differ = 0;
    for ((file, case), [plain, ours]) in seen {
        let line = format!("{file} {case}: without {}, on Crossfoot {}", plain.join(", "), ours.join(", "));
        if ours.iter().all(|outcome| plain.contains(outcome)) {
            findings.see(format!("goes either way without Crossfoot too: {line}"));
            continue;
        }
        differ += 1;
        if differ <= SHOWN {
            findings.fail(line);
        }
    }
    if differ > SHOWN {
        findings.fail(format!("{differ} cases differ in all"));
    }
}
