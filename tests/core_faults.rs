//! Makes system calls fail, each one of a long run in turn, and many of them: the allocator never crashes, returns null
//! where memory is missing, keeps every other object intact, and balances after each failure.

mod allocator;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};
use std::thread;

use crossfoot::allocator::Allocator;
use crossfoot::cache::Cache;
use crossfoot::malloc;
use crossfoot::os::OsError;
use crossfoot::os::sim::{Sim, Verb};
use crossfoot::size_class::Class;
use crossfoot::stats::Total;
use crossfoot::units::{Addr, GIB, KIB, MIB, Pages};

use allocator::{Rng, adopt, balanced, balanced_with_machine, empty, free, free_without_cache, retire};

/// Operations of a run.
const OPERATIONS: usize = 10_000;
/// System calls that a run has to make at least, if every one of them fails in turn.
const CALLS: u64 = 1_000;
/// Objects that a run holds at the most.
const HELD: usize = 200;
/// Caches of a run.
const CACHES: usize = 2;

/// An object, and what its first and last word hold.
#[derive(Clone, Copy)]
struct Held {
    at: usize,
    size: usize,
    word: u64,
}

impl Held {
    /// A fresh object; its words are written.
    fn new(at: usize, size: usize, word: u64) -> Held {
        let held = Held { at, size, word };
        // SAFETY: the object is live and has `size` bytes, 16 or more.
        held.ends().for_each(|p| unsafe { p.write_unaligned(word) });
        held
    }

    fn ends(&self) -> impl Iterator<Item = *mut u64> {
        [self.at, self.at + self.size - 8].into_iter().map(|at| at as *mut u64)
    }

    fn check(&self) {
        // SAFETY: the object is live.
        let ok = self.ends().all(|p| unsafe { p.read_unaligned() } == self.word);
        assert!(ok, "{} bytes at {:#x} were written over", self.size, self.at);
    }
}

/// A run: the same operations for the same seed, as long as no call fails.
struct Run {
    allocator: Box<Allocator<Sim>>,
    caches: [Option<*const Cache>; CACHES],
    rng: Rng,
    held: Vec<Held>,
    /// The number of injected failures when it was last read.
    injected: u64,
    /// Failures can occur without a plan: Ready memory is limited.
    limited: bool,
    nulls: usize,
}

impl Run {
    fn new(sim: Sim, seed: u64) -> Run {
        let allocator = allocator::allocator(sim);
        Run {
            allocator,
            caches: [None; CACHES],
            rng: Rng(seed),
            held: Vec::new(),
            injected: 0,
            limited: false,
            nulls: 0,
        }
    }

    fn sim(&self) -> &Sim {
        self.allocator.os()
    }

    /// Returns the cache of driver `i`, or `None` if it cannot be created.
    fn cache(&mut self, i: usize) -> Option<&'static Cache> {
        if self.caches[i].is_none() {
            // SAFETY: the kernel is in a box and outlives the cache.
            self.caches[i] = unsafe { self.allocator.adopt() }.ok().map(core::ptr::from_ref);
        }
        // SAFETY: caches live as long as the kernel.
        self.caches[i].map(|cache| unsafe { &*cache })
    }

    /// Does one operation, and checks what must hold if a call failed in it.
    fn step(&mut self) {
        let done = self.operate();
        let refused = self.sim().injected() != self.injected;
        self.injected = self.sim().injected();
        if !done {
            self.nulls += 1;
            assert!(refused || self.limited, "null, and no call had failed");
        }
        if refused {
            self.check();
        }
    }

    /// Does one operation. Returns whether it got its memory.
    fn operate(&mut self) -> bool {
        let i = self.rng.below(CACHES);
        let what = self.rng.below(1_000);
        let Some(cache) = self.cache(i) else { return false };
        let full = self.held.len() >= HELD;
        match what {
            0..400 if !full => {
                let size = if self.rng.one_in(12) { 16 + self.rng.below(20_000) } else { 16 + self.rng.below(600) };
                self.allocate(cache, size)
            }
            400..480 if !full => {
                let size = 33_000 + self.rng.below(100 * KIB);
                self.allocate(cache, size)
            }
            480..482 if !full => {
                let size = MIB + self.rng.below(4 * MIB);
                self.allocate(cache, size)
            }
            482..520 => self.reallocate(cache),
            520..522 => self.retire(i),
            522..566 => {
                let pages = Pages(4 + self.rng.below(48));
                self.allocator.heap().release(cache.writer(), pages);
                true
            }
            _ => self.free(Some(cache).filter(|_| what != 999)),
        }
    }

    fn allocate(&mut self, cache: &Cache, size: usize) -> bool {
        let bound = self.allocator.bind(cache);
        let how = self.rng.below(16);
        let p = match how {
            0 => malloc::allocate_zeroed(bound, size),
            1 => malloc::allocate_aligned(bound, size, 16 << (size % 13)),
            _ => malloc::allocate(bound, size),
        };
        if !p.is_null() {
            let held = Held::new(p as usize, size, self.rng.next());
            self.held.push(held);
        }
        !p.is_null()
    }

    fn reallocate(&mut self, cache: &Cache) -> bool {
        if self.held.is_empty() {
            return true;
        }
        let i = self.rng.below(self.held.len());
        let old = self.held[i];
        let most = if self.rng.one_in(8) { MIB } else { 3 * old.size };
        let size = 16 + self.rng.below(most);
        let new = allocator::reallocate(&self.allocator, cache, old.at, size, 1);
        if new == 0 {
            old.check();
            return false;
        }
        // SAFETY: the object is live.
        assert_eq!(unsafe { (new as *const u64).read_unaligned() }, old.word, "{} to {size} bytes", old.size);
        self.held[i] = Held::new(new, size, old.word);
        true
    }

    /// Frees an object, without a cache as a thread without one does.
    fn free(&mut self, cache: Option<&Cache>) -> bool {
        if !self.held.is_empty() {
            let i = self.rng.below(self.held.len());
            let old = self.held.swap_remove(i);
            old.check();
            match cache {
                Some(cache) => free(&self.allocator, cache, old.at),
                None => free_without_cache(&self.allocator, old.at),
            }
        }
        true
    }

    fn retire(&mut self, i: usize) -> bool {
        if let Some(cache) = self.caches[i].take() {
            // SAFETY: caches live as long as the kernel.
            retire(&self.allocator, unsafe { &*cache });
        }
        true
    }

    /// Asserts that every object is intact and that the accounts balance, if there are any yet.
    fn check(&self) {
        self.held.iter().for_each(Held::check);
        if self.allocator.crossfoot(None).is_some() {
            // SAFETY: caches live as long as the kernel.
            let cache = self.caches[0].map(|cache| unsafe { &*cache });
            let balance = balanced(&self.allocator, cache);
            assert_eq!(self.sim().ready_bytes() as i64, balance.snapshot.total(Total::MappedReady));
        }
    }

    fn steps(&mut self, n: usize) -> &mut Run {
        (0..n).for_each(|_| self.step());
        self
    }

    /// Asserts that once no call fails any more, everything is as if none had failed.
    fn finish(mut self) -> Run {
        self.sim().fail_never();
        self.sim().limit_ready(usize::MAX);
        (self.limited, self.nulls) = (false, 0);
        self.check();
        self.steps(200);
        assert_eq!(self.nulls, 0);
        while !self.held.is_empty() {
            let cache = self.cache(self.held.len() % CACHES);
            self.free(cache);
        }
        for i in 0..CACHES {
            self.retire(i);
        }
        empty(&self.allocator);
        balanced_with_machine(&self.allocator, None);
        self
    }
}

/// The errors that a call may fail with.
const ERRORS: [OsError; 4] = [OsError::OutOfMemory, OsError::Taken, OsError::Unsupported, OsError::Errno(5)];

/// Runs with call `n` failing with `error`; names both if the run fails.
fn run_failing(page: usize, n: u64, error: OsError) {
    let run = || {
        let mut run = Run::new(Sim::new().physical_page(page), page as u64);
        run.sim().fail_nth_with(n, error);
        run.steps(OPERATIONS);
        assert_eq!(run.sim().injected(), 1);
        run.finish();
    };
    if let Err(payload) = catch_unwind(AssertUnwindSafe(run)) {
        eprintln!("call {n} failed with {error:?}, physical pages of {page} bytes");
        std::panic::resume_unwind(payload);
    }
}

/// Returns the number of fallible calls of the run, and their verbs.
fn count(page: usize) -> u64 {
    let mut run = Run::new(Sim::new().physical_page(page), page as u64);
    run.steps(OPERATIONS);
    let calls = run.sim().calls();
    for verb in [Verb::Reserve, Verb::Alloc, Verb::Map, Verb::Used, Verb::Unused, Verb::Sparse, Verb::SparseReady] {
        assert!(run.sim().count(verb) >= 1, "the run should make calls of every kind: {verb:?}");
    }
    assert!(page > 8 * KIB || run.sim().count(Verb::MovePages) >= 2, "objects move by their pages");
    assert_eq!(run.nulls, 0);
    run.finish();
    calls
}

/// Makes every call of the run fail in turn, or one in `step`.
fn fail_each(page: usize, step: usize, error: impl Fn(u64) -> OsError + Sync) {
    let calls = count(page);
    eprintln!("{calls} calls with physical pages of {page} bytes");
    assert!(calls >= CALLS || step > 1, "{calls} calls are too few");
    let work = |first: u64| (first..=calls).step_by(2 * step).for_each(|n| run_failing(page, n, error(n)));
    thread::scope(|scope| {
        scope.spawn(|| work(1));
        scope.spawn(|| work(1 + step as u64));
    });
}

#[test]
fn every_call_of_a_long_run_fails_once() {
    fail_each(4 * KIB, 1, |_| OsError::OutOfMemory);
}

#[test]
fn calls_on_large_physical_pages_fail() {
    fail_each(64 * KIB, 23, |_| OsError::OutOfMemory);
}

#[test]
fn calls_fail_with_any_error() {
    fail_each(16 * KIB, 31, |n| ERRORS[n as usize % ERRORS.len()]);
}

#[test]
fn each_move_loses_its_target() {
    let moves = numbers_of(4 * KIB, Verb::MovePages);
    assert!(moves.len() >= 2, "objects move by their pages");
    moves.into_iter().for_each(|n| run_failing(4 * KIB, n, OsError::Lost));
}

/// Returns the fallible calls of the run that are of a verb.
fn numbers_of(page: usize, wanted: Verb) -> Vec<u64> {
    let mut run = Run::new(Sim::new().physical_page(page), page as u64);
    let found = Arc::new(Mutex::new((0, Vec::new())));
    let noted = Arc::clone(&found);
    run.sim().on_call(move |verb, _, _| {
        let (calls, numbers) = &mut *noted.lock().unwrap();
        *calls += u64::from(verb.is_fallible());
        if verb == wanted {
            numbers.push(*calls);
        }
    });
    run.steps(OPERATIONS);
    found.lock().unwrap().1.clone()
}

#[test]
fn content_is_lost_only_where_moves_lost_it() {
    let allocator = allocator::allocator(Sim::new());
    let cache = adopt(&allocator);
    let bound = allocator.bind(cache);
    let held = Held::new(malloc::allocate(bound, 4 * MIB) as usize, 4 * MIB, 7);
    let behind = malloc::allocate(bound, 4 * MIB) as usize;
    allocator.os().fail_verb_with(Verb::MovePages, OsError::Lost);
    let grown = allocator::reallocate(&allocator, cache, held.at, 6 * MIB, 1);
    assert_eq!(allocator.os().count(Verb::MovePages), 1, "the object was to move by its pages");
    // It was copied to another place.
    let held = Held { at: grown, ..held };
    held.check();
    // Nowhere else is there room now: the old object stays as it is.
    allocator.os().fail_verb(Verb::Reserve);
    allocator.os().fail_verb(Verb::Map);
    while malloc::allocate(bound, 5 * MIB) as usize != 0 {}
    assert_eq!(allocator::reallocate(&allocator, cache, held.at, 7 * MIB, 1), 0);
    held.check();
    allocator.os().fail_never();
    balanced_with_machine(&allocator, Some(cache));
    [held.at, behind].into_iter().for_each(|at| free(&allocator, cache, at));
    balanced_with_machine(&allocator, Some(cache));
}

#[test]
fn many_calls_fail() {
    let mut nulls = 0;
    for seed in 0..30 {
        let mut run = Run::new(Sim::new().physical_page((4 * KIB) << (seed % 5)), seed);
        run.sim().fail_randomly(seed, 2 + seed % 2);
        nulls += run.steps(1_500).nulls;
        run.finish();
    }
    assert!(nulls > 300, "{nulls} are too few");
}

#[test]
fn all_calls_fail_for_a_while() {
    for seed in 0..20 {
        let mut run = Run::new(Sim::new(), seed);
        for _ in 0..4 {
            let some = run.rng.below(400);
            run.steps(some).sim().fail_from_with(1, ERRORS[some % ERRORS.len()]);
            run.steps(150).sim().fail_never();
        }
        assert!(run.nulls > 0);
        run.finish();
    }
}

#[test]
fn one_verb_always_fails() {
    for verb in Verb::ALL.into_iter().filter(|verb| verb.is_fallible()) {
        let mut run = Run::new(Sim::new(), verb as u64);
        run.sim().fail_verb(verb);
        run.steps(300);
        run.sim().fail_never();
        run.steps(300).sim().fail_verb(verb);
        run.steps(2_500);
        run.finish();
    }
}

#[test]
fn a_budget_of_ready_memory() {
    let mut run = Run::new(Sim::new(), 1);
    run.steps(300);
    let budget = run.sim().ready_bytes() + 2 * MIB;
    run.sim().limit_ready(budget);
    run.limited = true;
    run.steps(4_000);
    run.check();
    assert!(run.nulls > 100, "{} requests met the limit", run.nulls);
    assert!(run.sim().ready_bytes() <= budget);
    // Free memory is released if that is requested.
    let cache = run.cache(0).expect("the cache is there");
    for _ in 0..run.held.len() / 2 {
        run.free(Some(cache));
    }
    let bound = run.allocator.bind(cache);
    assert!(malloc::allocate(bound, GIB).is_null());
    assert!(run.allocator.heap().release(cache.writer(), Pages(usize::MAX)).0 > 0);
    run.check();
    // It is lifted.
    run.sim().limit_ready(usize::MAX);
    let at = malloc::allocate(bound, GIB) as usize;
    assert_ne!(at, 0);
    free(&run.allocator, cache, at);
    run.finish();
}

#[test]
fn every_kind_of_request_without_memory() {
    let allocator = allocator::allocator(Sim::new());
    let cache = adopt(&allocator);
    let bound = allocator.bind(cache);
    let held: Vec<usize> = [24, 5_000, 40_000, 3 * MIB].map(|size| malloc::allocate(bound, size) as usize).into();
    allocator.os().fail_from(1);
    for class in Class::all() {
        // Local pages are used up first.
        let mut more = Vec::new();
        while let p @ 1.. = malloc::allocate(bound, class.size()) as usize {
            more.push(p);
            assert!(more.len() * class.size() < 64 * MIB);
        }
        assert!(malloc::allocate_zeroed(bound, class.size()).is_null());
        more.into_iter().for_each(|at| free(&allocator, cache, at));
    }
    for size in [100_000, 10 * MIB, GIB] {
        assert!(malloc::allocate(bound, size).is_null());
        assert!(malloc::allocate_zeroed(bound, size).is_null());
        assert!(malloc::allocate_aligned(bound, size, MIB).is_null());
        for &at in &held {
            assert_eq!(allocator::reallocate(&allocator, cache, at, size + 8 * MIB, 1), 0);
        }
    }
    balanced_with_machine(&allocator, Some(cache));
    // Shrinking needs no memory, or keeps what the object has.
    let at = allocator::reallocate(&allocator, cache, held[3], 2 * MIB, 1);
    assert_eq!(at, held[3]);
    allocator.os().fail_never();
    held.into_iter().for_each(|at| free(&allocator, cache, at));
    retire(&allocator, cache);
    empty(&allocator);
    balanced_with_machine(&allocator, None);
}

/// Returns how many fallible calls start-up and the first cache make.
fn calls_to_start(page: usize) -> u64 {
    let allocator = allocator::allocator(Sim::new().physical_page(page));
    adopt(&allocator);
    allocator.os().calls()
}

/// Starts up with calls that fail: then nothing exists, and the next attempt succeeds. The first `must_fail` attempts
/// fail.
fn start_after(page: usize, plan: impl Fn(&Sim), tries: usize, must_fail: usize) {
    let allocator = allocator::allocator(Sim::new().physical_page(page));
    plan(allocator.os());
    for i in 0..tries {
        // SAFETY: the kernel is in a box.
        let Err(_) = (unsafe { allocator.adopt() }) else {
            assert!(i >= must_fail);
            break;
        };
        let nothing = allocator.heap().span_of(Addr(1 << 45));
        assert!(nothing.is_none_or(|span| span.is_dummy()));
        // If start-up succeeded and only the cache failed, the accounts exist already.
        match allocator.crossfoot(None) {
            Some(_) => drop(balanced_with_machine(&allocator, None)),
            None if tries == 1 => assert_eq!(allocator.os().ranges(), [], "nothing is kept of what was done"),
            None => {}
        }
    }
    allocator.os().fail_never();
    let cache = adopt(&allocator);
    balanced_with_machine(&allocator, Some(cache));
    let at = malloc::allocate(allocator.bind(cache), 100) as usize;
    assert_ne!(at, 0);
    free(&allocator, cache, at);
    retire(&allocator, cache);
    balanced_with_machine(&allocator, None);
}

#[test]
fn start_up_fails_at_each_call_and_then_succeeds() {
    for page in [4 * KIB, 16 * KIB, 64 * KIB] {
        let calls = calls_to_start(page);
        assert!(calls >= 3, "{calls} calls to start");
        for n in 1..=calls {
            // Records are allocated in smaller parts if a larger part is refused.
            start_after(page, |sim| sim.fail_nth(n), 1, 0);
            start_after(page, |sim| sim.fail_from(n), 5, 5);
            for again in 1..=calls {
                let twice = |sim: &Sim| (sim.fail_nth(n), sim.fail_nth(n + again)).0;
                start_after(page, twice, 3, 0);
            }
        }
    }
}
