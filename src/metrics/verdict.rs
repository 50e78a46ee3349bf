//! The common parts of all forms of a report: the verdict of the check, and the elements of a metric.

use super::reading::Reading;
use super::table::Metric;
use crate::mem_stats::Balance;
use crate::size_class::CLASSES;
use crate::stats::Failures;

/// The result of the check of the books' identities.
#[derive(Clone, Copy, Debug)]
pub enum Verdict<'a> {
    /// All were compared, and all hold.
    Balanced,
    /// These do not hold.
    Unbalanced(&'a Failures),
    /// All that were compared hold, but not all could be compared: a thread was stopped in a movement, or the OS
    /// refused a fence.
    Incomplete,
    /// Like `Incomplete`: the process exited in a signal handler that interrupted the allocator.
    Interrupted,
    /// They were not checked.
    NotChecked,
}

impl<'a> From<&'a Balance> for Verdict<'a> {
    fn from(balance: &'a Balance) -> Verdict<'a> {
        match (balance.failures.is_empty(), balance.complete) {
            (false, _) => Verdict::Unbalanced(&balance.failures),
            (true, true) => Verdict::Balanced,
            (true, false) if balance.interrupted => Verdict::Interrupted,
            (true, false) => Verdict::Incomplete,
        }
    }
}

impl Verdict<'_> {
    /// The reason of [`Verdict::Interrupted`].
    pub const INTERRUPTED: &'static str = "the process exited inside the allocator";

    /// The reason of [`Verdict::Incomplete`].
    pub const REFUSED: &'static str = "a thread was stopped in a movement, or the system refused a fence";

    /// Returns the text of a verdict without failures.
    pub(super) fn words(&self) -> &'static str {
        match self {
            Verdict::Balanced => "balanced",
            Verdict::Unbalanced(_) => "unbalanced",
            Verdict::Incomplete => {
                "unchecked: a thread was stopped in a movement, the system refused a fence, or nobody waited for threads"
            }
            Verdict::Interrupted => {
                "unchecked: the process exited inside the allocator, and this is the last complete snapshot"
            }
            Verdict::NotChecked => "not checked",
        }
    }
}

/// The maximum number of elements of a value.
const MOST: usize = CLASSES + 1;

/// Returns the elements of a vector or the counts of a histogram.
pub(super) fn elements(metric: &Metric, reading: &Reading) -> impl Iterator<Item = u64> {
    let mut all = [0; MOST];
    metric.elements(reading, &mut all);
    all.into_iter().take(metric.len())
}
