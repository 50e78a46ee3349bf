//! Locks with ranks: one declared order, a mutex that checks it, and in checked builds a list of the locks
//! that each thread holds.
//!
//! Every higher module that shares state between threads uses it: [`Mutex`] for a value under a lock,
//! [`acquire_rank`] for a critical section without a mutex, [`held`] for assertions about held locks,
//! [`hold_row`] before a fork, and [`stand_back`] before a lock that the caller can take again and again.
//!
//! It allocates nothing. Its only system calls are the yield and the clock of a waiting thread. It needs a
//! few words of stack, and about a kibibyte if a checked build aborts.
//!
//! Invariants: no rank comes before itself, or the crate does not compile. A thread takes a lock only if
//! every lock that it holds comes before it, so there is no deadlock. A release build contains nothing of the
//! checker, and a new mutex there is zero bytes if its value is.

mod backoff;
mod cache_padded;
mod draw;
mod fork;
#[cfg(debug_assertions)]
pub mod held;
#[cfg(not(debug_assertions))]
#[path = "held_off.rs"]
pub mod held;
mod mutex;
mod rank;
mod row;
#[cfg(debug_assertions)]
mod violation;

pub use backoff::backoff;
pub use cache_padded::CachePadded;
pub use draw::{dot, mermaid, reasons, table};
pub use fork::{Fork, has_abandoned, none_pending, note_waited, set_pending, settle_waited, stand_back};
pub use mutex::{Guard, Mutex, RankGuard, Waits, acquire_rank};
pub use rank::{COUNT, EVALUATED, Edge, ORDER, Order, Rank, Ranks};
pub use row::{hold_row, let_go_row};
#[cfg(debug_assertions)]
pub use violation::Violation;
