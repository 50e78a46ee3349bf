//! The checker of checked builds: which locks this thread holds, and whether it may take another one.
//!
//! The list of held locks lies in the thread's own storage, which is zero in a new thread: an empty list. In
//! release builds `held_off.rs` replaces this file, with the same items and empty bodies.

use super::rank::{COUNT, EVALUATED, Rank, Ranks};
use super::violation::Violation;
use crate::{local, report};
use core::marker::PhantomData;

/// The most locks that a thread can hold: one of each rank, since two locks of one rank are never held
/// together.
pub const CAPACITY: usize = COUNT;

/// Whether this build checks the order.
pub const CHECKED: bool = true;

const _: () = assert!(Rank::ALL[0] as u8 == 0, "zero bytes are a valid entry");

#[derive(Clone, Copy, Debug)]
#[repr(C)]
struct Entry {
    address: usize,
    rank: Rank,
}

/// The locks that one thread holds, in the order of acquisition. All-zero bytes are an empty list.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct HeldLocks {
    len: u32,
    entries: [Entry; CAPACITY],
}

impl HeldLocks {
    /// Returns an empty list.
    pub const fn new() -> HeldLocks {
        HeldLocks { len: 0, entries: [Entry { address: 0, rank: Rank::ALL[0] }; CAPACITY] }
    }

    /// Records the lock at `address`, if it may be acquired now.
    pub fn acquire(&mut self, rank: Rank, address: usize) -> Result<(), Violation> {
        if self.holds_at(rank, address) {
            return Err(Violation::Twice(rank));
        }
        if let Some(held) = self.obstacle(rank) {
            return Err(Violation::Acquire { rank, held });
        }
        self.push(rank, address);
        Ok(())
    }

    /// Records the lock at `address` for a fork, which takes all ranks in the sorted line, if it comes after
    /// every held lock in that line. Only a fork holds two locks without a declared order, so any line that
    /// respects the declared order is safe, as long as there is only one such line.
    pub fn acquire_in_line(&mut self, rank: Rank, address: usize) -> Result<(), Violation> {
        let comes_before = |held| EVALUATED.place(held) < EVALUATED.place(rank);
        if let Some(held) = self.last_where(|held| !comes_before(held)) {
            return Err(Violation::InLine { rank, held });
        }
        self.push(rank, address);
        Ok(())
    }

    /// Removes the lock at `address`. Locks may be released in any order.
    pub fn release(&mut self, rank: Rank, address: usize) -> Result<(), Violation> {
        let Some(position) = self.position(rank, address) else {
            return Err(Violation::NotHeld(rank));
        };
        self.entries.copy_within(position + 1..self.len as usize, position);
        self.len -= 1;
        Ok(())
    }

    /// Returns an error if a lock of this rank must not be acquired now.
    pub fn may_acquire(&self, rank: Rank) -> Result<(), Violation> {
        match self.obstacle(rank) {
            Some(held) => Err(Violation::MayAcquire { rank, held }),
            None => Ok(()),
        }
    }

    /// Returns whether a lock of this rank is held.
    pub fn holds(&self, rank: Rank) -> bool {
        self.ranks().has(rank)
    }

    /// Returns whether the lock at `address` is held.
    pub fn holds_at(&self, rank: Rank, address: usize) -> bool {
        self.position(rank, address).is_some()
    }

    /// Returns the ranks of the held locks.
    pub fn ranks(&self) -> Ranks {
        self.entries().iter().fold(Ranks::NONE, |ranks, entry| ranks.with(entry.rank))
    }

    /// Appends a lock. The list has space: its ranks are distinct and differ from `rank`.
    fn push(&mut self, rank: Rank, address: usize) {
        self.entries[self.len as usize] = Entry { address, rank };
        self.len += 1;
    }

    fn entries(&self) -> &[Entry] {
        &self.entries[..self.len as usize]
    }

    fn position(&self, rank: Rank, address: usize) -> Option<usize> {
        self.entries().iter().position(|entry| entry.rank == rank && entry.address == address)
    }

    /// Returns the rank of the last held lock for which `what` is true.
    fn last_where(&self, what: impl Fn(Rank) -> bool) -> Option<Rank> {
        self.entries().iter().rev().map(|entry| entry.rank).find(|&held| what(held))
    }

    /// Returns the last held lock that must not be held when a lock of `rank` is taken.
    fn obstacle(&self, rank: Rank) -> Option<Rank> {
        self.last_where(|held| !held.may_be_held_when_taking(rank))
    }
}

impl Default for HeldLocks {
    fn default() -> Self {
        HeldLocks::new()
    }
}

/// The record that this thread holds a lock. Dropping it removes the record. It cannot leave the thread.
#[must_use = "the record is removed when this is dropped"]
pub struct HeldGuard {
    rank: Rank,
    address: usize,
    thread_bound: PhantomData<*const ()>,
}

impl Drop for HeldGuard {
    fn drop(&mut self) {
        release(self.rank, self.address);
    }
}

/// The rank that a lock stores.
pub type Known = Rank;

/// Returns the rank that a lock stores.
#[inline(always)]
pub const fn known(rank: Rank) -> Known {
    rank
}

/// Records that this thread holds or waits for the lock at `address`. Aborts if the order does not allow it.
/// Called before the wait, so that a deadlock becomes a message.
#[inline]
pub fn acquire(rank: Known, address: usize) -> HeldGuard {
    obey(|held| held.acquire(rank, address));
    HeldGuard { rank, address, thread_bound: PhantomData }
}

/// Records that this thread holds the lock at `address`, as a part of the sorted line, until [`release`].
/// Aborts unless it comes after all held locks.
#[inline]
pub fn note_in_line(rank: Known, address: usize) {
    obey(|held| held.acquire_in_line(rank, address));
}

/// Removes the record of a lock. Aborts if there is none.
#[inline]
pub fn release(rank: Known, address: usize) {
    obey(|held| held.release(rank, address));
}

/// Aborts if a lock of this rank must not be acquired now. For places that acquire it only sometimes.
#[inline]
pub fn may_acquire(rank: Known) {
    obey(|held| held.may_acquire(rank));
}

/// Aborts unless this thread holds a lock of this rank.
#[inline]
pub fn assert_held(rank: Rank) {
    obey(|held| if held.holds(rank) { Ok(()) } else { Err(Violation::Missing(rank, held.ranks())) });
}

/// Aborts unless this thread holds the lock at `address`.
#[inline]
pub fn assert_held_at(rank: Known, address: usize) {
    obey(|held| if held.holds_at(rank, address) { Ok(()) } else { Err(Violation::Missing(rank, held.ranks())) });
}

/// Aborts if this thread holds a lock of this rank. Called before system calls that can be slow.
#[inline]
pub fn assert_not_held(rank: Rank) {
    obey(|held| if held.holds(rank) { Err(Violation::Unwanted(rank)) } else { Ok(()) });
}

/// Aborts if this thread holds any lock.
#[inline]
pub fn none_held() {
    obey(|held| {
        let ranks = held.ranks();
        if ranks == Ranks::NONE { Ok(()) } else { Err(Violation::SomeHeld(ranks)) }
    });
}

/// Applies a rule to this thread's list and aborts if it is broken. The borrow of the list ends before the
/// line is printed, so the sink may take locks.
fn obey(rule: impl FnOnce(&mut HeldLocks) -> Result<(), Violation>) {
    let held: *mut HeldLocks = local::held();
    // SAFETY: `held` is this thread's own storage. `local::held` asserts that it is large enough and aligned.
    // It is zero in a new thread, which is an empty list, and only this function changes it. No rule calls
    // this function, so the reference is unique while it lives.
    let result = rule(unsafe { &mut *held });
    if let Err(violation) = result {
        report::fatal(format_args!("{violation}"));
    }
}
