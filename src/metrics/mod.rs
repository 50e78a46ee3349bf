//! Metrics: the names of the allocator's figures, and the formats in which they are written.
//!
//! One [`TABLE`] lists all metrics, after Go's `runtime/metrics`: with Go's names where these exist, else with names of
//! the same form, `/path:unit`. The [`Aggregate`] of a metric says what has to be read for it. A [`Reading`] contains
//! the figures as plain words, which another process can copy. A program asks by [`Sample`]. The exit report and the
//! command write a whole reading as a table, as JSON or as OpenMetrics.
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
//! Callers: `allocator` fills readings. `process` and the C API read those of this process. The command writes those of
//! another one.
//!
//! Metrics are sums of figures; nothing else is computed. Nothing here takes a lock, makes a system call or allocates,
//! except [`Sample::prepare`] at a sample's first call.
//!
//! Invariants: `/memory/classes/total:bytes` = the sum of all other `/memory/classes/…:bytes`. A figure that a reading
//! does not have is left out of every format; it is never written as zero.

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
mod verdict;

pub use aggregates::{Aggregate, Aggregates};
pub use format::FORMAT;
pub use labels::{Labels, plain};
pub use notes::{IDENTITIES, NOTES};
pub use openmetrics::write_openmetrics;
pub use reading::{LOCKS, OS_WORDS, OsFigures, Peaks, Reading, WORDS};
pub use report::{Heading, write, write_headed, write_json, write_table};
pub(crate) use sample::wanted;
pub use sample::{Histogram, Memory, Sample, Value, Vector};
pub use seq_lock::SeqLock;
pub use table::{Kind, Metric, TABLE};
pub use verdict::Verdict;
