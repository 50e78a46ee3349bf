//! The checker of checked builds: which locks this thread holds, and whether it may take more.
//!
//! The list of held locks lies in the thread's own storage, where a new thread finds zero bytes:
//! an empty list. `held_off.rs` has the same names with empty bodies and takes this file's place in
//! release builds.

use super::rank::{COUNT, EVALUATED, Rank, Ranks};
use super::violation::Violation;
use crate::{local, report};
use core::marker::PhantomData;

/// How many locks a thread can hold at once: one of each rank, since two locks of one rank are never
/// held together.
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

/// The locks that one thread holds, in the order of acquisition. All bytes zero: none.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct HeldLocks {
    len: u32,
    entries: [Entry; CAPACITY],
}

impl HeldLocks {
    /// No locks.
    pub const fn new() -> HeldLocks {
        HeldLocks { len: 0, entries: [Entry { address: 0, rank: Rank::ALL[0] }; CAPACITY] }
    }

    /// Notes the lock at `address`, if it may be acquired now.
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

    /// Notes the lock at `address` for a thread that takes all ranks in one line, if it stands behind
    /// every lock held. Where no order is declared between two locks nobody else holds both, so any
    /// line that keeps the declared order is safe, as long as there is only one.
    pub fn acquire_in_line(&mut self, rank: Rank, address: usize) -> Result<(), Violation> {
        let stands_before = |held| EVALUATED.place(held) < EVALUATED.place(rank);
        if let Some(held) = self.last_that(|held| !stands_before(held)) {
            return Err(Violation::InLine { rank, held });
        }
        self.push(rank, address);
        Ok(())
    }

    /// Strikes out the lock at `address`. Locks may be released in any order.
    pub fn release(&mut self, rank: Rank, address: usize) -> Result<(), Violation> {
        let Some(position) = self.position(rank, address) else {
            return Err(Violation::NotHeld(rank));
        };
        self.entries.copy_within(position + 1..self.len as usize, position);
        self.len -= 1;
        Ok(())
    }

    /// Whether a lock of this rank may be acquired now.
    pub fn may_acquire(&self, rank: Rank) -> Result<(), Violation> {
        match self.obstacle(rank) {
            Some(held) => Err(Violation::MayAcquire { rank, held }),
            None => Ok(()),
        }
    }

    /// Whether a lock of this rank is held.
    pub fn holds(&self, rank: Rank) -> bool {
        self.ranks().has(rank)
    }

    /// Whether the lock at `address` is held.
    pub fn holds_at(&self, rank: Rank, address: usize) -> bool {
        self.position(rank, address).is_some()
    }

    /// The ranks of the locks that are held.
    pub fn ranks(&self) -> Ranks {
        self.entries().iter().fold(Ranks::NONE, |ranks, entry| ranks.with(entry.rank))
    }

    /// There is room: each rank on the list differs from the others and from `rank`.
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

    /// The rank of the last lock held of which `what` is true.
    fn last_that(&self, what: impl Fn(Rank) -> bool) -> Option<Rank> {
        self.entries().iter().rev().map(|entry| entry.rank).find(|&held| what(held))
    }

    /// The last lock held that may not be held when a lock of `rank` is taken.
    fn obstacle(&self, rank: Rank) -> Option<Rank> {
        self.last_that(|held| !held.may_be_held_when_taking(rank))
    }
}

impl Default for HeldLocks {
    fn default() -> Self {
        HeldLocks::new()
    }
}

/// A note that this thread holds a lock; dropping it strikes the note out. It cannot leave the
/// thread.
#[must_use = "the note is struck out when this is dropped"]
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

/// What a lock knows of its rank.
pub type Known = Rank;

/// What a lock of this rank knows.
#[inline(always)]
pub const fn known(rank: Rank) -> Known {
    rank
}

/// Notes that this thread holds, or waits for, the lock at `address`; fatal where the order does not
/// allow it. Called before waiting, so that what would be a deadlock is a message.
#[inline]
pub fn acquire(rank: Known, address: usize) -> HeldGuard {
    obey(|held| held.acquire(rank, address));
    HeldGuard { rank, address, thread_bound: PhantomData }
}

/// Notes that this thread holds the lock at `address` until [`release`], in a line with others; fatal
/// where it does not stand behind all that are held.
#[inline]
pub fn note_in_line(rank: Known, address: usize) {
    obey(|held| held.acquire_in_line(rank, address));
}

/// Strikes out a note; fatal if there is none.
#[inline]
pub fn release(rank: Known, address: usize) {
    obey(|held| held.release(rank, address));
}

/// Fatal if a lock of this rank must not be acquired now. For places that sometimes acquire it.
#[inline]
pub fn may_acquire(rank: Known) {
    obey(|held| held.may_acquire(rank));
}

/// Fatal unless this thread holds a lock of this rank.
#[inline]
pub fn assert_held(rank: Rank) {
    obey(|held| if held.holds(rank) { Ok(()) } else { Err(Violation::Missing(rank, held.ranks())) });
}

/// Fatal unless this thread holds the lock at `address`.
#[inline]
pub fn assert_held_at(rank: Known, address: usize) {
    obey(|held| if held.holds_at(rank, address) { Ok(()) } else { Err(Violation::Missing(rank, held.ranks())) });
}

/// Fatal if this thread holds a lock of this rank: for system calls that can be slow.
#[inline]
pub fn assert_not_held(rank: Rank) {
    obey(|held| if held.holds(rank) { Err(Violation::Unwanted(rank)) } else { Ok(()) });
}

/// Fatal if this thread holds any lock.
#[inline]
pub fn none_held() {
    obey(|held| {
        let ranks = held.ranks();
        if ranks == Ranks::NONE { Ok(()) } else { Err(Violation::SomeHeld(ranks)) }
    });
}

/// Applies a rule to this thread's list, and dies where it is broken. The list is not borrowed any
/// more when the line is printed, so whoever prints may take locks of its own.
fn obey(rule: impl FnOnce(&mut HeldLocks) -> Result<(), Violation>) {
    let held: *mut HeldLocks = local::held();
    // SAFETY: `held` is this thread's own storage, large enough and aligned (`local::held` asserts
    // both), zero in a new thread, which is an empty list, and changed by nothing but this function.
    // No rule calls back into this function, so the reference is the only one while it lives.
    let result = rule(unsafe { &mut *held });
    if let Err(violation) = result {
        report::fatal(format_args!("{violation}"));
    }
}
