//! Sums over writers in a build without statistics: zeros.

use super::kinds::{FIELDS, TOTALS};
use crate::size_class::CLASSES;

/// The number of counts of a class.
pub const COUNTS: usize = 4;

/// Sums over writers: all zero.
#[derive(Clone, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Sums {
    /// Zeros.
    pub totals: [i64; TOTALS],
    /// Zeros.
    pub classes: [[i64; FIELDS]; CLASSES],
    /// Zeros.
    pub counts: [[i64; COUNTS]; CLASSES],
}

impl Sums {
    /// Returns zeros.
    pub const fn new() -> Sums {
        Sums { totals: [0; TOTALS], classes: [[0; FIELDS]; CLASSES], counts: [[0; COUNTS]; CLASSES] }
    }
}
