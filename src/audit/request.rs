//! The input of an audit: the allocator's ranges, and when to stop.

use crate::os::OsError;
use crate::stats_page::MappingKind;
use crate::stats_page::view::Mapping;

/// The end of the addresses that Linux gives to a process that asks for no higher ones. Ranges above are not an
/// allocator's. With this limit the sum of all ranges of a stats page fits a word.
const HIGHEST: u64 = 1 << 48;

/// `ETIMEDOUT`: the request ended before the first pass.
pub const OVER: OsError = OsError::Errno(110);

/// A range of address space that an allocator obtained.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Range {
    /// The first byte.
    pub start: usize,
    /// The byte after the last.
    pub end: usize,
    /// The use of the range.
    pub what: MappingKind,
}

impl Range {
    /// Returns the range of an entry of a stats page. Returns `None` if it is empty, not page-aligned, outside user
    /// addresses, or of a kind that this build does not know.
    pub fn of(mapping: &Mapping) -> Option<Range> {
        let Mapping { start, end, what } = *mapping;
        // No physical page is smaller, and Linux has no figures for parts of a page.
        let is_whole = (start | end) % 4096 == 0;
        let is_range = is_whole && 0 < start && start < end && end <= HIGHEST;
        is_range.then_some(Range { start: start as usize, end: end as usize, what: MappingKind::of(what)? })
    }
}

/// The input of an audit: the allocator's ranges, and the limit of its time.
pub trait Request {
    /// Returns range `i`, or `None` if there are fewer.
    fn range(&self, i: usize) -> Option<Range>;

    /// Returns a number that every change of the ranges changes.
    fn changes(&self) -> u64;

    /// Returns whether the audit makes another pass, after the process moved or its structures were overwritten during
    /// the last one. May wait before it returns.
    fn again(&self) -> bool;

    /// Returns whether the current pass is to be abandoned.
    fn is_over(&self) -> bool {
        false
    }
}
