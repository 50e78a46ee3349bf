//! Aggregates: the sources of figures. A reading reads only those that are asked for.

/// A source of figures that are read together.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Aggregate {
    /// A consistent snapshot, and its age. Takes the lock of the statistics.
    ConsistentStats,
    /// The number of caches.
    Caches,
    /// The waits of threads for locks.
    Locks,
    /// System calls.
    Calls,
    /// The chunks of the heap, each of which is visited. Takes the page heap's lock, for a number of chunks at a time.
    Chunks,
    /// Peaks of memory.
    Peaks,
    /// Figures of the OS, as an audit read them.
    System,
    /// The process id.
    Process,
}

/// A set of aggregates.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(transparent)]
pub struct Aggregates(u64);

impl Aggregates {
    /// The empty set.
    pub const NONE: Aggregates = Aggregates(0);
    /// All aggregates.
    pub const ALL: Aggregates = Aggregates((1 << (Aggregate::Process as u64 + 1)) - 1);
    /// The aggregates that are read without a lock, in a time that does not depend on the heap.
    pub const FREE: Aggregates = Aggregates::ALL.without(Aggregate::ConsistentStats).without(Aggregate::Chunks);

    /// Returns this set with one more aggregate.
    pub const fn with(self, aggregate: Aggregate) -> Aggregates {
        Aggregates(self.0 | 1 << aggregate as u64)
    }

    /// Returns this set without one aggregate.
    pub const fn without(self, aggregate: Aggregate) -> Aggregates {
        Aggregates(self.0 & !(1 << aggregate as u64))
    }

    /// Returns whether the aggregate is in the set.
    pub const fn has(self, aggregate: Aggregate) -> bool {
        self.0 & (1 << aggregate as u64) != 0
    }
}
