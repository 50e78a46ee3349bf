//! Metrics: names for numbers that others keep, and the forms in which they are written.
//!
//! **What it is.** One [`TABLE`] of metrics, after Go's `runtime/metrics`: names of Go's where one exists there, and ours
//! in the same form, `/path:unit`. What is read for a metric is its [`Aggregate`]; a [`Reading`] holds what was read, as
//! plain numbers, which another process may be handed word by word. A program asks by [`Sample`]; the exit report and
//! the command write a whole reading as a table, as JSON or as OpenMetrics.
//!
//! ```
//! use crossfoot::metrics::{Sample, Value};
//!
//! #[global_allocator]
//! static A: crossfoot::Crossfoot = crossfoot::Crossfoot::new();
//!
//! # fn main() {
//! let mut samples = [
//!     Sample::new("/memory/classes/total:bytes"),
//!     Sample::new("/heap/live-by-size:objects"),
//!     Sample::new("/no/such:metric"),
//! ];
//! let kept = Box::new(17);
//! crossfoot::process::metrics::read(&mut samples);
//! assert!(samples[0].value().number().is_some_and(|bytes| bytes > 0));
//! let Value::Vector(live) = samples[1].value() else { panic!("it has a number for each size") };
//! assert!(live.values.iter().sum::<u64>() > 0);
//! assert!(matches!(samples[2].value(), Value::Bad));
//! # drop(kept);
//! # }
//! ```
//!
//! **Who calls it.** `allocator` fills readings; `process` and the C face read for the process; the command writes what it
//! finds of another one.
//!
//! **What it may not do.** Nothing is computed but sums. Nothing here takes a lock, calls the system or allocates, but
//! [`Sample::prepare`], at a sample's first call.
//!
//! **Invariants.** All `/memory/classes/…:bytes` but the total add up to the total. What a reading does not have is left
//! out of every form, never zero.

mod aggregates;
mod format;
mod labels;
mod notes;
mod openmetrics;
mod reading;
mod report;
mod sample;
mod seq_lock;
mod table;

pub use aggregates::{Aggregate, Aggregates};
pub use format::FORMAT;
pub use labels::Labels;
pub use notes::{IDENTITIES, NOTES};
pub use openmetrics::write_openmetrics;
pub use reading::{LOCKS, OS_WORDS, OsFigures, Peaks, Reading, WORDS};
pub use report::{Heading, Verdict, write, write_headed, write_json, write_table};
pub(crate) use sample::wanted;
pub use sample::{Histogram, Memory, Sample, Value, Vector, plain};
pub use seq_lock::SeqLock;
pub use table::{Kind, Metric, TABLE};
