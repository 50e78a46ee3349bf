//! Three run lengths and a mark, packed into one word.
//!
//! A node of the summary tree covers a power of two of pages. Its summary holds the number of free pages at
//! its start and at its end, and its longest free run.

/// Bits of one run length.
const FIELD: u32 = 21;
const FIELD_MASK: u64 = (1 << FIELD) - 1;
/// Binary logarithm of the pages of the largest node that a [`Summary`] can describe.
pub(super) const MAX_LOG_PAGES: u32 = FIELD;
/// The three fields together.
const FIELDS: u64 = (1 << (3 * FIELD)) - 1;
/// Set if any chunk of the node was grown.
const GROWN: u64 = 1 << (3 * FIELD);

/// The free runs of one node, in pages, and whether any chunk of it was ever grown.
///
/// A length of 2^21 does not fit its field. It occurs only if the largest node is wholly free, and then all
/// three lengths are 2^21. Three fields of ones encode that state. No other state has this encoding: a free
/// run of 2^21 - 1 pages at the start leaves no free page at the end.
///
/// Zeroed memory is a node without grown chunks. The children of a grown node are always readable, so the
/// `GROWN` bit says which parts of the tables can be read.
#[repr(transparent)]
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Summary(u64);

impl Summary {
    /// No chunk is grown, so no page is free.
    pub(super) const NONE: Summary = Summary(0);
    /// Grown, without free pages.
    pub(super) const FULL: Summary = Summary(GROWN);

    /// Returns the summary of a grown node with these free runs.
    #[inline]
    pub(super) const fn new(start: usize, max: usize, end: usize) -> Summary {
        debug_assert!(start <= max && end <= max && max <= 1 << MAX_LOG_PAGES);
        if max == 1 << MAX_LOG_PAGES {
            return Summary(GROWN | FIELDS);
        }
        Summary(GROWN | start as u64 | (max as u64) << FIELD | (end as u64) << (2 * FIELD))
    }

    /// Returns the summary of a grown node of `1 << log_pages` pages, all free.
    #[inline]
    pub(super) const fn free(log_pages: u32) -> Summary {
        Summary::new(1 << log_pages, 1 << log_pages, 1 << log_pages)
    }

    /// Returns whether any chunk of the node was ever grown.
    #[inline]
    pub(super) const fn is_grown(self) -> bool {
        self.0 & GROWN != 0
    }

    /// Returns whether a page of the node is free.
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

    /// Returns the length of the free run at the node's start.
    #[inline]
    pub(super) const fn start(self) -> usize {
        self.field(0)
    }

    /// Returns the length of the longest free run.
    #[inline]
    pub(super) const fn max(self) -> usize {
        self.field(1)
    }

    /// Returns the length of the free run at the node's end.
    #[inline]
    pub(super) const fn end(self) -> usize {
        self.field(2)
    }

    /// Returns the summary of the node with these children, in order of address, of `1 << child_log` pages
    /// each.
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
            // A child is below 2^21 pages, so `raw` is its length.
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
