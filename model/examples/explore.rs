//! Runs the scenarios whose names have these words in them, with nothing weakened or with each of the sites whose
//! names have these: `cargo run --release --example explore -- "cuts: two" 60 "writer.rs:61"`, where 60 is how many
//! seconds each may take. Prints what happened in an execution that failed.

use std::time::Duration;

use crossfoot_model::check::{Outcome, Scenario};
use crossfoot_model::scenarios;
use crossfoot_model::sites::{Mutant, Record};

fn main() {
    let mut words = std::env::args().skip(1);
    let name = words.next().unwrap_or_default();
    let seconds = words.next().and_then(|seconds| seconds.parse().ok()).unwrap_or(60);
    let scenarios: Vec<_> = scenarios::all().into_iter().filter(|scenario| scenario.name.contains(&name)).collect();
    let mutants = match words.next() {
        Some(site) => weakened(&scenarios, &site),
        None => vec![None],
    };
    for mutant in mutants {
        if let Some(mutant) = &mutant {
            println!("{} -> {}", mutant.site, mutant.weaker);
        }
        for scenario in &scenarios {
            explore(scenario, mutant.as_ref(), Duration::from_secs(seconds));
        }
    }
}

fn weakened(scenarios: &[Scenario], site: &str) -> Vec<Option<Mutant>> {
    let mut all = Record::default();
    scenarios.iter().for_each(|scenario| all.merge(scenario.record(Duration::from_millis(100))));
    all.mutants().into_iter().filter(|mutant| mutant.site.to_string().contains(site)).map(Some).collect()
}

fn explore(scenario: &Scenario, mutant: Option<&Mutant>, limit: Duration) {
    let report = scenario.run(mutant, Some(limit));
    println!("{} ({:?}): {} orders in {:.1?}", scenario.name, scenario.mode, report.executions, report.took);
    match report.outcome {
        Outcome::Passed => {}
        Outcome::TimeUp => println!("  time up"),
        Outcome::Failed { message, trace } => println!("{trace}  failed: {message}"),
    }
}
