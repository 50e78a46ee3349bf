//! Who holds how many bytes.
//!
//! Two sides of one book. The accounts ([`Accounts`]) are atomics that `vm`, `meta` and the page
//! heap move as they act. The consistent statistics ([`ConsistentStats`]) hold the same movements, posted
//! as whole entries ([`Delta`]) by the thread that made them, and are read as one snapshot in
//! which all movements of an entry are present or none is.
//!
//! Every room that moves bytes posts here; `metrics` reads. Posting takes no lock, and no locked instruction where the
//! system has a fence for all threads; reading takes the books' lock, and waits for no writer. Only [`Reader::close`]
//! and a fork wait, at most a second.
//!
//! Nothing here allocates or calls the operating system, but for the reader's fence, the time and a yield.
//!
//! Invariant: the identities of [`Snapshot::check`] hold in every snapshot.

#[cfg_attr(crossfoot_books_off, path = "off/accounts.rs")]
mod accounts;
#[cfg_attr(crossfoot_books_off, path = "off/consistent.rs")]
mod consistent;
#[cfg(not(crossfoot_books_off))]
mod cut;
#[cfg_attr(crossfoot_books_off, path = "off/delta.rs")]
mod delta;
mod kinds;
mod moved;
mod offsets;
#[cfg(not(crossfoot_books_off))]
mod published;
mod snapshot;
#[cfg_attr(crossfoot_books_off, path = "off/tally.rs")]
mod tally;
#[cfg(not(crossfoot_books_off))]
mod writer;

pub use accounts::Accounts;
pub use consistent::{ConsistentStats, Count, Movement, Reader, Writer};
pub use delta::Delta;
pub use kinds::{ACCOUNTS, Account, ClassDelta, TOTALS, Total};
pub use moved::Moved;
pub use offsets::{AccountOffsets, WriterOffsets};
pub use snapshot::{Answer, ClassTotals, Failure, Failures, Snapshot, Totals};
pub use tally::{Tallies, Tally};

/// Whether this build keeps books. One without exists to measure what they cost: `--cfg crossfoot_books_off` chooses
/// other modules of the same names, here and in `cache`.
pub const BOOKS_ENABLED: bool = cfg!(not(crossfoot_books_off));
