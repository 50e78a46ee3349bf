//! Tables in memory that somebody else provides.

use super::Backing;
use crate::units::Addr;
use core::marker::PhantomData;
use core::ops::Range;

/// What every table and its first entries are aligned to: a cache line.
const ALIGN: usize = 64;

/// What may stand in a [`Table`].
///
/// # Safety
///
/// Zeroed memory, suitably aligned, is a valid value, and the type has no drop glue.
pub(super) unsafe trait Record: Copy {}

// SAFETY: zero is a `u64`.
unsafe impl Record for u64 {}

/// A reserved range of addresses from which tables are cut. The first entries of all of
/// them lie side by side at its start: a small heap, which has no others, needs one page
/// of memory for them and not one for each table.
pub(super) struct Ground {
    /// Where the next table's first entries go.
    head: Addr,
    /// Where its others go.
    rest: Addr,
}

/// How many bytes of a [`Ground`] tables take.
#[derive(Clone, Copy)]
pub(super) struct Need {
    pub(super) head: usize,
    pub(super) rest: usize,
}

impl Need {
    /// What both need, if that is a number of bytes.
    pub(super) fn and(self, other: Option<Need>) -> Option<Need> {
        let other = other?;
        Some(Need { head: self.head.checked_add(other.head)?, rest: self.rest.checked_add(other.rest)? })
    }
}

impl Ground {
    /// Reserves what tables need.
    pub(super) fn reserve<B: Backing>(backing: &mut B, need: Need) -> Option<Ground> {
        let head = backing.reserve(need.head.checked_add(need.rest)?)?;
        Some(Ground { head, rest: head.plus(need.head) })
    }
}

/// An array in a reserved range of addresses of which only some parts are readable.
///
/// The table is the only way to its memory: a shared reference to an entry borrows
/// the table, a mutable one borrows it mutably.
pub(super) struct Table<T> {
    /// The entry 0, which is followed by `first - 1` others.
    head: Addr,
    /// Where the entry 0 would lie if the others stood before the entry `first`.
    rest: Addr,
    /// How many entries stand in the head.
    first: usize,
    len: usize,
    entries: PhantomData<T>,
}

impl<T: Record> Table<T> {
    /// A table without entries.
    pub(super) const fn empty() -> Table<T> {
        Table { head: Addr::NULL, rest: Addr::NULL, first: 0, len: 0, entries: PhantomData }
    }

    /// What a table of `len` entries needs, the first `first` of them in the head.
    pub(super) fn need(len: usize, first: usize) -> Option<Need> {
        let first = first.min(len);
        let bytes = |n: usize| n.checked_mul(size_of::<T>())?.checked_next_multiple_of(ALIGN);
        Some(Need { head: bytes(first)?, rest: bytes(len - first)? })
    }

    /// Cuts what [`Table::need`] says from `ground`; no entry is readable yet.
    pub(super) fn cut(ground: &mut Ground, len: usize, first: usize) -> Option<Table<T>> {
        let need = Self::need(len, first)?;
        let first = first.min(len);
        let (head, rest) = (ground.head, ground.rest);
        debug_assert!(head.is_aligned(align_of::<T>()) && rest.is_aligned(align_of::<T>()));
        ground.head = head.plus(need.head);
        ground.rest = rest.plus(need.rest);
        Some(Table { head, rest: Addr(rest.0.wrapping_sub(first * size_of::<T>())), first, len, entries: PhantomData })
    }

    /// Where it lies: the address of entry 0, where that would lie if all stood beside those behind the head, and how many
    /// stand in the head.
    pub(super) fn offsets(&self) -> (Addr, Addr, usize) {
        (self.head, self.rest, self.first)
    }

    /// Makes the entries `range` readable and writable; those that were not are zero.
    pub(super) fn ready<B: Backing>(&self, backing: &mut B, range: Range<usize>) -> Result<(), B::Error> {
        debug_assert!(range.end <= self.len);
        for part in [range.start..range.end.min(self.first), range.start.max(self.first)..range.end] {
            if !part.is_empty() {
                backing.ready(self.at(part.start), part.len() * size_of::<T>())?;
            }
        }
        Ok(())
    }

    #[inline]
    pub(super) fn at(&self, i: usize) -> Addr {
        let base = if i < self.first { self.head } else { self.rest };
        Addr(base.0.wrapping_add(i * size_of::<T>()))
    }

    /// The entry `i`.
    ///
    /// # Safety
    ///
    /// A call of [`Table::ready`] on this table that covered `i` has succeeded.
    #[inline]
    pub(super) unsafe fn get(&self, i: usize) -> &T {
        debug_assert!(i < self.len);
        // SAFETY: by the caller's word the entry was made ready, so by the contract of
        // `Backing` it is memory of this table alone, aligned, and began as zeros, which
        // `Record` makes a value; the result borrows the table.
        unsafe { &*self.at(i).ptr::<T>() }
    }

    /// The entry `i`, to change it.
    ///
    /// # Safety
    ///
    /// As for [`Table::get`].
    #[inline]
    pub(super) unsafe fn get_mut(&mut self, i: usize) -> &mut T {
        debug_assert!(i < self.len);
        // SAFETY: as in `get`; the table is borrowed mutably, so no other reference to an
        // entry lives.
        unsafe { &mut *self.at(i).ptr::<T>() }
    }

    /// The `N` entries from `i` up, in the head or none of them.
    ///
    /// # Safety
    ///
    /// As for [`Table::get`], for each of them.
    #[inline]
    pub(super) unsafe fn block<const N: usize>(&self, i: usize) -> &[T; N] {
        debug_assert!(i + N <= self.len && (i + N <= self.first || i >= self.first));
        // SAFETY: as in `get`, for each entry; they lie side by side, all in the head or none.
        unsafe { &*self.at(i).ptr::<[T; N]>() }
    }

    /// The entries `range`, of a table that has none in the head.
    ///
    /// # Safety
    ///
    /// As for [`Table::get`], for each of them.
    #[inline]
    pub(super) unsafe fn slice(&self, range: Range<usize>) -> &[T] {
        debug_assert!(range.start <= range.end && range.end <= self.len && self.first == 0);
        if range.is_empty() {
            return &[];
        }
        // SAFETY: as in `get`, for each entry; they lie side by side.
        unsafe { core::slice::from_raw_parts(self.at(range.start).ptr::<T>(), range.len()) }
    }
}
