//! Locks with ranks: one declared order, a mutex that obeys it, and in checked builds a list of what
//! each thread holds.
//!
//! Every room above that shares something between threads calls it: [`Mutex`] where a value needs a
//! lock, [`acquire_rank`] where a critical section needs a place in the order, [`held`] to say what a
//! function relies on, [`hold_row`] before a fork, [`stand_back`] before it takes a lock that it can take again and
//! again.
//!
//! It allocates nothing and makes no system call but the yield and the clock of a thread that waits.
//! It needs little stack: a few words, about a kibibyte where a checked build dies.
//!
//! Invariants: no rank comes before itself, or the crate does not compile. A thread takes a lock only
//! while each lock it holds comes before it, so no circle of threads waits for each other. A release
//! build carries nothing of the checker, and a new mutex is as zero as what it protects.

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
pub use fork::{Fork, has_abandoned, none_pending, set_pending, stand_back};
pub use mutex::{Guard, Mutex, RankGuard, Waits, acquire_rank};
pub use rank::{COUNT, EVALUATED, Edge, ORDER, Order, Rank, Ranks};
pub use row::{hold_row, let_go_row};
#[cfg(debug_assertions)]
pub use violation::Violation;
