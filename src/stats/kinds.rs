//! The names of everything that is counted: accounts, totals, and the figures of a class.

macro_rules! accounts {
    ($($account:ident, $name:literal, $content:literal;)+) => {
        /// An account. Each byte obtained from the OS is in exactly one.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        #[repr(u8)]
        pub enum Account {
            $(#[doc = $content] $account,)+
        }

        /// The number of accounts.
        pub const ACCOUNTS: usize = [$(Account::$account),+].len();

        impl Account {
            /// All accounts, in the order of their numbers.
            pub const ALL: [Account; ACCOUNTS] = [$(Account::$account),+];

            /// Returns the name of the account, as in messages.
            pub const fn name(self) -> &'static str {
                match self { $(Account::$account => $name,)+ }
            }

            /// Returns a sentence that says which memory is in the account.
            pub const fn content(self) -> &'static str {
                match self { $(Account::$account => $content,)+ }
            }
        }
    };
}

// The accounts before `SpanSys` count pages of the page heap. `CROSSFOOT_BLESS=1 cargo test --test core_accounts` writes the
// table in docs/books.md.
accounts! {
    HeapInUse, "heap_in_use", "Pages of spans that hold objects.";
    HeapFree, "heap_free", "Free pages of the page heap that are Ready.";
    HeapReleased, "heap_released", "Free pages of the page heap that are Prepared: given back to the OS, or never used.";
    InStacks, "in_stacks", "Pages of spans used as stacks.";
    InWorkBufs, "in_work_bufs", "Pages of spans used as work buffers. Always 0 so far.";
    InBitmaps, "in_bitmaps", "Pages of spans used as bitmaps.";
    SpanSys, "span_sys", "Memory for span records.";
    CacheSys, "cache_sys", "Memory for caches.";
    ProfileBucketsSys, "profile_buckets_sys", "Buckets of a profiler. Always 0 so far.";
    TraceSys, "trace_sys", "Buffers of a tracer. Always 0 so far.";
    StacksSys, "stacks_sys", "Stacks that are not spans.";
    LedgerSys, "ledger_sys", "The stats page.";
    OtherSys, "other_sys", "All other records: page bitmaps, summaries.";
}

/// A running total of the consistent statistics, in bytes unless stated otherwise. The first [`ACCOUNTS`] mirror
/// the accounts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Total {
    /// Bytes obtained from the OS and not given back.
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
    /// Bytes of span records that describe a span.
    SpanInUse,
    /// Bytes of memory for span records that describe no span, or are not made yet.
    SpanFree,
    /// Bytes of caches that were made.
    CacheInUse,
    /// Bytes of memory for caches that are not made yet.
    CacheFree,
}

/// The number of totals.
pub const TOTALS: usize = Total::CacheFree as usize + 1;

/// The number of figures of a class that change together. The counts of objects change one at a time.
pub(super) const FIELDS: usize = 2;

impl Total {
    /// Returns the index of the total that mirrors `account`.
    pub const fn of(account: Account) -> usize {
        account as usize
    }
}

impl From<Total> for usize {
    fn from(t: Total) -> usize {
        t as usize
    }
}

/// A change of the spans of one class, posted with an entry or alone.
#[derive(Clone, Copy, Default, Debug)]
pub struct ClassDelta {
    /// Bytes of spans gained or lost.
    pub span_bytes: isize,
    /// Object slots gained or lost.
    pub slots: isize,
}
