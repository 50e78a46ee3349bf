//! Checks the ghost and loom themselves, by small programs with known outcomes.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;
use std::time::Duration;

use crate::check::{Outcome, Scenario};
use crate::ghost::{self, Mode};
use crate::sites::{Kind, Mutant, Weaker};
use crate::sync::{AtomicUsize, Ordering, compiler_fence, fence};

thread_local! {
    static SEEN: RefCell<BTreeSet<[usize; 2]>> = RefCell::default();
}

fn see(outcome: [usize; 2]) {
    SEEN.with_borrow_mut(|seen| seen.insert(outcome));
}

fn all_seen(run: fn(Mode, usize), mode: Mode, mutant: Option<&Mutant>) -> BTreeSet<[usize; 2]> {
    SEEN.take();
    let scenario = Scenario { name: "litmus", mode, preemptions: None, cases: 1, run };
    assert!(matches!(scenario.run(mutant, None).outcome, Outcome::Passed));
    SEEN.take()
}

fn two() -> Rc<[AtomicUsize; 2]> {
    Rc::new([AtomicUsize::new(0), AtomicUsize::new(0)])
}

fn load(cell: &AtomicUsize) -> usize {
    cell.load(Ordering::Relaxed)
}

/// Two threads each store to one atomic and load the other, with nothing or a pair of fences between.
fn buffering(mode: Mode, light: fn(Mode), heavy: fn()) {
    ghost::begin(mode, 2);
    let (cells, result) = (two(), Rc::new(RefCell::new(0)));
    let (there, loaded) = (Rc::clone(&cells), Rc::clone(&result));
    let mut other = ghost::spawn(move || {
        there[0].store(1, Ordering::Relaxed);
        light(mode);
        *loaded.borrow_mut() = load(&there[1]);
    });
    cells[1].store(1, Ordering::Relaxed);
    heavy();
    let here = load(&cells[0]);
    other.join();
    see([here, *result.borrow()]);
}

fn light(mode: Mode) {
    match mode {
        Mode::Symmetric => fence(Ordering::SeqCst),
        Mode::Asymmetric => compiler_fence(Ordering::SeqCst),
    }
}

fn with_fences(mode: Mode, _: usize) {
    buffering(mode, light, || assert!(ghost::heavy()));
}

const FENCED: [[usize; 2]; 3] = [[0, 1], [1, 0], [1, 1]];

#[test]
fn a_pair_of_fences_forbids_that_both_miss() {
    for mode in [Mode::Symmetric, Mode::Asymmetric] {
        assert_eq!(all_seen(with_fences, mode, None), BTreeSet::from(FENCED), "{mode:?}");
    }
}

#[test]
fn without_fences_both_may_miss() {
    for mode in [Mode::Symmetric, Mode::Asymmetric] {
        let seen = all_seen(|mode, _| buffering(mode, |_| (), || ()), mode, None);
        assert!(seen.contains(&[0, 0]), "{mode:?}");
    }
}

#[test]
fn with_either_fence_weakened_both_may_miss() {
    for mode in [Mode::Symmetric, Mode::Asymmetric] {
        let scenario = Scenario { name: "litmus", mode, preemptions: None, cases: 1, run: with_fences };
        let mutants = scenario.record(Duration::from_secs(10)).mutants();
        let kinds: BTreeSet<_> = mutants.iter().map(|mutant| mutant.site.kind).collect();
        let light = if mode == Mode::Symmetric { Kind::Fence } else { Kind::CompilerFence };
        assert_eq!(kinds, BTreeSet::from([light, Kind::HeavyFence]));
        for mutant in mutants {
            assert_eq!(matches!(mutant.weaker, Weaker::Late(_)), mutant.site.kind == Kind::CompilerFence);
            assert!(all_seen(with_fences, mode, Some(&mutant)).contains(&[0, 0]), "{mode:?} {mutant:?}");
        }
    }
}

#[test]
fn a_load_may_come_before_the_store_of_one_who_loads_too() {
    let run: fn(Mode, usize) = |mode, _| {
        ghost::begin(mode, 2);
        let cells = two();
        let there = Rc::clone(&cells);
        let mut other = ghost::spawn(move || there[0].store(load(&there[0]) + 1, Ordering::Relaxed));
        see([load(&cells[0]), 0]);
        other.join();
    };
    assert_eq!(all_seen(run, Mode::Symmetric, None), BTreeSet::from([[0, 0], [1, 0]]));
}

#[test]
fn whoever_waits_for_a_lock_or_has_ended_is_not_waited_for() {
    let run: fn(Mode, usize) = |mode, _| {
        ghost::begin(mode, 2);
        let (cells, lock) = (two(), Rc::new(loom::sync::Mutex::new(())));
        let (there, gate) = (Rc::clone(&cells), Rc::clone(&lock));
        let guard = lock.lock();
        let mut other = ghost::spawn(move || {
            there[0].store(1, Ordering::Relaxed);
            let _guard = ghost::away(|| gate.lock());
            there[1].store(1, Ordering::Relaxed);
        });
        ghost::heavy();
        see([load(&cells[0]), load(&cells[1])]);
        drop(guard);
        other.join();
        ghost::heavy();
        assert_eq!([load(&cells[0]), load(&cells[1])], [1, 1]);
    };
    assert_eq!(all_seen(run, Mode::Asymmetric, None), BTreeSet::from([[0, 0], [1, 0]]));
}

#[test]
fn the_dead_store_nothing_and_the_stopped_go_on() {
    let dies: fn(Mode, usize) = |mode, _| {
        ghost::begin(mode, 2);
        let cells = two();
        let there = Rc::clone(&cells);
        let mut other = ghost::spawn(move || {
            ghost::die_after(1);
            there.iter().for_each(|cell| cell.store(1, Ordering::Relaxed));
        });
        other.join();
        see([load(&cells[0]), load(&cells[1])]);
    };
    assert_eq!(all_seen(dies, Mode::Symmetric, None), BTreeSet::from([[1, 0]]));
    let stops: fn(Mode, usize) = |mode, _| {
        ghost::begin(mode, 2);
        let cells = two();
        let there = Rc::clone(&cells);
        let mut other = ghost::spawn(move || {
            ghost::stop_after(1);
            there.iter().for_each(|cell| cell.store(1, Ordering::Relaxed));
        });
        see([load(&cells[0]), load(&cells[1])]);
        other.go_on();
        other.join();
        assert_eq!([load(&cells[0]), load(&cells[1])], [1, 1]);
    };
    assert_eq!(all_seen(stops, Mode::Asymmetric, None), BTreeSet::from([[0, 0], [1, 0]]));
}
