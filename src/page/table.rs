//! Tables in memory that somebody else provides.

use super::Backing;
use crate::units::Addr;
use core::marker::PhantomData;
use core::ops::Range;

/// What may stand in a [`Table`].
///
/// # Safety
///
/// Zeroed memory, suitably aligned, is a valid value, and the type has no drop glue.
pub(super) unsafe trait Record: Copy {}

// SAFETY: zero is a `u64`.
unsafe impl Record for u64 {}

/// An array in a reserved range of addresses of which only some parts are readable.
///
/// The table is the only way to its memory: a shared reference to an entry borrows
/// the table, a mutable one borrows it mutably.
pub(super) struct Table<T> {
    base: Addr,
    len: usize,
    entries: PhantomData<T>,
}

impl<T: Record> Table<T> {
    /// A table without entries.
    pub(super) const fn empty() -> Table<T> {
        Table { base: Addr::NULL, len: 0, entries: PhantomData }
    }

    /// Reserves addresses for `len` entries, none of them readable yet.
    pub(super) fn reserve<B: Backing>(backing: &mut B, len: usize) -> Option<Table<T>> {
        let base = backing.reserve(len.checked_mul(size_of::<T>())?)?;
        debug_assert!(base.is_aligned(align_of::<T>()));
        Some(Table { base, len, entries: PhantomData })
    }

    /// Makes the entries `range` readable and writable; those that were not are zero.
    pub(super) fn ready<B: Backing>(&self, backing: &mut B, range: Range<usize>) -> Result<(), B::Error> {
        debug_assert!(range.end <= self.len);
        if range.is_empty() {
            return Ok(());
        }
        backing.ready(self.at(range.start), range.len() * size_of::<T>())
    }

    #[inline]
    fn at(&self, i: usize) -> Addr {
        self.base.plus(i * size_of::<T>())
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

    /// The `N` entries from `i` up.
    ///
    /// # Safety
    ///
    /// As for [`Table::get`], for each of them.
    #[inline]
    pub(super) unsafe fn block<const N: usize>(&self, i: usize) -> &[T; N] {
        debug_assert!(i + N <= self.len);
        // SAFETY: as in `get`, for each entry; they lie side by side in one reservation.
        unsafe { &*self.at(i).ptr::<[T; N]>() }
    }

    /// The entries `range`.
    ///
    /// # Safety
    ///
    /// As for [`Table::get`], for each of them.
    #[inline]
    pub(super) unsafe fn slice(&self, range: Range<usize>) -> &[T] {
        debug_assert!(range.start <= range.end && range.end <= self.len);
        if range.is_empty() {
            return &[];
        }
        // SAFETY: as in `get`, for each entry; they lie side by side in one reservation.
        unsafe { core::slice::from_raw_parts(self.at(range.start).ptr::<T>(), range.len()) }
    }
}
