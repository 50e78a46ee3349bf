//! The OS's figures as the last audit left them, behind a sequence lock: readers take no lock.

use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering, fence};

use super::reading::{OS_WORDS, OsFigures};

/// How often a reader starts again after a writer changed the figures.
const TRIES: usize = 100;

/// The last figures. All-zero bytes mean none.
#[derive(Debug)]
pub struct SeqLock {
    /// Odd while the figures change.
    sequence: AtomicUsize,
    words: [AtomicU64; OS_WORDS],
}

impl SeqLock {
    /// Returns a value without figures.
    #[allow(clippy::new_without_default, reason = "a const constructor is the only one wanted")]
    pub const fn new() -> SeqLock {
        SeqLock { sequence: AtomicUsize::new(0), words: [const { AtomicU64::new(0) }; OS_WORDS] }
    }

    /// Stores the figures. One caller at a time.
    pub fn set(&self, figures: &OsFigures) {
        let even = self.sequence.load(Ordering::Relaxed);
        self.sequence.store(even.wrapping_add(1), Ordering::Relaxed);
        // Release: a reader that sees a new word also sees the odd sequence.
        fence(Ordering::Release);
        for (word, value) in self.words.iter().zip(figures.words()) {
            word.store(value, Ordering::Relaxed);
        }
        // Release: a reader that sees the even sequence also sees the words.
        self.sequence.store(even.wrapping_add(2), Ordering::Release);
    }

    /// Returns the figures, or `None` if there are none or they changed all the time.
    pub fn get(&self) -> Option<OsFigures> {
        for _ in 0..TRIES {
            // Acquire: pairs with the release of complete figures.
            let before = self.sequence.load(Ordering::Acquire);
            let mut words = [0; OS_WORDS];
            for (value, word) in words.iter_mut().zip(&self.words) {
                *value = word.load(Ordering::Relaxed);
            }
            // Acquire: if a word of later figures was read, their sequence is seen.
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
