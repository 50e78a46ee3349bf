//! What the shipped protocols know of a span.

#[path = "../../src/span/batch.rs"]
mod batch;

pub use batch::{Batch, Link};
