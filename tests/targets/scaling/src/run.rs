//! One pattern with so many threads, in one order of turns.

use std::collections::BTreeMap;

use crate::model::{self, Counts, Model};
use crate::patterns::Row;
use crate::places::{Code, Places, rank};
use crate::world::{Rng, World};

/// Whose turn is next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Order {
    /// Who is behind the others in time.
    Time,
    /// Anybody.
    Random,
}

/// How a pattern is run.
pub struct Plan {
    threads: usize,
    order: Order,
    /// Calls of each thread before the count begins, and counted ones.
    warm: u64,
    counted: u64,
}

impl Plan {
    /// The usual plan for a pattern with so many threads.
    pub fn new(row: &Row, threads: usize, order: Order, quick: bool) -> Plan {
        let (warm, counted) = match threads {
            _ if quick => (12_000, 4_000),
            0..32 => (32_000, 16_000),
            32..128 => (12_000, 4_000),
            _ => (18_000, 1_200),
        };
        Plan { threads, order, warm: warm / row.heavy, counted: counted / row.heavy }
    }
}

/// The most threads that have their turns at random too, and whose reader reads more than once.
pub const AT_RANDOM: usize = 64;

/// A reader of statistics reads once in so many cycles.
pub const READ_EVERY: u64 = 40_000;

/// What became of the locks of one rank.
#[derive(Clone, Copy, Default, Debug)]
pub struct Rank {
    /// How often they were taken.
    pub taken: u64,
    /// The most threads that took the same one.
    pub sharers: usize,
    /// How often somebody waited.
    pub waits: u64,
    /// How long, in cycles.
    pub waited: u64,
    /// How long they were held, in cycles.
    pub held: u64,
}

/// Lines moved for the sake of one thing.
pub type Moves = BTreeMap<String, u64>;

/// What a run showed.
pub struct Outcome {
    /// The pattern's name and what it does.
    pub name: &'static str,
    /// What it does.
    pub what: &'static str,
    /// How many threads worked.
    pub threads: usize,
    /// In which order.
    pub order: Order,
    /// What was counted.
    pub counts: Counts,
    /// How long it took, in cycles.
    pub elapsed: u64,
    /// Readings of the statistics.
    pub reads: u64,
    /// By rank.
    pub ranks: BTreeMap<&'static str, Rank>,
    /// By where the line lies.
    pub moves: BTreeMap<&'static str, u64>,
    /// By where the word lies and which function touched it.
    pub words: Moves,
}

impl Outcome {
    /// A number for each thousand calls.
    pub fn per_thousand(&self, n: u64) -> f64 {
        n as f64 * 1_000.0 / self.counts.operations.max(1) as f64
    }

    /// Calls in a million cycles, of all threads.
    pub fn rate(&self) -> f64 {
        self.counts.operations as f64 * 1e6 / self.elapsed.max(1) as f64
    }

    /// One line for programs.
    pub fn plain(&self) -> String {
        let c = &self.counts;
        let mut line = format!(
            "{}\t{}\t{:?}\toperations={}\taccesses={}\tlocked={}\tmoved={}\tby_program={}\tcalls={}\treads={}\telapsed={}",
            self.name,
            self.threads,
            self.order,
            c.operations,
            c.accesses,
            c.locked,
            c.moved,
            c.by_program,
            c.calls,
            self.reads,
            self.elapsed
        );
        for (name, rank) in &self.ranks {
            line += &format!("\t{name}={}/{}/{}/{}/{}", rank.taken, rank.sharers, rank.waits, rank.waited, rank.held);
        }
        line
    }
}

/// Runs a pattern.
pub fn run(row: &Row, plan: &Plan, code: &Code) -> Outcome {
    let readers = usize::from(row.reader);
    let mut world = World::new(plan.threads, readers, plan.order == Order::Time, 1);
    let mut program = (row.make)(plan.threads);
    let mut turns = Rng(2);
    let until = |world: &mut World, program: &mut dyn crate::patterns::Pattern, turns: &mut Rng, operations: u64| {
        // As many readings of the totals as of everything, and two of each, or one where they are long.
        let least = if plan.threads > AT_RANDOM { 2 } else { 4 };
        let halfway = |world: &World| readers > 0 && (world.reads < least || world.reads % 2 == 1);
        while model::model().counts.operations < operations * plan.threads as u64 || halfway(world) {
            let cpu = match plan.order {
                Order::Time => model::model().behind(plan.threads + readers),
                Order::Random => turns.between(0, plan.threads + readers - 1),
            };
            world.turn(cpu);
            if cpu < plan.threads {
                program.step(world, cpu);
            } else {
                let all = world.reads % 2 == 1;
                world.read(all);
                model::model().pass(READ_EVERY);
            }
        }
    };
    until(&mut world, &mut *program, &mut turns, plan.warm);
    model::model().begin();
    world.reads = 0;
    until(&mut world, &mut *program, &mut turns, plan.counted);
    let model = model::model();
    let mut outcome = Outcome {
        name: row.name,
        what: row.what,
        threads: plan.threads,
        order: plan.order,
        counts: model.counts,
        elapsed: model.elapsed(),
        reads: world.reads,
        ranks: BTreeMap::new(),
        moves: BTreeMap::new(),
        words: BTreeMap::new(),
    };
    name(&world, model, code, &mut outcome);
    world.check();
    outcome
}

/// Gives names to what was counted.
fn name(world: &World, model: &mut Model, code: &Code, outcome: &mut Outcome) {
    let places = Places::of(world);
    for (&(address, from), &n) in &model.moves {
        let place = places.name(address);
        *outcome.moves.entry(place).or_default() += n;
        let at = places.offset(address).map_or(String::new(), |offset| format!(" +{offset:#x}"));
        *outcome.words.entry(format!("{place}{at}, {}", code.function(from))).or_default() += n;
    }
    let locks: Vec<usize> = model.locks.keys().copied().collect();
    let counted: Vec<(usize, Rank)> = locks
        .into_iter()
        .map(|at| {
            let lock = &model.locks[&at];
            let (taken, sharers, waits) = (lock.taken, lock.takers(), lock.waits);
            (at, Rank { taken, sharers, waits, waited: lock.waited, held: lock.held })
        })
        .filter(|(_, rank)| rank.taken > 0)
        .collect();
    for (at, one) in counted {
        let all = outcome.ranks.entry(rank(world, &places, at)).or_default();
        all.taken += one.taken;
        all.sharers = all.sharers.max(one.sharers);
        all.waits += one.waits;
        all.waited += one.waited;
        all.held += one.held;
    }
}
