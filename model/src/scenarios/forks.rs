//! The child of a fork, in which another thread vanished in the middle of an entry. Its incomplete entry is undone, and
//! its writer works like any other.

use std::rc::Rc;

use super::{Setup, both, sent};
use crate::check::Scenario;
use crate::ghost::{self, Mode};
use crate::stats::writer::{Scope, Sums};

/// A number above the stores of an entry.
const STORES: usize = 16;

/// The scenarios of this file.
pub fn scenarios() -> Vec<Scenario> {
    [
        both("forks: in an entry of the last generation", Some(2), STORES, |mode, n| {
            child(mode, n, |setup| setup.post(0, [1, 1], Some((0, 1))), false);
        }),
        both("forks: in an entry of a new generation", Some(2), STORES, |mode, n| {
            child(mode, n, |setup| setup.post(0, [1, 1], Some((0, 1))), true);
        }),
        both("forks: in a class", Some(2), 2 * STORES, |mode, n| {
            child(mode, n / 2, |setup| setup.post_class(0, 0, 1), n % 2 == 0);
        }),
        both("forks: in a counter", Some(2), 2 * STORES, |mode, n| {
            child(mode, n / 2, |setup| setup.send(0, 0, 1), n % 2 == 0);
        }),
        both("forks: in a movement", Some(2), 1, in_a_movement),
    ]
    .concat()
}

type One = Setup<2, 1, 1>;

/// The sum that one call of `post` posts.
fn said_by(setup: &One, post: fn(&One)) -> [i64; 4] {
    let before = say(setup);
    post(setup);
    let after = say(setup);
    core::array::from_fn(|i| after[i] - before[i])
}

fn say(setup: &One) -> [i64; 4] {
    words(&setup.read())
}

fn words(sum: &Sums<2, 1, 1>) -> [i64; 4] {
    [sum.totals[0], sum.totals[1], sum.classes[0][0], sent(sum, 0)]
}

fn times(n: i64, one: [i64; 4]) -> [i64; 4] {
    one.map(|word| n * word)
}

/// A thread dies after a number of stores of its third entry.
fn child(mode: Mode, stores: usize, post: fn(&One), moved_on: bool) {
    let setup = One::open(mode, 3);
    let one = said_by(&setup, post);
    if !moved_on {
        post(&setup);
    }
    let all = ghost::stores_of(|| post(&setup));
    assert!(all < STORES, "an entry has more stores than the scenario has cases");
    if stores >= all {
        return;
    }
    let count = if moved_on { 2 } else { 3 };
    if moved_on {
        assert_eq!(say(&setup), times(count, one));
    }
    let writer = Rc::clone(&setup);
    let dies = move || {
        ghost::die_after(stores);
        post(&writer);
    };
    ghost::spawn(dies).join();
    begin_again(&setup);
    // The next entries are posted in the generation of the lost one, and in that of a later cut.
    for before in 0..3 {
        (0..before).for_each(|_| post(&setup));
        let (_, sum) = setup.cut_while(Scope::All, || {
            post(&setup);
            post(&setup);
        });
        assert_eq!(words(&sum), times(count + before, one), "the cut is not what was said before it");
        assert_eq!(say(&setup), times(count + before + 2, one));
        (0..before + 2).for_each(|_| take_back(&setup, one));
        assert_eq!(say(&setup), times(count, one));
    }
    beside_a_reader(&setup, post, count, one);
}

fn take_back(setup: &One, one: [i64; 4]) {
    setup.post(0, [-one[0], -one[1]], Some((0, -one[2])));
    setup.send(0, 0, -one[3]);
}

/// The first operations of the child.
fn begin_again(setup: &One) {
    let mut looks = 3;
    // The child does not depend on whether a thread was in the middle of an entry.
    let _ = setup.cut.close(ghost::heavy, || {
        looks -= 1;
        looks > 0
    });
    setup.cut.abandon_others(|_| false);
    setup.cut.open();
}

/// The writer, now of another thread, beside a reader.
fn beside_a_reader(setup: &Rc<One>, post: fn(&One), count: i64, one: [i64; 4]) {
    let writer = Rc::clone(setup);
    let mut writer = ghost::spawn(move || post(&writer));
    let seen = say(setup);
    assert!(seen == times(count, one) || seen == times(count + 1, one), "{seen:?}");
    writer.join();
    assert_eq!(say(setup), times(count + 1, one));
}

/// The thread dies in a movement before it posts.
fn in_a_movement(mode: Mode, _: usize) {
    let setup = One::open(mode, 2);
    setup.post(0, [1, 1], Some((0, 1)));
    let writer = Rc::clone(&setup);
    let dies = move || {
        let section = ghost::during("movement", || writer.cut.enter(&writer.writers[0]));
        assert!(section.is_some(), "the gate is open");
        core::mem::forget(section);
    };
    ghost::spawn(dies).join();
    let mut looks = 0;
    let closed = setup.cut.close(ghost::heavy, || {
        looks += 1;
        looks < 3
    });
    assert!(!closed && looks == 3, "nobody was in a movement");
    setup.cut.abandon_others(|_| false);
    setup.cut.open();
    assert_eq!(say(&setup), [1, 1, 1, 0]);
    setup.post(0, [1, 1], Some((0, 1)));
    assert_eq!(say(&setup), [2, 2, 2, 0]);
}
