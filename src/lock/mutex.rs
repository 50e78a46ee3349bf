//! The mutex with a rank. A waiter spins briefly, then yields. Two counters record the waits.
//!
//! The lock word is the thread id of the holder. So a fork, the end of the process and a waiting thread can
//! tell the locks of their own thread from those of others. This costs no extra store.

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

/// How often a waiting thread polls the lock between two yields.
const POLLS: u32 = 7;
/// The most pauses between two polls. With [`POLLS`], one round of spinning has 95 pauses: 2.3 µs on an EPYC,
/// where a yield without another runnable thread costs 0.5 µs.
const MOST_PAUSES: u32 = 32;
/// The word of a lock that is not held.
const FREE: usize = 0;

/// The waits for one lock, or for several.
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Waits {
    /// How many times a thread found a lock taken and waited for it.
    pub contended: u64,
    /// How long threads waited, in nanoseconds; 0 if the environment has no clock.
    pub nanos: u64,
}

/// A lock with a rank, and the value that it protects.
///
/// `P` provides the yield and the clock of a waiting thread.
#[repr(C)]
pub struct Mutex<P: Platform, T> {
    /// Only the holder of the lock writes the two counters, so they need no atomic read-modify-write. Any
    /// thread may read them.
    contended: AtomicU64,
    waited_nanos: AtomicU64,
    /// Odd while the lock is held, and increased by each acquisition and each release. A reader in another
    /// process sees whether the protected state may have changed. Only the holder writes it.
    turns: AtomicU64,
    rank: Known,
    /// [`FREE`], the thread id of the holder, [`ABANDONED`], or, if a thread took the lock to fork, its thread id plus the
    /// level of the fork.
    holder: AtomicUsize,
    value: UnsafeCell<T>,
    platform: PhantomData<fn() -> P>,
}

// SAFETY: only the holder of the lock reaches the value, one thread at a time.
unsafe impl<P: Platform, T: Send> Sync for Mutex<P, T> {}

/// Gives access to the value of a [`Mutex`] until it is dropped. It cannot leave the thread.
#[must_use = "the lock is released when the guard is dropped"]
pub struct Guard<'a, P: Platform, T> {
    // Fields are dropped in this order: the record of the lock is removed while the lock is still held.
    _held: HeldGuard,
    inner: Held<'a, P, T>,
}

/// The lock itself, unknown to the checker.
struct Held<'a, P: Platform, T>(&'a Mutex<P, T>);

impl<P: Platform, T> Drop for Held<'_, P, T> {
    #[inline(always)]
    fn drop(&mut self) {
        self.0.let_go();
    }
}

impl<P: Platform, T> Mutex<P, T> {
    /// Returns an unlocked mutex of this rank.
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

    /// Takes the lock. Waits while another thread holds it.
    #[inline]
    pub fn lock(&self) -> Guard<'_, P, T> {
        let held = held::acquire(self.rank, self.address());
        Guard { _held: held, inner: self.take() }
    }

    /// Takes the lock if it is free. The order applies to this function too: code that tries a lock out of
    /// order today waits for it out of order tomorrow.
    #[inline]
    pub fn try_lock(&self) -> Option<Guard<'_, P, T>> {
        let held = held::acquire(self.rank, self.address());
        self.try_take().map(|inner| Guard { _held: held, inner })
    }

    /// Takes the lock. Waits as long as `backoff`, called after each poll, returns true. Returns `None` after
    /// that. The order applies as for [`Mutex::lock`]. A wait that ends without the lock is not counted.
    #[inline]
    pub fn lock_while(&self, backoff: impl FnMut() -> bool) -> Option<Guard<'_, P, T>> {
        match self.try_lock() {
            Some(guard) => Some(guard),
            None => self.wait_while(backoff),
        }
    }

    /// Takes the lock. Waits at most `nanos` nanoseconds, or without a bound for `None`.
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

    /// Returns the address of the word that is odd while the lock is held and changes with each acquisition
    /// and release, for a reader in another process.
    pub fn turns_address(&self) -> u64 {
        Addr::of(&raw const self.turns).0 as u64
    }

    /// In checked builds, aborts unless this thread holds this lock.
    #[inline]
    pub fn assert_held(&self) {
        held::assert_held_at(self.rank, self.address());
    }

    /// In checked builds, aborts if the order does not allow taking this lock now. For places that take it
    /// only sometimes.
    #[inline]
    pub fn may_acquire(&self) {
        held::may_acquire(self.rank);
    }

    /// Returns whether the calling thread holds the lock, in the code that a handler interrupted or for a
    /// fork.
    pub fn is_mine(&self) -> bool {
        Fork::is_of(self.holder.load(Ordering::Relaxed), local::thread_id())
    }

    /// Returns the address of the protected value. The caller need not hold the lock.
    pub fn value_ptr(&self) -> *const T {
        self.value.get()
    }

    /// Returns whether this fork took the lock.
    pub fn is_held_for(&self, fork: &Fork) -> bool {
        self.holder.load(Ordering::Relaxed) == fork.mark()
    }

    /// Returns what the checker needs of the lock's rank.
    #[inline]
    pub const fn rank(&self) -> Known {
        self.rank
    }

    /// Returns how many times a thread found the lock taken and waited for it.
    pub fn contended(&self) -> u64 {
        self.contended.load(Ordering::Relaxed)
    }

    /// Returns how long threads waited for the lock, in nanoseconds; 0 if the environment has no clock.
    pub fn waited_nanos(&self) -> u64 {
        self.waited_nanos.load(Ordering::Relaxed)
    }

    /// Returns the waits for the lock.
    pub fn waits(&self) -> Waits {
        Waits { contended: self.contended(), nanos: self.waited_nanos() }
    }

    /// Returns the address by which the checker identifies this lock.
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

    /// Takes the lock and sets its word to `holder`, if it is free.
    #[inline(always)]
    fn take_as(&self, holder: usize) -> bool {
        let taken = self.holder.compare_exchange(FREE, holder, Ordering::Acquire, Ordering::Relaxed).is_ok();
        if taken {
            add(&self.turns, 1);
            // Release: a reader that sees a change made under the lock also sees the odd value.
            fence(Ordering::Release);
        }
        taken
    }

    /// Releases the lock. The calling thread or its fork holds it.
    #[inline(always)]
    fn let_go(&self) {
        // Release: a reader that sees the even value also sees every change made under the lock.
        self.turns.store(self.turns.load(Ordering::Relaxed).wrapping_add(1), Ordering::Release);
        self.holder.store(FREE, Ordering::Release);
    }

    /// Takes the lock without the checker.
    #[inline]
    fn take(&self) -> Held<'_, P, T> {
        match self.try_take() {
            Some(inner) => inner,
            None => self.wait(),
        }
    }

    /// Takes the lock for a fork. Returns without it if this thread holds it or the fork must not wait any
    /// longer.
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

    /// Releases the lock if this fork took it. In the child, a lock of a thread that does not exist there
    /// becomes [`ABANDONED`].
    ///
    /// # Safety
    /// The fork uses nothing any more that it borrowed from the lock.
    pub(super) unsafe fn release_after_fork(&self, fork: &Fork, child: bool) {
        let holder = self.holder.load(Ordering::Relaxed);
        if holder == fork.mark() {
            self.let_go();
        } else if child && holder != FREE && !Fork::is_of(holder, local::thread_id()) {
            self.holder.store(ABANDONED, Ordering::Relaxed);
            note_abandoned();
        }
    }

    /// Spins and yields in turns until this thread has the lock. Then counts the wait.
    #[cold]
    #[inline(never)]
    fn wait(&self) -> Held<'_, P, T> {
        let start = P::now();
        let inner = loop {
            // Checked each time: a handler may have forked during this wait, and this may be the child.
            self.abort_if_endless();
            if let Some(inner) = self.spin() {
                break inner;
            }
            // The holder may be waiting for this CPU.
            P::yield_now();
        };
        self.count(start);
        inner
    }

    /// Aborts if the wait for the lock would never end.
    fn abort_if_endless(&self) {
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

    /// Polls the lock with growing pauses, for one round. Polling only reads, so the lock's cache line stays
    /// with its holder until the lock is free.
    fn spin(&self) -> Option<Held<'_, P, T>> {
        for poll in 0..POLLS {
            if !self.is_locked()
                && let Some(inner) = self.try_take()
            {
                return Some(inner);
            }
            for _ in 0..MOST_PAUSES.min(1 << poll) {
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
        // SAFETY: as above, and the guard is borrowed mutably.
        unsafe { &mut *self.inner.0.value.get() }
    }
}

/// A critical section with a rank and without a mutex, until it is dropped. Empty in release builds.
#[must_use = "the section ends when the guard is dropped"]
pub struct RankGuard {
    _held: HeldGuard,
}

/// Begins a critical section of this rank on this thread. A thread is in at most one section of a rank.
#[inline]
pub fn acquire_rank(rank: Rank) -> RankGuard {
    RankGuard { _held: held::acquire(held::known(rank), 0) }
}
