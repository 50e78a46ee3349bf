//! A page as its process writes it: words in memory.

use core::sync::atomic::{AtomicU64, Ordering};

use super::layout::WORDS;

/// A page, as memory.
#[repr(C)]
pub(super) struct Page {
    pub(super) words: [AtomicU64; WORDS],
}

impl Page {
    pub(super) fn word(&self, i: usize) -> &AtomicU64 {
        &self.words[i]
    }

    pub(super) fn get(&self, i: usize) -> u64 {
        self.word(i).load(Ordering::Relaxed)
    }

    pub(super) fn set(&self, i: usize, value: u64) {
        self.word(i).store(value, Ordering::Relaxed);
    }
}

/// Returns a page of zeros.
#[cfg(test)]
pub(super) fn page() -> std::boxed::Box<Page> {
    std::boxed::Box::new(Page { words: [const { AtomicU64::new(0) }; WORDS] })
}

#[cfg(test)]
impl super::view::Source for Page {
    fn read(&self, from: usize, out: &mut [u64]) -> bool {
        out.iter_mut().zip(&self.words[from..]).for_each(|(out, word)| *out = word.load(Ordering::Relaxed));
        true
    }
}
