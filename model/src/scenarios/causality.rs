//! Two writers, of which the second posts because of what the first did: no cut has the consequence without its
//! cause. That more objects are sent than received in no snapshot rests on this.

use std::rc::Rc;

use super::{Room, both, sent};
use crate::check::Scenario;
use crate::ghost::{self, Flag, Mode};

/// How something is posted.
#[derive(Clone, Copy)]
enum How {
    Delta,
    Class,
    Counter,
}

/// How the two post.
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

/// The room of these scenarios: the causes are counted in class 0, the consequences in class 1.
type Two = Room<1, 2, 2>;

fn post(room: &Two, writer: usize, how: How) {
    match how {
        How::Delta => room.post(writer, [1], Some((writer, 1))),
        How::Class => room.post_class(writer, writer, 1),
        How::Counter => room.send(writer, writer, 1),
    }
}

/// How many causes and consequences a cut has.
fn say(room: &Two) -> [i64; 2] {
    let sum = room.read();
    [0, 1].map(|i| sum.classes[i][0] + sent(&sum, i))
}

fn told(mode: Mode, how: [How; 2], order: [usize; 2]) {
    let room = Two::begin(mode, 3);
    order.iter().for_each(|&writer| room.register(writer));
    let said = Rc::new(Flag::new());
    let mut first = {
        let (room, said) = (Rc::clone(&room), Rc::clone(&said));
        ghost::spawn(move || {
            post(&room, 0, how[0]);
            said.say();
        })
    };
    let mut second = {
        let room = Rc::clone(&room);
        ghost::spawn(move || {
            if said.is_said() {
                post(&room, 1, how[1]);
            }
        })
    };
    let [causes, consequences] = say(&room);
    assert!(causes >= consequences, "a consequence without its cause");
    first.join();
    second.join();
    assert_eq!(say(&room)[0], 1);
}

/// The first writer registers while the reader reads; what the one that was there before had posted stays.
fn registered(mode: Mode, _: usize) {
    let room = Room::<1, 2, 3>::begin(mode, 3);
    room.register(2);
    room.post(2, [1], None);
    room.register(1);
    let said = Rc::new(Flag::new());
    let mut first = {
        let (room, said) = (Rc::clone(&room), Rc::clone(&said));
        ghost::spawn(move || {
            room.register(0);
            room.post_class(0, 0, 1);
            said.say();
        })
    };
    let mut second = {
        let room = Rc::clone(&room);
        ghost::spawn(move || {
            if said.is_said() {
                room.post_class(1, 1, 1);
            }
        })
    };
    for _ in 0..2 {
        let sum = room.read();
        assert_eq!(sum.totals[0], 1, "a writer was lost");
        assert!(sum.classes[0][0] >= sum.classes[1][0], "a consequence without its cause");
    }
    first.join();
    second.join();
}

/// Two writers register at a time: none is lost.
fn two_registered(mode: Mode, _: usize) {
    let room = Two::begin(mode, 3);
    let mut threads = [0, 1].map(|writer| {
        let room = Rc::clone(&room);
        ghost::spawn(move || {
            room.register(writer);
            room.post_class(writer, writer, 1);
        })
    });
    room.read();
    threads.iter_mut().for_each(ghost::Handle::join);
    assert_eq!(room.read().classes, [[1], [1]]);
}
