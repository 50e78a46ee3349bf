//! Who holds how many bytes.
//!
//! Two sides of one book. The accounts ([`Accounts`]) are atomics that `vm`, `meta` and the page
//! heap move as they act. The consistent statistics ([`Books`]) hold the same movements, posted
//! as whole entries ([`Entry`]) by the thread that made them, and are read as one snapshot in
//! which all movements of an entry are present or none is.
//!
//! Every room that moves bytes posts here; `metrics` reads. Posting takes no lock and no locked
//! instruction; reading takes the books' lock, and waits for no writer.
//!
//! Nothing here allocates or calls the operating system, but for the reader's fence, the time and a yield.
//!
//! Invariant: the identities of [`Snapshot::check`] hold in every snapshot.

mod accounts;
mod books;
mod cut;
mod entry;
mod published;
mod snapshot;
mod writer;

pub use accounts::{ACCOUNTS, Account, Accounts};
pub use books::{Answer, Books, Movement, Reader, Writer};
pub use entry::{ClassEntry, Entry, TOTALS, Total};
pub use snapshot::{ClassTotals, Failure, Failures, Snapshot, Totals};
