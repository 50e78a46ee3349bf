//! Spans: runs of pages in one use, and the page map, which finds the span of an address.
//!
//! `heap` creates and ends spans. `central` and `cache` keep them in lists and move their objects. `api`
//! looks addresses up.
//!
//! This module takes no lock. A span's owner-only fields belong to the cache that owns the span. If no cache
//! owns it, they are protected by the lock of the class's central list.
//!
//! Invariants: [`Span::is_valid`] holds, and the page map has the span's record for each page of the span.

mod batch;
mod links;
mod list;
mod live;
mod map;
mod record;
mod returned;
mod validate;

pub use batch::{Batch, Link};
pub use links::{Changed, Followed};
pub use list::SpanList;
pub use live::LiveBits;
pub use map::{MapOffsets, PageMap};
pub use record::{Kind, ListState, NO_THREAD, Object, Span, SpanOffsets};
