//! A snapshot and the identities that hold in it.

use super::consistent::{COUNTS, Sums};
use super::kinds::{Account, FIELDS, TOTALS, Total};
use crate::size_class::Class;

/// How an answer of the books is to be taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Answer {
    /// It holds everything that was posted before it was asked for.
    Complete,
    /// It is the last complete snapshot, because another reader was stopped, or because the system refused the
    /// fence. How long ago it was taken, in nanoseconds; 0 where the home has no clock.
    Stale {
        /// Its age.
        nanos: u64,
    },
    /// There is no snapshot yet to answer with, or a thousand publications overtook the reader; the figures are all
    /// zero.
    EmptyCache,
}

impl Answer {
    /// Whether it is complete.
    pub fn is_complete(self) -> bool {
        self == Answer::Complete
    }
}

/// What one snapshot says of one size class. Counts are cumulative.
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
pub struct ClassTotals {
    /// Objects allocated.
    pub allocs: u64,
    /// Objects freed by the owner of their span.
    pub frees: u64,
    /// Objects freed by a thread that does not own their span.
    pub sent: u64,
    /// Of those, objects that came home.
    pub received: u64,
    /// Bytes of the spans of this class.
    pub span_bytes: i64,
    /// Places in these spans that no object has.
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
    /// Objects allocated and not yet back in their span: live ones and those in transit.
    pub fn live(&self) -> i64 {
        self.allocs as i64 - self.frees as i64 - self.received as i64
    }

    /// Places for objects in the spans of this class, with and without one.
    pub fn offsets(&self) -> i64 {
        self.live() + self.vacant
    }

    /// Objects freed by another thread that have not come home yet.
    pub fn in_transit(&self) -> i64 {
        self.sent as i64 - self.received as i64
    }
}

/// One consistent reading of the totals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(transparent)]
pub struct Totals(pub(super) [i64; TOTALS]);

impl Totals {
    /// The totals of empty books.
    #[allow(clippy::new_without_default, reason = "a const constructor is the only one wanted")]
    pub const fn new() -> Totals {
        Totals([0; TOTALS])
    }

    /// A total.
    pub fn get(&self, total: impl Into<usize>) -> i64 {
        self.0[total.into()]
    }

    /// The balance of `account`, in bytes.
    pub fn account(&self, account: Account) -> i64 {
        self.0[Total::of(account)]
    }
}

/// One consistent reading of the books.
#[derive(Clone, Debug, PartialEq, Eq)]
#[repr(transparent)]
pub struct Snapshot {
    pub(super) sums: Sums,
}

/// An identity that does not hold: what it says, and both sides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The identity, in words.
    pub identity: &'static str,
    /// The class index, where it speaks of one class.
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

/// The identities that failed; empty when the books balance. Past its capacity further ones are counted.
#[derive(Default, Debug)]
pub struct Failures {
    first: heapless::Vec<Failure, 16>,
    more: usize,
}

impl Failures {
    /// Notes a failure unless `holds`.
    pub fn require(&mut self, holds: bool, identity: &'static str, class: Option<usize>, left: i64, right: i64) {
        if !holds && self.first.push(Failure { identity, class, left, right }).is_err() {
            self.more += 1;
        }
    }

    /// Notes a failure unless both sides are equal.
    pub fn equal(&mut self, identity: &'static str, left: i64, right: i64) {
        self.require(left == right, identity, None, left, right);
    }

    /// Whether every identity held.
    pub fn is_empty(&self) -> bool {
        self.first.is_empty()
    }

    /// The failures noted, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &Failure> {
        self.first.iter()
    }

    /// Calls `f` with each failure noted, and with how many more there are.
    pub fn describe(&self, mut f: impl FnMut(core::fmt::Arguments<'_>)) {
        self.iter().for_each(|failure| f(format_args!("{failure}")));
        if self.more > 0 {
            f(format_args!("and {} more", self.more));
        }
    }

    /// How many more failed than [`Failures::iter`] shows.
    pub fn more(&self) -> usize {
        self.more
    }
}

impl Snapshot {
    /// The snapshot of empty books.
    #[allow(clippy::new_without_default, reason = "a const constructor is the only one wanted")]
    pub const fn new() -> Snapshot {
        Snapshot { sums: Sums::new() }
    }

    /// Makes it the snapshot of empty books, where it is.
    pub(super) fn clear(&mut self) {
        self.sums.totals.fill(0);
        self.sums.classes.iter_mut().for_each(|class| class.fill(0));
        self.sums.counts.iter_mut().for_each(|counts| counts.fill(0));
    }

    /// A total.
    pub fn total(&self, total: Total) -> i64 {
        self.sums.totals[total as usize]
    }

    /// All totals.
    pub fn totals(&self) -> Totals {
        Totals(self.sums.totals)
    }

    /// What it says of `class`.
    pub fn class(&self, class: Class) -> ClassTotals {
        ClassTotals::new(self.sums.classes[class.index()], self.sums.counts[class.index()])
    }

    /// What it says of each class, the smallest first.
    pub fn classes(&self) -> impl Iterator<Item = (Class, ClassTotals)> {
        Class::all().map(|class| (class, self.class(class)))
    }

    /// The balance of `account`, in bytes.
    pub fn account(&self, account: Account) -> i64 {
        self.sums.totals[Total::of(account)]
    }

    /// Bytes of all classes' live objects, large ones included.
    pub fn live_bytes(&self) -> i64 {
        let small: i64 = self.classes().map(|(class, c)| c.live() * class.size() as i64).sum();
        small + self.large_bytes()
    }

    /// Bytes of large objects, in whole pages.
    pub fn large_bytes(&self) -> i64 {
        self.total(Total::LargeAllocBytes) - self.total(Total::LargeFreeBytes)
    }

    /// Checks identities 1 to 5 and notes those that fail.
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
            // Whatever is on its way was allocated, and nobody else freed it.
            let covered = c.in_transit() <= c.live();
            failures.require(covered, "objects in transit <= objects", i, c.in_transit(), c.live());
            // Every span of a class has as many pages and places as any other.
            let (bytes, objects) = (class.span_pages().bytes() as i64, class.objects() as i64);
            let holds = c.offsets() * bytes == c.span_bytes * objects;
            let right = c.span_bytes * objects / bytes;
            failures.require(holds, "live + vacant = places in spans", i, c.offsets(), right);
            spans += c.span_bytes;
        }
        failures.equal("spans of all classes + large = in_heap", spans, self.total(Total::InHeap));
        let (allocs, frees) = (self.total(Total::LargeAllocs), self.total(Total::LargeFrees));
        failures.require(allocs >= frees, "large allocations >= large frees", None, allocs, frees);
    }
}
