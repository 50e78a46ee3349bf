//! The list of mappings on a page. One writer at a time; a reader compares the sequence before and after.

use core::sync::atomic::{Ordering, fence};

use super::layout::{LIST, LIST_AT, LIST_CHANGES_AT, LIST_LENGTH_AT, MappingKind, UNLISTED_AT};
use super::page::Page;
use crate::units::Addr;

/// A range of addresses, and the number of its [`MappingKind`].
type Delta = (u64, u64, u64);

/// The list, for its current writer.
pub(super) struct List<'a>(&'a Page);

impl Drop for List<'_> {
    fn drop(&mut self) {
        let changes = self.0.get(LIST_CHANGES_AT);
        // Release: a reader that sees the even sequence also sees the entries.
        self.0.word(LIST_CHANGES_AT).store(changes.wrapping_add(1) & !1, Ordering::Release);
    }
}

impl<'a> List<'a> {
    /// Starts a change, which ends when the result is dropped.
    pub(super) fn change(page: &'a Page) -> List<'a> {
        page.set(LIST_CHANGES_AT, page.get(LIST_CHANGES_AT) | 1);
        // Release: a reader that sees a changed entry also sees the odd sequence.
        fence(Ordering::Release);
        List(page)
    }

    fn len(&self) -> usize {
        // Another process with write access may have changed the length to any value.
        (self.0.get(LIST_LENGTH_AT) as usize).min(LIST)
    }

    fn get(&self, i: usize) -> Delta {
        let at = LIST_AT + 3 * i;
        (self.0.get(at), self.0.get(at + 1), self.0.get(at + 2))
    }

    fn set(&self, i: usize, (start, end, what): Delta) {
        let at = LIST_AT + 3 * i;
        self.0.set(at, start);
        self.0.set(at + 1, end);
        self.0.set(at + 2, what);
    }

    fn push(&self, entry: Delta) {
        let len = self.len();
        if len == LIST {
            return self.0.set(UNLISTED_AT, self.0.get(UNLISTED_AT).wrapping_add(entry.1.wrapping_sub(entry.0)));
        }
        self.set(len, entry);
        self.0.set(LIST_LENGTH_AT, len as u64 + 1);
    }

    /// Removes entry `i`; the last entry takes its place.
    fn remove(&self, i: usize) {
        // Another process with write access may have changed the length since.
        let Some(last) = self.len().checked_sub(1) else { return };
        self.set(i, self.get(last));
        self.0.set(LIST_LENGTH_AT, last as u64);
    }

    /// Adds a range that overlaps no entry, and joins it with the entries of the same kind that it touches.
    pub(super) fn add(&self, start: Addr, end: Addr, what: MappingKind) {
        let mut new: Delta = (start.0 as u64, end.0 as u64, what as u64);
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

    /// Removes a range from the entries that contain parts of it.
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::vec::Vec;

    use super::super::layout::SIZE;
    use super::super::view::{Mapping, mappings};
    use super::*;
    use crate::stats_page::page::page;

    /// Returns the list as a reader finds it, in order of address.
    fn read(page: &Page) -> (Vec<(u64, u64, u64)>, u64) {
        let mut all = [Mapping { start: 0, end: 0, what: 0 }; LIST];
        let (len, unlisted) = mappings(page, &mut all).expect("the list does not change");
        let mut list: Vec<_> = all[..len].iter().map(|m| (m.start, m.end, m.what)).collect();
        list.sort_unstable();
        (list, unlisted)
    }

    #[test]
    fn ranges_are_joined_and_split_as_in_a_plain_model() {
        let page = page();
        // Maps the number of a block to its kind.
        let mut model: BTreeMap<usize, MappingKind> = BTreeMap::new();
        let mut seed = 1_u64;
        let mut random = |n: usize| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (seed >> 33) as usize % n
        };
        for _ in 0..20_000 {
            let (from, len) = (random(100), random(8) + 1);
            let range = from..from + len;
            let at = |block: usize| Addr(block * SIZE);
            if range.clone().all(|block| !model.contains_key(&block)) {
                let what = [MappingKind::Heap, MappingKind::Spans, MappingKind::Caches][random(3)];
                List::change(&page).add(at(range.start), at(range.end), what);
                model.extend(range.map(|block| (block, what)));
            } else if range.clone().all(|block| model.contains_key(&block)) {
                List::change(&page).take_out(at(range.start), at(range.end));
                model.retain(|block, _| !range.contains(block));
            }
            let mut expected: Vec<(u64, u64, u64)> = Vec::new();
            for (&block, &what) in &model {
                let (start, end, what) = ((block * SIZE) as u64, ((block + 1) * SIZE) as u64, what as u64);
                match expected.last_mut() {
                    Some(last) if last.1 == start && last.2 == what => last.1 = end,
                    _ => expected.push((start, end, what)),
                }
            }
            assert_eq!(read(&page), (expected, 0));
        }
    }

    #[test]
    fn ranges_that_do_not_fit_are_counted() {
        let page = page();
        let at = |i: usize| Addr((2 * i + 1) * SIZE);
        for i in 0..LIST + 10 {
            List::change(&page).add(at(i), at(i).plus(SIZE), MappingKind::Spans);
        }
        let (list, unlisted) = read(&page);
        assert_eq!((list.len(), unlisted), (LIST, 10 * SIZE as u64));
        List::change(&page).take_out(at(LIST + 3), at(LIST + 3).plus(SIZE));
        assert_eq!(read(&page).1, 9 * SIZE as u64);
        List::change(&page).take_out(at(0), at(0).plus(SIZE));
        let (list, unlisted) = read(&page);
        assert_eq!((list.len(), unlisted), (LIST - 1, 9 * SIZE as u64));
    }

    #[test]
    fn a_list_under_change_is_not_read() {
        let page = page();
        let list = List::change(&page);
        list.add(Addr(SIZE), Addr(2 * SIZE), MappingKind::Heap);
        let mut all = [Mapping { start: 0, end: 0, what: 0 }; LIST];
        assert_eq!(mappings(&*page, &mut all), None);
        drop(list);
        assert_eq!(mappings(&*page, &mut all).map(|(len, _)| len), Some(1));
    }
}
