//! Compares the outcome of every test case on two sides.

use std::collections::{BTreeMap, BTreeSet};
use std::process::ExitStatus;
use std::time::Duration;

use anyhow::Result;

use super::Findings;
use super::yard::Side;

/// How often a test file with a difference is repeated on each side.
const RERUNS: usize = 4;
/// The largest number of differences that are printed.
const SHOWN: usize = 40;

/// A test file and a case in it. An empty case is the file as a whole.
type Key = (String, String);

/// The outcome (`passed`, `failed`, `skipped`, …) by test file and test case. It contains the outcome of the file as a
/// whole, so that a file that crashes differs.
#[derive(Default, PartialEq, Debug)]
pub struct Outcomes(BTreeMap<Key, String>);

impl Outcomes {
    /// Notes an outcome. A case that occurs more than once keeps all its outcomes.
    pub fn note(&mut self, file: &str, case: &str, outcome: &str) {
        let known = self.0.entry((file.to_owned(), case.to_owned())).or_default();
        let mut words: Vec<&str> = known.split(' ').filter(|word| !word.is_empty()).collect();
        words.push(outcome);
        words.sort_unstable();
        *known = words.join(" ");
    }

    /// Notes the exit status of a file's process.
    pub fn ended(&mut self, file: &str, status: ExitStatus) {
        self.note(file, "", &status.to_string().replace(": ", "-").replace(' ', "-"));
    }

    fn outcome(&self, key: &Key) -> &str {
        self.0.get(key).map_or("missing", String::as_str)
    }

    /// Returns how many cases have each outcome.
    fn counts(&self) -> String {
        let mut counts = BTreeMap::<&str, usize>::new();
        for (_, outcomes) in self.0.iter().filter(|((_, case), _)| !case.is_empty()) {
            for outcome in outcomes.split(' ') {
                *counts.entry(outcome).or_default() += 1;
            }
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

/// A known difference, and its reason. It is printed in each run. If it no longer occurs, that is an error, so that the
/// table is corrected.
pub struct Known {
    pub file: &'static str,
    pub case: &'static str,
    pub why: &'static str,
}

/// The result of one test file.
#[derive(Default)]
pub struct Unit {
    pub outcomes: Outcomes,
    pub cpu: Duration,
    /// The output, which may contain lines of Crossfoot.
    pub printed: String,
}

/// Runs every file on both sides, compares them case by case, and prints the differences.
///
/// The two sides run in parallel, and the files of a side one after the other: many test suites use fixed names. Files
/// with differences are repeated on both sides. A difference is excused only if the case had the same outcome without
/// Crossfoot at least once. Each difference is printed.
pub fn compare(
    sides: &[Side; 2],
    files: &[String],
    known: &[Known],
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
    for known in known.iter().filter(|known| files.iter().any(|file| file == known.file)) {
        if !differences.contains(&(known.file.to_owned(), known.case.to_owned())) {
            findings.fail(format!("a known difference is gone: {}", known.case));
        }
    }
    if differences.is_empty() {
        findings.see("every case as without");
        return Ok(());
    }
    let outcomes = |key: &Key| [&plain, &ours].map(|side| vec![side.outcomes.outcome(key).to_owned()]);
    let mut seen: BTreeMap<Key, [Vec<String>; 2]> =
        differences.into_iter().map(|key| (key.clone(), outcomes(&key))).collect();
    // If only known cases differ, repeating tells nothing new.
    let is_known = |(file, case): &Key| known.iter().any(|known| file == known.file && case == known.case);
    let explained = |file: &str| {
        let mut cases = seen.keys().filter(|(of, case)| of == file && !case.is_empty()).peekable();
        cases.peek().is_some() && cases.all(is_known)
    };
    let differs = |file: &&String| seen.keys().any(|(of, _)| of == *file) && !explained(file);
    let again: Vec<String> = files.iter().filter(differs).cloned().collect();
    for run in 0..RERUNS {
        // Stops early if, after half of the repetitions, each case has had one outcome only.
        let steady = |list: &Vec<String>| list.iter().all(|outcome| outcome == &list[0]);
        if again.is_empty() || (run >= RERUNS / 2 && seen.values().flatten().all(steady)) {
            break;
        }
        let rerun = both(&again)?;
        for (key, lists) in seen.iter_mut().filter(|((file, _), _)| again.contains(file)) {
            for (list, side) in lists.iter_mut().zip(&rerun) {
                list.push(side.outcomes.outcome(key).to_owned());
            }
        }
    }
    report(&seen, known, findings);
    Ok(())
}

/// Prints the outcomes of each case that differed, without Crossfoot and on it.
fn report(seen: &BTreeMap<Key, [Vec<String>; 2]>, known: &[Known], findings: &mut Findings) {
    let why = |key: &Key| known.iter().find(|known| key.0 == known.file && key.1 == known.case).map(|known| known.why);
    let excused = |[plain, ours]: &[Vec<String>; 2]| ours.iter().all(|outcome| plain.contains(outcome));
    // A file fails as a whole if one of its cases fails.
    let is_whole = |(file, case): &Key| {
        let cases: Vec<_> = seen.iter().filter(|((of, case), _)| of == file && !case.is_empty()).collect();
        case.is_empty() && !cases.is_empty() && cases.iter().all(|(key, lists)| why(key).is_some() || excused(lists))
    };
    let mut differ = 0;
    for (key, lists) in seen {
        let [plain, ours] = lists.each_ref().map(|list| list.join(", "));
        let line = format!("{} {}: without {plain}, on Crossfoot {ours}", key.0, key.1);
        if let Some(why) = why(key) {
            findings.see(format!("known: {line}: {why}"));
        } else if excused(lists) {
            findings.see(format!("goes either way without Crossfoot too: {line}"));
        } else if is_whole(key) {
            findings.see(format!("only for that reason: {line}"));
        } else {
            differ += 1;
            if differ <= SHOWN {
                findings.fail(line);
            }
        }
    }
    if differ > SHOWN {
        findings.fail(format!("{differ} cases differ in all"));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::programs::yard::idle_sides;

    const KNOWN: Known = Known { file: "f", case: "odd", why: "of a reason" };

    /// Compares a file with one case, whose outcomes on each side the closures return by the number of the run.
    fn compared(known: &[Known], plain: fn(usize) -> &'static str, ours: fn(usize) -> &'static str) -> Findings {
        let mut findings = Findings::default();
        let runs = [AtomicUsize::new(0), AtomicUsize::new(0)];
        let unit = |side: &Side, file: &str| {
            let run = runs[usize::from(side.ours())].fetch_add(1, Ordering::Relaxed);
            let mut unit = Unit::default();
            let outcome = if side.ours() { ours(run) } else { plain(run) };
            unit.outcomes.note(file, "odd", outcome);
            unit.outcomes.note(file, "", if outcome == "passed" { "exit-0" } else { "exit-2" });
            Ok(unit)
        };
        compare(&idle_sides(), &["f".to_owned()], known, &mut findings, unit).expect("nothing runs");
        findings
    }

    #[test]
    fn a_case_that_differs_is_wrong_and_so_is_its_file() {
        assert_eq!(compared(&[], |_| "passed", |_| "passed").wrong.len(), 0);
        assert_eq!(compared(&[], |_| "passed", |_| "failed").wrong.len(), 2);
        assert_eq!(compared(&[], |_| "failed", |_| "passed").wrong.len(), 2);
    }

    #[test]
    fn a_case_that_differs_once_is_wrong_unless_it_does_so_without_too() {
        let once = |run| if run == 0 { "failed" } else { "passed" };
        assert_eq!(compared(&[], |_| "passed", once).wrong.len(), 2);
        let later = |run| if run == 2 { "failed" } else { "passed" };
        let both = compared(&[], later, once);
        assert_eq!(both.wrong.len(), 0);
        assert!(both.seen.iter().any(|line| line.starts_with("goes either way")), "{:?}", both.seen);
    }

    #[test]
    fn a_known_difference_is_printed_until_it_is_gone() {
        let known = compared(&[KNOWN], |_| "passed", |_| "failed");
        assert_eq!(known.wrong.len(), 0);
        assert!(known.seen.iter().any(|line| line.starts_with("known: f odd")), "{:?}", known.seen);
        assert_eq!(compared(&[KNOWN], |_| "passed", |_| "passed").wrong, ["a known difference is gone: odd"]);
    }
}
