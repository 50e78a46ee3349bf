//! Counts of objects: the tally of the fast path and the counts of the slow paths. In every cut, each freed object was
//! allocated, and no more objects are live than there are slots.

use std::rc::Rc;

use super::{Setup, both};
use crate::check::Scenario;
use crate::ghost::{self, Flag, Mode};
use crate::stats::writer::{Count, Sums};

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

/// The count of the freeing thread: it sends the object, or has taken over the span.
const HOW: [Count; 2] = [Count::Sent, Count::Freed];

/// Returns the live objects, including those in transit.
fn live<const N: usize>(sum: &Sums<1, 1, N>) -> i64 {
    let [allocated, freed, received, _] = sum.counts[0];
    allocated - freed - received
}

/// One thread allocates and goes on, and another thread frees the object.
fn freed_by_another(mode: Mode, how: Count, refills: bool) {
    let setup = Setup::<1, 1, 2>::open(mode, 3);
    setup.refill(0, 0, 0);
    let given = Rc::new(Flag::new());
    let mut owner = {
        let (setup, given) = (Rc::clone(&setup), Rc::clone(&given));
        ghost::spawn(move || {
            setup.allocate(0, 0);
            given.say();
            if refills {
                setup.refill(0, 0, 0);
            }
        })
    };
    let mut other = {
        let setup = Rc::clone(&setup);
        ghost::spawn(move || {
            if given.is_said() {
                setup.count(1, 0, how, 1);
            }
        })
    };
    let sum = setup.read();
    let [allocated, freed, _, sent] = sum.counts[0];
    assert!(allocated >= freed + sent, "{freed} freed and {sent} sent of {allocated} allocated");
    owner.join();
    other.join();
    assert_eq!(setup.read().counts[0][Count::Allocated as usize], 1);
}

/// There is one slot, so at most one object is live.
fn one_place(mode: Mode, _: usize) {
    let setup = Setup::<1, 1, 1>::open(mode, 2);
    setup.refill(0, 0, 0);
    let owner = Rc::clone(&setup);
    let mut owner = ghost::spawn(move || {
        owner.allocate(0, 0);
        owner.refill(0, 0, 1);
        owner.allocate(0, 0);
        owner.refill(0, 0, 1);
        owner.allocate(0, 0);
    });
    let mut last = 0;
    for _ in 0..2 {
        let sum = setup.read();
        assert!((0..=1).contains(&live(&sum)), "{:?} in one place", sum.counts[0]);
        assert!(last <= sum.counts[0][0], "allocations were taken back");
        last = sum.counts[0][0];
    }
    owner.join();
    assert_eq!(setup.read().counts[0], [3, 2, 0, 0]);
}

/// No cut contains an object of a span without the span.
fn second_span(mode: Mode, _: usize) {
    let setup = Setup::<1, 1, 1>::open(mode, 2);
    let owner = Rc::clone(&setup);
    let mut owner = ghost::spawn(move || {
        for _ in 0..2 {
            owner.post(0, [1], Some((0, 1)));
            owner.refill(0, 0, 0);
            owner.allocate(0, 0);
        }
    });
    let sum = setup.read();
    assert!((0..=sum.classes[0][0]).contains(&live(&sum)), "{} in {} places", live(&sum), sum.classes[0][0]);
    owner.join();
    assert_eq!(setup.read().counts[0], [2, 0, 0, 0]);
}
