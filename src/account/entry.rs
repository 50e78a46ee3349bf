//! An entry: movements that belong together and become visible together.

use super::accounts::{ACCOUNTS, Account};
use crate::size_class::Class;

/// A running total of the consistent statistics, in bytes unless said otherwise. The first
/// [`ACCOUNTS`] mirror the accounts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Total {
    /// Bytes obtained from the system and not given back.
    TotalMapped = ACCOUNTS as u8,
    /// Bytes in state Ready.
    MappedReady,
    /// Pages of the page heap that are Ready: in use or free.
    Committed,
    /// Pages of the page heap that are Prepared.
    Released,
    /// Pages of spans that hold objects.
    InHeap,
    /// Cumulative bytes of large objects allocated, in whole pages.
    LargeAllocBytes,
    /// Cumulative number of large objects allocated.
    LargeAllocs,
    /// Cumulative bytes of large objects freed, in whole pages.
    LargeFreeBytes,
    /// Cumulative number of large objects freed.
    LargeFrees,
}

/// How many totals there are.
pub const TOTALS: usize = Total::LargeFrees as usize + 1;

impl Total {
    /// The index of the total that mirrors `account`.
    pub const fn of(account: Account) -> usize {
        account as usize
    }
}

impl From<Total> for usize {
    fn from(t: Total) -> usize {
        t as usize
    }
}

/// What happened to one class, to be posted with an entry or alone.
#[derive(Clone, Copy, Default, Debug)]
pub struct ClassEntry {
    /// Objects allocated.
    pub allocs: usize,
    /// Objects freed by the owner of their span.
    pub frees: usize,
    /// Objects freed by a thread that does not own their span.
    pub sent: usize,
    /// Of those, objects that came home.
    pub received: usize,
    /// Bytes of spans gained or lost.
    pub span_bytes: isize,
}

/// Movements that a snapshot shows all or none of.
pub struct Entry {
    pub(super) totals: [isize; TOTALS],
    pub(super) class: Option<(Class, ClassEntry)>,
}

impl Entry {
    /// An entry without movements.
    #[allow(clippy::new_without_default, reason = "an empty entry is made where it is filled")]
    pub const fn new() -> Entry {
        Entry { totals: [0; TOTALS], class: None }
    }

    /// Adds `n` to a total.
    #[inline]
    pub fn add(&mut self, total: impl Into<usize>, n: isize) {
        self.totals[total.into()] += n;
    }

    /// Adds span bytes of `class`. One entry speaks of one class at the most.
    pub fn span_bytes(&mut self, class: Class, n: isize) {
        debug_assert!(self.class.is_none_or(|(c, _)| c == class));
        let mut e = self.class.map_or(ClassEntry::default(), |(_, e)| e);
        e.span_bytes += n;
        self.class = Some((class, e));
    }

    /// Whether there is anything to post.
    pub fn is_empty(&self) -> bool {
        self.class.is_none() && self.totals.iter().all(|&n| n == 0)
    }
}
