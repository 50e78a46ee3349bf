//! Memory for the allocator's own records.
//!
//! There are three kinds. [`Persistent`] allocates and never frees. [`Fixed`] has records of one type and a
//! free list. [`Linear`] is one reserved range whose parts become Ready on demand. `heap` keeps span records
//! and the page allocator's tables here, `thread` the caches.
//!
//! Nothing here takes a lock: the caller holds the lock that protects the allocator it calls. Each call names
//! the account to charge and gets the delta to post.
//!
//! Invariant: every allocated byte is Ready and was charged to an account.

mod fixed;
mod linear;
mod persistent;

pub use fixed::Fixed;
pub use linear::Linear;
pub use persistent::{Charge, Persistent};
