//! Arrays in memory that a [`Backing`] provides.

use super::Backing;
use crate::units::Addr;
use core::marker::PhantomData;
use core::ops::Range;

/// The alignment of every table and of its first entries: a cache line.
const ALIGN: usize = 64;

/// A type that a [`Table`] may hold.
///
/// # Safety
///
/// Zeroed memory, suitably aligned, is a valid value, and the type has no drop glue.
pub(super) unsafe trait Record: Copy {}

// SAFETY: a zeroed `u64` is a valid `u64`.
unsafe impl Record for u64 {}

/// A reserved range of addresses from which tables are cut. The *head* at its start holds the first entries
/// of all tables side by side, so that a small heap needs one page of memory for all tables and not one for
/// each.
pub(super) struct TableSpace {
    /// The address for the next table's first entries.
    head: Addr,
    /// The address for the next table's other entries.
    rest: Addr,
}

/// The bytes that tables take of a [`TableSpace`].
#[derive(Clone, Copy)]
pub(super) struct Need {
    pub(super) head: usize,
    pub(super) rest: usize,
}

impl Need {
    /// Returns the sum of both, or `None` if it overflows.
    pub(super) fn and(self, other: Option<Need>) -> Option<Need> {
        let other = other?;
        Some(Need { head: self.head.checked_add(other.head)?, rest: self.rest.checked_add(other.rest)? })
    }
}

impl TableSpace {
    /// Reserves `need` bytes.
    pub(super) fn reserve<B: Backing>(backing: &mut B, need: Need) -> Option<TableSpace> {
        let head = backing.reserve(need.head.checked_add(need.rest)?)?;
        Some(TableSpace { head, rest: head.plus(need.head) })
    }
}

/// An array in a reserved range of addresses. Only some parts of it are readable.
///
/// All access goes through the table: a shared reference to an entry borrows the table, a mutable one borrows
/// it mutably.
pub(super) struct Table<T> {
    /// The address of entry 0, followed by `first - 1` others.
    head: Addr,
    /// Entry `i >= first` lies at `rest + i * size_of::<T>()`.
    rest: Addr,
    /// How many entries lie at `head`.
    first: usize,
    len: usize,
    entries: PhantomData<T>,
}

impl<T: Record> Table<T> {
    /// Returns a table without entries.
    pub(super) const fn empty() -> Table<T> {
        Table { head: Addr::NULL, rest: Addr::NULL, first: 0, len: 0, entries: PhantomData }
    }

    /// Returns the bytes that a table of `len` entries needs, with its first `first` entries at the head.
    pub(super) fn need(len: usize, first: usize) -> Option<Need> {
        let first = first.min(len);
        let bytes = |n: usize| n.checked_mul(size_of::<T>())?.checked_next_multiple_of(ALIGN);
        Some(Need { head: bytes(first)?, rest: bytes(len - first)? })
    }

    /// Cuts the bytes of [`Table::need`] from `space`. No entry is readable yet.
    pub(super) fn cut(space: &mut TableSpace, len: usize, first: usize) -> Option<Table<T>> {
        let need = Self::need(len, first)?;
        let first = first.min(len);
        let (head, rest) = (space.head, space.rest);
        debug_assert!(head.is_aligned(align_of::<T>()) && rest.is_aligned(align_of::<T>()));
        space.head = head.plus(need.head);
        space.rest = rest.plus(need.rest);
        Some(Table { head, rest: Addr(rest.0.wrapping_sub(first * size_of::<T>())), first, len, entries: PhantomData })
    }

    /// Returns the base of the first entries, the base of the others, and how many entries belong to the
    /// first base.
    pub(super) fn offsets(&self) -> (Addr, Addr, usize) {
        (self.head, self.rest, self.first)
    }

    /// Makes the entries of `range` readable and writable. Entries that were not ready become zero.
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

    /// Returns entry `i`.
    ///
    /// # Safety
    ///
    /// A call of [`Table::ready`] on this table that covered `i` has succeeded.
    #[inline]
    pub(super) unsafe fn get(&self, i: usize) -> &T {
        debug_assert!(i < self.len);
        // SAFETY: the caller promises that the entry was made ready. By the contract of `Backing` it is then
        // memory of this table alone, aligned and initially zero, which `Record` makes a valid value. The
        // result borrows the table.
        unsafe { &*self.at(i).ptr::<T>() }
    }

    /// Returns entry `i`, mutably.
    ///
    /// # Safety
    ///
    /// As for [`Table::get`].
    #[inline]
    pub(super) unsafe fn get_mut(&mut self, i: usize) -> &mut T {
        debug_assert!(i < self.len);
        // SAFETY: as in `get`. The table is borrowed mutably, so no other reference to an entry exists.
        unsafe { &mut *self.at(i).ptr::<T>() }
    }

    /// Returns the `N` entries from `i` up. Either all of them lie at the head or none does.
    ///
    /// # Safety
    ///
    /// As for [`Table::get`], for each of them.
    #[inline]
    pub(super) unsafe fn block<const N: usize>(&self, i: usize) -> &[T; N] {
        debug_assert!(i + N <= self.len && (i + N <= self.first || i >= self.first));
        // SAFETY: as in `get`, for each entry. They lie side by side: all at the head, or none.
        unsafe { &*self.at(i).ptr::<[T; N]>() }
    }

    /// Returns the entries of `range`. The table has no entries at the head.
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
        // SAFETY: as in `get`, for each entry. They lie side by side.
        unsafe { core::slice::from_raw_parts(self.at(range.start).ptr::<T>(), range.len()) }
    }
}
