//! Writes readings to the stats page: from slow paths at a bounded rate, and after every reading in the process.

use core::ptr::from_ref;
use core::sync::atomic::Ordering;

use super::Allocator;
use crate::metrics::{FORMAT, Reading, WORDS};
use crate::options::StatsPageOption;
use crate::os::Os;
use crate::stats::{Account, Answer, Delta};
use crate::stats_page::ReadSlot;
use crate::stats_page::view::Mapping;

const _: () = assert!(WORDS <= crate::stats_page::layout::READING_MAX, "a stats page has space for a reading");

impl<O: Os> Allocator<O> {
    /// Sets the option for the stats page. Has an effect only before the first allocation.
    pub fn set_stats_page(&self, wanted: StatsPageOption) {
        self.stats_page.store(wanted.to_word(), Ordering::Relaxed);
    }

    /// Creates the stats page, or takes over an existing one. Under the boot lock.
    pub(super) fn open_stats_page(&self) {
        self.vm().open_stats_page(FORMAT, StatsPageOption::from_word(self.stats_page.load(Ordering::Relaxed)));
    }

    /// Returns the bytes of the stats page and its control words, or 0 if there is no page.
    pub fn stats_page_size(&self) -> usize {
        self.stats_page().size(self.os())
    }

    /// Returns an entry of the list of mappings; see `StatsPage::mapping`.
    pub fn mapping(&self, i: usize) -> Option<Mapping> {
        self.stats_page().mapping(i)
    }

    /// Accounts for the stats page, and registers the function that writes readings there. Under the boot lock, once.
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
        // SAFETY: a started allocator does not move, and the function is called with this one.
        unsafe { self.stats_page().set_refresh((from_ref(self).cast(), refresh::<O>)) };
    }

    /// Corrects the account of the stats page in the child of a fork, which may have no page.
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

    /// Writes the last snapshot that was read in this process to the stats page.
    pub(super) fn leave_reading(&self) {
        let Some(mut slot) = self.stats_page().slot(self.os()) else { return };
        slot.begin();
        let Some(reading) = reading_in(&mut slot) else { return };
        // If the reader got no snapshot, or an old one, a slow path writes the next reading.
        if let Answer::Stale { nanos } = self.stats().last(&mut reading.snapshot) {
            self.publish(slot, O::now().saturating_sub(nanos), false);
        }
    }

    /// Completes the draft, which has its snapshot, and makes it the last reading.
    fn publish(&self, mut slot: ReadSlot<'_, O>, taken: u64, paid: bool) {
        let process = slot.process();
        if let Some(reading) = reading_in(&mut slot) {
            self.fill_for_others(taken, process, reading);
            slot.publish(taken, paid);
        }
    }
}

/// Returns the draft as a reading.
fn reading_in<'a, O: Os>(slot: &'a mut ReadSlot<'_, O>) -> Option<&'a mut Reading> {
    slot.draft().first_chunk_mut().map(Reading::in_words)
}

/// Writes a reading of the allocator at `allocator` if one is due. Slow paths call it.
///
/// # Safety
/// `allocator` points to an `Allocator<O>` that does not move.
unsafe fn refresh<O: Os>(allocator: *const (), early: bool) {
    // SAFETY: the caller's promise.
    unsafe { &*allocator.cast::<Allocator<O>>() }.refresh_stats_page(early);
}
