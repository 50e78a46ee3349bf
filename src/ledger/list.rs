//! The list of mappings on a page. One writer at a time; readers look at the sequence before and after.

use core::sync::atomic::{Ordering, fence};

use super::Page;
use super::layout::{LIST, LIST_AT, LIST_CHANGES_AT, LIST_LENGTH_AT, UNLISTED_AT, What};
use crate::units::Addr;

/// A range of addresses and its use's number.
type Entry = (u64, u64, u64);

/// The list, for its one writer of the moment.
pub(super) struct List<'a>(&'a Page);

impl Drop for List<'_> {
    fn drop(&mut self) {
        let changes = self.0.get(LIST_CHANGES_AT);
        // Release: who finds the sequence even again finds the entries.
        self.0.word(LIST_CHANGES_AT).store(changes.wrapping_add(1) & !1, Ordering::Release);
    }
}

impl<'a> List<'a> {
    /// Begins a change, which ends when the list is dropped.
    pub(super) fn change(page: &'a Page) -> List<'a> {
        page.set(LIST_CHANGES_AT, page.get(LIST_CHANGES_AT) | 1);
        // Release: who sees a changed entry sees that the sequence is odd.
        fence(Ordering::Release);
        List(page)
    }

    fn len(&self) -> usize {
        // Whoever else may write to the page may have written anything.
        (self.0.get(LIST_LENGTH_AT) as usize).min(LIST)
    }

    fn get(&self, i: usize) -> Entry {
        let at = LIST_AT + 3 * i;
        (self.0.get(at), self.0.get(at + 1), self.0.get(at + 2))
    }

    fn set(&self, i: usize, (start, end, what): Entry) {
        let at = LIST_AT + 3 * i;
        self.0.set(at, start);
        self.0.set(at + 1, end);
        self.0.set(at + 2, what);
    }

    fn push(&self, entry: Entry) {
        let len = self.len();
        if len == LIST {
            return self.0.set(UNLISTED_AT, self.0.get(UNLISTED_AT).wrapping_add(entry.1.wrapping_sub(entry.0)));
        }
        self.set(len, entry);
        self.0.set(LIST_LENGTH_AT, len as u64 + 1);
    }

    /// The last entry takes its place.
    fn remove(&self, i: usize) {
        let last = self.len() - 1;
        self.set(i, self.get(last));
        self.0.set(LIST_LENGTH_AT, last as u64);
    }

    /// Adds a range that is in no entry, and joins it with those of the same use that it touches.
    pub(super) fn add(&self, start: Addr, end: Addr, what: What) {
        let mut new: Entry = (start.0 as u64, end.0 as u64, what as u64);
        let mut i = 0;
        while i < self.len() {
            let old = self.get(i);
            if old.2 == new.2 && (old.1 == new.0 || old.0 == new.1) {
                new = (old.0.min(new.0), old.1.max(new.1), new.2);
                self.remove(i);
            } else {
                i += 1;
            }
        }
        self.push(new);
    }

    /// Takes a range out of the entries that have parts of it.
    pub(super) fn take_out(&self, start: Addr, end: Addr) {
        let (start, end) = (start.0 as u64, end.0 as u64);
        let mut missing = end.saturating_sub(start);
        let mut i = 0;
        while i < self.len() {
            let old = self.get(i);
            let both = old.1.min(end).saturating_sub(old.0.max(start));
            if both == 0 {
                i += 1;
                continue;
            }
            missing = missing.saturating_sub(both);
            self.remove(i);
            for rest in [(old.0, start, old.2), (end, old.1, old.2)] {
                if rest.0 < rest.1 {
                    self.push(rest);
                }
            }
        }
        self.0.set(UNLISTED_AT, self.0.get(UNLISTED_AT).saturating_sub(missing));
    }
}
