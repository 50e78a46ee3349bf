//! The scenarios, and what they share.

pub mod arrivals;
pub mod causality;
pub mod counts;
pub mod cuts;
pub mod gate;
pub mod forks;
pub mod published;
pub mod remote;

use std::rc::Rc;

use crate::stats::cut::{Cut, Section};
use crate::stats::tally::{Tallies, Tally};
use crate::stats::writer::{Count, Scope, Sums, Writer};
use crate::check::Scenario;
use crate::ghost::{self, Mode};

/// A cut and its writers.
pub struct Room<const T: usize, const C: usize, const N: usize> {
    /// What the writers share.
    pub cut: Cut<T, 1, C>,
    /// Registered or to be registered.
    pub writers: [Writer<T, 1, C>; N],
    /// What each of them has allocated, by class.
    pub tallies: [[Tally; C]; N],
}

impl<const T: usize, const C: usize, const N: usize> Room<T, C, N> {
    /// Begins an execution of so many threads, and builds a room whose writers are not registered yet.
    pub fn begin(mode: Mode, threads: usize) -> Rc<Self> {
        ghost::begin(mode, threads);
        let room = Room {
            cut: Cut::new(),
            writers: core::array::from_fn(|_| Writer::new()),
            tallies: core::array::from_fn(|_| core::array::from_fn(|_| Tally::new())),
        };
        room.cut.set_asymmetric(mode == Mode::Asymmetric);
        Rc::new(room)
    }

    /// Registers one.
    pub fn register(&self, writer: usize) {
        let tallies = Tallies { first: self.tallies[writer].as_ptr(), stride: size_of::<Tally>() };
        // SAFETY: every thread of a scenario keeps the room, and each writer is registered once.
        unsafe { self.cut.register(&self.writers[writer], tallies) };
    }

    /// As [`Room::begin`], with all writers registered in their order.
    pub fn open(mode: Mode, threads: usize) -> Rc<Self> {
        let room = Self::begin(mode, threads);
        (0..N).for_each(|writer| room.register(writer));
        room
    }

    /// Posts an entry that is no movement.
    pub fn post(&self, writer: usize, totals: [i64; T], class: Option<(usize, i64)>) {
        put(ghost::during("entry", || self.cut.begin(&self.writers[writer])), totals, class);
    }

    /// Posts what happened to one class.
    pub fn post_class(&self, writer: usize, class: usize, value: i64) {
        ghost::during("class", || self.cut.put_class(&self.writers[writer], class, &[value]));
    }

    /// Counts objects of one class as sent.
    pub fn send(&self, writer: usize, class: usize, n: i64) {
        self.count(writer, class, Count::Sent, n);
    }

    /// Counts objects of one class.
    pub fn count(&self, writer: usize, class: usize, count: Count, n: i64) {
        ghost::during("count", || self.cut.count(&self.writers[writer], class, count, n));
    }

    /// Fills the slot of one class, after so many frees that were not counted.
    pub fn refill(&self, writer: usize, class: usize, freed: i64) {
        ghost::during("refill", || self.cut.refill(&self.writers[writer], class, freed));
    }

    /// Allocates an object of one class from its slot.
    pub fn allocate(&self, writer: usize, class: usize) {
        self.tallies[writer][class].count();
    }

    /// Makes a cut while something happens: after the generation moved on, and before the fence. Returns its
    /// generation and what it says.
    pub fn cut_while(&self, scope: Scope, meanwhile: impl FnOnce()) -> (usize, Sums<T, 1, C>) {
        let (mut scratch, mut sum) = (Sums::new(), Sums::new());
        let heavy = || {
            ghost::as_another(meanwhile);
            ghost::heavy()
        };
        let fresh = self.cut.read(scope, heavy, &mut scratch, &mut sum);
        (fresh.expect("the fence is not refused"), sum)
    }

    /// What a cut says.
    pub fn read(&self) -> Sums<T, 1, C> {
        self.cut_while(Scope::All, || ()).1
    }
}

/// How many objects of one class a cut has as sent.
pub fn sent<const T: usize, const C: usize>(sum: &Sums<T, 1, C>, class: usize) -> i64 {
    sum.counts[class][Count::Sent as usize]
}

/// Posts through a section, and ends it.
pub fn put<const T: usize, const C: usize>(
    section: Section<'_, T, 1, C>,
    totals: [i64; T],
    class: Option<(usize, i64)>,
) {
    let class = class.as_ref().map(|(class, value)| (*class, core::array::from_ref(value)));
    section.put(&totals, class, || ());
}

/// A scenario with both kinds of fences.
fn both(name: &'static str, preemptions: Option<usize>, cases: usize, run: fn(Mode, usize)) -> Vec<Scenario> {
    [Mode::Asymmetric, Mode::Symmetric].map(|mode| Scenario { name, mode, preemptions, cases, run }).to_vec()
}

/// All scenarios. Those come first that find most, and those last that take longest.
pub fn all() -> Vec<Scenario> {
    let rooms = [
        cuts::short_scenarios(),
        gate::scenarios(),
        arrivals::scenarios(),
        published::scenarios(),
        counts::scenarios(),
        remote::scenarios(),
        forks::scenarios(),
        causality::scenarios(),
        cuts::long_scenarios(),
    ];
    rooms.concat()
}
