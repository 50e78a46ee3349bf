//! Figures of the system that an audit left, for readers that take no lock.

use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering, fence};

use super::reading::{OS_WORDS, OsFigures};

/// How often a reader begins again that was overtaken.
const TRIES: usize = 100;

/// The last figures. Zero bytes: none.
#[derive(Debug)]
pub struct SeqLock {
    /// Odd while they change.
    sequence: AtomicUsize,
    words: [AtomicU64; OS_WORDS],
}

impl SeqLock {
    /// No figures.
    #[allow(clippy::new_without_default, reason = "a const constructor is the only one wanted")]
    pub const fn new() -> SeqLock {
        SeqLock { sequence: AtomicUsize::new(0), words: [const { AtomicU64::new(0) }; OS_WORDS] }
    }

    /// Keeps these. One caller at a time.
    pub fn set(&self, figures: &OsFigures) {
        let even = self.sequence.load(Ordering::Relaxed);
        self.sequence.store(even.wrapping_add(1), Ordering::Relaxed);
        // Release: who sees a word of these sees that they were changing.
        fence(Ordering::Release);
        for (word, value) in self.words.iter().zip(figures.words()) {
            word.store(value, Ordering::Relaxed);
        }
        // Release: who finds the number finds the words.
        self.sequence.store(even.wrapping_add(2), Ordering::Release);
    }

    /// The figures. `None`: there are none, or they changed all the time.
    pub fn get(&self) -> Option<OsFigures> {
        for _ in 0..TRIES {
            // Acquire: pairs with the release of those that are complete.
            let before = self.sequence.load(Ordering::Acquire);
            let mut words = [0; OS_WORDS];
            for (value, word) in words.iter_mut().zip(&self.words) {
                *value = word.load(Ordering::Relaxed);
            }
            // Acquire: if a word was of later ones, their beginning is seen.
            fence(Ordering::Acquire);
            if before.is_multiple_of(2) && self.sequence.load(Ordering::Relaxed) == before {
                let figures = OsFigures::from_words(words);
                return (figures.taken_at != 0).then_some(figures);
            }
            core::hint::spin_loop();
        }
        None
    }
}
