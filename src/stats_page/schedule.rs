//! Writing a reading, and when the next is due.

use core::sync::atomic::{AtomicU64, Ordering, fence};

use super::Page;
use super::carrier::Control;
use super::layout::*;
use crate::arch;
use crate::lock::Guard;
use crate::os::Os;

/// The time between two readings of slow paths, in what the last one took: half a thousandth of one CPU goes there,
/// however many threads there are.
const DUTY: u64 = 2_000;
/// So many readings may come earlier, because many processes do all they ever do when they start.
const FIRST: u64 = 3;
/// How many looks there are between two readings: that often somebody who asks for one may get it.
const POLLS: u64 = 10;
/// What a reading is thought to take before there was one, in ticks: some ten microseconds.
const USUAL: u64 = 1 << 15;
/// The least time between two readings, in ticks: some hundreds of microseconds.
const LEAST: u64 = 1_000_000;

/// What the lock of readings protects.
pub(super) struct Schedule {
    /// When the next reading is due, in ticks.
    due: u64,
    /// The time between two, in ticks.
    period: u64,
    /// What one takes, in ticks, as far as is known: a thread may lose its CPU while it writes one, so one that took long
    /// is taken for twice as long as others at the most.
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

    /// Whether a reading is due, or wanted by a reader outside, or one of the first, which may come `early`. If not, the
    /// next look is a while off.
    pub fn is_due(&self, early: bool) -> bool {
        let wanted = self.control.get(REFRESH_WANTED_AT) != self.page.get(REFRESH_ANSWERED_AT);
        let due = self.schedule.due.wrapping_sub(self.began).wrapping_sub(1) >= super::FAR;
        let none = self.page.get(COMPLETE_AT) == 0;
        let early = early && self.page.get(SPENT_READINGS_AT) < FIRST;
        if !(wanted || due || none || early) {
            self.retry_later();
        }
        wanted || due || none || early
    }

    /// The next look is a while off.
    pub fn retry_later(&self) {
        self.next.store(arch::ticks().wrapping_add(self.schedule.period / POLLS), Ordering::Relaxed);
    }

    /// The process whose page it is.
    pub fn process(&self) -> i32 {
        self.page.get(PROCESS_AT) as i32
    }

    /// Begins a reading: whoever asked for one before gets it.
    pub fn begin(&self) {
        self.page.set(REFRESH_ANSWERED_AT, self.control.get(REFRESH_WANTED_AT));
        self.page.set(BEGUN_AT, self.page.get(COMPLETE_AT).wrapping_add(1));
        // Who sees a word of this reading sees that it was begun. SeqCst, because the words are no atomics: nothing moves
        // over the fence either way.
        fence(Ordering::SeqCst);
    }

    /// The words of the older copy, to be filled once the reading was begun. Nobody reads them until [`ReadSlot::publish`].
    pub fn draft(&mut self) -> &mut [u64; READING_MAX] {
        let number = self.page.get(COMPLETE_AT).wrapping_add(1);
        let words = self.page.words[copy_of(number) + READING..].as_ptr().cast_mut();
        // SAFETY: `READING_MAX` words of a copy, which end within the page. Of this process, only the holder of the lock
        // touches them; another one that reads them looks at the sequence afterwards.
        unsafe { &mut *words.cast() }
    }

    /// Makes the draft the last reading, of a snapshot that was `taken` then. `paid`: a slow path wrote it, and the next is
    /// due when two thousand times as long has passed.
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

/// The first word of the copy that the reading of this number is written to.
pub(super) const fn copy_of(number: u64) -> usize {
    COPIES_AT + COPY * (number % 2) as usize
}
