//! What the kernel writes to its ledger page: readings, from slow paths at a bounded rate, and from every reader.

use core::ptr::from_ref;
use core::sync::atomic::Ordering;

use super::Kernel;
use crate::account::{Account, Answer, Entry};
use crate::ledger::view::Mapping;
use crate::ledger::{Ledger, Turn};
use crate::metrics::{FORMAT, Reading, WORDS};
use crate::options::StatsPage;
use crate::os::Os;

const _: () = assert!(WORDS <= crate::ledger::layout::READING_MAX, "a ledger page has room for a reading");

impl<O: Os> Kernel<O> {
    /// The ledger page, and the list of mappings on it.
    pub fn ledger(&self) -> &Ledger<O> {
        self.vm().ledger()
    }

    /// Says what becomes of the ledger page, before the first allocation: later it changes nothing.
    pub fn set_stats_page(&self, wanted: StatsPage) {
        self.stats_page.store(wanted.to_word(), Ordering::Relaxed);
    }

    /// Makes the ledger page, or takes it over. Under the boot lock.
    pub(super) fn open_ledger(&self) {
        self.vm().open_ledger(FORMAT, StatsPage::from_word(self.stats_page.load(Ordering::Relaxed)));
    }

    /// Bytes of the ledger page and its control words; 0: there is none.
    pub fn ledger_size(&self) -> usize {
        self.ledger().size(self.os())
    }

    /// An entry of the list of mappings; see [`Ledger::mapping`].
    pub fn mapping(&self, i: usize) -> Option<Mapping> {
        self.ledger().mapping(i)
    }

    /// Accounts for the ledger page, and says what writes readings there. Under the boot lock, once.
    pub(super) fn begin_ledger(&self) {
        if self.ledger().size(self.os()) == 0 {
            return;
        }
        self.caches.with_shared(|cache| {
            let mut entry = Entry::new();
            self.vm().account_ledger(&mut entry);
            self.caches.central().heap().books().post(cache.writer(), &entry);
        });
        self.ledger().set_places(&self.places().words());
        // SAFETY: a kernel stays where it is once it has started, and is called with itself.
        unsafe { self.ledger().set_refresh((from_ref(self).cast(), refresh::<O>)) };
    }

    /// In the child of a fork, which may have got no ledger page: accounts for that.
    pub(super) fn ledger_after_fork(&self) {
        if !self.is_ready() || self.ledger().size(self.os()) == self.vm().accounts().get(Account::LedgerSys) {
            return;
        }
        self.caches.with_shared(|cache| {
            let mut entry = Entry::new();
            self.vm().settle_ledger(&mut entry);
            self.caches.central().heap().books().post(cache.writer(), &entry);
        });
    }

    /// Writes a reading if one is due or wanted, or may come `early`, and nobody else reads.
    fn refresh_ledger(&self, early: bool) {
        let Some(mut turn) = self.ledger().turn(self.os()) else { return };
        if !turn.is_due(early) {
            return;
        }
        turn.begin();
        let heap = self.caches.central().heap();
        let Some(reading) = reading_in(&mut turn) else { return };
        if heap.books().try_read(self.os(), &mut reading.snapshot) {
            self.publish(turn, O::now(), true);
        } else {
            turn.look_later();
        }
    }

    /// Leaves what a reader of this process's found last on the ledger page.
    pub(super) fn leave_reading(&self) {
        let Some(mut turn) = self.ledger().turn(self.os()) else { return };
        turn.begin();
        let Some(reading) = reading_in(&mut turn) else { return };
        // A reader that was told nothing, or an old snapshot, leaves that to be written by a slow path.
        if let Answer::Stale { nanos } = self.caches.central().heap().books().last(&mut reading.snapshot) {
            self.publish(turn, O::now().saturating_sub(nanos), false);
        }
    }

    /// Completes the draft, whose snapshot is there, and makes it the last reading.
    fn publish(&self, mut turn: Turn<'_, O>, taken: u64, paid: bool) {
        let process = turn.process();
        if let Some(reading) = reading_in(&mut turn) {
            self.fill_for_others(taken, process, reading);
            turn.publish(taken, paid);
        }
    }
}

/// The draft, as a reading.
fn reading_in<'a, O: Os>(turn: &'a mut Turn<'_, O>) -> Option<&'a mut Reading> {
    turn.draft().first_chunk_mut().map(Reading::in_words)
}

/// Has a slow path of the kernel at `kernel` write a reading if one is due.
///
/// # Safety
/// It points to a kernel that stays.
unsafe fn refresh<O: Os>(kernel: *const (), early: bool) {
    // SAFETY: the caller's promise.
    unsafe { &*kernel.cast::<Kernel<O>>() }.refresh_ledger(early);
}
