//! Two writers; the second posts because of what the first did. No cut contains the consequence without its cause. So
//! no snapshot has more objects received than sent.

use std::rc::Rc;

use super::{Setup, both, sent};
use crate::check::Scenario;
use crate::ghost::{self, Flag, Mode};

/// The way of posting.
#[derive(Clone, Copy)]
enum How {
    Delta,
    Class,
    Counter,
}

/// The ways in which the two writers post.
const HOW: [[How; 2]; 5] = [
    [How::Delta, How::Delta],
    [How::Delta, How::Class],
    [How::Class, How::Delta],
    [How::Class, How::Counter],
    [How::Counter, How::Class],
];

/// The scenarios of this file.
pub fn scenarios() -> Vec<Scenario> {
    [
        both("causality: beside a registration", Some(2), 1, registered),
        both("causality: two registrations", Some(2), 1, two_registered),
        both("causality: the cause is read first", Some(2), HOW.len(), |mode, case| told(mode, HOW[case], [1, 0])),
        both("causality: the consequence is read first", Some(2), HOW.len(), |mode, case| {
            told(mode, HOW[case], [0, 1])
        }),
    ]
    .concat()
}

/// The set-up: causes are counted in class 0, consequences in class 1.
type Two = Setup<1, 2, 2>;

fn post(setup: &Two, writer: usize, how: How) {
    match how {
        How::Delta => setup.post(writer, [1], Some((writer, 1))),
        How::Class => setup.post_class(writer, writer, 1),
        How::Counter => setup.send(writer, writer, 1),
    }
}

/// Returns the causes and the consequences in a cut.
fn say(setup: &Two) -> [i64; 2] {
    let sum = setup.read();
    [0, 1].map(|i| sum.classes[i][0] + sent(&sum, i))
}

fn told(mode: Mode, how: [How; 2], order: [usize; 2]) {
    let setup = Two::begin(mode, 3);
    order.iter().for_each(|&writer| setup.register(writer));
    let said = Rc::new(Flag::new());
    let mut first = {
        let (setup, said) = (Rc::clone(&setup), Rc::clone(&said));
        ghost::spawn(move || {
            post(&setup, 0, how[0]);
            said.say();
        })
    };
    let mut second = {
        let setup = Rc::clone(&setup);
        ghost::spawn(move || {
            if said.is_said() {
                post(&setup, 1, how[1]);
            }
        })
    };
    let [causes, consequences] = say(&setup);
    assert!(causes >= consequences, "a consequence without its cause");
    first.join();
    second.join();
    assert_eq!(say(&setup)[0], 1);
}

/// The first writer registers while the reader reads; the posts of the earlier writer stay.
fn registered(mode: Mode, _: usize) {
    let setup = Setup::<1, 2, 3>::begin(mode, 3);
    setup.register(2);
    setup.post(2, [1], None);
    setup.register(1);
    let said = Rc::new(Flag::new());
    let mut first = {
        let (setup, said) = (Rc::clone(&setup), Rc::clone(&said));
        ghost::spawn(move || {
            setup.register(0);
            setup.post_class(0, 0, 1);
            said.say();
        })
    };
    let mut second = {
        let setup = Rc::clone(&setup);
        ghost::spawn(move || {
            if said.is_said() {
                setup.post_class(1, 1, 1);
            }
        })
    };
    for _ in 0..2 {
        let sum = setup.read();
        assert_eq!(sum.totals[0], 1, "a writer was lost");
        assert!(sum.classes[0][0] >= sum.classes[1][0], "a consequence without its cause");
    }
    first.join();
    second.join();
}

/// Two writers register at the same time, and neither is lost.
fn two_registered(mode: Mode, _: usize) {
    let setup = Two::begin(mode, 3);
    let mut threads = [0, 1].map(|writer| {
        let setup = Rc::clone(&setup);
        ghost::spawn(move || {
            setup.register(writer);
            setup.post_class(writer, writer, 1);
        })
    });
    setup.read();
    threads.iter_mut().for_each(ghost::Handle::join);
    assert_eq!(setup.read().classes, [[1], [1]]);
}
