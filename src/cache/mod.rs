//! The allocator state that one thread owns, and the hot paths.
//!
//! `thread` creates caches and gives them to threads; `malloc` calls the paths. `alloc.rs` pops an object from a slot's free
//! list. `refill.rs` fills an empty slot: with objects that this thread freed, objects that other threads returned, uncarved
//! memory of the span, or another span. `free.rs` puts an object back on its span's list. `remote.rs` returns objects to
//! other owners, through `outbox.rs` and `inbox.rs`. With `check:on`, `checked.rs` has the paths instead.
//!
//! Only the owning thread touches a cache, except for its inbox and for counters that readers add up. The hot paths take no
//! lock, execute no atomic read-modify-write, and make no call. The slow paths take the locks of `central` and `heap`, one at
//! a time.
//!
//! Invariant: every span that names a cache as its owner stands in one of that cache's lists or is the current one of its
//! class; [`Cache::is_valid`].

mod alloc;
mod checked;
mod flush;
mod free;
mod free_list;
mod inbox;
mod outbox;
mod posting;
mod publish;
mod record;
mod refill;
mod remote;

pub use checked::Inside;
pub use outbox::{OutboxOffsets, PendingBatch};
pub use record::{Cache, CacheOffsets};
