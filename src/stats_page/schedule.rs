//! Writing a reading, and the time of the next one.

use core::sync::atomic::{AtomicU64, Ordering, fence};

use super::carrier::Control;
use super::layout::*;
use super::page::Page;
use crate::arch;
use crate::lock::Guard;
use crate::os::Os;

/// A time of the next poll further away than this, in ticks, is invalid: the time-stamp counter was set back.
pub(super) const FAR: u64 = 1 << 36;
/// The time between two readings of slow paths, as a multiple of the time that a reading takes. So readings cost 0.05 %
/// of one CPU, independent of the number of threads.
const DUTY: u64 = 2_000;
/// The number of readings that may come earlier, because many processes finish soon after they start.
const FIRST: u64 = 3;
/// The number of polls between two readings, at which a request of a reader is seen.
const POLLS: u64 = 10;
/// The assumed time of a reading before the first, in ticks: about ten microseconds.
const USUAL: u64 = 1 << 15;
/// The minimum time between two readings, in ticks: some hundred microseconds.
const LEAST: u64 = 1_000_000;

/// The state that the lock of readings protects.
pub(super) struct Schedule {
    /// When the next reading is due, in ticks.
    due: u64,
    /// The time between two readings, in ticks.
    period: u64,
    /// The time that a reading takes, in ticks. A thread may be preempted while it writes one, so a new value is at
    /// most twice the previous one.
    usual: u64,
}

impl Schedule {
    pub(super) const fn new() -> Schedule {
        Schedule { due: 0, period: 0, usual: 0 }
    }
}

/// The right to write a reading.
pub struct ReadSlot<'a, O: Os> {
    next: &'a AtomicU64,
    page: &'a Page,
    control: &'a Control,
    schedule: Guard<'a, O, Schedule>,
    began: u64,
}

impl<'a, O: Os> ReadSlot<'a, O> {
    pub(super) fn new(
        next: &'a AtomicU64,
        (page, control): (&'a Page, &'a Control),
        schedule: Guard<'a, O, Schedule>,
        began: u64,
    ) -> ReadSlot<'a, O> {
        ReadSlot { next, page, control, schedule, began }
    }

    /// Returns whether a reading is due, or wanted by another process, or one of the first, which may come `early`. If
    /// not, schedules the next poll.
    pub fn is_due(&self, early: bool) -> bool {
        let wanted = self.control.get(REFRESH_WANTED_AT) != self.page.get(REFRESH_ANSWERED_AT);
        let due = self.schedule.due.wrapping_sub(self.began).wrapping_sub(1) >= FAR;
        let none = self.page.get(COMPLETE_AT) == 0;
        let early = early && self.page.get(SPENT_READINGS_AT) < FIRST;
        if !(wanted || due || none || early) {
            self.retry_later();
        }
        wanted || due || none || early
    }

    /// Schedules the next poll, a tenth of the period from now.
    pub fn retry_later(&self) {
        self.next.store(arch::ticks().wrapping_add(self.schedule.period / POLLS), Ordering::Relaxed);
    }

    /// Returns the process that owns the page.
    pub fn process(&self) -> i32 {
        self.page.get(PROCESS_AT) as i32
    }

    /// Starts a reading, which serves the requests made before.
    pub fn begin(&self) {
        self.page.set(REFRESH_ANSWERED_AT, self.control.get(REFRESH_WANTED_AT));
        self.page.set(BEGUN_AT, self.page.get(COMPLETE_AT).wrapping_add(1));
        // A reader that sees a word of this reading also sees that it was started. SeqCst, because the words are not
        // atomics: no access moves over the fence in either direction.
        fence(Ordering::SeqCst);
    }

    /// Returns the words of the older copy, to be filled after [`ReadSlot::begin`]. Readers use them after
    /// [`ReadSlot::publish`].
    pub fn draft(&mut self) -> &mut [u64; READING_MAX] {
        let number = self.page.get(COMPLETE_AT).wrapping_add(1);
        let words = self.page.words[copy_of(number) + READING..].as_ptr().cast_mut();
        // SAFETY: these are `READING_MAX` words of a copy, which end within the page. In this process only the holder
        // of the lock touches them. Another process that reads them checks the sequence afterwards.
        unsafe { &mut *words.cast() }
    }

    /// Makes the draft the last reading, with the snapshot's time `taken`. If a slow path wrote it (`paid`), the next
    /// one is due after two thousand times the time that it took.
    pub fn publish(mut self, taken: u64, paid: bool) {
        let number = self.page.get(COMPLETE_AT).wrapping_add(1);
        let copy = copy_of(number);
        self.page.set(copy + TAKEN, taken);
        self.page.set(copy + IMAGE, self.page.get(IMAGES_AT));
        fence(Ordering::SeqCst);
        self.page.word(COMPLETE_AT).store(number, Ordering::Release);
        let now = arch::ticks();
        if paid {
            let (took, readings) = (now.wrapping_sub(self.began), self.page.get(SPENT_READINGS_AT).wrapping_add(1));
            self.page.set(SPENT_AT, self.page.get(SPENT_AT).wrapping_add(took));
            self.page.set(SPENT_READINGS_AT, readings);
            self.schedule.usual = took.min(2 * self.schedule.usual.max(USUAL));
            self.schedule.period = (self.schedule.usual * DUTY).max(LEAST);
        }
        self.schedule.due = now.wrapping_add(self.schedule.period);
        self.retry_later();
    }
}
