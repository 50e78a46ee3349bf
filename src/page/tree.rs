//! The chunks and the tree of summaries over them.
//!
//! Level 0 is the root, an array as long as the window needs. Every node of a higher level has eight
//! children, and the nodes of the last level are the chunks. With one level, the root holds the chunks'
//! summaries and a search scans it.
//!
//! Pages are numbered from the window's base.
//!
//! Readable entries are: `first..end` of the root, the children of every node marked grown, and the bits of
//! every chunk marked grown. [`Tree::grow`] makes entries ready before it marks a node. No mark is ever
//! removed.

use super::chunk::{CHUNK_LOG, Chunk};
use super::hints::{self, Hints};
use super::summary::{MAX_LOG_PAGES, Summary};
use super::table::{Record, Table};
use super::{Backing, GrowError};
use core::ops::Range;

/// Binary logarithm of the children of a node.
pub(super) const FAN_LOG: u32 = 3;
pub(super) const FAN: usize = 1 << FAN_LOG;

// SAFETY: zero is `Summary::NONE`.
unsafe impl Record for Summary {}

/// A lower bound of the first free page, as a search refines it.
#[derive(Clone, Copy)]
enum Free {
    /// This page is free. No free page lies below it.
    Page(usize),
    /// Node `.1` of level `.0` has a free page. No free page lies below the node.
    Node(usize, usize),
}

/// The run that a search found.
pub(super) struct FoundRun {
    /// The first page of the run.
    pub(super) page: usize,
    /// No free page lies below this page, which is in a grown chunk; or 0.
    pub(super) lowest: usize,
}

/// The result of a scan over one block of entries.
enum Scan {
    /// The run lies within this node.
    Within(usize),
    /// The run begins in one node and ends in another. It begins at this page.
    Across(usize),
    /// No run is long enough.
    NotFound,
}

impl Scan {
    /// Returns the node in which the run begins. Nodes have `1 << log` pages.
    #[inline]
    fn begin(&self, log: u32) -> Option<usize> {
        match *self {
            Scan::Within(i) => Some(i),
            Scan::Across(page) => Some(page >> log),
            Scan::NotFound => None,
        }
    }
}

/// The bits and summaries of a window of pages.
pub(super) struct Tree<const LEVELS: usize> {
    pub(super) levels: [Table<Summary>; LEVELS],
    pub(super) chunks: Table<Chunk>,
    /// Chunks in the window.
    pub(super) limit: usize,
    /// The readable entries of the root are `first..end`.
    first: usize,
    end: usize,
    hints: Hints,
}

impl<const LEVELS: usize> Tree<LEVELS> {
    const LEAF: usize = {
        assert!(LEVELS >= 1, "page: a tree needs a level");
        assert!(Self::log_pages(0) <= MAX_LOG_PAGES, "page: a node of the root does not fit a summary");
        LEVELS - 1
    };

    pub(super) const fn empty() -> Self {
        Tree {
            levels: [const { Table::empty() }; LEVELS],
            chunks: Table::empty(),
            limit: 0,
            first: 0,
            end: 0,
            hints: Hints::new(),
        }
    }

    /// Returns the binary logarithm of the chunks of a node of `level`.
    #[inline]
    pub(super) const fn log_chunks(level: usize) -> u32 {
        (LEVELS - 1 - level) as u32 * FAN_LOG
    }

    /// Returns the binary logarithm of the pages of a node of `level`.
    #[inline]
    const fn log_pages(level: usize) -> u32 {
        CHUNK_LOG + Self::log_chunks(level)
    }

    /// Returns the number of pages in the window.
    #[inline]
    pub(super) fn pages(&self) -> usize {
        self.limit << CHUNK_LOG
    }

    /// Adds `chunks`, none of which is grown, free and released. If it returns an error, the tree is
    /// unchanged, but some table entries may have become ready.
    pub(super) fn grow<B: Backing>(
        &mut self,
        backing: &mut B,
        chunks: Range<usize>,
    ) -> Result<(), GrowError<B::Error>> {
        if chunks.is_empty() || chunks.end > self.limit {
            return Err(GrowError::Range);
        }
        if chunks.clone().any(|c| self.is_grown(c)) {
            return Err(GrowError::Range);
        }
        let (first, end) = self.root_with(&chunks);
        let fresh_root = self.first == self.end;
        if fresh_root {
            self.levels[0].ready(backing, first..end).map_err(GrowError::Backing)?;
        } else {
            self.levels[0].ready(backing, first..self.first).map_err(GrowError::Backing)?;
            self.levels[0].ready(backing, self.end..end).map_err(GrowError::Backing)?;
        }
        for level in 1..LEVELS {
            // Whole blocks of siblings, since `merge` reads all children of a node.
            let log = Self::log_chunks(level);
            let lo = (chunks.start >> log) & !(FAN - 1);
            let hi = ((chunks.end - 1) >> log | (FAN - 1)) + 1;
            self.levels[level].ready(backing, lo..hi).map_err(GrowError::Backing)?;
        }
        self.chunks.ready(backing, chunks.clone()).map_err(GrowError::Backing)?;
        self.first = first;
        self.end = end;
        for c in chunks.clone() {
            self.set(Self::LEAF, c, Summary::free(CHUNK_LOG));
        }
        self.refresh_parents(chunks.start, chunks.end - 1, true);
        Ok(())
    }

    /// Returns the readable entries of the root once `chunks` are grown.
    fn root_with(&self, chunks: &Range<usize>) -> (usize, usize) {
        let log = Self::log_chunks(0);
        let (lo, hi) = (chunks.start >> log, ((chunks.end - 1) >> log) + 1);
        if self.first == self.end { (lo, hi) } else { (self.first.min(lo), self.end.max(hi)) }
    }

    /// Returns the summary of node `i` of `level`. The node is in the readable part of the root or has a
    /// grown parent.
    #[inline]
    fn at(&self, level: usize, i: usize) -> Summary {
        // SAFETY: every caller in this file has `i` from below a grown parent, or from `first..end` for the
        // root. `grow` made those entries ready before it marked the parent.
        unsafe { *self.levels[level].get(i) }
    }

    /// Sets the summary that [`Tree::at`] reads.
    #[inline]
    fn set(&mut self, level: usize, i: usize, summary: Summary) {
        // SAFETY: as in `at`. `grow` calls this only after it has made everything ready.
        unsafe { *self.levels[level].get_mut(i) = summary }
    }

    /// Returns the children of node `parent` of `level - 1`, which is grown.
    #[inline]
    fn children(&self, level: usize, parent: usize) -> &[Summary; FAN] {
        // SAFETY: as in `at`. Blocks of siblings are made ready as a whole.
        unsafe { self.levels[level].block(parent << FAN_LOG) }
    }

    #[inline]
    fn root(&self) -> &[Summary] {
        // SAFETY: `first..end` is the part of the root that `grow` made ready.
        unsafe { self.levels[0].slice(self.first..self.end) }
    }

    /// Returns whether chunk `c` is grown. `c` may be any number.
    #[inline]
    pub(super) fn is_grown(&self, c: usize) -> bool {
        let top = c >> Self::log_chunks(0);
        if c >= self.limit || top < self.first || top >= self.end {
            return false;
        }
        (0..LEVELS).all(|level| self.at(level, c >> Self::log_chunks(level)).is_grown())
    }

    /// Returns whether all of the chunks `first` to `last` are grown. It checks the ancestors once for each
    /// block of siblings.
    pub(super) fn all_grown(&self, first: usize, last: usize) -> bool {
        let is_first_below = |c: usize| c == first || c & (FAN - 1) == 0 || Self::LEAF == 0;
        (first..=last).all(|c| if is_first_below(c) { self.is_grown(c) } else { self.leaf(c).is_grown() })
    }

    /// Returns the summary of chunk `c`, which is grown.
    #[inline]
    pub(super) fn leaf(&self, c: usize) -> Summary {
        self.at(Self::LEAF, c)
    }

    /// Returns the bits of chunk `c`, which is grown.
    #[inline]
    pub(super) fn chunk(&self, c: usize) -> &Chunk {
        debug_assert!(self.is_grown(c));
        // SAFETY: the callers in this module have `c` from a search or checked `is_grown`. `grow` made the
        // bits of a chunk ready before it marked the chunk.
        unsafe { self.chunks.get(c) }
    }

    /// Returns the bits of chunk `c`, which is grown, mutably. After pages were taken or freed, the caller
    /// calls [`Tree::refresh`].
    #[inline]
    pub(super) fn chunk_mut(&mut self, c: usize) -> &mut Chunk {
        debug_assert!(self.is_grown(c));
        // SAFETY: as in `chunk`.
        unsafe { self.chunks.get_mut(c) }
    }

    /// Recomputes the summaries of the chunks `first` and `last` from their bits, sets those between to
    /// `between`, and updates the nodes above.
    #[inline]
    pub(super) fn refresh(&mut self, first: usize, last: usize, between: Summary) {
        let new = self.chunk(first).summary();
        if first == last {
            if new == self.leaf(first) {
                return;
            }
            self.set(Self::LEAF, first, new);
        } else {
            self.set(Self::LEAF, first, new);
            for c in first + 1..last {
                self.set(Self::LEAF, c, between);
            }
            let new = self.chunk(last).summary();
            self.set(Self::LEAF, last, new);
        }
        self.refresh_parents(first, last, between.has_free());
    }

    /// Recomputes the nodes above the chunks `lo` to `hi`. `freed` is true if pages became free.
    #[inline]
    fn refresh_parents(&mut self, mut lo: usize, mut hi: usize, freed: bool) {
        for level in (0..Self::LEAF).rev() {
            lo >>= FAN_LOG;
            hi >>= FAN_LOG;
            let log = Self::log_pages(level + 1);
            let mut changed = false;
            for i in lo..=hi {
                let new = Summary::merge(self.children(level + 1, i), log);
                if new != self.at(level, i) {
                    self.set(level, i, new);
                    changed = true;
                }
            }
            if !changed {
                return;
            }
        }
        if freed {
            self.lower_hints(lo, hi);
        }
    }

    /// Lowers the hints for the free runs that touch the entries `lo` to `hi` of the root.
    fn lower_hints(&mut self, lo: usize, hi: usize) {
        let whole = 1 << Self::log_pages(0);
        // The run that reaches entry `lo` may begin in an earlier one.
        let mut from = lo;
        while from > self.first && self.at(0, from - 1).end() != 0 {
            from -= 1;
            if self.at(0, from).end() != whole {
                break;
            }
        }
        let (mut begin, mut run) = (from, 0);
        for i in from..=hi {
            let summary = self.at(0, i);
            if run == 0 {
                begin = i;
            }
            self.hints.lower(run + summary.start(), begin);
            self.hints.lower(summary.max(), i);
            if summary.start() == whole {
                run += whole;
            } else {
                run = summary.end();
                begin = i;
            }
        }
        // The run that leaves entry `hi` may end anywhere.
        if run != 0 && hi + 1 < self.end {
            let more = self.at(0, hi + 1).start();
            self.hints.lower(if more == whole { usize::MAX } else { run + more }, begin);
        }
    }

    /// Returns the lowest run of `n` free pages. No free page lies below `from`.
    pub(super) fn find(&mut self, n: usize, from: usize) -> Option<FoundRun> {
        let (mut scan, mut lowest) = self.scan_root(n, from);
        let mut level = 0;
        let node = loop {
            let node = match scan {
                Scan::Within(i) => i,
                Scan::Across(page) => return Some(self.found_run(page, lowest)),
                Scan::NotFound => return None,
            };
            if level == Self::LEAF {
                break node;
            }
            level += 1;
            let first;
            let at = node << FAN_LOG;
            (scan, first) = scan_nodes(self.children(level, node), at, Self::log_pages(level), n);
            // Only the children of the first node with a free page can refine the lower bound.
            if let Some(Free::Node(l, i)) = lowest
                && (l, i) == (level - 1, node)
            {
                lowest = first.map(|i| Free::Node(level, i));
            }
        };
        let zeros = self.chunk(node).taken().find_zeros(n, 0)?;
        let base = node << CHUNK_LOG;
        if let Some(Free::Node(l, i)) = lowest
            && (l, i) == (level, node)
        {
            lowest = Some(Free::Page(base + zeros.first_zero));
        }
        Some(self.found_run(base + zeros.start, lowest))
    }

    /// Scans the root for `n` pages, from the entry that the hints allow. Also returns the first entry with a
    /// free page, unless the scan skipped entries that may have one.
    fn scan_root(&mut self, n: usize, from: usize) -> (Scan, Option<Free>) {
        let log = Self::log_pages(0);
        let lowest = self.hints.begin(1).max(from >> log).max(self.first);
        let begin = self.hints.begin(n).max(lowest);
        let shortest = hints::class_start(n);
        let (mut scan, first) = self.scan_root_from(begin, shortest);
        // The class's shortest length may be below `n`, so a run of that length may be too short.
        if shortest < n {
            let at = scan.begin(log).unwrap_or(self.end);
            scan = self.scan_root_from(at, n).0;
        }
        let first = first.filter(|_| begin == lowest).map(|i| Free::Node(0, i));
        (scan, first)
    }

    /// Scans the root from entry `at` for `n` pages, and raises the hint.
    fn scan_root_from(&mut self, at: usize, n: usize) -> (Scan, Option<usize>) {
        let log = Self::log_pages(0);
        let entries = self.root().get(at - self.first..).unwrap_or_default();
        let (scan, first) = scan_nodes(entries, at, log, n);
        self.hints.raise(n, scan.begin(log).unwrap_or(self.end));
        (scan, first)
    }

    /// Returns the run that begins at `page`, with the first free page or its chunk's first page as the lower
    /// bound.
    #[inline]
    fn found_run(&self, page: usize, lowest: Option<Free>) -> FoundRun {
        let lowest = match lowest {
            None => 0,
            Some(Free::Page(page)) => page,
            // The node's first chunk may not be grown, and a search must begin in a grown chunk.
            Some(Free::Node(level, mut i)) => {
                for l in level + 1..LEVELS {
                    let free = self.children(l, i).iter().position(|s| s.has_free());
                    i = (i << FAN_LOG) + free.unwrap_or(0);
                }
                i << CHUNK_LOG
            }
        };
        FoundRun { page, lowest }
    }

    /// Returns the first chunk at or above `c` with a `wanted` summary. `wanted` is monotone: it holds for
    /// every ancestor of such a chunk, and for no node that is not grown.
    pub(super) fn next_chunk(&self, mut c: usize, wanted: fn(Summary) -> bool) -> Option<usize> {
        c = c.max(self.first << Self::log_chunks(0));
        'node: while c >> Self::log_chunks(0) < self.end {
            for level in 0..LEVELS {
                let log = Self::log_chunks(level);
                if !wanted(self.at(level, c >> log)) {
                    c = ((c >> log) + 1) << log;
                    continue 'node;
                }
            }
            return Some(c);
        }
        None
    }

    /// Returns whether every summary matches the bits and the hints are valid.
    pub(super) fn is_valid(&self) -> bool {
        (self.first..self.end).all(|i| self.node_is_valid(0, i)) && self.hints_are_valid()
    }

    /// Returns whether every free run begins at or above the hint for its length.
    fn hints_are_valid(&self) -> bool {
        let whole = 1 << Self::log_pages(0);
        let (mut begin, mut run) = (self.first, 0);
        for (i, summary) in (self.first..).zip(self.root()) {
            if run == 0 {
                begin = i;
            }
            let seen = |n, i| n == 0 || self.hints.begin(n) <= i;
            if !seen(run + summary.start(), begin) || !seen(summary.max(), i) {
                return false;
            }
            if summary.start() == whole {
                run += whole;
            } else {
                run = summary.end();
                begin = i;
            }
        }
        self.hints.is_valid()
    }

    /// Returns whether the subtree of node `i` is valid. Recurses once per level.
    fn node_is_valid(&self, level: usize, i: usize) -> bool {
        let summary = self.at(level, i);
        if !summary.is_grown() {
            return summary == Summary::NONE;
        }
        if level == Self::LEAF {
            return self.chunk(i).is_valid() && summary == self.chunk(i).summary();
        }
        let children = self.children(level + 1, i);
        summary == Summary::merge(children, Self::log_pages(level + 1))
            && (0..FAN).all(|k| self.node_is_valid(level + 1, (i << FAN_LOG) + k))
    }
}

/// Looks for a run of `n` pages in the neighbouring nodes `entries` of `1 << log` pages, numbered from `at`
/// on. Also returns the first node seen with a free page.
#[inline]
fn scan_nodes(entries: &[Summary], at: usize, log: u32, n: usize) -> (Scan, Option<usize>) {
    let whole = 1 << log;
    let mut first = None;
    // Free pages at the end of the entries seen so far.
    let mut run = 0;
    for (i, summary) in (at..).zip(entries) {
        if !summary.has_free() {
            run = 0;
            continue;
        }
        first.get_or_insert(i);
        let start = summary.start();
        if run + start >= n {
            return (Scan::Across((i << log) - run), first);
        }
        if summary.max() >= n {
            return (Scan::Within(i), first);
        }
        run = if start == whole { run + whole } else { summary.end() };
    }
    (Scan::NotFound, first)
}
