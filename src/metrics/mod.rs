//! Names for numbers that others keep.
//!
//! `boot` writes the exit report from here. Names are those of Go's `runtime/metrics` where one exists
//! there, and ours in the same form.
//!
//! Nothing is computed but sums; nothing allocates or takes a lock.
//!
//! Invariant: all `/memory/classes/…:bytes` but the total add up to the total.

mod reading;
mod report;
mod table;

pub use reading::{Reading, WORDS};
pub use report::{write_json, write_table};
pub use table::{FORMAT, Metric, TABLE};
