//! The child of a fork: a thread is not there any more that was in the middle of something. What it posted by
//! halves is taken back, and its writer is as good as any.

use std::rc::Rc;

use super::{Room, both, sent};
use crate::stats::writer::{Scope, Sums};
use crate::check::Scenario;
use crate::ghost::{self, Mode};

/// More stores than an entry has.
const STORES: usize = 16;

/// The scenarios of this file.
pub fn scenarios() -> Vec<Scenario> {
    [
        both("forks: in an entry of the last generation", Some(2), STORES, |mode, n| {
            child(mode, n, |room| room.post(0, [1, 1], Some((0, 1))), false);
        }),
        both("forks: in an entry of a new generation", Some(2), STORES, |mode, n| {
            child(mode, n, |room| room.post(0, [1, 1], Some((0, 1))), true);
        }),
        both("forks: in a class", Some(2), 2 * STORES, |mode, n| {
            child(mode, n / 2, |room| room.post_class(0, 0, 1), n % 2 == 0);
        }),
        both("forks: in a counter", Some(2), 2 * STORES, |mode, n| {
            child(mode, n / 2, |room| room.send(0, 0, 1), n % 2 == 0);
        }),
        both("forks: in a movement", Some(2), 1, in_a_movement),
    ]
    .concat()
}

type One = Room<2, 1, 1>;

/// What is posted by one post of `post`.
fn said_by(room: &One, post: fn(&One)) -> [i64; 4] {
    let before = say(room);
    post(room);
    let after = say(room);
    core::array::from_fn(|i| after[i] - before[i])
}

fn say(room: &One) -> [i64; 4] {
    words(&room.read())
}

fn words(sum: &Sums<2, 1, 1>) -> [i64; 4] {
    [sum.totals[0], sum.totals[1], sum.classes[0][0], sent(sum, 0)]
}

fn times(n: i64, one: [i64; 4]) -> [i64; 4] {
    one.map(|word| n * word)
}

/// A thread dies after so many stores of its third entry.
fn child(mode: Mode, stores: usize, post: fn(&One), moved_on: bool) {
    let room = One::open(mode, 3);
    let one = said_by(&room, post);
    if !moved_on {
        post(&room);
    }
    let all = ghost::stores_of(|| post(&room));
    assert!(all < STORES, "an entry has more stores than the scenario has cases");
    if stores >= all {
        return;
    }
    let count = if moved_on { 2 } else { 3 };
    if moved_on {
        assert_eq!(say(&room), times(count, one));
    }
    let writer = Rc::clone(&room);
    let dies = move || {
        ghost::die_after(stores);
        post(&writer);
    };
    ghost::spawn(dies).join();
    begin_again(&room);
    // The next entries come in the generation of the lost one, and in that of a cut that is made meanwhile.
    for before in 0..3 {
        (0..before).for_each(|_| post(&room));
        let (_, sum) = room.cut_while(Scope::All, || {
            post(&room);
            post(&room);
        });
        assert_eq!(words(&sum), times(count + before, one), "the cut is not what was said before it");
        assert_eq!(say(&room), times(count + before + 2, one));
        (0..before + 2).for_each(|_| take_back(&room, one));
        assert_eq!(say(&room), times(count, one));
    }
    beside_a_reader(&room, post, count, one);
}

fn take_back(room: &One, one: [i64; 4]) {
    room.post(0, [-one[0], -one[1]], Some((0, -one[2])));
    room.send(0, 0, -one[3]);
}

/// What the child does first.
fn begin_again(room: &One) {
    let mut looks = 3;
    // Whether somebody was in the middle does not matter to the child.
    let _ = room.cut.close(ghost::heavy, || {
        looks -= 1;
        looks > 0
    });
    room.cut.abandon_others(|_| false);
    room.cut.open();
}

/// The writer, which another thread has now, beside a reader.
fn beside_a_reader(room: &Rc<One>, post: fn(&One), count: i64, one: [i64; 4]) {
    let writer = Rc::clone(room);
    let mut writer = ghost::spawn(move || post(&writer));
    let seen = say(room);
    assert!(seen == times(count, one) || seen == times(count + 1, one), "{seen:?}");
    writer.join();
    assert_eq!(say(room), times(count + 1, one));
}

/// The thread dies in a movement before it posts.
fn in_a_movement(mode: Mode, _: usize) {
    let room = One::open(mode, 2);
    room.post(0, [1, 1], Some((0, 1)));
    let writer = Rc::clone(&room);
    let dies = move || {
        let section = ghost::during("movement", || writer.cut.enter(&writer.writers[0]));
        assert!(section.is_some(), "the door is open");
        core::mem::forget(section);
    };
    ghost::spawn(dies).join();
    let mut looks = 0;
    let closed = room.cut.close(ghost::heavy, || {
        looks += 1;
        looks < 3
    });
    assert!(!closed && looks == 3, "nobody was in a movement");
    room.cut.abandon_others(|_| false);
    room.cut.open();
    assert_eq!(say(&room), [1, 1, 1, 0]);
    room.post(0, [1, 1], Some((0, 1)));
    assert_eq!(say(&room), [2, 2, 2, 0]);
}
