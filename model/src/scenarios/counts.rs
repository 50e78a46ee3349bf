//! Objects: the tally that the fast path counts in, and the counts of the slow paths. In every cut each object that was
//! freed, by whoever, was allocated, and no more objects are live than there are places for.

use std::rc::Rc;

use super::{Room, both};
use crate::stats::writer::{Count, Sums};
use crate::check::Scenario;
use crate::ghost::{self, Flag, Mode};

/// The scenarios of this file.
pub fn scenarios() -> Vec<Scenario> {
    [
        both("counts: freed by another thread", Some(2), 2 * HOW.len(), |mode, case| {
            freed_by_another(mode, HOW[case / 2], case % 2 == 0);
        }),
        both("counts: one place, allocated again and again", Some(2), 1, one_place),
        both("counts: a second span", Some(2), 1, second_span),
    ]
    .concat()
}

/// What the thread counts that frees: it sends the object, or has taken its span over.
const HOW: [Count; 2] = [Count::Sent, Count::Freed];

/// Live objects, those on their way included.
fn live<const N: usize>(sum: &Sums<1, 1, N>) -> i64 {
    let [allocated, freed, received, _] = sum.counts[0];
    allocated - freed - received
}

/// One thread allocates and goes on; another one frees what it got.
fn freed_by_another(mode: Mode, how: Count, refills: bool) {
    let room = Room::<1, 1, 2>::open(mode, 3);
    room.refill(0, 0, 0);
    let given = Rc::new(Flag::new());
    let mut owner = {
        let (room, given) = (Rc::clone(&room), Rc::clone(&given));
        ghost::spawn(move || {
            room.allocate(0, 0);
            given.say();
            if refills {
                room.refill(0, 0, 0);
            }
        })
    };
    let mut other = {
        let room = Rc::clone(&room);
        ghost::spawn(move || {
            if given.is_said() {
                room.count(1, 0, how, 1);
            }
        })
    };
    let sum = room.read();
    let [allocated, freed, _, sent] = sum.counts[0];
    assert!(allocated >= freed + sent, "{freed} freed and {sent} sent of {allocated} allocated");
    owner.join();
    other.join();
    assert_eq!(room.read().counts[0][Count::Allocated as usize], 1);
}

/// There is one place, so one object is live at the most.
fn one_place(mode: Mode, _: usize) {
    let room = Room::<1, 1, 1>::open(mode, 2);
    room.refill(0, 0, 0);
    let owner = Rc::clone(&room);
    let mut owner = ghost::spawn(move || {
        owner.allocate(0, 0);
        owner.refill(0, 0, 1);
        owner.allocate(0, 0);
        owner.refill(0, 0, 1);
        owner.allocate(0, 0);
    });
    let mut last = 0;
    for _ in 0..2 {
        let sum = room.read();
        assert!((0..=1).contains(&live(&sum)), "{:?} in one place", sum.counts[0]);
        assert!(last <= sum.counts[0][0], "allocations were taken back");
        last = sum.counts[0][0];
    }
    owner.join();
    assert_eq!(room.read().counts[0], [3, 2, 0, 0]);
}

/// An object of a span is in no cut that does not have the span.
fn second_span(mode: Mode, _: usize) {
    let room = Room::<1, 1, 1>::open(mode, 2);
    let owner = Rc::clone(&room);
    let mut owner = ghost::spawn(move || {
        for _ in 0..2 {
            owner.post(0, [1], Some((0, 1)));
            owner.refill(0, 0, 0);
            owner.allocate(0, 0);
        }
    });
    let sum = room.read();
    assert!((0..=sum.classes[0][0]).contains(&live(&sum)), "{} in {} places", live(&sum), sum.classes[0][0]);
    owner.join();
    assert_eq!(room.read().counts[0], [2, 0, 0, 0]);
}
