//! A snapshot, and the identities that hold in it.

use super::kinds::{Account, FIELDS, TOTALS, Total};
use super::sums::{COUNTS, Sums};
use crate::size_class::Class;

/// How recent an answer of the statistics is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Answer {
    /// The snapshot contains everything that was posted before the caller asked.
    Complete,
    /// The last complete snapshot: another reader did not finish in time, or the OS refused the fence. `nanos` is
    /// its age in nanoseconds, or 0 without a clock.
    Stale {
        /// The age.
        nanos: u64,
    },
    /// No snapshot is available: none was taken yet, or a thousand publications overtook the reader. All figures
    /// are zero.
    Unavailable,
}

impl Answer {
    /// Returns whether the answer is [`Answer::Complete`].
    pub fn is_complete(self) -> bool {
        self == Answer::Complete
    }
}

/// The figures of one size class in one snapshot. Counts are cumulative.
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
pub struct ClassTotals {
    /// Objects allocated.
    pub allocs: u64,
    /// Objects freed by the owner of their span.
    pub frees: u64,
    /// Objects freed by a thread that does not own their span, and sent to the owner.
    pub sent: u64,
    /// Sent objects that were returned to their span.
    pub received: u64,
    /// Bytes of the spans of this class.
    pub span_bytes: i64,
    /// Object slots in these spans without an object.
    pub vacant: i64,
}

impl ClassTotals {
    fn new([span_bytes, slots]: [i64; FIELDS], counts: [i64; COUNTS]) -> ClassTotals {
        let [allocs, frees, received, sent] = counts.map(|n| n as u64);
        let totals = ClassTotals { allocs, frees, sent, received, span_bytes, vacant: 0 };
        ClassTotals { vacant: slots - totals.live(), ..totals }
    }
}

impl ClassTotals {
    /// Returns the objects allocated and not returned to their span: live objects and objects in transit.
    pub fn live(&self) -> i64 {
        self.allocs as i64 - self.frees as i64 - self.received as i64
    }

    /// Returns the object slots in the spans of this class.
    pub fn slots(&self) -> i64 {
        self.live() + self.vacant
    }

    /// Returns the objects sent to the owner of their span and not returned to it yet.
    pub fn in_transit(&self) -> i64 {
        self.sent as i64 - self.received as i64
    }
}

/// The totals of one snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(transparent)]
pub struct Totals(pub(super) [i64; TOTALS]);

impl Totals {
    /// Returns totals that are all zero.
    #[allow(clippy::new_without_default, reason = "a const constructor is the only one wanted")]
    pub const fn new() -> Totals {
        Totals([0; TOTALS])
    }

    /// Returns a total.
    pub fn get(&self, total: impl Into<usize>) -> i64 {
        self.0[total.into()]
    }

    /// Returns the balance of `account`, in bytes.
    pub fn account(&self, account: Account) -> i64 {
        self.0[Total::of(account)]
    }
}

/// A consistent snapshot of the statistics.
#[derive(Clone, Debug, PartialEq, Eq)]
#[repr(transparent)]
pub struct Snapshot {
    pub(super) sums: Sums,
}

/// An identity that does not hold, with both sides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The identity, in words.
    pub identity: &'static str,
    /// The class index, if the identity is about one class.
    pub class: Option<usize>,
    /// The left side.
    pub left: i64,
    /// The right side.
    pub right: i64,
}

impl core::fmt::Display for Failure {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{}: {} against {}", self.identity, self.left, self.right)?;
        match self.class {
            Some(c) => write!(f, " (objects of {} bytes)", Class::from_index(c).size()),
            None => Ok(()),
        }
    }
}

/// The identities that failed; empty if all hold. Keeps the first 16 and counts the others.
#[derive(Default, Debug)]
pub struct Failures {
    first: heapless::Vec<Failure, 16>,
    more: usize,
}

impl Failures {
    /// Records a failure unless `holds`.
    pub fn require(&mut self, holds: bool, identity: &'static str, class: Option<usize>, left: i64, right: i64) {
        if !holds && self.first.push(Failure { identity, class, left, right }).is_err() {
            self.more += 1;
        }
    }

    /// Records a failure unless both sides are equal.
    pub fn equal(&mut self, identity: &'static str, left: i64, right: i64) {
        self.require(left == right, identity, None, left, right);
    }

    /// Returns whether every identity held.
    pub fn is_empty(&self) -> bool {
        self.first.is_empty()
    }

    /// Returns the recorded failures, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &Failure> {
        self.first.iter()
    }

    /// Calls `f` with each recorded failure, and with the number of others.
    pub fn describe(&self, mut f: impl FnMut(core::fmt::Arguments<'_>)) {
        self.iter().for_each(|failure| f(format_args!("{failure}")));
        if self.more > 0 {
            f(format_args!("and {} more", self.more));
        }
    }

    /// Returns the number of failures that [`Failures::iter`] does not return.
    pub fn more(&self) -> usize {
        self.more
    }
}

impl Snapshot {
    /// Returns a snapshot with all figures zero.
    #[allow(clippy::new_without_default, reason = "a const constructor is the only one wanted")]
    pub const fn new() -> Snapshot {
        Snapshot { sums: Sums::new() }
    }

    /// Sets all figures to zero, in place.
    pub(super) fn clear(&mut self) {
        self.sums.totals.fill(0);
        self.sums.classes.iter_mut().for_each(|class| class.fill(0));
        self.sums.counts.iter_mut().for_each(|counts| counts.fill(0));
    }

    /// Returns a total.
    pub fn total(&self, total: Total) -> i64 {
        self.sums.totals[total as usize]
    }

    /// Returns all totals.
    pub fn totals(&self) -> Totals {
        Totals(self.sums.totals)
    }

    /// Returns the figures of `class`.
    pub fn class(&self, class: Class) -> ClassTotals {
        ClassTotals::new(self.sums.classes[class.index()], self.sums.counts[class.index()])
    }

    /// Returns the figures of each class, in order of size.
    pub fn classes(&self) -> impl Iterator<Item = (Class, ClassTotals)> {
        Class::all().map(|class| (class, self.class(class)))
    }

    /// Returns the balance of `account`, in bytes.
    pub fn account(&self, account: Account) -> i64 {
        self.sums.totals[Total::of(account)]
    }

    /// Returns the bytes of all live objects, including large ones.
    pub fn live_bytes(&self) -> i64 {
        let small: i64 = self.classes().map(|(class, c)| c.live() * class.size() as i64).sum();
        small + self.large_bytes()
    }

    /// Returns the bytes of live large objects, in whole pages.
    pub fn large_bytes(&self) -> i64 {
        self.total(Total::LargeAllocBytes) - self.total(Total::LargeFreeBytes)
    }

    /// Checks identities 1 to 5 of docs/books.md and records those that fail.
    pub fn check(&self, failures: &mut Failures) {
        let sum: i64 = Account::ALL.iter().map(|&a| self.account(a)).sum();
        failures.equal("total_mapped = sum of accounts", self.total(Total::TotalMapped), sum);
        let unreleased = self.total(Total::TotalMapped) - self.account(Account::HeapReleased);
        failures.equal("mapped_ready = total_mapped - heap_released", self.total(Total::MappedReady), unreleased);
        failures.equal("heap_in_use = in_heap", self.account(Account::HeapInUse), self.total(Total::InHeap));
        failures.equal("heap_released = released", self.account(Account::HeapReleased), self.total(Total::Released));
        let retained = self.account(Account::HeapInUse) + self.account(Account::HeapFree);
        let manual =
            self.account(Account::InStacks) + self.account(Account::InWorkBufs) + self.account(Account::InBitmaps);
        let committed = self.total(Total::Committed) - manual;
        failures.equal("heap_in_use + heap_free = committed - manual spans", retained, committed);
        let records = self.total(Total::SpanInUse) + self.total(Total::SpanFree);
        failures.equal("span_sys = span records in use + free", self.account(Account::SpanSys), records);
        let caches = self.total(Total::CacheInUse) + self.total(Total::CacheFree);
        failures.equal("cache_sys = caches in use + free", self.account(Account::CacheSys), caches);
        self.check_objects(failures);
    }

    fn check_objects(&self, failures: &mut Failures) {
        let mut spans = self.large_bytes();
        for (class, c) in self.classes() {
            let i = Some(class.index());
            let back = c.frees.wrapping_add(c.received) as i64;
            failures.require(c.live() >= 0, "allocations >= frees", i, c.allocs as i64, back);
            let live = c.live() * class.size() as i64;
            failures.require(live <= c.span_bytes, "live bytes <= bytes of spans", i, live, c.span_bytes);
            failures.require(c.in_transit() >= 0, "sent >= received", i, c.sent as i64, c.received as i64);
            // An object in transit was allocated and is not counted as freed by its owner.
            let covered = c.in_transit() <= c.live();
            failures.require(covered, "objects in transit <= objects", i, c.in_transit(), c.live());
            // All spans of a class have the same number of pages and slots.
            let (bytes, objects) = (class.span_pages().bytes() as i64, class.objects() as i64);
            let holds = c.slots() * bytes == c.span_bytes * objects;
            let right = c.span_bytes * objects / bytes;
            failures.require(holds, "live + vacant = slots in spans", i, c.slots(), right);
            spans += c.span_bytes;
        }
        failures.equal("spans of all classes + large = in_heap", spans, self.total(Total::InHeap));
        let (allocs, frees) = (self.total(Total::LargeAllocs), self.total(Total::LargeFrees));
        failures.require(allocs >= frees, "large allocations >= large frees", None, allocs, frees);
    }
}
