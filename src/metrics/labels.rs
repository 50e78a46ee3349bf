//! The labels of a vector's elements.

use core::fmt;

use super::reading::LOCKS;
use crate::heap::CHUNK_BOUNDS;
use crate::os::CALL_NAMES;
use crate::size_class::{CLASSES, Class};

/// The sizes of objects, by class.
pub(super) static SIZES: [u64; CLASSES] = sizes();
/// The bounds of the groups of chunks.
pub(super) static CHUNK_PAGES: [u64; CHUNK_BOUNDS.len()] = CHUNK_BOUNDS;

const fn sizes() -> [u64; CLASSES] {
    let mut sizes = [0; CLASSES];
    let mut i = 0;
    while i < CLASSES {
        sizes[i] = Class::from_index(i).size() as u64;
        i += 1;
    }
    sizes
}

/// The labels of a vector's elements.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Labels {
    /// The sizes of objects, by class.
    Size,
    /// The ranks of locks.
    Rank,
    /// The names of system calls.
    Call,
}

impl Labels {
    /// Returns the name of the label: `size`, `rank`, `call`.
    pub fn key(self) -> &'static str {
        match self {
            Labels::Size => "size",
            Labels::Rank => "rank",
            Labels::Call => "call",
        }
    }

    /// Returns the number of labels.
    pub fn len(self) -> usize {
        match self {
            Labels::Size => CLASSES,
            Labels::Rank => LOCKS.len(),
            Labels::Call => CALL_NAMES.len(),
        }
    }

    /// Returns `false`: there are labels.
    pub fn is_empty(self) -> bool {
        false
    }

    /// Returns the label of element `i`, or an empty text if there is no such element.
    pub fn label(self, i: usize) -> impl fmt::Display {
        fmt::from_fn(move |f| match self {
            Labels::Size => SIZES.get(i).map_or(Ok(()), |size| write!(f, "{size}")),
            Labels::Rank => f.write_str(LOCKS.get(i).map_or("", |rank| rank.name())),
            Labels::Call => f.write_str(CALL_NAMES.get(i).copied().unwrap_or_default()),
        })
    }
}

/// Converts a figure for output: 0 if it is negative, which wrong accounts can cause and
/// [`crate::mem_stats::crossfoot`] reports.
pub fn plain(n: i64) -> u64 {
    n.max(0) as u64
}
