//! The stats page: shared memory in which other processes read this process's statistics, without stopping it.
//!
//! The page (`Sharing::share`) has the layout of [`layout`]: the last reading of the metrics in two copies, and the list of
//! the allocator's mappings. A second file has control words that a reader may write. [`view`] reads a page, for the
//! command.
//!
//! Callers: `vm` keeps the list. `allocator` makes the page, or takes over the page that the process was started with,
//! writes readings, and calls here around a fork. Slow paths of `cache` poll [`StatsPage::is_time`].
//!
//! [`Rank::Ledger`] is held while a reading is written. Only a fork waits for it; other callers use `try_lock`.
//! [`Rank::Mappings`] is a leaf. Nothing here allocates, and a reading is written in place, so that no stack has to
//! hold one. The system calls are the process id and, after a fork, those that make a new page.
//!
//! Invariants: this process writes only to a page that it made or took over, or that the process made in whose memory
//! it runs (`vfork`). What another process writes decides only when a reading is written and whether free memory is
//! released.

mod carrier;
pub mod layout;
mod list;
mod page;
mod schedule;
pub mod view;

use core::mem::transmute;
use core::ptr::null_mut;
use core::sync::atomic::{AtomicPtr, AtomicU64, Ordering};

use crate::arch;
use crate::lock::{Fork, Mutex, Rank, Waits, hold_row, let_go_row};
use crate::options::StatsPageOption;
use crate::os::Os;
use crate::units::Addr;

pub use carrier::write_head;
use carrier::{Carrier, make, sizes, take_over};
use layout::*;
pub use layout::{Format, MappingKind};
use list::List;
use page::Page;
pub use schedule::ReadSlot;
use schedule::{FAR, Schedule};
use view::Mapping;

/// The function that writes a reading, and its argument. The second parameter is `early` of [`StatsPage::refresh`].
///
/// # Safety
/// The function may be called with the pointer at any time from then on.
pub type Refresh = (*const (), unsafe fn(*const (), bool));

/// The minimum time between two releases that readers asked for, in nanoseconds. A release is expensive, and a process
/// that may write control words may ask continuously.
const RELEASE_PAUSE: u64 = 100_000_000;

/// The stats page of an allocator, if it has one.
pub struct StatsPage<O: Os> {
    page: AtomicPtr<Page>,
    carrier: Carrier,
    /// The value of `release_wanted` when a release was last started, and the time of that.
    release: [AtomicU64; 2],
    /// When a slow path polls next, in ticks.
    next_poll: AtomicU64,
    /// The function that writes a reading, and its argument; null until the allocator has started.
    refresh: AtomicPtr<()>,
    allocator: AtomicPtr<()>,
    schedule: Mutex<O, Schedule>,
    list: Mutex<O, ()>,
}

impl<O: Os> StatsPage<O> {
    /// Returns a value without a page.
    #[allow(clippy::new_without_default, reason = "a const constructor is the only one wanted")]
    pub const fn new() -> StatsPage<O> {
        StatsPage {
            page: AtomicPtr::new(null_mut()),
            carrier: Carrier::new(),
            release: [const { AtomicU64::new(0) }; 2],
            next_poll: AtomicU64::new(0),
            refresh: AtomicPtr::new(null_mut()),
            allocator: AtomicPtr::new(null_mut()),
            schedule: Mutex::new(Rank::Ledger, Schedule::new()),
            list: Mutex::new(Rank::Mappings, ()),
        }
    }

    fn page(&self) -> Option<&Page> {
        // SAFETY: the pointer is null or points to a page of this allocator. A page is unmapped only while all locks
        // are held for a fork, in a child that has no other thread.
        unsafe { self.page.load(Ordering::Acquire).as_ref() }
    }

    /// Returns whether this process made the page. Before the first reading the answer is `true` without a system call:
    /// a start makes as few as possible, and no process forks before it.
    fn is_ours(&self, page: &Page, os: &O) -> bool {
        page.get(COMPLETE_AT) == 0 || self.carrier.maker() == os.process()
    }

    /// Returns the bytes of the page and of its control words, or 0 without a page.
    pub fn size(&self, os: &O) -> usize {
        self.page().map_or(0, |_| sizes(os).iter().sum())
    }

    /// Takes over the page that the process was started with, or makes one. Does nothing if there is a page already or
    /// the OS refuses. `allocator` calls this under its lock.
    pub fn open(&self, os: &O, format: Format, wanted: StatsPageOption) {
        let (None, true) = (self.page(), wanted != StatsPageOption::Off) else { return };
        let process = os.process();
        let given = match wanted {
            StatsPageOption::HandedOver(descriptors) => take_over(os, format, process, descriptors),
            _ => None,
        };
        let Some((page, shared)) = given.or_else(|| make(os, format, process)) else { return };
        self.carrier.set(&shared, process);
        self.release[0].store(page.get(RELEASE_ANSWERED_AT), Ordering::Relaxed);
        self.page.store(core::ptr::from_ref(page).cast_mut(), Ordering::Release);
        for (file, size) in [shared.page, shared.control].iter().zip(sizes(os)) {
            self.note(os, file.addr, size, MappingKind::StatsPage);
        }
    }

    /// Sets the function that writes readings. Called after the allocator has started.
    ///
    /// # Safety
    /// As for [`Refresh`].
    pub unsafe fn set_refresh(&self, (allocator, run): Refresh) {
        self.allocator.store(allocator.cast_mut(), Ordering::Relaxed);
        self.refresh.store(run as *mut (), Ordering::Release);
    }

    /// Returns whether a slow path should call [`StatsPage::refresh`]. Nearly always `false`.
    #[inline(always)]
    pub fn is_time(&self) -> bool {
        let left = self.next_poll.load(Ordering::Relaxed).wrapping_sub(arch::ticks());
        left.wrapping_sub(1) >= FAR
    }

    /// Writes a reading if one is due or wanted, or is one of the first few, which may come `early`. The caller holds
    /// no lock that comes after [`Rank::Ledger`].
    #[cold]
    #[inline(never)]
    pub fn refresh(&self, early: bool) {
        let run = self.refresh.load(Ordering::Acquire);
        if !run.is_null() {
            // SAFETY: `set_refresh` stored a function of this type, together with its argument.
            let run = unsafe { transmute::<*mut (), unsafe fn(*const (), bool)>(run) };
            // SAFETY: as above.
            unsafe { run(self.allocator.load(Ordering::Relaxed), early) }
        }
    }

    /// Returns the value of `release_wanted` if a reader asked for a release of free memory. Returns each value once,
    /// and not more often than `RELEASE_PAUSE` allows. The caller reports the result by [`StatsPage::released`].
    pub fn takes_release(&self, os: &O) -> Option<u64> {
        let (page, control) = (self.page()?, self.carrier.control()?);
        let wanted = control.get(RELEASE_WANTED_AT);
        let [taken, last] = &self.release;
        let before = taken.load(Ordering::Relaxed);
        if before == wanted || !self.is_ours(page, os) {
            return None;
        }
        let now = O::now();
        if last.load(Ordering::Relaxed) != 0 && now.wrapping_sub(last.load(Ordering::Relaxed)) < RELEASE_PAUSE {
            return None;
        }
        let is_first = taken.compare_exchange(before, wanted, Ordering::Relaxed, Ordering::Relaxed).is_ok();
        last.store(now, Ordering::Relaxed);
        is_first.then_some(wanted)
    }

    /// Records that the release asked for by `wanted` was made and gave `bytes` back.
    pub fn released(&self, wanted: u64, bytes: usize) {
        if let Some(page) = self.page() {
            page.word(RELEASED_AT).fetch_add(bytes as u64, Ordering::Relaxed);
            // Release: a reader that sees the answer also sees the bytes.
            page.word(RELEASE_ANSWERED_AT).store(wanted, Ordering::Release);
        }
    }

    /// Records what the process did at its exit: [`layout::ENDING_AT`].
    pub fn note_ending(&self, os: &O, what: u64) {
        // A child forked by a raw system call still has its parent's page.
        if let Some(page) = self.page().filter(|_| self.carrier.maker() == os.process()) {
            page.word(ENDING_AT).fetch_or(what, Ordering::Relaxed);
        }
    }

    /// Returns the right to write a reading. Returns `None` if there is no page or another thread is writing one.
    pub fn slot<'a>(&'a self, os: &'a O) -> Option<ReadSlot<'a, O>> {
        self.page()?;
        let began = arch::ticks();
        let schedule = self.schedule.try_lock()?;
        let page = match self.page() {
            Some(page) if self.is_ours(page, os) => page,
            _ => {
                let _list = self.list.lock();
                self.renew_inherited(os)?
            }
        };
        Some(ReadSlot::new(&self.next_poll, (page, self.carrier.control()?), schedule, began))
    }

    /// Adds `size` bytes from `start` to the list.
    pub fn note(&self, os: &O, start: Addr, size: usize, what: MappingKind) {
        self.change(os, |list| list.add(start, start.plus(size), what));
    }

    /// Removes `size` bytes from `start` from the list.
    pub fn forget(&self, os: &O, start: Addr, size: usize) {
        self.change(os, |list| list.take_out(start, start.plus(size)));
    }

    fn change(&self, os: &O, f: impl FnOnce(&List<'_>)) {
        if self.page().is_none() {
            return;
        }
        let _list = self.list.lock();
        match self.page() {
            Some(page) if self.is_ours(page, os) => f(&List::change(page)),
            _ => {
                if let Some(page) = self.renew_inherited(os) {
                    f(&List::change(page));
                }
            }
        }
    }

    /// Returns entry `i` of the list, or `None` if the list is shorter or there is no page. If the list changes between
    /// two calls, an entry may be missed or returned twice. Takes the lock of the list.
    pub fn mapping(&self, i: usize) -> Option<Mapping> {
        self.page()?;
        let _list = self.list.lock();
        let page = self.page()?;
        if i >= (page.get(LIST_LENGTH_AT) as usize).min(LIST) {
            return None;
        }
        let [start, end, what] = [0, 1, 2].map(|word| page.get(LIST_AT + 3 * i + word));
        Some(Mapping { start, end, what })
    }

    /// Returns the list's sequence, which every change increments, or 0 without a page.
    pub fn list_changes(&self) -> u64 {
        self.page().map_or(0, |page| page.get(LIST_CHANGES_AT))
    }

    /// Sets the offsets of the allocator's structures. Called by `allocator`.
    pub fn set_offsets(&self, offsets: &[u64; OFFSETS]) {
        if let Some(page) = self.page() {
            offsets.iter().enumerate().for_each(|(i, &offset)| page.set(OFFSETS_AT + i, offset));
        }
    }

    /// Returns this process's own page. In a child forked without `before_fork`, makes it first; the old one stays
    /// mapped, because another thread may be writing to it. Returns `None` if this process runs in the memory of
    /// another one, or gets no page. The caller holds the lock of the list.
    fn renew_inherited(&self, os: &O) -> Option<&Page> {
        self.list.assert_held();
        let old = self.page()?;
        if self.is_ours(old, os) {
            return Some(old);
        }
        if !os.is_inherited(self.carrier.maker()) {
            return None;
        }
        let new = self.renew(os, old)?;
        self.page.store(core::ptr::from_ref(new).cast_mut(), Ordering::Release);
        Some(new)
    }

    /// Makes a page with the list and the last reading of the old one, and records its files.
    fn renew(&self, os: &O, old: &Page) -> Option<&'static Page> {
        let [words, process] =
            [READING_WORDS_AT, PROCESS_WORD_AT].map(|at| (old.get(at) as usize).min(READING_MAX - 1));
        let format = Format { words, hash: old.get(FORMAT_AT), process };
        let own = os.process();
        let (was, (new, is)) = (self.carrier.of(old), make(os, format, own)?);
        for i in (OFFSETS_AT..OFFSETS_AT + OFFSETS).chain(LIST_LENGTH_AT..=UNLISTED_AT) {
            new.set(i, old.get(i));
        }
        let len = (old.get(LIST_LENGTH_AT) as usize).min(LIST);
        (LIST_AT..LIST_AT + 3 * len).for_each(|i| new.set(i, old.get(i)));
        let list = List::change(new);
        for (file, size) in [was.page, was.control].iter().zip(sizes(os)) {
            list.take_out(file.addr, file.addr.plus(size));
        }
        for (file, size) in [is.page, is.control].iter().zip(sizes(os)) {
            list.add(file.addr, file.addr.plus(size), MappingKind::StatsPage);
        }
        drop(list);
        self.carrier.set(&is, own);
        self.release.iter().for_each(|word| word.store(0, Ordering::Relaxed));
        // The parent's last figures are the child's, until a slow path writes a reading.
        let number = old.get(COMPLETE_AT);
        if number != 0 {
            let (from, to) = (copy_of(number), copy_of(1));
            (0..READING + words).for_each(|i| new.set(to + i, old.get(from + i)));
            new.set(to + READING + process, own as u64);
            new.set(BEGUN_AT, 1);
            new.word(COMPLETE_AT).store(1, Ordering::Release);
        }
        self.next_poll.store(0, Ordering::Relaxed);
        Some(new)
    }

    /// Returns how threads waited for the locks of readings and of the list.
    pub fn waits(&self) -> (Waits, Waits) {
        (self.schedule.waits(), self.list.waits())
    }

    /// Returns whether the calling thread holds one of the locks.
    pub fn is_held_by_this_thread(&self) -> bool {
        self.schedule.is_mine() || self.list.is_mine()
    }

    /// Takes the lock of readings for a fork.
    pub fn hold_readings(&self, fork: &Fork) {
        hold_row([&self.schedule], fork);
    }

    /// Takes the lock of the list for a fork.
    pub fn hold_list(&self, fork: &Fork) {
        hold_row([&self.list], fork);
    }

    /// Releases what [`StatsPage::hold_list`] took. In the child, replaces the inherited page by a new one.
    ///
    /// # Safety
    /// This thread, or in the child the thread that forked, holds both locks for this fork, except those it held
    /// before.
    pub unsafe fn release_list(&self, os: &O, fork: &Fork, child: bool) {
        if let Some(old) = self.page().filter(|_| child) {
            let was = self.carrier.of(old);
            // Closed first, because the table of descriptors may be full.
            os.close_share(&was);
            let new = self.renew(os, old).map_or(null_mut(), |new| core::ptr::from_ref(new).cast_mut());
            self.page.store(new, Ordering::Release);
            // SAFETY: both locks are held, and the process has one thread. If the fork was made inside the allocator,
            // the interrupted code may still use the old page, so private memory takes its place.
            unsafe { if fork.is_inside() { os.replace_share(&was, sizes(os)) } else { os.end_share(&was, sizes(os)) } }
        }
        // SAFETY: the caller's promise.
        unsafe { let_go_row([&self.list], fork, child) };
    }

    /// Releases what [`StatsPage::hold_readings`] took.
    ///
    /// # Safety
    /// This thread, or in the child the thread that forked, holds the lock by that call, unless it held it before.
    pub unsafe fn release_readings(&self, fork: &Fork, child: bool) {
        // SAFETY: the caller's promise.
        unsafe { let_go_row([&self.schedule], fork, child) };
    }
}

#[cfg(test)]
mod tests {
    use super::view::{Taken, reading};
    use super::*;
    use crate::os::Linux;

    /// Writes a reading with all words set to `value`.
    fn write(stats_page: &StatsPage<Linux>, value: u64) {
        let mut slot = stats_page.slot(&Linux).expect("no other writer");
        slot.begin();
        slot.draft()[..8].fill(value);
        slot.publish(value, true);
    }

    #[test]
    fn a_writer_that_is_stopped_half_way_leaves_the_other_copy() {
        let stats_page = StatsPage::<Linux>::new();
        stats_page.open(&Linux, Format { words: 8, hash: 7, process: 7 }, StatsPageOption::On);
        let Some(page) = stats_page.page() else { return };
        let mut words = [0; 8];
        assert_eq!(reading(page, &mut words), None, "nothing was written yet");
        for value in 1..10 {
            write(&stats_page, value);
            assert_eq!(reading(page, &mut words), Some(Taken { nanos: value, number: value, image: 1 }));
            assert_eq!(words, [value; 8]);
            // A writer stops in the middle of the next reading, which is then abandoned.
            let mut slot = stats_page.slot(&Linux).expect("no other writer");
            slot.begin();
            slot.draft()[..4].fill(1_000);
            let other =
                || std::thread::scope(|scope| scope.spawn(|| stats_page.slot(&Linux).is_none()).join().unwrap());
            assert!(other(), "one writer at a time");
            assert_eq!(reading(page, &mut words), Some(Taken { nanos: value, number: value, image: 1 }));
            assert_eq!(words, [value; 8]);
        }
    }

    #[test]
    fn slow_paths_pay_a_bounded_share() {
        let stats_page = StatsPage::<Linux>::new();
        stats_page.open(&Linux, Format { words: 8, hash: 7, process: 7 }, StatsPageOption::On);
        let Some(page) = stats_page.page() else { return };
        write(&stats_page, 1);
        assert!(!stats_page.is_time(), "the next is a while off");
        assert!(!stats_page.slot(&Linux).expect("no other writer").is_due(false));
        assert!(stats_page.slot(&Linux).expect("no other writer").is_due(true), "the second may be early");
        (2..5).for_each(|value| write(&stats_page, value));
        assert!(!stats_page.slot(&Linux).expect("no other writer").is_due(true), "the fifth may not");
        stats_page.carrier.control().expect("there is a page").word(REFRESH_WANTED_AT).fetch_add(1, Ordering::Relaxed);
        assert!(stats_page.slot(&Linux).expect("no other writer").is_due(false), "a reader wants one");
        write(&stats_page, 5);
        assert_eq!(page.get(REFRESH_ANSWERED_AT), 1);
        assert!(!stats_page.slot(&Linux).expect("no other writer").is_due(false));
        // The counter was set back, as by the migration of a virtual machine: the wait is not endless.
        stats_page.next_poll.store(arch::ticks().wrapping_add(FAR * 4), Ordering::Relaxed);
        assert!(stats_page.is_time());
    }
}
