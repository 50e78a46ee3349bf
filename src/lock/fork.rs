//! How a fork takes the locks, and how other threads let it pass.
//!
//! A signal handler may fork while its own thread holds locks or is in the middle of another fork. So each
//! fork has a mark: the thread id plus a level. A fork takes the locks that are free, skips those that its
//! own thread holds, and later releases those that have its mark. It needs no other state, and forks may
//! nest.

use core::cell::Cell;
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::local;
use crate::os::Platform;

/// The word of a lock without a living holder, in the child of a fork that did not wait for the lock.
pub(super) const ABANDONED: usize = 8;

/// The most forks of one thread in progress, each in a signal handler that interrupted the previous one.
pub const LEVELS: usize = 7;

/// How long a fork inside the allocator waits for other threads' locks in total, in nanoseconds. One of these
/// threads may wait for a lock that this thread holds, and would then never release its own.
const WAIT_NANOS: u64 = 10_000_000;

/// How long a thread stands back for forks at most, in nanoseconds. A signal handler may have interrupted its
/// own thread while it held the lock that the fork waits for.
const STAND_BACK: u64 = 50_000_000;

/// How often a fork polls a lock before it yields.
const POLLS: usize = 100;

/// A fork of the calling thread, from before the call of `fork` until after it.
pub struct Fork {
    mark: usize,
    inside: bool,
    /// How often the fork polled a lock that it waits for.
    polls: Cell<usize>,
    /// When a fork inside the allocator began to wait, or 0 if it has not.
    since: Cell<u64>,
    given_up: Cell<bool>,
}

impl Fork {
    /// Returns a fork of the calling thread with this `level`, from 1 on. `inside` is true if the handler
    /// that forks interrupted the allocator. `alone` is true if there is no other thread whose locks the fork
    /// could wait for.
    pub fn new(level: usize, inside: bool, alone: bool) -> Fork {
        debug_assert!((1..=LEVELS).contains(&level));
        Fork {
            mark: local::thread_id() | level,
            inside,
            polls: Cell::new(0),
            since: Cell::new(0),
            given_up: Cell::new(inside && alone),
        }
    }

    /// Returns a fork of a thread that is not inside the allocator.
    pub fn outside() -> Fork {
        Fork::new(1, false, false)
    }

    /// Returns whether the handler that forks interrupted the allocator.
    pub fn is_inside(&self) -> bool {
        self.inside
    }

    /// Returns the number of this fork among the thread's forks in progress, from 1 on.
    pub fn level(&self) -> usize {
        self.mark & LEVELS
    }

    /// Returns the word of the locks that this fork holds.
    pub(super) fn mark(&self) -> usize {
        self.mark
    }

    /// Returns whether the word of a lock belongs to the thread with this id.
    pub(super) fn is_of(holder: usize, thread: usize) -> bool {
        holder & !LEVELS == thread
    }

    /// Returns whether the word of a held lock is that of a fork.
    pub(super) fn is_mark(holder: usize) -> bool {
        holder & LEVELS != 0
    }

    /// Waits a moment for another thread's lock. Returns false once the fork has waited long enough in total.
    pub fn waits<P: Platform>(&self) -> bool {
        if self.given_up.get() {
            return false;
        }
        let polls = self.polls.get().wrapping_add(1);
        self.polls.set(polls);
        if !polls.is_multiple_of(POLLS) {
            core::hint::spin_loop();
            return true;
        }
        P::yield_now();
        if !self.inside {
            return true;
        }
        let now = P::now();
        if self.since.get() == 0 {
            self.since.set(now);
        }
        let goes_on = now.saturating_sub(self.since.get()) < WAIT_NANOS && (now != 0 || polls < POLLS * 20_000);
        self.given_up.set(!goes_on);
        goes_on
    }
}

/// True if this process has abandoned locks, or movements.
static ABANDONS: AtomicBool = AtomicBool::new(false);

pub(super) fn note_abandoned() {
    ABANDONS.store(true, Ordering::Relaxed);
}

/// The id of the thread that forks now and gave up waiting for other threads, or 0.
static GAVE_UP: AtomicUsize = AtomicUsize::new(0);

/// Records whether a fork waited in vain, before the process forks. In the child, a movement of another thread may then
/// be half done for ever, whether or not that thread held a lock.
pub fn note_waited(fork: &Fork) {
    // A fork beside no other thread has given up from the start, and polls nothing.
    if fork.polls.get() != 0 && fork.given_up.get() {
        GAVE_UP.store(local::thread_id(), Ordering::Relaxed);
    }
}

/// Forgets in the parent what [`note_waited`] recorded, and remembers it in the child as an abandoned lock.
pub fn settle_waited(child: bool) {
    if GAVE_UP.compare_exchange(local::thread_id(), 0, Ordering::Relaxed, Ordering::Relaxed).is_ok() && child {
        note_abandoned();
    }
}

/// Returns whether there are locks that no thread will release, or movements that no thread will finish: in the
/// child of a fork inside the allocator, beside other threads.
pub fn has_abandoned() -> bool {
    ABANDONS.load(Ordering::Relaxed)
}

/// The number of forks that wait for locks.
static PENDING: AtomicUsize = AtomicUsize::new(0);

/// Records that a fork waits for locks, or that it has them all.
pub fn set_pending(pending: bool) {
    let change = |n: usize| if pending { n.checked_add(1) } else { n.checked_sub(1) };
    // In a child that was forked in between, the count is 0 already and stays so.
    let _ = PENDING.fetch_update(Ordering::Relaxed, Ordering::Relaxed, change);
}

/// Records that no fork waits. Called in the child of a fork, which has no other thread.
pub fn none_pending() {
    PENDING.store(0, Ordering::Relaxed);
}

/// Waits while a fork waits for locks. The caller holds no lock and may take a lock again and again, which
/// would keep the fork waiting for seconds. A queue would be fair too, but with more threads than CPUs all of
/// them would wait for one that does not run.
#[inline]
pub fn stand_back<P: Platform>() {
    if PENDING.load(Ordering::Relaxed) != 0 {
        wait_for_forks::<P>();
    }
}

#[cold]
#[inline(never)]
fn wait_for_forks<P: Platform>() {
    if local::is_forking() {
        return;
    }
    let mut backoff = super::backoff::backoff::<P>(STAND_BACK);
    while PENDING.load(Ordering::Relaxed) != 0 && backoff() {}
}
