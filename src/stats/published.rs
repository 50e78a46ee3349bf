//! The last complete snapshot, for readers that cannot wait: a signal handler, or a reader that finds another one
//! stopped.
//!
//! There are two copies. The publisher writes the older one and then makes it the newer one, so the other copy can
//! be read at any time, also by a signal handler that interrupted the publisher.

use super::writer::{COUNTS, Sums};
use crate::sync::{AtomicI64, AtomicUsize, Ordering, array, constant, fence};

/// How often a reader starts again because two publications overtook it.
const TRIES: usize = 1_000;

struct Copy<const T: usize, const F: usize, const C: usize> {
    /// The time of the snapshot, in nanoseconds of the OS's clock.
    taken: AtomicI64,
    totals: [AtomicI64; T],
    classes: [[AtomicI64; F]; C],
    counts: [[AtomicI64; COUNTS]; C],
}

/// The last complete snapshot.
pub struct Published<const T: usize, const F: usize, const C: usize> {
    /// The number of publications started.
    begun: AtomicUsize,
    /// The number of complete publications; 0 means that there is nothing to read.
    complete: AtomicUsize,
    /// The copy of publication `n` is `n % 2`.
    copies: [Copy<T, F, C>; 2],
}

impl<const T: usize, const F: usize, const C: usize> Published<T, F, C> {
    constant! {
        /// Returns a value without a publication.
        #[allow(clippy::new_without_default, reason = "a const constructor is the only one wanted")]
        pub fn new() -> Self {
            Published {
                begun: AtomicUsize::new(0),
                complete: AtomicUsize::new(0),
                copies: array![
                    Copy {
                        taken: AtomicI64::new(0),
                        totals: array![AtomicI64::new(0); T],
                        classes: array![array![AtomicI64::new(0); F]; C],
                        counts: array![array![AtomicI64::new(0); COUNTS]; C],
                    }; 2
                ],
            }
        }
    }

    /// Publishes a snapshot taken at the time `taken`. One caller at a time.
    pub fn publish(&self, sums: &Sums<T, F, C>, taken: u64) {
        let number = self.complete.load(Ordering::Relaxed).wrapping_add(1);
        self.begun.store(number, Ordering::Relaxed);
        // Release: a reader that sees a word of this publication also sees that it has started.
        fence(Ordering::Release);
        let copy = &self.copies[number % 2];
        copy.taken.store(taken as i64, Ordering::Relaxed);
        store(&sums.totals, &copy.totals);
        for (from, to) in sums.classes.iter().zip(&copy.classes) {
            store(from, to);
        }
        for (from, to) in sums.counts.iter().zip(&copy.counts) {
            store(from, to);
        }
        // Release: a reader that sees the number also sees the words.
        self.complete.store(number, Ordering::Release);
    }

    /// Copies the last publication to `out` and returns its time. Returns `None` if there is none, or if two later
    /// publications overtook the copying a thousand times in a row.
    ///
    /// Takes no lock: a signal handler may call it, whatever it interrupted.
    pub fn read(&self, out: &mut Sums<T, F, C>) -> Option<u64> {
        for _ in 0..TRIES {
            // Acquire: pairs with the release of the publication.
            let number = self.complete.load(Ordering::Acquire);
            if number == 0 {
                return None;
            }
            let copy = &self.copies[number % 2];
            let taken = copy.taken.load(Ordering::Relaxed);
            load(&copy.totals, &mut out.totals);
            for (from, to) in copy.classes.iter().zip(&mut out.classes) {
                load(from, to);
            }
            for (from, to) in copy.counts.iter().zip(&mut out.counts) {
                load(from, to);
            }
            // Acquire: if a word of a later publication was read, its start is seen.
            fence(Ordering::Acquire);
            if self.begun.load(Ordering::Relaxed).wrapping_sub(number) <= 1 {
                return Some(taken as u64);
            }
        }
        None
    }
}

fn store<const W: usize>(from: &[i64; W], to: &[AtomicI64; W]) {
    for (from, to) in from.iter().zip(to) {
        to.store(*from, Ordering::Relaxed);
    }
}

fn load<const W: usize>(from: &[AtomicI64; W], to: &mut [i64; W]) {
    for (from, to) in from.iter().zip(to) {
        *to = from.load(Ordering::Relaxed);
    }
}
