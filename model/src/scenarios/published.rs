//! The last complete snapshot: every reader finds a whole one at any time.

use std::rc::Rc;

use super::both;
use crate::check::Scenario;
use crate::ghost::{self, Mode};
use crate::stats::published::Published;
use crate::stats::writer::{COUNTS, Sums};

/// A number above the stores of a publication.
const STORES: usize = 8;

/// The scenarios of this file. They need no heavy fences.
pub fn scenarios() -> Vec<Scenario> {
    let all = [
        both("published: beside the publisher", Some(3), 1, beside),
        both("published: by a handler that interrupts the publisher", None, 3 * STORES, interrupting),
    ];
    all.concat().into_iter().filter(|scenario| scenario.mode == Mode::Symmetric).collect()
}

type Last = Published<1, 1, 1>;

/// Returns sums with this number in every word.
fn sums(number: i64) -> Sums<1, 1, 1> {
    Sums { totals: [number], classes: [[number]], counts: [[number; COUNTS]] }
}

fn publish(last: &Last, number: i64) {
    last.publish(&sums(number), number as u64);
}

/// Reads, checks that the words belong together, and returns the number of the publication, 0 if there is none.
fn read(last: &Last) -> i64 {
    let mut sum = Sums::new();
    let Some(taken) = ghost::retrying(|| last.read(&mut sum)) else { return 0 };
    let number = taken as i64;
    assert_eq!(sum, sums(number), "words of two publications");
    number
}

fn beside(mode: Mode, _: usize) {
    ghost::begin(mode, 2);
    let last = Rc::new(Last::new());
    let publisher = Rc::clone(&last);
    let mut publisher = ghost::spawn(move || (1..=3).for_each(|number| publish(&publisher, number)));
    let first = read(&last);
    assert!(first <= read(&last), "an older one after a newer one");
    publisher.join();
    assert_eq!(read(&last), 3);
}

fn interrupting(mode: Mode, stores: usize) {
    ghost::begin(mode, 1);
    let last = Rc::new(Last::new());
    let handler = Rc::clone(&last);
    ghost::interrupt_after(stores, move || {
        let number = read(&handler);
        assert!((0..=3).contains(&number));
    });
    (1..=3).for_each(|number| publish(&last, number));
    assert_eq!(read(&last), 3);
}
