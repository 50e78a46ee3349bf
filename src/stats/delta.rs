//! An entry: movements that belong together and become visible together.

use super::kinds::{ClassDelta, FIELDS, TOTALS};
use crate::size_class::Class;

impl ClassDelta {
    /// As the books keep it: one word for each figure, in the order of `ClassTotals::new`.
    pub(super) fn fields(&self) -> [i64; FIELDS] {
        [self.span_bytes as i64, self.slots as i64]
    }
}

/// Movements that a snapshot shows all or none of.
pub struct Delta {
    pub(super) totals: [i64; TOTALS],
    pub(super) class: Option<(Class, ClassDelta)>,
}

impl Delta {
    /// An entry without movements.
    #[allow(clippy::new_without_default, reason = "an empty entry is made where it is filled")]
    pub const fn new() -> Delta {
        Delta { totals: [0; TOTALS], class: None }
    }

    /// Adds `n` to a total.
    #[inline]
    pub fn add(&mut self, total: impl Into<usize>, n: isize) {
        self.totals[total.into()] += n as i64;
    }

    /// Adds what happened to `class`. One entry speaks of one class, and once.
    pub fn class(&mut self, class: Class, e: ClassDelta) {
        debug_assert!(self.class.is_none());
        self.class = Some((class, e));
    }

    /// Whether there is anything to post.
    pub fn is_empty(&self) -> bool {
        self.class.is_none() && self.totals.iter().all(|&n| n == 0)
    }
}
