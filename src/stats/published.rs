//! The last complete snapshot, for those who may not wait: a signal handler, or a reader who finds another one
//! stopped.
//!
//! There are two copies. The publisher writes the older one and then says that it is the newer one, so the other
//! can be read at any instant, also by a handler that interrupted the publisher itself.

use super::writer::{COUNTS, Sums};
use crate::sync::{AtomicI64, AtomicUsize, Ordering, array, constant, fence};

/// How often a reader begins again because two publications overtook it.
const TRIES: usize = 1_000;

struct Copy<const T: usize, const F: usize, const C: usize> {
    /// When the snapshot was taken, in nanoseconds of the system's clock.
    taken: AtomicI64,
    totals: [AtomicI64; T],
    classes: [[AtomicI64; F]; C],
    counts: [[AtomicI64; COUNTS]; C],
}

/// The last complete snapshot.
pub struct Published<const T: usize, const F: usize, const C: usize> {
    /// How many publications have begun.
    begun: AtomicUsize,
    /// How many are complete; 0: there is nothing to read.
    complete: AtomicUsize,
    /// By the publication's number: even ones first.
    copies: [Copy<T, F, C>; 2],
}

impl<const T: usize, const F: usize, const C: usize> Published<T, F, C> {
    constant! {
        /// Nothing published.
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

    /// Publishes what was taken at this time. One caller at a time.
    pub fn publish(&self, sums: &Sums<T, F, C>, taken: u64) {
        let number = self.complete.load(Ordering::Relaxed).wrapping_add(1);
        self.begun.store(number, Ordering::Relaxed);
        // Release: who sees a word of this publication sees that it has begun.
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
        // Release: who finds the number finds the words.
        self.complete.store(number, Ordering::Release);
    }

    /// Copies the last publication to `out` and returns when it was taken. `None`: there is none, or a thousand
    /// times in a row two others came while one was copied.
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
            // Acquire: if a word was of a later publication, its beginning is seen.
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
