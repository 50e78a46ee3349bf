//! Reading the process's metrics.

use super::instance::{ALLOCATOR, own_cache};
use super::read::exchange;
use super::system_stacks::on_system_stack;
use super::{allocate, free};
use crate::lock::stand_back;
use crate::metrics::{Aggregates, Memory, Metric, Reading, Sample, TABLE};
use crate::os::Linux;
use crate::stats::Answer;

/// Samples allocate from the process's own allocator.
const MEMORY: Memory = Memory { allocate, free };

/// Returns every metric, sorted by name.
pub fn all() -> &'static [Metric] {
    &TABLE
}

/// Reads these metrics from one consistent snapshot. Computes only what they need. Returns `None` before the process's
/// first allocation; then every value is absent.
///
/// The first call with a sample looks its metric up, and allocates if the metric is a vector or a histogram; later calls
/// with the same sample allocate nothing. The call first posts the calling thread's frees and collects its inbox. It takes
/// the metrics lock, for which it may wait for another reader, and then reads as [`super::read()`] does. Any thread may call
/// it at any time, but no signal handler; [`super::last`] is for those.
pub fn read(samples: &mut [Sample<'_>]) -> Option<Answer> {
    samples.iter_mut().for_each(|sample| sample.prepare(&MEMORY));
    with_metrics(|metrics| metrics.read_locked(samples))
}

/// Reads what is wanted, and calls `f` with it. Returns `None` before the first allocation. Allocates nothing; otherwise
/// the same as [`read`].
pub fn with_reading<R>(wanted: Aggregates, f: impl FnOnce(&Reading) -> R) -> Option<(Answer, R)> {
    with_metrics(|metrics| metrics.with(wanted, f))
}

/// Calls `f` with the metrics lock held, on the system stack. Takes the lock on the caller's stack, where it may wait.
fn with_metrics<R>(f: impl FnOnce(&mut crate::allocator::Metrics<'_, Linux>) -> R) -> Option<R> {
    stand_back::<Linux>();
    exchange();
    let cache = own_cache();
    let _inside = cache.map(|cache| cache.enter(|| ("a reading of metrics", 0)));
    let mut metrics = ALLOCATOR.metrics(cache, Linux::pid)?;
    Some(on_system_stack(|| f(&mut metrics)))
}
