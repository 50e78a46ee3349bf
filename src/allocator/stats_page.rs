//! What the kernel writes to its ledger page: readings, from slow paths at a bounded rate, and from every reader.

use core::ptr::from_ref;
use core::sync::atomic::Ordering;

use super::Allocator;
use crate::metrics::{FORMAT, Reading, WORDS};
use crate::options::StatsPageOption;
use crate::os::Os;
use crate::stats::{Account, Answer, Delta};
use crate::stats_page::ReadSlot;
use crate::stats_page::view::Mapping;

const _: () = assert!(WORDS <= crate::stats_page::layout::READING_MAX, "a ledger page has room for a reading");

impl<O: Os> Allocator<O> {
    /// Says what becomes of the ledger page, before the first allocation: later it changes nothing.
    pub fn set_stats_page(&self, wanted: StatsPageOption) {
        self.stats_page.store(wanted.to_word(), Ordering::Relaxed);
    }

    /// Makes the ledger page, or takes it over. Under the boot lock.
    pub(super) fn open_stats_page(&self) {
        self.vm().open_stats_page(FORMAT, StatsPageOption::from_word(self.stats_page.load(Ordering::Relaxed)));
    }

    /// Bytes of the ledger page and its control words; 0: there is none.
    pub fn stats_page_size(&self) -> usize {
        self.stats_page().size(self.os())
    }

    /// An entry of the list of mappings; see `StatsPage::mapping`.
    pub fn mapping(&self, i: usize) -> Option<Mapping> {
        self.stats_page().mapping(i)
    }

    /// Accounts for the ledger page, and says what writes readings there. Under the boot lock, once.
    pub(super) fn start_stats_page(&self) {
        if self.stats_page().size(self.os()) == 0 {
            return;
        }
        self.caches.with_shared(|cache| {
            let mut delta = Delta::new();
            self.vm().account_stats_page(&mut delta);
            self.stats().post(cache.writer(), &delta);
        });
        self.stats_page().set_offsets(&self.offsets().words());
        // SAFETY: a kernel stays where it is once it has started, and is called with itself.
        unsafe { self.stats_page().set_refresh((from_ref(self).cast(), refresh::<O>)) };
    }

    /// In the child of a fork, which may have got no ledger page: accounts for that.
    pub(super) fn stats_page_after_fork(&self) {
        if !self.is_ready() || self.stats_page().size(self.os()) == self.heap.accounts().get(Account::LedgerSys) {
            return;
        }
        self.caches.with_shared(|cache| {
            let mut delta = Delta::new();
            self.vm().settle_stats_page(&mut delta);
            self.stats().post(cache.writer(), &delta);
        });
    }

    /// Writes a reading if one is due or wanted, or may come `early`, and no other thread reads.
    fn refresh_stats_page(&self, early: bool) {
        let Some(mut slot) = self.stats_page().slot(self.os()) else { return };
        if !slot.is_due(early) {
            return;
        }
        slot.begin();
        let Some(reading) = reading_in(&mut slot) else { return };
        if self.stats().try_read(self.os(), &mut reading.snapshot) {
            self.publish(slot, O::now(), true);
        } else {
            slot.retry_later();
        }
    }

    /// Leaves what a reader of this process's found last on the ledger page.
    pub(super) fn leave_reading(&self) {
        let Some(mut slot) = self.stats_page().slot(self.os()) else { return };
        slot.begin();
        let Some(reading) = reading_in(&mut slot) else { return };
        // A reader that was told nothing, or an old snapshot, leaves that to be written by a slow path.
        if let Answer::Stale { nanos } = self.stats().last(&mut reading.snapshot) {
            self.publish(slot, O::now().saturating_sub(nanos), false);
        }
    }

    /// Completes the draft, whose snapshot is there, and makes it the last reading.
    fn publish(&self, mut slot: ReadSlot<'_, O>, taken: u64, paid: bool) {
        let process = slot.process();
        if let Some(reading) = reading_in(&mut slot) {
            self.fill_for_others(taken, process, reading);
            slot.publish(taken, paid);
        }
    }
}

/// The draft, as a reading.
fn reading_in<'a, O: Os>(slot: &'a mut ReadSlot<'_, O>) -> Option<&'a mut Reading> {
    slot.draft().first_chunk_mut().map(Reading::in_words)
}

/// Has a slow path of the kernel at `allocator` write a reading if one is due.
///
/// # Safety
/// It points to a kernel that stays.
unsafe fn refresh<O: Os>(allocator: *const (), early: bool) {
    // SAFETY: the caller's promise.
    unsafe { &*allocator.cast::<Allocator<O>>() }.refresh_stats_page(early);
}
