//! The mutex with a rank: a short spin, then a yield, and two counters of waiting.

use super::held::{self, Known, Token};
use super::patience::patience;
use super::rank::Rank;
use crate::local;
use crate::os::Platform;
use crate::report;
use crate::units::Addr;
use core::marker::PhantomData;
use core::ops::{Deref, DerefMut};
use core::sync::atomic::{AtomicU64, Ordering, fence};
use spin::mutex::{SpinMutex, SpinMutexGuard};

/// How often a waiting thread looks at the lock between two yields.
const LOOKS: u32 = 7;
/// The most pauses between two looks. With [`LOOKS`], a round of spinning is 95 pauses: 2.3 µs on an
/// EPYC, where a yield that finds nobody else to run costs 0.5 µs.
const MOST_PAUSES: u32 = 32;

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
pub struct Mutex<P: Platform, T> {
    /// Both counters are changed by the holder of the lock only, so they need no locked
    /// instruction; anybody may read them.
    contended: AtomicU64,
    waited_nanos: AtomicU64,
    /// Odd while the lock is held, and larger after each taking: a reader in another process sees by it whether anything
    /// that the lock protects can have changed. Written by the holder only.
    turns: AtomicU64,
    rank: Known,
    inner: SpinMutex<T>,
    platform: PhantomData<fn() -> P>,
}

/// The right to use what a [`Mutex`] protects, until it is dropped. It cannot leave the thread.
#[must_use = "the lock is released when the guard is dropped"]
pub struct Guard<'a, P: Platform, T> {
    // Fields are dropped in this order: both notes are struck out while the lock is still held.
    _token: Token,
    _turn: Turn<'a>,
    inner: SpinMutexGuard<'a, T>,
    platform: PhantomData<fn() -> P>,
}

/// Makes a lock's `turns` odd until it is dropped.
struct Turn<'a>(&'a AtomicU64);

impl<'a> Turn<'a> {
    #[inline]
    fn begin(turns: &'a AtomicU64) -> Turn<'a> {
        add(turns, 1);
        // Release: a reader that sees a change made under the lock sees the odd value.
        fence(Ordering::Release);
        Turn(turns)
    }
}

impl Drop for Turn<'_> {
    #[inline]
    fn drop(&mut self) {
        // Release: a reader that sees the even value sees every change made under the lock.
        self.0.store(self.0.load(Ordering::Relaxed).wrapping_add(1), Ordering::Release);
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
            inner: SpinMutex::new(value),
            platform: PhantomData,
        }
    }

    /// Takes the lock; waits for whoever has it.
    #[inline]
    pub fn lock(&self) -> Guard<'_, P, T> {
        let token = held::acquire(self.rank, self.address());
        self.guard(token, self.take())
    }

    /// Takes the lock if nobody has it. The order holds for it as well: a lock that is tried out of
    /// order today is waited for out of order tomorrow.
    #[inline]
    pub fn try_lock(&self) -> Option<Guard<'_, P, T>> {
        let token = held::acquire(self.rank, self.address());
        self.inner.try_lock().map(|inner| self.guard(token, inner))
    }

    /// Takes the lock, for which it waits as long as `patience` says, asked after each look, that it should go on.
    /// The order holds as for [`Mutex::lock`]. Waiting that ends without the lock is not counted.
    #[inline]
    pub fn lock_while(&self, patience: impl FnMut() -> bool) -> Option<Guard<'_, P, T>> {
        match self.try_lock() {
            Some(guard) => Some(guard),
            None => self.wait_while(patience),
        }
    }

    /// Takes the lock, for which it waits at most so many nanoseconds, or as long as it takes.
    #[inline]
    pub fn lock_within(&self, nanos: Option<u64>) -> Option<Guard<'_, P, T>> {
        match nanos {
            Some(nanos) => self.lock_while(patience::<P>(nanos)),
            None => Some(self.lock()),
        }
    }

    #[cold]
    fn wait_while(&self, mut patience: impl FnMut() -> bool) -> Option<Guard<'_, P, T>> {
        let token = held::acquire(self.rank, self.address());
        let start = P::now();
        while patience() {
            if !self.inner.is_locked()
                && let Some(inner) = self.inner.try_lock()
            {
                add(&self.contended, 1);
                add(&self.waited_nanos, P::now().saturating_sub(start));
                return Some(self.guard(token, inner));
            }
        }
        None
    }

    #[inline]
    fn guard<'a>(&'a self, token: Token, inner: SpinMutexGuard<'a, T>) -> Guard<'a, P, T> {
        Guard { _token: token, _turn: Turn::begin(&self.turns), inner, platform: PhantomData }
    }

    /// Takes the lock until [`Mutex::let_go`], without a guard and without a note to the checker.
    pub(super) fn hold(&self) {
        core::mem::forget((self.take(), Turn::begin(&self.turns)));
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

    /// Takes the lock, without a note to the checker.
    #[inline]
    pub(super) fn take(&self) -> SpinMutexGuard<'_, T> {
        match self.inner.try_lock() {
            Some(inner) => inner,
            None => self.wait(),
        }
    }

    /// Releases the lock, without a note to the checker.
    ///
    /// # Safety
    /// The lock is held by a guard that was forgotten, and nothing borrowed from it is used any more.
    pub(super) unsafe fn let_go(&self) {
        drop(Turn(&self.turns));
        // SAFETY: the caller's promise: the lock is held, and no guard will release it again.
        unsafe { self.inner.force_unlock() }
    }

    /// Spins, yields, spins again, until the lock is ours; then counts the wait.
    #[cold]
    #[inline(never)]
    fn wait(&self) -> SpinMutexGuard<'_, T> {
        if local::is_forking() {
            // It would wait for itself.
            report::fatal(format_args!(
                "crossfoot: a handler of fork allocates that was registered before the allocator"
            ));
        }
        let start = P::now();
        let inner = loop {
            if let Some(inner) = self.spin() {
                break inner;
            }
            // Whoever holds the lock may be waiting for this CPU.
            P::yield_now();
        };
        let waited = P::now().saturating_sub(start);
        add(&self.contended, 1);
        add(&self.waited_nanos, waited);
        inner
    }

    /// One round of looking at the lock with growing pauses. Looking only reads, so the lock's cache
    /// line stays with its holder until it is free.
    fn spin(&self) -> Option<SpinMutexGuard<'_, T>> {
        for look in 0..LOOKS {
            if !self.inner.is_locked()
                && let Some(inner) = self.inner.try_lock()
            {
                return Some(inner);
            }
            for _ in 0..MOST_PAUSES.min(1 << look) {
                core::hint::spin_loop();
            }
        }
        None
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
        &self.inner
    }
}

impl<P: Platform, T> DerefMut for Guard<'_, P, T> {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut T {
        &mut self.inner
    }
}

/// A critical section that has a rank and no mutex, until it is dropped; nothing in release builds.
#[must_use = "the section ends when the guard is dropped"]
pub struct RankGuard {
    _token: Token,
}

/// Begins a critical section of this rank on this thread. A thread is in one section of a rank at a
/// time.
#[inline]
pub fn acquire_rank(rank: Rank) -> RankGuard {
    RankGuard { _token: held::acquire(held::known(rank), 0) }
}
