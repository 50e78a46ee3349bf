//! How a fork takes the locks, and how others stand back for it.
//!
//! A signal handler may fork while its own thread holds locks, or is in the middle of another fork. So each fork has a
//! mark, the thread id and a level: it takes what is free, leaves what its own thread holds, and releases what bears its
//! mark. Nothing else needs to be remembered, and forks may nest.

use core::cell::Cell;
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::local;
use crate::os::Platform;

/// The word of a lock whose holder is not there any more: in the child of a fork that could not wait for it.
pub(super) const ABANDONED: usize = 8;

/// How many forks of one thread may be under way, each in a signal handler that interrupted the one before.
pub const LEVELS: usize = 7;

/// How long a fork inside the allocator waits for other threads' locks in all, in nanoseconds: one of them may wait for
/// a lock that this thread holds, and then waits for ever.
const WAIT_NANOS: u64 = 10_000_000;

/// How long somebody stands back for forks at the most, in nanoseconds: a signal handler may have come while its thread
/// held what the fork waits for.
const STAND_BACK: u64 = 50_000_000;

/// How often a fork looks at a lock before it yields.
const POLLS: usize = 100;

/// A fork of the calling thread, from before it until after it.
pub struct Fork {
    mark: usize,
    inside: bool,
    /// How often it looked at a lock that it waits for.
    polls: Cell<usize>,
    /// When a fork inside the allocator began to wait; 0: it did not.
    since: Cell<u64>,
    given_up: Cell<bool>,
}

impl Fork {
    /// A fork of the calling thread: the one of this `level`, from 1 on. `inside`: the thread is inside the allocator, in
    /// what the handler interrupted that forks. `alone`: there is no other thread, for which it could wait.
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

    /// A fork of a thread that is not inside the allocator.
    pub fn outside() -> Fork {
        Fork::new(1, false, false)
    }

    /// Whether the thread is inside the allocator, in what the handler interrupted that forks.
    pub fn is_inside(&self) -> bool {
        self.inside
    }

    /// Which of the forks of this thread that are under way it is, from 1 on.
    pub fn level(&self) -> usize {
        self.mark & LEVELS
    }

    /// What stands in the locks that this fork holds.
    pub(super) fn mark(&self) -> usize {
        self.mark
    }

    /// Whether the word of a lock is that of the thread with this id.
    pub(super) fn is_of(holder: usize, thread: usize) -> bool {
        holder & !LEVELS == thread
    }

    /// Whether the word of a lock that is held is that of a fork.
    pub(super) fn is_mark(holder: usize) -> bool {
        holder & LEVELS != 0
    }

    /// Waits a moment for what another thread holds. `false`: it has waited long enough, in all.
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

/// Whether this process has abandoned locks.
static ABANDONS: AtomicBool = AtomicBool::new(false);

pub(super) fn note_abandoned() {
    ABANDONS.store(true, Ordering::Relaxed);
}

/// Whether there are locks that nobody will release: in the child of a fork inside the allocator, beside other threads.
pub fn has_abandoned() -> bool {
    ABANDONS.load(Ordering::Relaxed)
}

/// How many forks wait for locks.
static PENDING: AtomicUsize = AtomicUsize::new(0);

/// Says that a fork waits for locks, or that it has them all.
pub fn set_pending(pending: bool) {
    let change = |n: usize| if pending { n.checked_add(1) } else { n.checked_sub(1) };
    // Where a child was forked meanwhile, which has set it back, nothing is taken away.
    let _ = PENDING.fetch_update(Ordering::Relaxed, Ordering::Relaxed, change);
}

/// In the child of a fork: no other thread waits.
pub fn none_pending() {
    PENDING.store(0, Ordering::Relaxed);
}

/// Stands back while a fork waits for locks: called with no lock held by whoever can take a lock again and again, which
/// would keep the fork from it for seconds. Nothing else is fair here: where threads outnumber CPUs, a queue would make
/// all of them wait for one that does not run.
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
