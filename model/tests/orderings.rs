//! No ordering in the shipped files is there for nothing: with each one weakened in turn, some scenario fails. And
//! each one that is written there is met by some scenario.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::sync::OnceLock;
use std::time::Duration;

use crossfoot_model::check::{Outcome, Scenario, in_parallel};
use crossfoot_model::scenarios;
use crossfoot_model::sites::{Kind, Mutant, Record};
use crossfoot_model::text::{self, SOURCES};

/// For how long each case of a scenario runs to see what it meets. What it meets at all, it meets early.
const RECORD: Duration = Duration::from_millis(40);
/// For how long each scenario may look for a failure, round by round: the cheap ones are tried before the dear ones
/// are tried for long.
const ROUNDS: [Duration; 3] = [Duration::from_secs(3), Duration::from_secs(12), Duration::from_secs(60)];

/// All scenarios, and what each one meets.
fn met() -> &'static [(Scenario, Record)] {
    static MET: OnceLock<Vec<(Scenario, Record)>> = OnceLock::new();
    MET.get_or_init(|| in_parallel(&scenarios::all(), |scenario| (*scenario, scenario.record(RECORD))))
}

fn met_by_all() -> Record {
    let mut all = Record::default();
    met().iter().for_each(|(_, record)| all.merge(record.clone()));
    all
}

/// The scenario that fails with one site weakened, and what it says.
fn killer(mutant: &Mutant) -> Option<(Scenario, String)> {
    let meets: Vec<_> = met().iter().filter(|(_, record)| record.sites.contains(&mutant.site)).collect();
    let mut open: Vec<_> = meets.iter().map(|(scenario, _)| *scenario).collect();
    for limit in ROUNDS {
        let mut tired = Vec::new();
        for scenario in open {
            match scenario.run(Some(mutant), Some(limit)).outcome {
                Outcome::Failed { message, .. } => return Some((scenario, message)),
                Outcome::TimeUp => tired.push(scenario),
                Outcome::Passed => {}
            }
        }
        open = tired;
    }
    None
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}

#[test]
fn every_ordering_is_needed() {
    let mutants = met_by_all().mutants();
    let killers = in_parallel(&mutants, killer);
    let mut table = format!("{} weakened orderings, and the scenario that fails with each:\n", mutants.len());
    let mut survivors = Vec::new();
    for (mutant, killer) in mutants.iter().zip(&killers) {
        let (site, weaker) = (mutant.site.to_string(), mutant.weaker.to_string());
        let by = match killer {
            Some((scenario, message)) => format!("{} ({:?}): {}", scenario.name, scenario.mode, first_line(message)),
            None => {
                survivors.push(format!("{site} -> {weaker}"));
                "NONE FAILS".to_owned()
            }
        };
        table += &format!("  {site:<48} -> {weaker:<32} {by}\n");
    }
    // Past the test harness, which would keep it to itself.
    let _ = std::io::stderr().write_all(table.as_bytes());
    assert!(survivors.is_empty(), "orderings that no scenario needs: {survivors:#?}");
}

#[test]
fn every_ordering_is_met() {
    let all = met_by_all();
    for source in SOURCES {
        let written: BTreeSet<_> = text::calls(source.text).into_iter().collect();
        let shipped = all.sites.iter().filter(|site| site.kind != Kind::HeavyFence);
        let here = shipped.filter(|site| site.spot.file.ends_with(source.name));
        let met: BTreeSet<_> = here.map(|site| (site.spot.line, site.spot.column)).collect();
        assert!(!written.is_empty(), "{} has no orderings", source.name);
        assert_eq!(written, met, "{}: what is written, and what was met", source.name);
        assert!(!source.text.contains("sync::atomic"), "{} does not take its atomics from `sync`", source.name);
    }
}
