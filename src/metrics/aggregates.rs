//! Where figures come from: a reading reads what is asked for, and nothing else.

/// A source of figures that are read together.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Aggregate {
    /// One consistent snapshot, and how it was taken. Takes the books' lock.
    ConsistentStats,
    /// How many caches there are.
    Caches,
    /// How threads waited for locks.
    Locks,
    /// System calls.
    Calls,
    /// The chunks of the heap, each looked at. Takes the page heap's lock, for so many chunks at a time.
    Chunks,
    /// Peaks of memory.
    Peaks,
    /// What an audit found out from the system.
    System,
    /// The process's number.
    Process,
}

/// A set of aggregates.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(transparent)]
pub struct Aggregates(u64);

impl Aggregates {
    /// None.
    pub const NONE: Aggregates = Aggregates(0);
    /// All that there are.
    pub const ALL: Aggregates = Aggregates((1 << (Aggregate::Process as u64 + 1)) - 1);
    /// Those that are read without a lock, in a time that does not depend on the heap.
    pub const FREE: Aggregates = Aggregates::ALL.without(Aggregate::ConsistentStats).without(Aggregate::Chunks);

    /// This set and one more.
    pub const fn with(self, aggregate: Aggregate) -> Aggregates {
        Aggregates(self.0 | 1 << aggregate as u64)
    }

    /// This set but for one.
    pub const fn without(self, aggregate: Aggregate) -> Aggregates {
        Aggregates(self.0 & !(1 << aggregate as u64))
    }

    /// Whether it is in the set.
    pub const fn has(self, aggregate: Aggregate) -> bool {
        self.0 & (1 << aggregate as u64) != 0
    }
}
