//! The scenarios, and their common parts.

pub mod arrivals;
pub mod causality;
pub mod counts;
pub mod cuts;
pub mod forks;
pub mod gate;
pub mod published;
pub mod remote;

use std::rc::Rc;

use crate::check::Scenario;
use crate::ghost::{self, Mode};
use crate::stats::cut::{Cut, Section};
use crate::stats::tally::{Tallies, Tally};
use crate::stats::writer::{Count, Scope, Sums, Writer};

/// A cut and its writers.
pub struct Setup<const T: usize, const C: usize, const N: usize> {
    /// The state that the writers share.
    pub cut: Cut<T, 1, C>,
    /// The writers, registered or not.
    pub writers: [Writer<T, 1, C>; N],
    /// The tally of each writer, by class.
    pub tallies: [[Tally; C]; N],
}

impl<const T: usize, const C: usize, const N: usize> Setup<T, C, N> {
    /// Starts an execution of this many threads, with writers that are not registered.
    pub fn begin(mode: Mode, threads: usize) -> Rc<Self> {
        ghost::begin(mode, threads);
        let setup = Setup {
            cut: Cut::new(),
            writers: core::array::from_fn(|_| Writer::new()),
            tallies: core::array::from_fn(|_| core::array::from_fn(|_| Tally::new())),
        };
        setup.cut.set_asymmetric(mode == Mode::Asymmetric);
        Rc::new(setup)
    }

    /// Registers a writer.
    pub fn register(&self, writer: usize) {
        let tallies = Tallies { first: self.tallies[writer].as_ptr(), stride: size_of::<Tally>() };
        // SAFETY: every thread of a scenario keeps the set-up alive, and each writer is registered once.
        unsafe { self.cut.register(&self.writers[writer], tallies) };
    }

    /// As [`Setup::begin`], with all writers registered in their order.
    pub fn open(mode: Mode, threads: usize) -> Rc<Self> {
        let setup = Self::begin(mode, threads);
        (0..N).for_each(|writer| setup.register(writer));
        setup
    }

    /// Posts an entry outside of a movement.
    pub fn post(&self, writer: usize, totals: [i64; T], class: Option<(usize, i64)>) {
        put(ghost::during("entry", || self.cut.begin(&self.writers[writer])), totals, class);
    }

    /// Posts changes of one class.
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

    /// Fills the slot of one class, after this many uncounted frees.
    pub fn refill(&self, writer: usize, class: usize, freed: i64) {
        ghost::during("refill", || self.cut.refill(&self.writers[writer], class, freed));
    }

    /// Allocates an object of one class from its slot.
    pub fn allocate(&self, writer: usize, class: usize) {
        self.tallies[writer][class].count();
    }

    /// Makes a cut and calls `meanwhile` after the generation advanced and before the fence. Returns the generation and
    /// the sums of the cut.
    pub fn cut_while(&self, scope: Scope, meanwhile: impl FnOnce()) -> (usize, Sums<T, 1, C>) {
        let (mut scratch, mut sum) = (Sums::new(), Sums::new());
        let heavy = || {
            ghost::as_another(meanwhile);
            ghost::heavy()
        };
        let fresh = self.cut.read(scope, heavy, &mut scratch, &mut sum);
        (fresh.expect("the fence is not refused"), sum)
    }

    /// Returns the sums of a cut.
    pub fn read(&self) -> Sums<T, 1, C> {
        self.cut_while(Scope::All, || ()).1
    }
}

/// Returns the sent objects of one class in a cut.
pub fn sent<const T: usize, const C: usize>(sum: &Sums<T, 1, C>, class: usize) -> i64 {
    sum.counts[class][Count::Sent as usize]
}

/// Posts in a movement, and ends it.
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

/// All scenarios: those that find most come first, those that take longest come last.
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
