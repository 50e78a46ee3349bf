//! The ledger page: what another process may read of this one, without stopping it.
//!
//! A page is shared memory (`Os::share`) in the layout of [`layout`]: the last reading of the metrics in two copies, and the
//! list of the kernel's mappings. Beside it are control words that a reader may write. `vm` keeps the list, `boot` makes the
//! page, or takes over one that the process was started with, writes readings, and says what happens around a fork; slow
//! paths of `cache` ask [`StatsPage::is_time`]. [`view`] reads a page, for the command.
//!
//! [`Rank::Ledger`] is held while a reading is written, and only a fork waits for it: others try. [`Rank::Mappings`] is a
//! leaf. Nothing is allocated; a reading is written where it stays, so that no stack has to hold one. The system is
//! asked for the process's number, and for a new page after a fork.
//!
//! Invariants: this process writes only to a page that it made or took over, or that a process made in whose memory it runs.
//! Nothing that another process writes decides more than when a reading is written and whether free memory goes back.

mod carrier;
pub mod layout;
mod list;
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
pub use layout::MappingKind;
use layout::*;
use list::List;
pub use schedule::ReadSlot;
use schedule::{Schedule, copy_of};
use view::Mapping;

/// What is said of a reading's words when a page is made.
#[derive(Clone, Copy)]
pub struct Format {
    /// How many there are.
    pub words: usize,
    /// A hash of what they mean.
    pub hash: u64,
    /// Which of them is the process's number.
    pub process: usize,
}

/// What writes a reading: whose, and how.
///
/// # Safety
/// The function may be called with the pointer at any time from then on.
pub type Refresh = (*const (), unsafe fn(*const (), bool));

/// The least time between two releases that readers asked for, in nanoseconds: they cost, and whoever may write control
/// words may ask all the time.
const RELEASE_PAUSE: u64 = 100_000_000;

/// Further away than this, the time of the next look is no time: the counter was set back.
const FAR: u64 = 1 << 36;

/// A page, as memory.
#[repr(C)]
struct Page {
    words: [AtomicU64; WORDS],
}

impl Page {
    fn word(&self, i: usize) -> &AtomicU64 {
        &self.words[i]
    }

    fn get(&self, i: usize) -> u64 {
        self.word(i).load(Ordering::Relaxed)
    }

    fn set(&self, i: usize, value: u64) {
        self.word(i).store(value, Ordering::Relaxed);
    }
}

/// A kernel's ledger page, if it has one.
pub struct StatsPage<O: Os> {
    page: AtomicPtr<Page>,
    carrier: Carrier,
    /// How many releases were asked for when one was last taken up, and when that was.
    release: [AtomicU64; 2],
    /// When a slow path looks again, in ticks.
    look: AtomicU64,
    /// What writes a reading, and of what; null: nothing yet.
    refresh: AtomicPtr<()>,
    allocator: AtomicPtr<()>,
    schedule: Mutex<O, Schedule>,
    list: Mutex<O, ()>,
}

impl<O: Os> StatsPage<O> {
    /// No page.
    #[allow(clippy::new_without_default, reason = "a const constructor is the only one wanted")]
    pub const fn new() -> StatsPage<O> {
        StatsPage {
            page: AtomicPtr::new(null_mut()),
            carrier: Carrier::new(),
            release: [const { AtomicU64::new(0) }; 2],
            look: AtomicU64::new(0),
            refresh: AtomicPtr::new(null_mut()),
            allocator: AtomicPtr::new(null_mut()),
            schedule: Mutex::new(Rank::Ledger, Schedule::new()),
            list: Mutex::new(Rank::Mappings, ()),
        }
    }

    fn page(&self) -> Option<&Page> {
        // SAFETY: it is null or a page of this kernel's. Pages end while all locks are held for a fork only, in a child
        // that has no other thread.
        unsafe { self.page.load(Ordering::Acquire).as_ref() }
    }

    /// Whether this process made the page. Nobody forks before the first reading: a start asks the system for as little as
    /// it can.
    fn is_ours(&self, page: &Page, os: &O) -> bool {
        page.get(COMPLETE_AT) == 0 || self.carrier.maker() == os.process()
    }

    /// How many bytes the page has, with the control words; 0: there is none.
    pub fn size(&self, os: &O) -> usize {
        self.page().map_or(0, |_| sizes(os).iter().sum())
    }

    /// Makes the page, or takes over the one that the process was started with, unless there is one or the system refuses
    /// it. Called by `boot` under its lock.
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

    /// Says what writes readings, once the kernel has started.
    ///
    /// # Safety
    /// As for [`Refresh`].
    pub unsafe fn set_refresh(&self, (allocator, run): Refresh) {
        self.allocator.store(allocator.cast_mut(), Ordering::Relaxed);
        self.refresh.store(run as *mut (), Ordering::Release);
    }

    /// Whether it is time for a slow path to call [`StatsPage::look`]. Nearly always not.
    #[inline(always)]
    pub fn is_time(&self) -> bool {
        let left = self.look.load(Ordering::Relaxed).wrapping_sub(arch::ticks());
        left.wrapping_sub(1) >= FAR
    }

    /// Writes a reading if one is due or wanted, or is one of the first few, which may come `early`. The caller holds no
    /// lock that comes after [`Rank::Ledger`].
    #[cold]
    #[inline(never)]
    pub fn refresh(&self, early: bool) {
        let run = self.refresh.load(Ordering::Acquire);
        if !run.is_null() {
            // SAFETY: `set_refresh` stored a function of this type, and what it may be called with.
            let run = unsafe { transmute::<*mut (), unsafe fn(*const (), bool)>(run) };
            // SAFETY: as above.
            unsafe { run(self.allocator.load(Ordering::Relaxed), early) }
        }
    }

    /// Whether a reader asked for free memory to be given back, and how often by now; once for each time, and not more
    /// often than `RELEASE_PAUSE` says. The caller says what came of it: [`StatsPage::released`].
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

    /// Says that what was asked for by then was done, and gave so many bytes back.
    pub fn released(&self, wanted: u64, bytes: usize) {
        if let Some(page) = self.page() {
            page.word(RELEASED_AT).fetch_add(bytes as u64, Ordering::Relaxed);
            // Release: who finds the answer finds the bytes.
            page.word(RELEASE_ANSWERED_AT).store(wanted, Ordering::Release);
        }
    }

    /// Says what the process did at its exit: [`layout::ENDING_AT`].
    pub fn note_ending(&self, os: &O, what: u64) {
        // A child that was forked past the libc has its parent's page still.
        if let Some(page) = self.page().filter(|_| self.carrier.maker() == os.process()) {
            page.word(ENDING_AT).fetch_or(what, Ordering::Relaxed);
        }
    }

    /// The right to write a reading. `None`: there is no page, or somebody else writes one.
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
        Some(ReadSlot::new(&self.look, (page, self.carrier.control()?), schedule, began))
    }

    /// Lists `size` bytes from `start`.
    pub fn note(&self, os: &O, start: Addr, size: usize, what: MappingKind) {
        self.change(os, |list| list.add(start, start.plus(size), what));
    }

    /// Strikes `size` bytes from `start` out of the list.
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

    /// An entry of the list, by its number. `None`: it has fewer, or there is no page. Where the list changes between two
    /// calls, an entry may be missed or come twice. Takes the list's lock.
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

    /// The list's sequence, which every change of the list changes; 0: there is no page.
    pub fn list_changes(&self) -> u64 {
        self.page().map_or(0, |page| page.get(LIST_CHANGES_AT))
    }

    /// Sets the places. Called by `boot`.
    pub fn set_offsets(&self, offsets: &[u64; OFFSETS]) {
        if let Some(page) = self.page() {
            offsets.iter().enumerate().for_each(|(i, &place)| page.set(OFFSETS_AT + i, place));
        }
    }

    /// In a child that was forked without a word: a page of its own. The old one stays where it is, because another thread
    /// may be writing there. `None`: this process runs in the memory of another, or gets no page. Under the list's lock.
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

    /// A new page with the list of the old one, and its last reading. What carries it is known from now on.
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
        // What the parent's figures were last are the child's, until a slow path writes others.
        let number = old.get(COMPLETE_AT);
        if number != 0 {
            let (from, to) = (copy_of(number), copy_of(1));
            (0..READING + words).for_each(|i| new.set(to + i, old.get(from + i)));
            new.set(to + READING + process, own as u64);
            new.set(BEGUN_AT, 1);
            new.word(COMPLETE_AT).store(1, Ordering::Release);
        }
        self.look.store(0, Ordering::Relaxed);
        Some(new)
    }

    /// How threads waited for the locks of readings and of the list.
    pub fn waits(&self) -> (Waits, Waits) {
        (self.schedule.waits(), self.list.waits())
    }

    /// Whether the calling thread holds one of the locks.
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

    /// Releases what [`StatsPage::hold_list`] took. In the child, a page of its own takes the inherited one's place.
    ///
    /// # Safety
    /// This thread, or in the child the one that forked, holds both locks for this fork, but for what it held before.
    pub unsafe fn release_list(&self, os: &O, fork: &Fork, child: bool) {
        if let Some(old) = self.page().filter(|_| child) {
            let was = self.carrier.of(old);
            // First, because the table of descriptors may be full.
            os.close_share(&was);
            let new = self.renew(os, old).map_or(null_mut(), |new| core::ptr::from_ref(new).cast_mut());
            self.page.store(new, Ordering::Release);
            // SAFETY: both locks are held, and there is one thread. Where that is inside the allocator it may have the
            // old page in its hands, so memory of its own stays there.
            unsafe { if fork.is_inside() { os.replace_share(&was, sizes(os)) } else { os.end_share(&was, sizes(os)) } }
        }
        // SAFETY: the caller's promise.
        unsafe { let_go_row([&self.list], fork, child) };
    }

    /// Releases what [`StatsPage::hold_readings`] took.
    ///
    /// # Safety
    /// This thread, or in the child the one that forked, holds the lock by that call, but for what it held before.
    pub unsafe fn release_readings(&self, fork: &Fork, child: bool) {
        // SAFETY: the caller's promise.
        unsafe { let_go_row([&self.schedule], fork, child) };
    }
}

#[cfg(test)]
mod tests {
    use std::boxed::Box;

    use super::view::{Source, Taken, reading};
    use super::*;
    use crate::os::Linux;

    /// A page of zeros.
    pub(super) fn page() -> Box<Page> {
        Box::new(Page { words: [const { AtomicU64::new(0) }; WORDS] })
    }

    impl Source for Page {
        fn read(&self, from: usize, out: &mut [u64]) -> bool {
            out.iter_mut().zip(&self.words[from..]).for_each(|(out, word)| *out = word.load(Ordering::Relaxed));
            true
        }
    }

    /// A reading all of whose words are `value`.
    fn write(stats_page: &StatsPage<Linux>, value: u64) {
        let mut slot = stats_page.slot(&Linux).expect("nobody writes");
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
            // Stopped in the middle of the next one, which is then given up.
            let mut slot = stats_page.slot(&Linux).expect("nobody writes");
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
        assert!(!stats_page.slot(&Linux).expect("nobody writes").is_due(false));
        assert!(stats_page.slot(&Linux).expect("nobody writes").is_due(true), "the second may be early");
        (2..5).for_each(|value| write(&stats_page, value));
        assert!(!stats_page.slot(&Linux).expect("nobody writes").is_due(true), "the fifth may not");
        stats_page.carrier.control().expect("there is a page").word(REFRESH_WANTED_AT).fetch_add(1, Ordering::Relaxed);
        assert!(stats_page.slot(&Linux).expect("nobody writes").is_due(false), "somebody wants one");
        write(&stats_page, 5);
        assert_eq!(page.get(REFRESH_ANSWERED_AT), 1);
        assert!(!stats_page.slot(&Linux).expect("nobody writes").is_due(false));
        // Set back, as by a machine that was moved: not to wait for ever.
        stats_page.look.store(arch::ticks().wrapping_add(FAR * 4), Ordering::Relaxed);
        assert!(stats_page.is_time());
    }
}
