//! The verbs of the simulated OS with the states that they require and set, and the record of calls.

use std::collections::VecDeque;
use std::vec::Vec;

use super::states::State;
use crate::os::OsError;
use crate::units::Addr;

/// How many calls the log keeps.
const LOG_LENGTH: usize = 256;

/// A verb: a method of [`Memory`](crate::os::Memory), [`Fence`](crate::os::Fence) or [`Identity`](crate::os::Identity) that
/// acts.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
pub enum Verb {
    /// [`Memory::reserve`](crate::os::Memory::reserve).
    Reserve,
    /// [`Memory::alloc`](crate::os::Memory::alloc).
    Alloc,
    /// [`Memory::map`](crate::os::Memory::map).
    Map,
    /// [`Memory::used`](crate::os::Memory::used).
    Used,
    /// [`Memory::unused`](crate::os::Memory::unused).
    Unused,
    /// [`Memory::fault`](crate::os::Memory::fault).
    Fault,
    /// [`Memory::free`](crate::os::Memory::free).
    Free,
    /// [`Memory::guard`](crate::os::Memory::guard).
    Guard,
    /// [`Memory::unguard`](crate::os::Memory::unguard).
    Unguard,
    /// [`Memory::huge_page`](crate::os::Memory::huge_page).
    HugePage,
    /// [`Memory::no_huge_page`](crate::os::Memory::no_huge_page).
    NoHugePage,
    /// [`Memory::collapse`](crate::os::Memory::collapse).
    Collapse,
    /// [`Memory::sparse`](crate::os::Memory::sparse).
    Sparse,
    /// [`Memory::sparse_ready`](crate::os::Memory::sparse_ready).
    SparseReady,
    /// [`Memory::move_pages`](crate::os::Memory::move_pages).
    MovePages,
    /// [`Fence::register_fence`](crate::os::Fence::register_fence); cannot fail.
    RegisterFence,
    /// [`Fence::fence_all`](crate::os::Fence::fence_all); fails after [`Sim::fail_fence`](super::Sim::fail_fence) only.
    FenceAll,
    /// [`Identity::print`](crate::os::Identity::print); cannot fail.
    Print,
}

impl Verb {
    /// Every verb, in the order of their numbers.
    pub const ALL: [Verb; 18] = [
        Verb::Reserve,
        Verb::Alloc,
        Verb::Map,
        Verb::Used,
        Verb::Unused,
        Verb::Fault,
        Verb::Free,
        Verb::Guard,
        Verb::Unguard,
        Verb::HugePage,
        Verb::NoHugePage,
        Verb::Collapse,
        Verb::Sparse,
        Verb::SparseReady,
        Verb::MovePages,
        Verb::RegisterFence,
        Verb::FenceAll,
        Verb::Print,
    ];

    /// Returns the method's name.
    pub const fn name(self) -> &'static str {
        match self {
            Verb::Reserve => "reserve",
            Verb::Alloc => "alloc",
            Verb::Map => "map",
            Verb::Used => "used",
            Verb::Unused => "unused",
            Verb::Fault => "fault",
            Verb::Free => "free",
            Verb::Guard => "guard",
            Verb::Unguard => "unguard",
            Verb::HugePage => "huge_page",
            Verb::NoHugePage => "no_huge_page",
            Verb::Collapse => "collapse",
            Verb::Sparse => "sparse",
            Verb::SparseReady => "sparse_ready",
            Verb::MovePages => "move_pages",
            Verb::RegisterFence => "register_fence",
            Verb::FenceAll => "fence_all",
            Verb::Print => "print",
        }
    }

    /// Returns whether the method can return an error. Such calls are counted and can be made to fail.
    pub const fn is_fallible(self) -> bool {
        !matches!(self, Verb::RegisterFence | Verb::FenceAll | Verb::Print)
    }

    /// Returns the states allowed for each page of the range.
    pub(super) const fn from(self) -> &'static [State] {
        match self {
            Verb::Map => &[State::Reserved],
            Verb::Used | Verb::Fault | Verb::HugePage | Verb::NoHugePage | Verb::Collapse => {
                &[State::Prepared, State::Ready]
            }
            Verb::Unused | Verb::MovePages | Verb::Guard => &[State::Ready],
            Verb::Unguard => &[State::Guarded],
            // Strict on purpose: between two frees, another caller may have obtained the addresses.
            Verb::Free => &[State::Reserved, State::Prepared, State::Ready, State::Sparse, State::SparseReady],
            Verb::SparseReady => &[State::Sparse, State::SparseReady],
            Verb::Reserve | Verb::Alloc | Verb::Sparse => &[State::None],
            Verb::RegisterFence | Verb::FenceAll | Verb::Print => &[],
        }
    }

    /// Returns the state of the range afterwards, or `None` if the verb changes no state.
    pub(super) const fn to(self) -> Option<State> {
        match self {
            Verb::Reserve | Verb::Fault => Some(State::Reserved),
            Verb::Map | Verb::Unused => Some(State::Prepared),
            Verb::Alloc | Verb::Used | Verb::Unguard => Some(State::Ready),
            Verb::Guard => Some(State::Guarded),
            Verb::Free => Some(State::None),
            Verb::Sparse => Some(State::Sparse),
            Verb::SparseReady => Some(State::SparseReady),
            _ => None,
        }
    }
}

const _: () = {
    let mut i = 0;
    while i < Verb::ALL.len() {
        assert!(Verb::ALL[i] as usize == i, "the counters are indexed by the number of the verb");
        i += 1;
    }
};

/// One call in the log.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Call {
    /// The verb.
    pub verb: Verb,
    /// The requested address or, for a call that chooses it, the result. Null if there is none.
    pub addr: Addr,
    /// The requested size in bytes.
    pub size: usize,
    /// The result.
    pub result: Result<(), OsError>,
}

/// Counts by verb and the last calls.
pub(super) struct Record {
    /// The number of fallible calls, successful or not.
    pub fallible: u64,
    /// How many of them a fault plan made fail.
    pub injected: u64,
    counts: [u64; Verb::ALL.len()],
    last: VecDeque<Call>,
}

impl Record {
    /// Returns an empty record.
    pub(super) const fn new() -> Record {
        Record { fallible: 0, injected: 0, counts: [0; Verb::ALL.len()], last: VecDeque::new() }
    }

    /// Records a call.
    pub(super) fn note(&mut self, call: Call) {
        self.fallible += u64::from(call.verb.is_fallible());
        self.counts[call.verb as usize] += 1;
        if self.last.len() == LOG_LENGTH {
            self.last.pop_front();
        }
        self.last.push_back(call);
    }

    /// Returns the number of calls of one verb.
    pub(super) fn count(&self, verb: Verb) -> u64 {
        self.counts[verb as usize]
    }

    /// Returns the last calls, oldest first.
    pub(super) fn last(&self) -> Vec<Call> {
        self.last.iter().copied().collect()
    }
}
