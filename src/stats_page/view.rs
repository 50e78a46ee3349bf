//! A page as another process reads it.

use core::sync::atomic::{Ordering, fence};

use super::layout::*;
use super::schedule::copy_of;

/// Words of a page that may change while they are read.
pub trait Source {
    /// Copies words from the index `from` on, the first one first. `false`: they cannot be read any more.
    fn read(&self, from: usize, out: &mut [u64]) -> bool;
}

/// How often a reader begins again because a writer was faster.
const TRIES: usize = 1_000;

/// The head of a page: everything before the places.
#[derive(Clone, Copy, Debug)]
pub struct Head([u64; OFFSETS_AT]);

/// Why a page cannot be read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wrong {
    /// It is no ledger page.
    NotOne,
    /// It has another layout, or its readings mean something else: the process runs another version.
    Version,
}

impl Head {
    /// Reads a page's head. `None`: it cannot be read.
    pub fn read(source: &impl Source) -> Option<Head> {
        let mut head = [0; OFFSETS_AT];
        source.read(0, &mut head).then_some(Head(head))
    }

    /// Whether it is a page that a reader understands which knows readings of this format.
    pub fn check(&self, format: super::Format) -> Result<(), Wrong> {
        if self.get(MAGIC_AT) != MAGIC {
            return Err(Wrong::NotOne);
        }
        let expected = [VERSION, SIZE as u64, format.hash, format.words as u64];
        let found = [VERSION_AT, SIZE_AT, FORMAT_AT, READING_WORDS_AT].map(|at| self.get(at));
        if found == expected { Ok(()) } else { Err(Wrong::Version) }
    }

    /// A word.
    pub fn get(&self, at: usize) -> u64 {
        self.0[at]
    }
}

/// When a reading was taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Taken {
    /// In nanoseconds of `CLOCK_MONOTONIC`.
    pub nanos: u64,
    /// Which reading of the page it is, from 1.
    pub number: u64,
    /// Which of the programs that have had the page wrote it, from 1.
    pub image: u64,
}

/// Copies the last reading. `None`: there is none yet, or a thousand times in a row two others came meanwhile.
pub fn reading(source: &impl Source, out: &mut [u64]) -> Option<Taken> {
    for _ in 0..TRIES {
        let number = word(source, COMPLETE_AT)?;
        if number == 0 {
            return None;
        }
        // Who found the number finds the words.
        fence(Ordering::Acquire);
        let copy = copy_of(number);
        let (nanos, image) = (word(source, copy + TAKEN)?, word(source, copy + IMAGE)?);
        if !source.read(copy + READING, out) {
            return None;
        }
        // If a word was of a later reading, its beginning is seen.
        fence(Ordering::Acquire);
        if word(source, BEGUN_AT)?.wrapping_sub(number) <= 1 {
            return Some(Taken { nanos, number, image });
        }
    }
    None
}

/// A mapping of the kernel's.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Mapping {
    /// The first byte.
    pub start: u64,
    /// The first byte behind.
    pub end: u64,
    /// What it is for, by [`MappingKind`]'s number.
    pub what: u64,
}

/// Copies the list of mappings to `out` and returns how many there are, and how many bytes are not listed. `None`: it
/// changed all the time, or a thread was stopped while it changed it.
pub fn mappings(source: &impl Source, out: &mut [Mapping; LIST]) -> Option<(usize, u64)> {
    for _ in 0..TRIES {
        let before = word(source, LIST_CHANGES_AT)?;
        fence(Ordering::Acquire);
        let len = (word(source, LIST_LENGTH_AT)? as usize).min(LIST);
        let unlisted = word(source, UNLISTED_AT)?;
        for (i, mapping) in out.iter_mut().enumerate().take(len) {
            let mut entry = [0; 3];
            if !source.read(LIST_AT + 3 * i, &mut entry) {
                return None;
            }
            *mapping = Mapping { start: entry[0], end: entry[1], what: entry[2] };
        }
        fence(Ordering::Acquire);
        if before % 2 == 0 && word(source, LIST_CHANGES_AT)? == before {
            return Some((len, unlisted));
        }
        core::hint::spin_loop();
    }
    None
}

/// One word.
pub fn word(source: &impl Source, at: usize) -> Option<u64> {
    let mut out = [0];
    source.read(at, &mut out).then_some(out[0])
}
