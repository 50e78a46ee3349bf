//! The names of everything that is counted: accounts, totals, and the figures of a class.

/// An account. Every byte obtained from the operating system stands in exactly one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Account {
    /// Pages of spans that hold objects.
    HeapInUse,
    /// Pages of the page heap that nobody uses and that are Ready.
    HeapFree,
    /// Pages of the page heap that are Prepared: given back to the system, or never used.
    HeapReleased,
    /// Pages of spans in manual use as stacks.
    InStacks,
    /// Pages of spans in manual use as work buffers.
    InWorkBufs,
    /// Pages of spans in manual use as bitmaps.
    InBitmaps,
    /// Span records.
    SpanSys,
    /// Caches.
    CacheSys,
    /// Buckets of the profiler.
    ProfileBucketsSys,
    /// Buffers of the tracer.
    TraceSys,
    /// Stacks that are no spans.
    StacksSys,
    /// The ledger page.
    LedgerSys,
    /// All other records: page bitmaps, summaries.
    OtherSys,
}

/// How many accounts there are.
pub const ACCOUNTS: usize = 13;

impl Account {
    /// Every account, in the order of their numbers.
    pub const ALL: [Account; ACCOUNTS] = [
        Account::HeapInUse,
        Account::HeapFree,
        Account::HeapReleased,
        Account::InStacks,
        Account::InWorkBufs,
        Account::InBitmaps,
        Account::SpanSys,
        Account::CacheSys,
        Account::ProfileBucketsSys,
        Account::TraceSys,
        Account::StacksSys,
        Account::LedgerSys,
        Account::OtherSys,
    ];

    /// The account's name, as in messages.
    pub const fn name(self) -> &'static str {
        match self {
            Account::HeapInUse => "heap_in_use",
            Account::HeapFree => "heap_free",
            Account::HeapReleased => "heap_released",
            Account::InStacks => "in_stacks",
            Account::InWorkBufs => "in_work_bufs",
            Account::InBitmaps => "in_bitmaps",
            Account::SpanSys => "span_sys",
            Account::CacheSys => "cache_sys",
            Account::ProfileBucketsSys => "profile_buckets_sys",
            Account::TraceSys => "trace_sys",
            Account::StacksSys => "stacks_sys",
            Account::LedgerSys => "ledger_sys",
            Account::OtherSys => "other_sys",
        }
    }
}

/// A running total of the consistent statistics, in bytes unless said otherwise. The first
/// [`ACCOUNTS`] mirror the accounts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Total {
    /// Bytes obtained from the system and not given back.
    TotalMapped = ACCOUNTS as u8,
    /// Bytes in state Ready.
    MappedReady,
    /// Pages of the page heap that are Ready: in use or free.
    Committed,
    /// Pages of the page heap that are Prepared.
    Released,
    /// Pages of spans that hold objects.
    InHeap,
    /// Cumulative bytes of large objects allocated, in whole pages.
    LargeAllocBytes,
    /// Cumulative number of large objects allocated.
    LargeAllocs,
    /// Cumulative bytes of large objects freed, in whole pages.
    LargeFreeBytes,
    /// Cumulative number of large objects freed.
    LargeFrees,
    /// Bytes of span records that stand for a span.
    SpanInUse,
    /// Bytes of memory for span records that stand for none, or are not made yet.
    SpanFree,
    /// Bytes of caches that were made.
    CacheInUse,
    /// Bytes of memory for caches that is not one yet.
    CacheFree,
}

/// How many totals there are.
pub const TOTALS: usize = Total::CacheFree as usize + 1;

/// How many figures each class has in the books that change together; the counts of objects change one at a time.
pub(super) const FIELDS: usize = 2;

impl Total {
    /// The index of the total that mirrors `account`.
    pub const fn of(account: Account) -> usize {
        account as usize
    }
}

impl From<Total> for usize {
    fn from(t: Total) -> usize {
        t as usize
    }
}

/// What happened to the spans of one class, to be posted with an entry or alone.
#[derive(Clone, Copy, Default, Debug)]
pub struct ClassDelta {
    /// Bytes of spans gained or lost.
    pub span_bytes: isize,
    /// Places for objects in them.
    pub slots: isize,
}
