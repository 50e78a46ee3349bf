//! The shipped protocols of the caches.

#[path = "../../src/cache/inbox.rs"]
pub mod inbox;
