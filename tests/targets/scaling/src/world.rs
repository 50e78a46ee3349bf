//! A kernel and the threads that use it, each on a CPU of its own, driven from one thread.

use std::collections::BTreeSet;

use crossfoot::allocator::Allocator;
use crossfoot::cache::Cache;
use crossfoot::malloc;
use crossfoot::os::sim::Sim;
use crossfoot::stats::{Snapshot, Totals};
use crossfoot::units::{Addr, GIB};

use crate::hooks;
use crate::machine::{self, Machine};
use crate::model::{self, Access, PROGRAM, model};

/// SplitMix64.
pub struct Rng(pub u64);

impl Rng {
    /// The next number.
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number from `from` to `to`.
    pub fn between(&mut self, from: usize, to: usize) -> usize {
        from + (self.next() % (to - from + 1) as u64) as usize
    }
}

/// What lies behind the simulated system's window: its other memory.
const BEHIND: usize = 8 * GIB;

/// A live object.
#[derive(Clone, Copy)]
pub struct Object {
    at: usize,
    size: usize,
}

/// The kernel under observation, and what its threads have.
pub struct World {
    /// The kernel.
    pub allocator: &'static Allocator<Machine>,
    /// The system under it.
    pub sim: &'static Sim,
    /// How many threads work. One more may read statistics.
    pub cpus: usize,
    /// Random numbers for the program.
    pub rng: Rng,
    /// Addresses of span records that were seen.
    pub records: BTreeSet<usize>,
    /// How often statistics were read.
    pub reads: u64,
    caches: Vec<Option<&'static Cache>>,
    snapshot: Box<Snapshot>,
}

impl World {
    /// A new kernel on a new machine with a CPU for each of so many threads. `readers` have none of their own objects.
    pub fn new(cpus: usize, readers: usize, timed: bool, seed: u64) -> World {
        let sim = machine::renew();
        // Both stay: the kernel's memory is named after the run.
        let allocator: &'static Allocator<Machine> = Box::leak(Box::new(Allocator::new(Machine)));
        let (place, itself) = (sim.place(), std::ptr::from_ref(allocator).addr());
        let end = place.base.0 + place.size + BEHIND;
        model::renew(cpus + readers, timed, [itself..itself + size_of_val(allocator), place.base.0..end]);
        let caches = vec![None; cpus + readers];
        let (rng, snapshot) = (Rng(seed), Box::new(Snapshot::new()));
        World { allocator, sim, cpus, rng, records: BTreeSet::new(), reads: 0, caches, snapshot }
    }

    /// Gives the turn to a CPU.
    pub fn turn(&self, cpu: usize) {
        model().cpu = cpu;
    }

    fn me(&self) -> usize {
        model().cpu
    }

    fn cache(&self) -> &'static Cache {
        self.caches[self.me()].expect("the thread has begun")
    }

    /// Whether the thread of this turn has begun and not ended.
    pub fn lives(&self) -> bool {
        self.caches[self.me()].is_some()
    }

    /// The thread of this turn begins.
    pub fn begin(&mut self) {
        // SAFETY: the kernel stays.
        let cache = hooks::with(true, || unsafe { self.allocator.adopt() });
        let me = self.me();
        self.caches[me] = Some(cache.expect("the machine has memory"));
    }

    /// The thread of this turn ends.
    pub fn end(&mut self) {
        let (me, cache) = (self.me(), self.cache());
        // SAFETY: nobody uses the cache until it is adopted again.
        hooks::with(true, || unsafe { self.allocator.retire(cache) });
        self.caches[me] = None;
    }

    /// The thread allocates an object and fills it: its first line and its last one.
    pub fn allocate(&mut self, size: usize) -> Object {
        let bound = self.allocator.bind(self.cache());
        let at = hooks::with(true, || malloc::allocate(bound, size)).addr();
        assert!(at != 0, "the machine has memory");
        let model = model();
        model.counts.operations += 1;
        model.pass(PROGRAM);
        model.by_program(at, Access::Write);
        model.by_program(at + size - 1, Access::Write);
        if let Some(span) = bound.heap.span_of(Addr(at)) {
            self.records.insert(std::ptr::from_ref(span).addr());
        }
        Object { at, size }
    }

    /// The thread looks at an object, and frees it.
    pub fn free(&mut self, object: Object) {
        let bound = self.allocator.bind(self.cache());
        let model = model();
        model.pass(PROGRAM);
        model.by_program(object.at, Access::Read);
        model.by_program(object.at + object.size - 1, Access::Read);
        // SAFETY: the object is live, and nobody uses it after.
        hooks::with(true, || unsafe { malloc::free(bound, object.at as *mut u8) });
        model.counts.operations += 1;
    }

    /// The thread has nothing to do for a while.
    pub fn idle(&self) {
        model().pass(500);
    }

    /// The thread of this turn reads all statistics, or the totals only.
    pub fn read(&mut self, all: bool) {
        self.reads += 1;
        let mut totals = Totals::new();
        let answer = hooks::with(true, || match all {
            true => self.allocator.snapshot(&mut self.snapshot),
            false => self.allocator.totals(&mut totals),
        });
        assert!(answer.is_some_and(|answer| answer.is_complete()), "the reading is complete");
    }

    /// The books balance, with nobody at work.
    pub fn check(&self) {
        // SAFETY: no thread is in a call.
        let balance = unsafe { self.allocator.crossfoot_quiet(None) }.expect("the kernel has started");
        assert!(balance.complete && balance.failures.is_empty(), "unbalanced: {:?}", balance.failures);
    }
}
