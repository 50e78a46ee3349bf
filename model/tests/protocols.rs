//! Every scenario, in every order.

use std::io::Write as _;

use crossfoot_model::check::{Outcome, in_parallel};
use crossfoot_model::scenarios;

fn all_pass(room: &str) {
    let scenarios: Vec<_> = scenarios::all().into_iter().filter(|scenario| scenario.name.starts_with(room)).collect();
    assert!(!scenarios.is_empty(), "no scenario is called {room}");
    let failures = in_parallel(&scenarios, |scenario| {
        let report = scenario.run(None, None);
        let (name, mode, count) = (scenario.name, scenario.mode, report.executions);
        // Past the test harness, which would keep it to itself.
        let _ = writeln!(std::io::stderr(), "  {name:<52} {mode:<10?} {count:>7} orders {:>8.1?}", report.took);
        match report.outcome {
            Outcome::Passed => None,
            Outcome::Failed { message, trace } => Some(format!("{name} ({mode:?}) failed: {message}\n{trace}")),
            Outcome::TimeUp => unreachable!("there is no limit"),
        }
    });
    let failures: Vec<_> = failures.into_iter().flatten().collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

macro_rules! rooms {
    ($($room:ident),*) => { $(
        #[test]
        fn $room() {
            all_pass(stringify!($room));
        }
    )* };
}

rooms!(cuts, causality, arrivals, counts, gate, forks, published, remote);
