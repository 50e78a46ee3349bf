//! What a reader costs the threads that allocate: their own thread clocks, for slices of fixed work, with the
//! reader and without.

use crate::crew::Hand;
use anyhow::{Context, Result, ensure};
use clap::Args;
use serde::{Deserialize, Serialize};
use std::{
    io, mem,
    sync::{
        Barrier, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc::{Receiver, Sender, TryRecvError, channel},
    },
    thread,
    time::{Duration, Instant},
};

/// Threads that allocate.
pub const WORKERS: usize = 2;
/// Replacements that say how long one takes.
const PROBE: u64 = 1_000_000;
/// How long the reader has to begin, or to stop, before a slice begins.
const PAUSE: Duration = Duration::from_millis(3);

/// What is asked for.
#[derive(Clone, Debug, Args)]
pub struct Plan {
    /// Rounds: in each, every reader has a pair of slices, one with it and one without.
    #[arg(long, default_value_t = 21)]
    pub rounds: usize,
    /// Milliseconds that a slice takes, roughly: its work is fixed.
    #[arg(long, default_value_t = 100)]
    pub slice: u64,
    /// How often a second the reader wakes and does what it does.
    #[arg(long, default_value_t = 1000)]
    pub rate: u32,
}

/// What the reader does each time it wakes; the result says whether the answer was what was asked for.
pub struct Deed<'a> {
    /// Its name in the table.
    pub name: &'static str,
    /// Does it once.
    pub act: Box<dyn FnMut() -> bool + Send + 'a>,
}

impl<'a> Deed<'a> {
    /// Something to do.
    pub fn new(name: &'static str, act: impl FnMut() -> bool + Send + 'a) -> Self {
        Deed { name, act: Box::new(act) }
    }
}

/// One slice.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct Slice {
    /// Seconds on each worker's own clock.
    pub cpu_seconds: [f64; WORKERS],
    /// Seconds until both were done.
    pub seconds: f64,
    /// How often the reader did what it does.
    pub deeds: u64,
    /// Of those, how many gave another answer than what was asked for.
    pub incomplete: u64,
}

/// Two slices right after each other.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Pair {
    /// What the reader did in the first of them.
    pub deed: String,
    /// The slice with the reader.
    pub with: Slice,
    /// The slice while it slept.
    pub without: Slice,
}

impl Pair {
    /// The workers' time with the reader divided by that without.
    pub fn ratio(&self) -> f64 {
        let time = |slice: &Slice| slice.cpu_seconds.iter().sum::<f64>();
        time(&self.with) / time(&self.without)
    }
}

/// What was found out.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Cost {
    /// How often a second the reader should wake.
    pub rate: u32,
    /// Objects that each worker replaces in a slice.
    pub replacements: u64,
    /// The pairs, in the order in which they ran.
    pub pairs: Vec<Pair>,
}

/// What the threads share.
struct Stage {
    begin: Barrier,
    end: Barrier,
    over: AtomicBool,
    deeds: AtomicU64,
    incomplete: AtomicU64,
    /// The last slice's seconds on each worker's clock.
    clocks: Mutex<[f64; WORKERS]>,
}

/// Runs the slices.
pub fn run(plan: &Plan, deeds: Vec<Deed>) -> Result<Cost> {
    ensure!(plan.rate > 0, "a rate of 0");
    let replacements = calibrate(plan);
    let stage = Stage {
        begin: Barrier::new(WORKERS + 1),
        end: Barrier::new(WORKERS + 1),
        over: AtomicBool::new(false),
        deeds: AtomicU64::new(0),
        incomplete: AtomicU64::new(0),
        clocks: Mutex::new([0.0; WORKERS]),
    };
    // Said before there are others who would wait for a worker that does not come.
    for processor in 0..WORKERS {
        thread::scope(|scope| scope.spawn(|| pin(processor)).join().expect("pinning never panics"))?;
    }
    let names: Vec<&str> = deeds.iter().map(|deed| deed.name).collect();
    let pairs = thread::scope(|scope| {
        for number in 0..WORKERS {
            let stage = &stage;
            scope.spawn(move || work(stage, number, replacements));
        }
        let (orders, orders_in) = channel();
        let stage = &stage;
        let period = Duration::from_secs(1) / plan.rate;
        scope.spawn(move || attend(stage, &orders_in, period, deeds));
        let pairs = direct(stage, plan.rounds, &names, &orders);
        stage.over.store(true, Ordering::Relaxed);
        stage.begin.wait();
        pairs
    });
    Ok(Cost { rate: plan.rate, replacements, pairs })
}

/// How many replacements take as long as a slice should.
fn calibrate(plan: &Plan) -> u64 {
    let mut hand = Hand::new(1);
    hand.replace(PROBE / 10);
    let start = Instant::now();
    hand.replace(PROBE);
    let each = start.elapsed().as_secs_f64() / PROBE as f64;
    (plan.slice as f64 / 1000.0 / each) as u64
}

/// What the reader is told: to do this one of its deeds, or to sleep.
type Order = Option<usize>;

/// Lets the workers do one slice after the other, and tells the reader what to do.
fn direct(stage: &Stage, rounds: usize, names: &[&str], orders: &Sender<Order>) -> Vec<Pair> {
    let mut pairs = Vec::with_capacity((rounds + 1) * names.len());
    // One round goes before the first, and does not count.
    for round in 0..=rounds {
        for (number, name) in names.iter().enumerate() {
            // With and without go first as often as the other.
            let (with, without) = if (round + number).is_multiple_of(2) {
                let with = slice(stage, Some(number), orders);
                (with, slice(stage, None, orders))
            } else {
                let without = slice(stage, None, orders);
                (slice(stage, Some(number), orders), without)
            };
            pairs.push(Pair { deed: (*name).to_owned(), with, without });
        }
    }
    pairs.split_off(names.len())
}

/// One slice, from the moment on when the reader does what it should.
fn slice(stage: &Stage, order: Order, orders: &Sender<Order>) -> Slice {
    orders.send(order).expect("the reader listens as long as there are orders");
    thread::sleep(PAUSE);
    let counts = || [&stage.deeds, &stage.incomplete].map(|count| count.load(Ordering::Relaxed));
    let before = counts();
    let start = Instant::now();
    stage.begin.wait();
    stage.end.wait();
    let seconds = start.elapsed().as_secs_f64();
    let [deeds, incomplete] = counts();
    let cpu_seconds = *stage.clocks.lock().expect("workers never panic");
    Slice { cpu_seconds, seconds, deeds: deeds - before[0], incomplete: incomplete - before[1] }
}

/// A worker: each slice is the same row of replacements, on a processor of its own.
fn work(stage: &Stage, number: usize, replacements: u64) {
    let seed = number as u64 + 1;
    let mut hand = Hand::new(seed);
    pin(number).expect("it worked a moment ago");
    loop {
        stage.begin.wait();
        if stage.over.load(Ordering::Relaxed) {
            return;
        }
        hand.reseed(seed);
        let start = own_clock();
        hand.replace(replacements);
        let took = own_clock() - start;
        stage.clocks.lock().expect("workers never panic")[number] = took;
        stage.end.wait();
    }
}

/// The reader: does as it was told last, until nobody can tell it anything any more.
fn attend(stage: &Stage, orders: &Receiver<Order>, period: Duration, mut deeds: Vec<Deed>) {
    let mut order: Order = None;
    let mut next = Instant::now();
    loop {
        let Some(number) = order else {
            match orders.recv() {
                Ok(told) => order = told,
                Err(_) => return,
            }
            next = Instant::now();
            continue;
        };
        match orders.try_recv() {
            Ok(told) => {
                order = told;
                continue;
            }
            Err(TryRecvError::Disconnected) => return,
            Err(TryRecvError::Empty) => {}
        }
        next += period;
        thread::sleep(next.saturating_duration_since(Instant::now()));
        let complete = (deeds[number].act)();
        stage.deeds.fetch_add(1, Ordering::Relaxed);
        stage.incomplete.fetch_add(u64::from(!complete), Ordering::Relaxed);
    }
}

/// Binds the calling thread to one processor.
fn pin(processor: usize) -> Result<()> {
    // SAFETY: all-zero is the empty set.
    let mut set: libc::cpu_set_t = unsafe { mem::zeroed() };
    // SAFETY: the set has room for more processors than are asked for here.
    unsafe { libc::CPU_SET(processor, &mut set) };
    // SAFETY: the set is valid for the call and has the size that is named.
    let code = unsafe { libc::sched_setaffinity(0, size_of_val(&set), &raw const set) };
    if code != 0 {
        return Err(io::Error::last_os_error()).with_context(|| format!("binding a thread to processor {processor}"));
    }
    Ok(())
}

/// The calling thread's processor time in seconds.
fn own_clock() -> f64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the out pointer is valid; every Linux has this clock.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reader_acts_in_its_slices_only() {
        if thread::available_parallelism().map_or(1, usize::from) < WORKERS {
            return;
        }
        let deeds = vec![Deed::new("good", || true), Deed::new("bad", || false)];
        let cost = run(&Plan { rounds: 2, slice: 20, rate: 1000 }, deeds).expect("two processors");
        assert_eq!(cost.pairs.len(), 4);
        for pair in &cost.pairs {
            assert!(pair.with.deeds > 0 && pair.ratio() > 0.0);
            // What was begun before the reader was told to sleep may end after it.
            assert!(pair.without.deeds <= 1);
            assert_eq!(pair.with.incomplete > 0, pair.deed == "bad");
        }
    }
}
