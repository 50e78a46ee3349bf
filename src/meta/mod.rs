//! Memory for the allocator's own records.
//!
//! Three kinds: [`Persistent`], handed out and never taken back; [`Fixed`], records of one type
//! that return to a list; [`Linear`], one reserved range whose parts become Ready as they are
//! needed. `heap` keeps span records and the page allocator's arrays here, `thread` the caches.
//!
//! The caller holds the lock that protects the allocator it calls; nothing here takes one. Each
//! call gets the account that it charges and the entry to post.
//!
//! Invariant: every byte handed out is Ready and was charged to an account.

mod fixed;
mod linear;
mod persistent;

pub use fixed::Fixed;
pub use linear::Linear;
pub use persistent::{Charge, Persistent};
