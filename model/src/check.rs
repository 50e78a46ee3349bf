//! Runs scenarios.

use std::any::Any;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::ghost::{self, Mode};
use crate::sites::{self, Mutant, Record};

/// A bound on loom's switches and choices in one execution, above the need of any scenario.
const MAX_BRANCHES: usize = 20_000;
/// The number of executions between two looks at the clock.
const EXECUTIONS_PER_LOOK: usize = 64;

/// A scenario: a small program that checks the guarantees of a protocol.
#[derive(Clone, Copy, Debug)]
pub struct Scenario {
    /// The name.
    pub name: &'static str,
    /// The kind of its fences.
    pub mode: Mode,
    /// The largest number of preemptions. `None` sets no bound.
    pub preemptions: Option<usize>,
    /// The number of cases.
    pub cases: usize,
    /// The program, by case.
    pub run: fn(Mode, usize),
}

/// The result of a run.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// Every order was tried, and none failed.
    Passed,
    /// The time limit was reached before every order was tried.
    TimeUp,
    /// An order failed.
    Failed {
        /// The message of the panic.
        message: String,
        /// The events before it.
        trace: String,
    },
}

/// A run of a scenario.
#[derive(Clone, Debug)]
pub struct Report {
    /// The result.
    pub outcome: Outcome,
    /// The number of orders that were tried.
    pub executions: usize,
    /// The time that it took.
    pub took: Duration,
}

impl Scenario {
    /// Runs the scenario with one site weakened, or none, for at most this time.
    pub fn run(&self, mutant: Option<&Mutant>, limit: Option<Duration>) -> Report {
        sites::weaken(mutant.cloned());
        let since = Instant::now();
        ghost::executions();
        let mut outcome = Outcome::Passed;
        for case in 0..self.cases {
            // Cases that need less time leave more to the others.
            let share = limit.map(|limit| limit.saturating_sub(since.elapsed()) / (self.cases - case) as u32);
            match self.explore(case, share) {
                Outcome::Passed => {}
                Outcome::TimeUp => outcome = Outcome::TimeUp,
                failed => {
                    outcome = failed;
                    break;
                }
            }
        }
        sites::weaken(None);
        Report { outcome, executions: ghost::executions(), took: since.elapsed() }
    }

    /// Runs each case for at most this time, and returns the sites that were executed.
    pub fn record(&self, limit: Duration) -> Record {
        sites::record();
        (0..self.cases).for_each(|case| drop(self.explore(case, Some(limit))));
        sites::recorded()
    }

    fn explore(&self, case: usize, limit: Option<Duration>) -> Outcome {
        let mut builder = loom::model::Builder::new();
        builder.max_branches = MAX_BRANCHES;
        builder.preemption_bound = deeper().or(self.preemptions);
        builder.max_duration = limit;
        builder.checkpoint_interval = EXECUTIONS_PER_LOOK;
        let (run, mode) = (self.run, self.mode);
        let since = Instant::now();
        let result = quietly(|| catch_unwind(AssertUnwindSafe(|| builder.check(move || run(mode, case)))));
        match result {
            Err(what) => {
                Outcome::Failed { message: format!("case {case}: {}", message(&*what)), trace: ghost::trace() }
            }
            Ok(()) if limit.is_some_and(|limit| since.elapsed() >= limit) => Outcome::TimeUp,
            Ok(()) => Outcome::Passed,
        }
    }
}

thread_local! {
    static QUIET: Cell<bool> = const { Cell::new(false) };
}

/// Silences panics: here a failure is a result, and one scenario finds many.
fn quietly<R>(f: impl FnOnce() -> R) -> R {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let others = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if !QUIET.get() {
                others(info);
            }
        }));
    });
    QUIET.set(true);
    let result = f();
    QUIET.set(false);
    result
}

/// Returns the bound in `CROSSFOOT_MODEL_PREEMPTIONS`, if it is set, for longer runs and for debugging.
fn deeper() -> Option<usize> {
    std::env::var("CROSSFOOT_MODEL_PREEMPTIONS").ok()?.parse().ok()
}

fn message(what: &(dyn Any + Send)) -> String {
    let text = what.downcast_ref::<String>().map(String::as_str).or_else(|| what.downcast_ref::<&str>().copied());
    text.unwrap_or("a panic without words").trim().to_owned()
}

/// Calls `f` for each item on as many threads as there are CPUs, and returns the results in order.
pub fn in_parallel<T: Sync, R: Send>(items: &[T], f: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let work = || {
        let mine = std::iter::from_fn(|| {
            let index = next.fetch_add(1, Ordering::Relaxed);
            items.get(index).map(|item| (index, f(item)))
        });
        mine.collect::<Vec<_>>()
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let mut results: Vec<_> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        workers.into_iter().flat_map(|worker| worker.join().expect("a panic outside of a model")).collect()
    });
    results.sort_by_key(|(index, _)| *index);
    results.into_iter().map(|(_, result)| result).collect()
}
