//! Accounts and consistent statistics: how many bytes the allocator holds, and for what.
//!
//! The accounts ([`Accounts`]) are one atomic balance for each use of memory, changed where the bytes move. The
//! consistent statistics ([`ConsistentStats`]) hold the same changes: the thread that makes a change posts it to the
//! writer of its cache ([`Writer`]) as part of an *entry* ([`Delta`]), and a snapshot contains each entry as a whole or
//! not at all. A *movement* ([`Movement`]) is a change of accounts and of a cache's local pages that no lock protects.
//! A *crossfoot* compares accounts, statistics and a walk over all spans; a *gate* keeps movements out meanwhile.
//!
//! Every module that moves bytes posts here: `vm`, `meta`, `heap`, `central`, `cache`, `thread`, `stack_pool`.
//! `mem_stats` and `metrics` read.
//!
//! Posting takes no lock. Where the OS has `membarrier`, it executes no fence and no atomic read-modify-write. Reading
//! takes the lock of the statistics (`Rank::Books`) and waits for no writer. Only [`Reader::close`] and a fork wait for
//! writers, at most a second. Nothing here allocates. The only system calls are the reader's fence, the time and a
//! yield.
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
#[cfg_attr(crossfoot_books_off, path = "off/sums.rs")]
mod sums;
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

/// Whether this build keeps accounts and statistics. `--cfg crossfoot_books_off` builds without them, to measure
/// their cost: it selects other modules of the same names, here and in `cache`.
pub const BOOKS_ENABLED: bool = cfg!(not(crossfoot_books_off));
