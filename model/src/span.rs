//! The part of a span that the shipped protocols use.

#[path = "../../src/span/batch.rs"]
mod batch;

pub use batch::{Batch, Link};
