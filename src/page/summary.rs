//! Three run lengths and a mark, packed into one word.
//!
//! A node of the summary tree stands for a power of two of pages. What its parent
//! and a search must know of it: how many pages are free at its start, how many at
//! its end, and the longest free run anywhere in it.

/// Bits of one run length.
const FIELD: u32 = 21;
const FIELD_MASK: u64 = (1 << FIELD) - 1;
/// Binary logarithm of the pages of the largest node that a [`Summary`] describes.
pub(super) const MAX_LOG_PAGES: u32 = FIELD;
/// The three fields together.
const FIELDS: u64 = (1 << (3 * FIELD)) - 1;
/// Something in this node was grown.
const GROWN: u64 = 1 << (3 * FIELD);

/// The free runs of one node, in pages, and whether anything in it was ever grown.
///
/// A length of 2^21 does not fit its field. It occurs only where the largest node is
/// wholly free, and there all three lengths have it; three fields of ones stand for
/// that, which no other state can produce: one page short of everything at the start
/// leaves nothing at the end.
///
/// Zeroed memory is a node of which nothing was grown. That is what tells a part of
/// the tables that can be read from one that cannot: the children of a grown node are
/// always readable.
#[repr(transparent)]
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Summary(u64);

impl Summary {
    /// Nothing grown, so nothing free.
    pub(super) const NONE: Summary = Summary(0);
    /// Grown, and nothing free.
    pub(super) const FULL: Summary = Summary(GROWN);

    /// A grown node with these free runs.
    #[inline]
    pub(super) const fn new(start: usize, max: usize, end: usize) -> Summary {
        debug_assert!(start <= max && end <= max && max <= 1 << MAX_LOG_PAGES);
        if max == 1 << MAX_LOG_PAGES {
            return Summary(GROWN | FIELDS);
        }
        Summary(GROWN | start as u64 | (max as u64) << FIELD | (end as u64) << (2 * FIELD))
    }

    /// A grown node of `1 << log_pages` pages, all free.
    #[inline]
    pub(super) const fn free(log_pages: u32) -> Summary {
        Summary::new(1 << log_pages, 1 << log_pages, 1 << log_pages)
    }

    /// Whether anything in the node was ever grown.
    #[inline]
    pub(super) const fn is_grown(self) -> bool {
        self.0 & GROWN != 0
    }

    /// Whether a page of the node is free.
    #[inline]
    pub(super) const fn has_free(self) -> bool {
        self.0 & FIELDS != 0
    }

    #[inline]
    const fn raw(self, n: u32) -> usize {
        (self.0 >> (n * FIELD) & FIELD_MASK) as usize
    }

    #[inline]
    const fn field(self, n: u32) -> usize {
        let whole = self.0 & FIELDS == FIELDS;
        self.raw(n) + whole as usize
    }

    /// Pages of the free run at the node's start.
    #[inline]
    pub(super) const fn start(self) -> usize {
        self.field(0)
    }

    /// Pages of the longest free run.
    #[inline]
    pub(super) const fn max(self) -> usize {
        self.field(1)
    }

    /// Pages of the free run at the node's end.
    #[inline]
    pub(super) const fn end(self) -> usize {
        self.field(2)
    }

    /// The summary of the node whose children, in order of address, are `children`, of
    /// `1 << child_log` pages each.
    #[inline]
    pub(super) fn merge(children: &[Summary], child_log: u32) -> Summary {
        debug_assert!(child_log < MAX_LOG_PAGES);
        let whole = 1 << child_log;
        let mut seen = 0;
        let mut start = 0;
        let mut max = 0;
        let mut end = 0;
        for (i, child) in children.iter().enumerate() {
            seen |= child.0;
            // No child is large enough for a length that its field does not hold.
            let (s, m, e) = (child.raw(0), child.raw(1), child.raw(2));
            if start == i << child_log {
                start += s;
            }
            max = max.max(m).max(end + s);
            end = if e == whole { end + whole } else { e };
        }
        if seen & GROWN == 0 {
            return Summary::NONE;
        }
        Summary::new(start, max, end)
    }
}

impl core::fmt::Debug for Summary {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        if !self.is_grown() {
            return f.write_str("none");
        }
        write!(f, "({}, {}, {})", self.start(), self.max(), self.end())
    }
}
