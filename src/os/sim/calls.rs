//! The verbs of the simulated machine, what each demands and does, and the record of the
//! calls that were made.

use std::collections::VecDeque;
use std::vec::Vec;

use super::states::State;
use crate::os::OsError;
use crate::units::Addr;

/// How many calls the log remembers.
const LOG_LENGTH: usize = 256;

/// What the machine was asked to do: the methods of [`Os`](crate::os::Os) that act.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
pub enum Verb {
    /// [`Os::reserve`](crate::os::Os::reserve).
    Reserve,
    /// [`Os::alloc`](crate::os::Os::alloc).
    Alloc,
    /// [`Os::map`](crate::os::Os::map).
    Map,
    /// [`Os::used`](crate::os::Os::used).
    Used,
    /// [`Os::unused`](crate::os::Os::unused).
    Unused,
    /// [`Os::fault`](crate::os::Os::fault).
    Fault,
    /// [`Os::free`](crate::os::Os::free).
    Free,
    /// [`Os::guard`](crate::os::Os::guard).
    Guard,
    /// [`Os::unguard`](crate::os::Os::unguard).
    Unguard,
    /// [`Os::huge_page`](crate::os::Os::huge_page).
    HugePage,
    /// [`Os::no_huge_page`](crate::os::Os::no_huge_page).
    NoHugePage,
    /// [`Os::collapse`](crate::os::Os::collapse).
    Collapse,
    /// [`Os::sparse`](crate::os::Os::sparse).
    Sparse,
    /// [`Os::sparse_ready`](crate::os::Os::sparse_ready).
    SparseReady,
    /// [`Os::move_pages`](crate::os::Os::move_pages).
    MovePages,
    /// [`Os::register_fence`](crate::os::Os::register_fence); cannot fail.
    RegisterFence,
    /// [`Os::fence_all`](crate::os::Os::fence_all); fails after [`Sim::fail_fence`](super::Sim::fail_fence) only.
    FenceAll,
    /// [`Os::print`](crate::os::Os::print); cannot fail.
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

    /// The name as the trait spells it.
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

    /// Whether the call returns an error at all, and so is counted and can be made to fail.
    pub const fn is_fallible(self) -> bool {
        !matches!(self, Verb::RegisterFence | Verb::FenceAll | Verb::Print)
    }

    /// The states that each page of the named range may be in.
    pub(super) const fn from(self) -> &'static [State] {
        match self {
            Verb::Map => &[State::Reserved],
            Verb::Used | Verb::Fault | Verb::HugePage | Verb::NoHugePage | Verb::Collapse => {
                &[State::Prepared, State::Ready]
            }
            Verb::Unused | Verb::MovePages | Verb::Guard => &[State::Ready],
            Verb::Unguard => &[State::Guarded],
            // Strict on purpose: address space that is given up twice was somebody else's in between.
            Verb::Free => &[State::Reserved, State::Prepared, State::Ready, State::Sparse, State::SparseReady],
            Verb::SparseReady => &[State::Sparse, State::SparseReady],
            Verb::Reserve | Verb::Alloc | Verb::Sparse => &[State::None],
            Verb::RegisterFence | Verb::FenceAll | Verb::Print => &[],
        }
    }

    /// The state that the range is in afterwards; `None` where the verb changes none.
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

/// One call, as the log remembers it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Call {
    /// What was asked.
    pub verb: Verb,
    /// The address that was asked for or, for a call that chooses it, the one that it gave;
    /// null where there is none.
    pub addr: Addr,
    /// The size that was asked for, in bytes.
    pub size: usize,
    /// How it ended.
    pub result: Result<(), OsError>,
}

/// Counts by verb and the last calls.
pub(super) struct Record {
    /// Fallible calls that were answered, with success or not.
    pub fallible: u64,
    /// Those of them that a fault plan made fail.
    pub injected: u64,
    counts: [u64; Verb::ALL.len()],
    last: VecDeque<Call>,
}

impl Record {
    /// Nothing has happened yet.
    pub(super) const fn new() -> Record {
        Record { fallible: 0, injected: 0, counts: [0; Verb::ALL.len()], last: VecDeque::new() }
    }

    /// Notes a call that was answered.
    pub(super) fn note(&mut self, call: Call) {
        self.fallible += u64::from(call.verb.is_fallible());
        self.counts[call.verb as usize] += 1;
        if self.last.len() == LOG_LENGTH {
            self.last.pop_front();
        }
        self.last.push_back(call);
    }

    /// Calls of one verb.
    pub(super) fn count(&self, verb: Verb) -> u64 {
        self.counts[verb as usize]
    }

    /// The last calls, oldest first.
    pub(super) fn last(&self) -> Vec<Call> {
        self.last.iter().copied().collect()
    }
}
