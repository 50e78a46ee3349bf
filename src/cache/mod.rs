//! The allocator state that one thread owns, and the hot paths.
//!
//! The life of `malloc(24)`: [`Cache::pop`] in `alloc.rs` takes the head of a free list. When
//! the list is empty, `refill.rs` fills it: from objects that this thread freed, from objects that
//! came home, from memory of the span that was not carved yet, from another span. `free.rs` puts
//! an object back on its span's list; `remote.rs` sends it to the span's owner where that is another, on
//! the way that `inbox.rs` has.
//!
//! Where every free is validated, `checked.rs` has the paths instead.
//!
//! `thread` makes caches and gives them to threads; `api` calls the paths. Only the owning thread
//! touches a cache, but for its inbox and for counters that readers add up.
//!
//! The hot paths take no lock, execute no locked instruction and do not call. The slow paths take
//! the locks of `central` and `heap`, one at a time.
//!
//! Invariant: every span that names a cache as its owner stands in one of that cache's lists or is
//! the current one of its class; [`Cache::is_valid`].

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
