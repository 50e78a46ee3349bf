//! The mutex with a rank: a short spin, then a yield, and two counters of waiting.
//!
//! Its word names the thread that holds it, so that a fork, the end of the process and a thread about to wait can tell
//! their own locks from those of others. That costs no store: the word is written either way.

use super::backoff::backoff;
use super::fork::{ABANDONED, Fork, note_abandoned};
use super::held::{self, HeldGuard, Known};
use super::rank::Rank;
use crate::local;
use crate::os::Platform;
use crate::report;
use crate::units::Addr;
use core::cell::UnsafeCell;
use core::marker::PhantomData;
use core::ops::{Deref, DerefMut};
use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering, fence};

/// How often a waiting thread looks at the lock between two yields.
const LOOKS: u32 = 7;
/// The most pauses between two looks. With [`LOOKS`], a round of spinning is 95 pauses: 2.3 µs on an
/// EPYC, where a yield that finds nobody else to run costs 0.5 µs.
const MOST_PAUSES: u32 = 32;
/// The word of a lock that nobody holds.
const FREE: usize = 0;

/// How threads waited for a lock, or for several.
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Waits {
    /// How many times a thread found a lock taken and waited for it.
    pub contended: u64,
    /// How long threads waited, in nanoseconds; 0 where the home has no clock.
    pub nanos: u64,
}

/// A lock with a place in the order, and the value that it protects.
///
/// `P` says how a thread that waits yields, and what time it is.
#[repr(C)]
pub struct Mutex<P: Platform, T> {
    /// Both counters are changed by the holder of the lock only, so they need no locked
    /// instruction; anybody may read them.
    contended: AtomicU64,
    waited_nanos: AtomicU64,
    /// Odd while the lock is held, and larger after each taking: a reader in another process sees by it whether anything
    /// that the lock protects can have changed. Written by the holder only.
    turns: AtomicU64,
    rank: Known,
    /// [`FREE`], the thread id of the holder, with the mark of a fork where one holds it, or [`ABANDONED`].
    holder: AtomicUsize,
    value: UnsafeCell<T>,
    platform: PhantomData<fn() -> P>,
}

// SAFETY: the value is reached by the holder of the lock only, one thread at a time.
unsafe impl<P: Platform, T: Send> Sync for Mutex<P, T> {}

/// The right to use what a [`Mutex`] protects, until it is dropped. It cannot leave the thread.
#[must_use = "the lock is released when the guard is dropped"]
pub struct Guard<'a, P: Platform, T> {
    // Fields are dropped in this order: the note is struck out while the lock is still held.
    _held: HeldGuard,
    inner: Held<'a, P, T>,
}

/// The lock itself, without a note to the checker.
struct Held<'a, P: Platform, T>(&'a Mutex<P, T>);

impl<P: Platform, T> Drop for Held<'_, P, T> {
    #[inline(always)]
    fn drop(&mut self) {
        self.0.let_go();
    }
}

impl<P: Platform, T> Mutex<P, T> {
    /// An unlocked mutex of this rank.
    pub const fn new(rank: Rank, value: T) -> Self {
        Mutex {
            contended: AtomicU64::new(0),
            waited_nanos: AtomicU64::new(0),
            turns: AtomicU64::new(0),
            rank: held::known(rank),
            holder: AtomicUsize::new(FREE),
            value: UnsafeCell::new(value),
            platform: PhantomData,
        }
    }

    /// Takes the lock; waits for whoever has it.
    #[inline]
    pub fn lock(&self) -> Guard<'_, P, T> {
        let held = held::acquire(self.rank, self.address());
        Guard { _held: held, inner: self.take() }
    }

    /// Takes the lock if nobody has it. The order holds for it as well: a lock that is tried out of
    /// order today is waited for out of order tomorrow.
    #[inline]
    pub fn try_lock(&self) -> Option<Guard<'_, P, T>> {
        let held = held::acquire(self.rank, self.address());
        self.try_take().map(|inner| Guard { _held: held, inner })
    }

    /// Takes the lock, for which it waits as long as `backoff` says, asked after each look, that it should go on.
    /// The order holds as for [`Mutex::lock`]. Waiting that ends without the lock is not counted.
    #[inline]
    pub fn lock_while(&self, backoff: impl FnMut() -> bool) -> Option<Guard<'_, P, T>> {
        match self.try_lock() {
            Some(guard) => Some(guard),
            None => self.wait_while(backoff),
        }
    }

    /// Takes the lock, for which it waits at most so many nanoseconds, or as long as it takes.
    #[inline]
    pub fn lock_within(&self, nanos: Option<u64>) -> Option<Guard<'_, P, T>> {
        match nanos {
            Some(nanos) => self.lock_while(backoff::<P>(nanos)),
            None => Some(self.lock()),
        }
    }

    #[cold]
    fn wait_while(&self, mut backoff: impl FnMut() -> bool) -> Option<Guard<'_, P, T>> {
        let held = held::acquire(self.rank, self.address());
        let start = P::now();
        while backoff() {
            if !self.is_locked()
                && let Some(inner) = self.try_take()
            {
                self.count(start);
                return Some(Guard { _held: held, inner });
            }
        }
        None
    }

    /// The address of the word that is odd while the lock is held, and changes with each taking and each release: for a
    /// reader in another process.
    pub fn turns_place(&self) -> u64 {
        Addr::of(&raw const self.turns).0 as u64
    }

    /// In checked builds, fatal unless this thread holds this lock.
    #[inline]
    pub fn assert_held(&self) {
        held::assert_held_at(self.rank, self.address());
    }

    /// In checked builds, fatal if the order does not allow taking this lock now. For places that
    /// take it only sometimes.
    #[inline]
    pub fn may_acquire(&self) {
        held::may_acquire(self.rank);
    }

    /// Whether the calling thread holds the lock, by whatever it is that it interrupted or by a fork of its own.
    pub fn is_mine(&self) -> bool {
        Fork::is_of(self.holder.load(Ordering::Relaxed), local::thread_id())
    }

    /// Where the value is that the lock protects, whoever holds it.
    pub fn place(&self) -> *const T {
        self.value.get()
    }

    /// Whether this fork took the lock.
    pub fn is_held_for(&self, fork: &Fork) -> bool {
        self.holder.load(Ordering::Relaxed) == fork.mark()
    }

    /// What the lock knows of its rank.
    #[inline]
    pub const fn rank(&self) -> Known {
        self.rank
    }

    /// How many times a thread found the lock taken and waited for it.
    pub fn contended(&self) -> u64 {
        self.contended.load(Ordering::Relaxed)
    }

    /// How long threads waited for the lock, in nanoseconds; 0 where the home has no clock.
    pub fn waited_nanos(&self) -> u64 {
        self.waited_nanos.load(Ordering::Relaxed)
    }

    /// How threads waited for the lock.
    pub fn waits(&self) -> Waits {
        Waits { contended: self.contended(), nanos: self.waited_nanos() }
    }

    /// What the checker knows this lock by.
    #[inline]
    pub(super) fn address(&self) -> usize {
        core::ptr::from_ref(self).addr()
    }

    #[inline(always)]
    fn is_locked(&self) -> bool {
        self.holder.load(Ordering::Relaxed) != FREE
    }

    #[inline(always)]
    fn try_take(&self) -> Option<Held<'_, P, T>> {
        self.take_as(local::thread_id()).then(|| Held(self))
    }

    /// Takes the lock for whoever `holder` stands for, if it is free.
    #[inline(always)]
    fn take_as(&self, holder: usize) -> bool {
        let taken = self.holder.compare_exchange(FREE, holder, Ordering::Acquire, Ordering::Relaxed).is_ok();
        if taken {
            add(&self.turns, 1);
            // Release: a reader that sees a change made under the lock sees the odd value.
            fence(Ordering::Release);
        }
        taken
    }

    /// Releases the lock, which the calling thread holds, or this thread's fork.
    #[inline(always)]
    fn let_go(&self) {
        // Release: a reader that sees the even value sees every change made under the lock.
        self.turns.store(self.turns.load(Ordering::Relaxed).wrapping_add(1), Ordering::Release);
        self.holder.store(FREE, Ordering::Release);
    }

    /// Takes the lock, without a note to the checker.
    #[inline]
    fn take(&self) -> Held<'_, P, T> {
        match self.try_take() {
            Some(inner) => inner,
            None => self.wait(),
        }
    }

    /// Takes the lock for a fork, unless this thread holds it already, or the fork may not wait for it any longer.
    pub(super) fn hold_for_fork(&self, fork: &Fork) {
        if self.take_as(fork.mark()) {
            return;
        }
        let start = P::now();
        loop {
            let holder = self.holder.load(Ordering::Relaxed);
            if holder == FREE && self.take_as(fork.mark()) {
                return self.count(start);
            }
            if holder == ABANDONED || Fork::is_of(holder, local::thread_id()) || !fork.waits::<P>() {
                return;
            }
        }
    }

    /// Releases the lock if this fork took it. In the child, a lock that a thread holds which is not there any more is
    /// left to nobody: [`ABANDONED`].
    ///
    /// # Safety
    /// Nothing borrowed from the lock by the fork is used any more.
    pub(super) unsafe fn release_after_fork(&self, fork: &Fork, child: bool) {
        let holder = self.holder.load(Ordering::Relaxed);
        if holder == fork.mark() {
            self.let_go();
        } else if child && holder != FREE && !Fork::is_of(holder, local::thread_id()) {
            self.holder.store(ABANDONED, Ordering::Relaxed);
            note_abandoned();
        }
    }

    /// Spins, yields, spins again, until the lock is ours; then counts the wait.
    #[cold]
    #[inline(never)]
    fn wait(&self) -> Held<'_, P, T> {
        let start = P::now();
        let inner = loop {
            // Each time: a handler may have forked while this waited, and this be the child.
            self.abort_endless();
            if let Some(inner) = self.spin() {
                break inner;
            }
            // Whoever holds the lock may be waiting for this CPU.
            P::yield_now();
        };
        self.count(start);
        inner
    }

    /// Ends the process with a line where a wait for the lock would have no end.
    fn abort_endless(&self) {
        let holder = self.holder.load(Ordering::Relaxed);
        if holder == ABANDONED {
            report::fatal(format_args!(
                "crossfoot: this process was forked by a signal handler inside the allocator, beside other threads"
            ));
        }
        if !Fork::is_of(holder, local::thread_id()) {
            return;
        }
        if Fork::is_mark(holder) {
            report::fatal(format_args!(
                "crossfoot: a handler of fork allocates that was registered before the allocator"
            ));
        }
        report::fatal(format_args!("crossfoot: the allocator: called by a signal handler inside the allocator"));
    }

    /// One round of looking at the lock with growing pauses. Looking only reads, so the lock's cache
    /// line stays with its holder until it is free.
    fn spin(&self) -> Option<Held<'_, P, T>> {
        for look in 0..LOOKS {
            if !self.is_locked()
                && let Some(inner) = self.try_take()
            {
                return Some(inner);
            }
            for _ in 0..MOST_PAUSES.min(1 << look) {
                core::hint::spin_loop();
            }
        }
        None
    }

    /// Counts a wait that began at `start`. The caller holds the lock.
    fn count(&self, start: u64) {
        add(&self.contended, 1);
        add(&self.waited_nanos, P::now().saturating_sub(start));
    }
}

/// Adds to a counter that only the holder of a lock writes.
fn add(counter: &AtomicU64, amount: u64) {
    counter.store(counter.load(Ordering::Relaxed).wrapping_add(amount), Ordering::Relaxed);
}

impl<P: Platform, T> Deref for Guard<'_, P, T> {
    type Target = T;

    #[inline(always)]
    fn deref(&self) -> &T {
        // SAFETY: the guard holds the lock, so no other thread reaches the value.
        unsafe { &*self.inner.0.value.get() }
    }
}

impl<P: Platform, T> DerefMut for Guard<'_, P, T> {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as above, and the guard is borrowed for it alone.
        unsafe { &mut *self.inner.0.value.get() }
    }
}

/// A critical section that has a rank and no mutex, until it is dropped; nothing in release builds.
#[must_use = "the section ends when the guard is dropped"]
pub struct RankGuard {
    _held: HeldGuard,
}

/// Begins a critical section of this rank on this thread. A thread is in one section of a rank at a
/// time.
#[inline]
pub fn acquire_rank(rank: Rank) -> RankGuard {
    RankGuard { _held: held::acquire(held::known(rank), 0) }
}
