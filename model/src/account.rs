//! The shipped protocols of the books.

#[path = "../../src/account/cut.rs"]
pub mod cut;
#[path = "../../src/account/published.rs"]
pub mod published;
#[path = "../../src/account/tally.rs"]
pub mod tally;
#[path = "../../src/account/writer.rs"]
pub mod writer;
