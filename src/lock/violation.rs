//! The ways to break a rule of the lock order, and the line for each.

use super::rank::{Rank, Ranks};
use core::fmt;

/// A broken rule. Its text is the line with which the process aborts.
#[derive(Clone, Copy, Debug)]
pub enum Violation {
    /// `rank` is being acquired while `held` is held, which the order does not allow.
    Acquire {
        /// The lock that is being acquired.
        rank: Rank,
        /// The held lock that does not come before it.
        held: Rank,
    },
    /// A place was reached that sometimes acquires `rank`, while `held` is held, which the order does not
    /// allow.
    MayAcquire {
        /// The lock that may be acquired.
        rank: Rank,
        /// The held lock that does not come before it.
        held: Rank,
    },
    /// `rank` is being acquired in the sorted line while `held`, which comes later in it, is held.
    InLine {
        /// The lock that is being acquired.
        rank: Rank,
        /// The held lock that comes later.
        held: Rank,
    },
    /// This thread holds this same lock already.
    Twice(Rank),
    /// This thread releases a lock that it does not hold.
    NotHeld(Rank),
    /// A lock must be held here and is not. The held ranks follow.
    Missing(Rank, Ranks),
    /// A lock is held that must not be held here.
    Unwanted(Rank),
    /// Locks are held where none may be.
    SomeHeld(Ranks),
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("crossfoot: lock order: ")?;
        match self {
            Violation::Acquire { rank, held } => {
                write!(f, "acquiring {} while holding {}: ", rank.name(), held.name())?;
                reason(f, *rank, *held)
            }
            Violation::MayAcquire { rank, held } => {
                write!(f, "may acquire {} while holding {}: ", rank.name(), held.name())?;
                reason(f, *rank, *held)
            }
            Violation::InLine { rank, held } => write!(
                f,
                "acquiring {0} in line while holding {1}: {0} does not stand behind {1}",
                rank.name(),
                held.name()
            ),
            Violation::Twice(rank) => {
                write!(f, "acquiring {0} while holding {0}: taken twice by this thread", rank.name())
            }
            Violation::NotHeld(rank) => write!(f, "{} released but not held", rank.name()),
            Violation::Missing(rank, held) => {
                write!(f, "{} must be held here; held: {held}", rank.name())
            }
            Violation::Unwanted(rank) => write!(f, "{} must not be held here", rank.name()),
            Violation::SomeHeld(held) => write!(f, "no lock may be held here; held: {held}"),
        }
    }
}

/// Writes why `rank` must not be taken while `held` is held.
fn reason(f: &mut fmt::Formatter<'_>, rank: Rank, held: Rank) -> fmt::Result {
    if rank == held {
        f.write_str("two locks of one rank are never held together")
    } else if rank.may_be_held_when_taking(held) {
        write!(f, "{} comes before {}", rank.name(), held.name())
    } else {
        f.write_str("no order is declared between them")
    }
}
