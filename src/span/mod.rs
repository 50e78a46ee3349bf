//! Spans: runs of pages in one use, and the way from an address to its span.
//!
//! `heap` makes and ends spans; `central` and `cache` keep them in lists and move their objects;
//! `api` looks addresses up.
//!
//! No lock is taken here. A span's owner-only fields belong to the cache that owns it, or, where no
//! cache does, to whoever holds the lock of its class's central list.
//!
//! Invariant: [`Span::is_valid`], and the page map holds a span for each page of it.

mod batch;
mod links;
mod list;
mod live;
mod map;
mod record;
mod returned;

pub use batch::{Batch, Link};
pub use links::{Changed, Followed};
pub use list::SpanList;
pub use live::LiveBits;
pub use map::{MapOffsets, PageMap};
pub use record::{Kind, ListState, NO_THREAD, Object, Span, SpanOffsets};
