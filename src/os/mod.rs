//! The operating system as the allocator sees it: a trait with a few verbs on address space, a fence, memory shared with
//! other processes, and the process itself.
//!
//! `vm` calls the verbs that change accounted memory; other modules call the rest. Locks use [`Platform`] alone.
//!
//! Implementations do not allocate, take no lock of the allocator, and need only a small stack. They keep no accounts; `vm`
//! does. The implementations are [`Linux`], [`RangeOs`] (a part of the address space of Linux, for an isolated heap),
//! [`Region`] (a given piece of memory) and, in tests, the simulated OS `sim::Sim`.
//!
//! Invariant: a verb changes the state of exactly the range that it is given or, when it returns an error, of nothing.
//! [`OsError::Lost`] is the one exception.
//!
//! | verb | from | to |
//! |---|---|---|
//! | [`Memory::reserve`] | None | Reserved |
//! | [`Memory::map`] | Reserved | Prepared |
//! | [`Memory::used`] | Prepared or Ready | Ready |
//! | [`Memory::unused`] | Ready | Prepared |
//! | [`Memory::fault`] | Ready or Prepared | Reserved |
//! | [`Memory::free`] | any | None |
//! | [`Memory::alloc`] | None | Ready |
//! | [`Memory::guard`] | Ready | Ready for the accounts, but an access faults |
//! | [`Memory::unguard`] | guarded | Ready |

mod calls;
mod fence;
mod identity;
#[cfg(target_os = "linux")]
mod linux;
mod memory;
mod platform;
mod region;
mod sharing;
#[cfg(feature = "testing")]
pub mod sim;

pub use calls::{CALL_NAMES, CALLS, Call, Made};
pub use fence::Fence;
pub use identity::Identity;
#[cfg(target_os = "linux")]
pub use linux::{Backing, Extent, Linux, Process, RangeOs, Run, Runs, shared};
pub use memory::{Memory, OsError, Window};
pub use platform::Platform;
pub use region::Region;
pub use sharing::{Shared, SharedFile, Sharing};

/// An operating system: memory, a fence, shared memory, and the process. It is implemented for every type that has the four.
pub trait Os: Memory + Fence + Sharing + Identity {}

impl<T: Memory + Fence + Sharing + Identity> Os for T {}
