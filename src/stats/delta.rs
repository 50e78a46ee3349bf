//! Entries: changes that become visible together.

use super::kinds::{ClassDelta, FIELDS, TOTALS};
use crate::size_class::Class;

impl ClassDelta {
    /// Returns the figures as a writer stores them, in the order of `ClassTotals::new`.
    pub(super) fn fields(&self) -> [i64; FIELDS] {
        [self.span_bytes as i64, self.slots as i64]
    }
}

/// One entry: changes that a snapshot contains all or none of.
pub struct Delta {
    pub(super) totals: [i64; TOTALS],
    pub(super) class: Option<(Class, ClassDelta)>,
}

impl Delta {
    /// Returns an entry without changes.
    #[allow(clippy::new_without_default, reason = "an empty entry is made where it is filled")]
    pub const fn new() -> Delta {
        Delta { totals: [0; TOTALS], class: None }
    }

    /// Adds `n` to a total.
    #[inline]
    pub fn add(&mut self, total: impl Into<usize>, n: isize) {
        self.totals[total.into()] += n as i64;
    }

    /// Adds a change of `class`. An entry has at most one.
    pub fn class(&mut self, class: Class, e: ClassDelta) {
        debug_assert!(self.class.is_none());
        self.class = Some((class, e));
    }

    /// Returns whether the entry has no change.
    pub fn is_empty(&self) -> bool {
        self.class.is_none() && self.totals.iter().all(|&n| n == 0)
    }
}
