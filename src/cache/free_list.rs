//! A list of free objects of one span, taken by a cache.

use crate::span::{Changed, Followed, Object, Span};

/// Free objects of one span, linked: `count` of them.
#[derive(Clone, Copy)]
pub(super) struct FreeList {
    pub(super) first: *mut Object,
    pub(super) count: u32,
}

impl FreeList {
    pub(super) const EMPTY: FreeList = FreeList { first: core::ptr::null_mut(), count: 0 };

    #[inline(always)]
    pub(super) fn is_empty(&self) -> bool {
        self.first.is_null()
    }

    /// Follows the list, of free objects of `span`, and checks that it has exactly `count`. Owner only.
    pub(super) fn followed(&self, span: &Span) -> Result<Followed, Changed> {
        span.follow_exactly(self.first, self.count)
    }
}
