//! One writer and one reader: a cut contains whole entries, in their order, and waits for no thread.

use std::rc::Rc;

use super::{Setup, both, sent};
use crate::check::Scenario;
use crate::ghost::{self, Mode};
use crate::stats::writer::{Scope, Sums};

/// A number above the stores of an entry.
const STORES: usize = 16;

/// The short scenarios of this file.
pub fn short_scenarios() -> Vec<Scenario> {
    [
        both("cuts: entries of every two kinds", Some(2), KINDS.len() * KINDS.len(), pairs),
        both("cuts: a writer stopped in an entry", Some(1), STORES, stopped_in_an_entry),
        both("cuts: a writer stopped in a class", Some(1), STORES, stopped_in_a_class),
        both("cuts: a writer stopped in a counter", Some(1), STORES, stopped_in_a_counter),
    ]
    .concat()
}

/// The long scenarios of this file.
pub fn long_scenarios() -> Vec<Scenario> {
    [
        both("cuts: two entries, two cuts", Some(2), 1, two_entries),
        both("cuts: the words of one part", Some(2), 1, one_part),
        both("cuts: totals only", Some(2), 1, totals_only),
    ]
    .concat()
}

fn two_entries(mode: Mode, _: usize) {
    let setup = Setup::<1, 1, 1>::open(mode, 2);
    setup.post(0, [1], Some((0, 1)));
    let writer = Rc::clone(&setup);
    let mut writer = ghost::spawn(move || {
        writer.post(0, [1], Some((0, 1)));
        writer.post(0, [1], Some((0, 1)));
    });
    let mut last = 1;
    for _ in 0..2 {
        let sum = setup.read();
        assert_eq!(sum.totals[0], sum.classes[0][0], "a part of an entry is missing");
        assert!(last <= sum.totals[0] && sum.totals[0] <= 3, "{} after {last}", sum.totals[0]);
        last = sum.totals[0];
    }
    writer.join();
    assert_eq!(setup.read().totals[0], 3);
}

/// The kinds of entries, and what each adds: to the total, the first class, the second class, and the first class's
/// counter.
const KINDS: [[i64; 4]; 5] = [[1, 1, 0, 0], [0, 1, 0, 0], [1, 0, 1, 0], [0, 0, 1, 0], [0, 0, 0, 1]];

fn post_kind(setup: &Setup<1, 2, 1>, kind: usize) {
    match kind {
        0 => setup.post(0, [1], Some((0, 1))),
        1 => setup.post_class(0, 0, 1),
        2 => setup.post(0, [1], Some((1, 1))),
        3 => setup.post_class(0, 1, 1),
        _ => setup.send(0, 0, 1),
    }
}

/// Posts every pair of kinds, after an entry of each kind.
fn pairs(mode: Mode, pair: usize) {
    let kinds = [pair % KINDS.len(), pair / KINDS.len()];
    let setup = Setup::<1, 2, 1>::open(mode, 2);
    setup.post(0, [1], Some((0, 1)));
    setup.send(0, 0, 1);
    let writer = Rc::clone(&setup);
    let mut writer = ghost::spawn(move || kinds.iter().for_each(|&kind| post_kind(&writer, kind)));
    let mut states = vec![[1, 1, 0, 1]];
    for kind in kinds {
        let last = states[states.len() - 1];
        states.push(core::array::from_fn(|i| last[i] + KINDS[kind][i]));
    }
    let say = || {
        let sum = setup.read();
        let said = [sum.totals[0], sum.classes[0][0], sum.classes[1][0], sent(&sum, 0)];
        states.iter().position(|s| *s == said).unwrap_or_else(|| panic!("{said:?} was never said"))
    };
    say();
    writer.join();
    assert_eq!(say(), kinds.len());
}

fn one_part(mode: Mode, _: usize) {
    let setup = Setup::<2, 0, 1>::open(mode, 2);
    let writer = Rc::clone(&setup);
    let mut writer = ghost::spawn(move || {
        for _ in 0..3 {
            writer.post(0, [1, 1], None);
        }
    });
    let mut last = 0;
    for _ in 0..2 {
        let sum = setup.read();
        assert_eq!(sum.totals[0], sum.totals[1], "a word is missing");
        assert!(last <= sum.totals[0]);
        last = sum.totals[0];
    }
    writer.join();
    assert_eq!(setup.read().totals, [3, 3]);
}

fn totals_only(mode: Mode, _: usize) {
    let setup = Setup::<1, 1, 1>::open(mode, 2);
    setup.post(0, [1], Some((0, 1)));
    let writer = Rc::clone(&setup);
    let mut writer = ghost::spawn(move || {
        writer.post(0, [1], Some((0, 1)));
        writer.post(0, [1], None);
    });
    let (_, totals) = setup.cut_while(Scope::Totals, || ());
    assert!((1..=3).contains(&totals.totals[0]));
    assert_eq!(totals.classes[0][0], 0, "nobody asked for classes");
    writer.join();
    assert_eq!(setup.read().totals[0], 3);
}

/// The reader does not wait for a writer that was stopped before any of its stores, and does not count an incomplete
/// entry.
fn stopped(mode: Mode, stores: usize, post: fn(&Setup<1, 1, 1>)) {
    let setup = Setup::<1, 1, 1>::open(mode, 2);
    let all = ghost::stores_of(|| post(&setup));
    assert!(all < STORES, "an entry has more stores than the scenario has cases");
    if stores >= all {
        return;
    }
    let before = setup.read();
    let writer = Rc::clone(&setup);
    let mut writer = ghost::spawn(move || {
        ghost::stop_after(stores);
        post(&writer);
        post(&writer);
    });
    for _ in 0..2 {
        assert_eq!(setup.read(), before, "an entry that is not whole");
    }
    writer.go_on();
    writer.join();
    let after = setup.read();
    let all = |sums: &Sums<1, 1, 1>| [sums.totals[0], sums.classes[0][0], sent(sums, 0)];
    assert_eq!(all(&after), all(&before).map(|one| 3 * one));
}

fn stopped_in_an_entry(mode: Mode, stores: usize) {
    stopped(mode, stores, |setup| setup.post(0, [1], Some((0, 1))));
}

fn stopped_in_a_class(mode: Mode, stores: usize) {
    stopped(mode, stores, |setup| setup.post_class(0, 0, 1));
}

fn stopped_in_a_counter(mode: Mode, stores: usize) {
    stopped(mode, stores, |setup| setup.send(0, 0, 1));
}
