//! Sums over writers.

use super::kinds::{FIELDS, TOTALS};
use super::writer;
pub use super::writer::COUNTS;
use crate::size_class::CLASSES;

/// Sums over writers.
pub type Sums = writer::Sums<TOTALS, FIELDS, CLASSES>;
