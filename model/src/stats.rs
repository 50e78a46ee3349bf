//! The shipped protocols of the consistent statistics.

#[path = "../../src/stats/cut.rs"]
pub mod cut;
#[path = "../../src/stats/published.rs"]
pub mod published;
#[path = "../../src/stats/tally.rs"]
pub mod tally;
#[path = "../../src/stats/writer.rs"]
pub mod writer;
