//! The allocator with many threads, by the model in `tests/targets/scaling`: the cache lines and locks that threads
//! share in the steady state of a pattern. A small part of `cargo xtask scaling`; docs/scaling.md describes the method.

mod common;

use std::collections::BTreeMap;
use std::process::Command;

/// The counts of a run; for each lock rank, how often it was taken, and by how many threads the same lock.
struct Run {
    name: String,
    threads: u64,
    order: String,
    counts: BTreeMap<String, u64>,
    ranks: BTreeMap<String, [u64; 2]>,
}

impl Run {
    /// Parses a line of the model.
    fn parse(line: &str) -> Run {
        let mut words = line.split('\t');
        let mut word = || words.next().unwrap_or_else(|| panic!("three words at first: {line}")).to_owned();
        let (name, threads, order) = (word(), word().parse().expect("a number of threads"), word());
        let (mut counts, mut ranks) = (BTreeMap::new(), BTreeMap::new());
        for (name, value) in words.map(|word| word.split_once('=').expect("a name and a value")) {
            let numbers: Vec<u64> = value.split('/').map(|n| n.parse().expect("a number")).collect();
            match numbers.as_slice() {
                [n] => drop(counts.insert(name.to_owned(), *n)),
                [taken, takers, ..] => drop(ranks.insert(name.to_owned(), [*taken, *takers])),
                [] => unreachable!("a split has a part"),
            }
        }
        Run { name, threads, order, counts, ranks }
    }

    fn what(&self) -> String {
        format!("{} with {} threads, turns by {}", self.name, self.threads, self.order)
    }

    fn count(&self, name: &str) -> u64 {
        self.counts[name]
    }

    /// Asserts at most this many for each thousand calls.
    #[track_caller]
    fn at_most(&self, name: &str, most: u64) {
        let (n, calls) = (self.count(name), self.count("operations"));
        assert!(calls > 0, "{}: nobody called", self.what());
        assert!(n * 1_000 <= most * calls, "{}: {n} {name} in {calls} calls", self.what());
    }

    /// Asserts that no lock was taken by two threads, except of these ranks.
    #[track_caller]
    fn nobody_meets(&self, but: &[&str]) {
        let met = self.ranks.iter().find(|(name, [_, takers])| *takers > 1 && !but.contains(&name.as_str()));
        assert!(met.is_none(), "{}: {met:?} was taken by more than one thread", self.what());
    }

    /// Asserts at most this many acquisitions of locks of a rank for each thousand calls.
    #[track_caller]
    fn taken(&self, rank: &str, most: u64) {
        let ([taken, _], calls) = (self.ranks.get(rank).copied().unwrap_or_default(), self.count("operations"));
        assert!(taken * 1_000 <= most * calls, "{}: {rank} was taken {taken} times in {calls} calls", self.what());
    }
}

fn runs() -> Vec<Run> {
    let output = common::run(Command::new(common::scaling()).args(["--quick", "--plain"]));
    assert!(output.status.success(), "{}\n{}", output.status, common::text(&output.stderr));
    common::text(&output.stdout).lines().map(Run::parse).collect()
}

/// The expectations for each pattern, in both orders of turns.
#[test]
fn threads_meet_only_where_they_must() {
    let runs = runs();
    assert!(runs.len() >= 24, "{} runs", runs.len());
    for run in &runs {
        let alone = run.threads == 1;
        match run.name.as_str() {
            // Own objects: nothing is shared.
            "churn" => {
                run.at_most("moved", 0);
                run.at_most("locked", 0);
                assert!(run.ranks.is_empty(), "{}: {:?}", run.what(), run.ranks);
            }
            // Spans are allocated and freed in blocks of pages, which take the heap's lock now and then.
            "medium" => {
                run.nobody_meets(&["Heap"]);
                run.taken("Heap", 1);
                run.at_most("moved", 10);
            }
            // Every object is allocated from the page heap and freed: two calls, two locks.
            "large" => {
                run.nobody_meets(&["Heap"]);
                run.taken("Heap", 1_000);
                run.at_most("moved", if alone { 0 } else { 15_000 });
            }
            "exchange" => {
                run.nobody_meets(&[]);
                run.at_most("moved", 600);
            }
            // 500 objects of a thousand calls are returned to their owner, 64 by one exchange unless a pending batch
            // has to make room.
            "producer-consumer" => {
                run.nobody_meets(&[]);
                run.at_most("locked", 500 / 64 + 10);
                run.at_most("moved", 1_100);
            }
            "asymmetric" => {
                run.nobody_meets(&[]);
                run.at_most("moved", 1_200);
            }
            "larson" => {
                run.nobody_meets(&["Caches", "Central", "Heap"]);
                run.taken("Heap", 10);
            }
            "thread-churn" => {
                run.nobody_meets(&["Caches", "Central", "Heap"]);
                run.taken("Central", 10);
                run.taken("Heap", 120);
            }
            // A reader takes a lock that no writer takes; the lines that it reads return to their writers.
            "churn, read" | "exchange, read" => {
                run.nobody_meets(&[]);
                assert!(run.count("reads") > 0, "{}: nobody read", run.what());
            }
            other => panic!("{other} is not judged here"),
        }
        let (reads, moved) = (run.count("reads"), run.count("moved"));
        if run.name == "churn, read" {
            assert!(moved <= reads * run.threads * 40, "{}: {moved} lines moved for {reads} readings", run.what());
        }
    }
}
