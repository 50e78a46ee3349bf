//! Signals between the threads of a scenario. They are not under test: no site is weakened here. But a compiler moves
//! no store past them.

use core::ops::{Deref, DerefMut};
use core::sync::atomic::Ordering;

use loom::sync as real;

use super::away;
use super::operation::{Readers, before_load, before_store};
use super::world::actor;

/// A flag that is set once. A thread that sees it set also sees everything that came before.
pub struct Flag {
    real: real::atomic::AtomicBool,
    readers: Readers,
}

impl Flag {
    /// Returns a flag that is not set.
    #[allow(clippy::new_without_default, reason = "as the atomics have it")]
    pub fn new() -> Flag {
        Flag { real: real::atomic::AtomicBool::new(false), readers: Readers::default() }
    }

    /// Sets the flag.
    pub fn say(&self) {
        if before_store(&self.readers) {
            self.real.store(true, Ordering::Release);
        }
    }

    /// Returns whether the calling thread sees the flag set.
    pub fn is_said(&self) -> bool {
        before_load(&self.readers) && self.real.load(Ordering::Acquire)
    }
}

/// A lock. A thread that waits for it leaves the CPU.
pub struct Lock<T>(real::Mutex<T>);

impl<T> Lock<T> {
    /// Returns a lock around a value.
    pub fn new(inner: T) -> Lock<T> {
        Lock(real::Mutex::new(inner))
    }

    /// Acquires the lock.
    pub fn lock(&self) -> Guard<'_, T> {
        Guard(away(|| self.0.lock()).expect("loom poisons no lock"))
    }
}

/// A guard of the held lock.
pub struct Guard<'a, T>(real::MutexGuard<'a, T>);

impl<T> Deref for Guard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T> DerefMut for Guard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.0
    }
}

impl<T> Drop for Guard<'_, T> {
    fn drop(&mut self) {
        if let Some((world, me)) = actor() {
            world.settle(&me);
        }
    }
}
