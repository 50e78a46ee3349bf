//! Readers in sequence, as in `ConsistentStats::read`: a reader that arrives while another one reads takes its result
//! if the cut was made after the arrival, and finds in it everything that happened before.

use std::rc::Rc;

use super::{Setup, both};
use crate::check::Scenario;
use crate::ghost::{self, Flag, Lock, Mode};
use crate::stats::writer::Scope;

/// The scenarios of this file.
pub fn scenarios() -> Vec<Scenario> {
    [
        both("arrivals: one's own entry", Some(3), 1, own_entry),
        both("arrivals: another's entry", Some(3), 1, anothers_entry),
    ]
    .concat()
}

/// The state that the statistics lock protects.
#[derive(Default)]
struct Reading {
    last: Option<usize>,
    said: i64,
}

struct ConsistentStats {
    setup: Rc<Setup<1, 1, 1>>,
    reading: Lock<Reading>,
}

impl ConsistentStats {
    fn open(mode: Mode, threads: usize) -> Rc<ConsistentStats> {
        let setup = Setup::open(mode, threads);
        Rc::new(ConsistentStats { setup, reading: Lock::new(Reading::default()) })
    }

    fn read(&self) -> i64 {
        let arrival = ghost::during("arrival", || self.setup.cut.arrive());
        let mut reading = self.reading.lock();
        if !reading.last.is_some_and(|fresh| arrival.is_before(fresh)) {
            let (fresh, sum) = self.setup.cut_while(Scope::All, || ());
            *reading = Reading { last: Some(fresh), said: sum.classes[0][0] };
        }
        reading.said
    }
}

fn own_entry(mode: Mode, _: usize) {
    let stats = ConsistentStats::open(mode, 2);
    let mut other = {
        let stats = Rc::clone(&stats);
        ghost::spawn(move || {
            stats.setup.post_class(0, 0, 1);
            assert!(stats.read() == 1, "one's own entry is missing");
        })
    };
    let first = stats.read();
    assert!(first <= stats.read());
    other.join();
    assert_eq!(stats.read(), 1);
}

fn anothers_entry(mode: Mode, _: usize) {
    let stats = ConsistentStats::open(mode, 3);
    let said = Rc::new(Flag::new());
    let mut writer = {
        let (stats, said) = (Rc::clone(&stats), Rc::clone(&said));
        ghost::spawn(move || {
            stats.setup.post_class(0, 0, 1);
            said.say();
        })
    };
    let mut reader = {
        let stats = Rc::clone(&stats);
        ghost::spawn(move || {
            let told = said.is_said();
            assert!(stats.read() == 1 || !told, "what the reader knew of is missing");
        })
    };
    stats.read();
    writer.join();
    reader.join();
}
