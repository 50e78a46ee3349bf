//! What metrics are computed from.

use crate::account::{Account, ClassTotals, Snapshot};
use crate::size_class::Class;

/// What metrics are computed from: numbers only, so that another process can be handed them word by word.
#[derive(Clone, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Reading {
    /// The books.
    pub snapshot: Snapshot,
    /// Caches that were ever made.
    pub caches: u64,
    /// Contended acquisitions of all locks.
    pub contended: u64,
    /// Nanoseconds waited for them.
    pub waited: u64,
    /// Answers of the books that were stale.
    pub stale: u64,
    /// The process.
    pub pid: u64,
}

/// How many words a [`Reading`] has.
pub const WORDS: usize = size_of::<Reading>() / size_of::<u64>();

const _: () = assert!(align_of::<Reading>() <= align_of::<u64>() && size_of::<Reading>() == WORDS * size_of::<u64>());

impl Reading {
    /// The reading of empty books.
    #[allow(clippy::new_without_default, reason = "a const constructor is the only one wanted")]
    pub const fn new() -> Reading {
        Reading { snapshot: Snapshot::new(), caches: 0, contended: 0, waited: 0, stale: 0, pid: 0 }
    }

    /// The same as words, in the order of the fields.
    pub fn words(&self) -> &[u64; WORDS] {
        // SAFETY: the fields are arrays and numbers of eight bytes each, without a gap, as the size says.
        unsafe { &*core::ptr::from_ref(self).cast() }
    }

    /// The same as words, to be written.
    pub fn words_mut(&mut self) -> &mut [u64; WORDS] {
        // SAFETY: as in `words`; any bits are a number.
        unsafe { &mut *core::ptr::from_mut(self).cast() }
    }

    /// The reading that the words say, which are those of [`Reading::words`], to be written where they are.
    pub fn in_words(words: &mut [u64; WORDS]) -> &mut Reading {
        // SAFETY: as in `words_mut`.
        unsafe { &mut *core::ptr::from_mut(words).cast() }
    }

    pub(super) fn account(&self, account: Account) -> i64 {
        self.snapshot.account(account)
    }

    pub(super) fn class_sum(&self, f: impl Fn(&ClassTotals, Class) -> i64) -> i64 {
        self.snapshot.classes().map(|(class, c)| f(&c, class)).sum()
    }
}
