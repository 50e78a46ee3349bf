//! What the elements of a value are told apart by.

use core::fmt;

use super::reading::LOCKS;
use crate::heap::CHUNK_BOUNDS;
use crate::os::CALL_NAMES;
use crate::size_class::{CLASSES, Class};

/// The sizes of objects, by class.
pub(super) static SIZES: [u64; CLASSES] = sizes();
/// The bounds of the groups of chunks.
pub(super) static CHUNK_PAGES: [u64; CHUNK_BOUNDS.len()] = CHUNK_BOUNDS;

pub(super) const BY_SIZE: Labels = Labels { key: "size", of: Of::Sizes };
pub(super) const BY_RANK: Labels = Labels { key: "rank", of: Of::Ranks };
pub(super) const BY_CALL: Labels = Labels { key: "call", of: Of::Calls };

const fn sizes() -> [u64; CLASSES] {
    let mut sizes = [0; CLASSES];
    let mut i = 0;
    while i < CLASSES {
        sizes[i] = Class::from_index(i).size() as u64;
        i += 1;
    }
    sizes
}

enum Of {
    Sizes,
    Ranks,
    Calls,
}

/// What the elements of a vector are told apart by: a key, and a label for each element.
pub struct Labels {
    key: &'static str,
    of: Of,
}

impl Labels {
    /// What the labels are: `size`, `rank`, `call`.
    pub fn key(&self) -> &'static str {
        self.key
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        match self.of {
            Of::Sizes => CLASSES,
            Of::Ranks => LOCKS.len(),
            Of::Calls => CALL_NAMES.len(),
        }
    }

    /// Never: there are labels.
    pub fn is_empty(&self) -> bool {
        false
    }

    /// The label of an element; nothing where there is none.
    pub fn label(&self, i: usize) -> impl fmt::Display + '_ {
        fmt::from_fn(move |f| match self.of {
            Of::Sizes => SIZES.get(i).map_or(Ok(()), |size| write!(f, "{size}")),
            Of::Ranks => f.write_str(LOCKS.get(i).map_or("", |rank| rank.name())),
            Of::Calls => f.write_str(CALL_NAMES.get(i).copied().unwrap_or_default()),
        })
    }
}
