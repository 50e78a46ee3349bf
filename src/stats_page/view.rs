//! A page as another process reads it.

use core::sync::atomic::{Ordering, fence};

use super::layout::*;

/// The words of a page, which may change while they are read.
pub trait Source {
    /// Copies words from index `from` on to `out`. Returns `false` if they cannot be read any more.
    fn read(&self, from: usize, out: &mut [u64]) -> bool;
}

/// How often a reader starts again because a writer overtook it.
const TRIES: usize = 1_000;

/// The head of a page: everything before the offsets.
#[derive(Clone, Copy, Debug)]
pub struct Head([u64; OFFSETS_AT]);

/// The reason why a page cannot be read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wrong {
    /// It is not a stats page.
    NotOne,
    /// The layout or the format of its readings is another one: the process runs another version.
    Version,
}

impl Head {
    /// Reads the head of a page. Returns `None` if it cannot be read.
    pub fn read(source: &impl Source) -> Option<Head> {
        let mut head = [0; OFFSETS_AT];
        source.read(0, &mut head).then_some(Head(head))
    }

    /// Checks that the layout and the format of readings are those of this version.
    pub fn check(&self, format: Format) -> Result<(), Wrong> {
        if self.get(MAGIC_AT) != MAGIC {
            return Err(Wrong::NotOne);
        }
        let expected = [VERSION, SIZE as u64, format.hash, format.words as u64];
        let found = [VERSION_AT, SIZE_AT, FORMAT_AT, READING_WORDS_AT].map(|at| self.get(at));
        if found == expected { Ok(()) } else { Err(Wrong::Version) }
    }

    /// Returns a word.
    pub fn get(&self, at: usize) -> u64 {
        self.0[at]
    }
}

/// When a reading was taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Taken {
    /// The time, in nanoseconds of `CLOCK_MONOTONIC`.
    pub nanos: u64,
    /// The number of the reading on its page, from 1.
    pub number: u64,
    /// The number of the program that wrote it, from 1: a page passes from program to program at `exec`.
    pub image: u64,
}

/// Copies the last reading to `out`. Returns `None` if there is none, or if two later readings overtook the copying a
/// thousand times in a row.
pub fn reading(source: &impl Source, out: &mut [u64]) -> Option<Taken> {
    for _ in 0..TRIES {
        let number = word(source, COMPLETE_AT)?;
        if number == 0 {
            return None;
        }
        // A reader that saw the number also sees the words.
        fence(Ordering::Acquire);
        let copy = copy_of(number);
        let (nanos, image) = (word(source, copy + TAKEN)?, word(source, copy + IMAGE)?);
        if !source.read(copy + READING, out) {
            return None;
        }
        // If a word of a later reading was read, its start is seen.
        fence(Ordering::Acquire);
        if word(source, BEGUN_AT)?.wrapping_sub(number) <= 1 {
            return Some(Taken { nanos, number, image });
        }
    }
    None
}

/// A mapping of the allocator.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Mapping {
    /// The first byte.
    pub start: u64,
    /// The byte after the last.
    pub end: u64,
    /// The number of its [`MappingKind`].
    pub what: u64,
}

/// Copies the list of mappings to `out`. Returns their number, and the number of bytes that are not listed. Returns
/// `None` if the list changed all the time, or a thread was stopped while it changed it.
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

/// Returns one word.
pub fn word(source: &impl Source, at: usize) -> Option<u64> {
    let mut out = [0];
    source.read(at, &mut out).then_some(out[0])
}
