//! The ranks and the order between them, declared once.
//!
//! [`Rank`] lists the ranks with what each protects. [`ORDER`] lists which of two is taken first, and why.
//! Everything else is derived from these two lists, most of it at compile time: which locks may be held when
//! another is taken, the sorted list, the graph, the document.

use core::fmt;

macro_rules! ranks {
    ($($rank:ident: $protects:literal,)+) => {
        /// The position of a lock in the order. A rank belongs to one lock, or to a row of equal locks of
        /// which a thread holds at most one at a time.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        #[repr(u8)]
        pub enum Rank {
            $(#[doc = $protects] $rank,)+
        }

        /// The number of ranks.
        pub const COUNT: usize = [$(stringify!($rank)),+].len();

        const NAMES: [&str; COUNT] = [$(stringify!($rank)),+];
        const PROTECTS: [&str; COUNT] = [$($protects),+];
        const CYCLES: [&str; COUNT] = [$(concat!(
            "the lock order has a cycle: ", stringify!($rank), " comes before itself")),+];

        impl Rank {
            /// Every rank, in the order of declaration.
            pub const ALL: [Rank; COUNT] = [$(Rank::$rank),+];
        }
    };
}

ranks! {
    Heaps: "the list of isolated heaps",
    Isolated: "an isolated heap: its cache and its allocator; one lock for each heap",
    Boot: "start-up, shutdown and fork, one at a time",
    Sysmon: "one round of the background thread, which does not exist yet",
    Trace: "the state of a trace and its reader; there are no traces yet",
    TraceBuffer: "the buffers of a trace while rings are drained into them; no lock has this rank yet",
    Metrics: "the reading from which metrics are computed; its holder may sleep",
    Ledger: "the last reading on the stats page; only a fork waits for it",
    Books: "the reader's side of the consistent statistics: one reader advances the generation",
    Caches: "the pool of caches that no thread owns",
    Shared: "the cache and the statistics of threads that own no cache",
    Central: "one size class's spans that no cache owns; one lock for each class",
    StackPool: "free stacks",
    Scavenge: "the pace and the position of background releases; no lock has this rank yet",
    Heap: "the page heap: arenas, page bitmaps, summaries, span states",
    Meta: "memory for the allocator's own records; no lock has this rank yet",
    Mappings: "the list of mappings on the stats page",
    Posting: "no lock: the section in which a writer's sequence is odd",
}

/// A declared pair: `first` is taken before `then`.
#[derive(Clone, Copy, Debug)]
pub struct Edge {
    /// The lock that is taken first.
    pub first: Rank,
    /// The lock that may be taken while `first` is held.
    pub then: Rank,
    /// When a thread needs both.
    pub why: &'static str,
}

macro_rules! order {
    ($($first:ident < $then:ident: $why:literal,)+) => {
        /// The declared pairs. A pair that follows from others may be declared too, if its reason is worth a
        /// line.
        pub const ORDER: &[Edge] =
            &[$(Edge { first: Rank::$first, then: Rank::$then, why: $why }),+];
    };
}

order! {
    Heaps < Isolated: "a fork keeps the list unchanged while it takes every heap",
    Isolated < Boot: "a call on an isolated heap takes its lock before its allocator is used",
    Boot < Sysmon: "a fork waits for the end of the background thread's round",
    Sysmon < Trace: "a trace starts and stops between two rounds, so that it contains whole rounds",
    Sysmon < Metrics: "a round publishes the metrics on the stats page",
    Sysmon < Scavenge: "a round releases memory",
    Trace < TraceBuffer: "start and stop of a trace empty the buffers while its state cannot change",
    Trace < Metrics: "`crossfoot()` keeps the trace unchanged while it reads the numbers",
    TraceBuffer < Caches: "draining visits the ring of every cache",
    TraceBuffer < Heap: "a trace begins with the spans that are live",
    Metrics < Ledger: "a reading of all metrics is published on the stats page",
    Ledger < Books: "a reading on the stats page is computed from one snapshot",
    Books < Caches: "`crossfoot()` adds up the caches while none is created or adopted",
    Books < Heap: "`crossfoot()` compares a snapshot with a page heap that does not change",
    Caches < Shared: "`crossfoot()` locks the pool of caches, then the shared cache",
    Caches < Meta: "a new cache is a record of the allocator",
    Shared < Central: "the shared cache is refilled from a central list",
    Shared < StackPool: "a thread without a cache also takes and gives back stacks",
    Central < Scavenge: "a central list that makes the heap grow may have to release memory first",
    Central < Heap: "an empty central list takes a span from the page heap",
    StackPool < Scavenge: "a stack that makes the heap grow may have to release memory first",
    StackPool < Heap: "an empty pool takes a span from the page heap",
    Scavenge < Heap: "the pages to release are chosen in the page heap",
    Heap < Meta: "span records and bitmaps are records of the allocator",
    Meta < Mappings: "a mapping for the allocator's records is listed at once",
    Mappings < Posting: "a thread that holds any lock may post, and a thread that posts must not wait for a lock",
}

/// A set of ranks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ranks(u32);

const _: () = assert!(COUNT <= u32::BITS as usize, "a set of ranks is one u32");

impl Ranks {
    /// The empty set.
    pub const NONE: Ranks = Ranks(0);

    /// Returns this set with `rank` added.
    pub const fn with(self, rank: Rank) -> Ranks {
        Ranks(self.0 | 1 << rank as u32)
    }

    /// Returns the union of both sets.
    pub const fn union(self, others: Ranks) -> Ranks {
        Ranks(self.0 | others.0)
    }

    /// Returns whether `rank` is in the set.
    pub const fn has(self, rank: Rank) -> bool {
        self.0 & (1 << rank as u32) != 0
    }

    /// Returns how many ranks are in the set.
    pub const fn count(self) -> usize {
        self.0.count_ones() as usize
    }
}

/// Writes the names in sorted order, or `none`.
impl fmt::Display for Ranks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Ranks::NONE {
            return f.write_str("none");
        }
        let members = EVALUATED.sorted().into_iter().filter(|&rank| self.has(rank));
        for (i, rank) in members.enumerate() {
            f.write_str(if i == 0 { "" } else { ", " })?;
            f.write_str(rank.name())?;
        }
        Ok(())
    }
}

/// The order in the form in which it is queried.
pub struct Order {
    before: [Ranks; COUNT],
    sorted: [Rank; COUNT],
}

/// The declared order, evaluated.
pub const EVALUATED: Order = Order::new(ORDER);

impl Order {
    /// Evaluates declared pairs. The crate calls it in constants only, where a failed assertion is a compile
    /// error.
    ///
    /// # Panics
    /// If some rank comes before itself.
    pub const fn new(edges: &[Edge]) -> Order {
        let before = closure(edges);
        let mut rank = 0;
        while rank < COUNT {
            assert!(!before[rank].has(Rank::ALL[rank]), "{}", CYCLES[rank]);
            rank += 1;
        }
        Order { before, sorted: sort(&before) }
    }

    /// Returns whether a thread that holds `held` may take `next`.
    pub const fn allows(&self, held: Rank, next: Rank) -> bool {
        self.before(next).has(held)
    }

    /// Returns the ranks that may be held when `rank` is taken.
    pub const fn before(&self, rank: Rank) -> Ranks {
        self.before[rank as usize]
    }

    /// Returns the ranks in a line in which each comes after all that may be held when it is taken.
    pub const fn sorted(&self) -> [Rank; COUNT] {
        self.sorted
    }

    /// Returns the position of `rank` in the sorted line.
    pub fn place(&self, rank: Rank) -> usize {
        self.sorted.iter().take_while(|&&other| other != rank).count()
    }

    /// Returns whether `first` comes before `then` with no rank between them.
    pub fn is_step(&self, first: Rank, then: Rank) -> bool {
        self.allows(first, then)
            && !Rank::ALL.iter().any(|&between| self.allows(first, between) && self.allows(between, then))
    }
}

impl Rank {
    /// Returns the rank's name, as in messages and in the document.
    pub const fn name(self) -> &'static str {
        NAMES[self as usize]
    }

    /// Returns what a lock of this rank protects.
    pub const fn protects(self) -> &'static str {
        PROTECTS[self as usize]
    }

    /// Returns whether a thread that holds a lock of this rank may take one of rank `next`.
    pub const fn may_be_held_when_taking(self, next: Rank) -> bool {
        EVALUATED.allows(self, next)
    }
}

/// Returns for each rank the ranks that come before it, directly or through others.
const fn closure(edges: &[Edge]) -> [Ranks; COUNT] {
    let mut before = [Ranks::NONE; COUNT];
    let mut edge = 0;
    while edge < edges.len() {
        let Edge { first, then, .. } = edges[edge];
        before[then as usize] = before[then as usize].with(first);
        edge += 1;
    }
    // A rank before `through` also comes before all ranks after `through`. One round is enough: after each
    // step, every path whose inner ranks are at most `through` is known.
    let mut through = 0;
    while through < COUNT {
        let mut rank = 0;
        while rank < COUNT {
            if before[rank].has(Rank::ALL[through]) {
                before[rank] = before[rank].union(before[through]);
            }
            rank += 1;
        }
        through += 1;
    }
    before
}

/// Sorts by the number of ranks that come before. This respects the order: if a comes before b, then all
/// ranks before a, and a itself, come before b, so b has more.
const fn sort(before: &[Ranks; COUNT]) -> [Rank; COUNT] {
    let mut sorted = Rank::ALL;
    let mut filled = 0;
    let mut many = 0;
    while many < COUNT {
        let mut rank = 0;
        while rank < COUNT {
            if before[rank].count() == many {
                sorted[filled] = Rank::ALL[rank];
                filled += 1;
            }
            rank += 1;
        }
        many += 1;
    }
    assert!(filled == COUNT, "each rank has fewer than COUNT ranks before it");
    sorted
}
