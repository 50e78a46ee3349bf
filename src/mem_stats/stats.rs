//! The figures of Go's `runtime.MemStats` that have a meaning here.

use crate::heap::Walked;
use crate::size_class::{CLASSES, Class};
use crate::stats::{Account, Accounts, Snapshot, Total};

/// Allocations of one size class. Go's `BySize`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BySize {
    /// The maximum size in bytes of an object of the class.
    pub size: u64,
    /// Cumulative number of objects allocated.
    pub mallocs: u64,
    /// Cumulative number of objects freed and returned to their span.
    pub frees: u64,
}

/// Statistics of the allocator: the fields of Go's `runtime.MemStats` that have a meaning without a garbage collector,
/// with Go's definitions, and `in_transit`. In bytes, unless a field says otherwise.
///
/// Each is a sum of recorded figures; none is the remainder of others. Objects in transit (freed by another thread, not
/// yet returned to their span) count as allocated, and in `in_transit` too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemStats {
    /// Bytes of allocated objects. The same as `heap_alloc`.
    pub alloc: u64,
    /// Cumulative bytes of objects allocated.
    pub total_alloc: u64,
    /// Memory obtained from the OS and not given back.
    pub sys: u64,
    /// Cumulative number of objects allocated.
    pub mallocs: u64,
    /// Cumulative number of objects freed and returned to their span.
    pub frees: u64,
    /// Bytes of allocated objects.
    pub heap_alloc: u64,
    /// Pages of the page heap in use for objects, free, or released. Excludes spans in manual use.
    pub heap_sys: u64,
    /// Free pages of the page heap, released or not.
    pub heap_idle: u64,
    /// Pages of spans that hold objects.
    pub heap_inuse: u64,
    /// Pages of the page heap that were given back to the OS, or never used.
    pub heap_released: u64,
    /// Number of allocated objects.
    pub heap_objects: u64,
    /// Stacks that are spans.
    pub stack_inuse: u64,
    /// All stacks, spans or not.
    pub stack_sys: u64,
    /// Span records in use.
    pub mspan_inuse: u64,
    /// Memory obtained for span records.
    pub mspan_sys: u64,
    /// Caches in use.
    pub mcache_inuse: u64,
    /// Memory obtained for caches.
    pub mcache_sys: u64,
    /// Buckets of a profiler.
    pub buck_hash_sys: u64,
    /// Page bitmaps and summaries, buffers of a tracer, and spans used as work buffers or object bitmaps.
    pub other_sys: u64,
    /// Number of objects in transit.
    pub in_transit: u64,
    /// Small objects by size class, in order of size.
    pub by_size: [BySize; CLASSES],
}

impl MemStats {
    /// Returns statistics that are all zero.
    #[allow(clippy::new_without_default, reason = "a const constructor is the only one wanted")]
    pub const fn new() -> MemStats {
        MemStats {
            alloc: 0,
            total_alloc: 0,
            sys: 0,
            mallocs: 0,
            frees: 0,
            heap_alloc: 0,
            heap_sys: 0,
            heap_idle: 0,
            heap_inuse: 0,
            heap_released: 0,
            heap_objects: 0,
            stack_inuse: 0,
            stack_sys: 0,
            mspan_inuse: 0,
            mspan_sys: 0,
            mcache_inuse: 0,
            mcache_sys: 0,
            buck_hash_sys: 0,
            other_sys: 0,
            in_transit: 0,
            by_size: [BySize { size: 0, mallocs: 0, frees: 0 }; CLASSES],
        }
    }

    /// Fills in the figures of a snapshot.
    pub(super) fn fill(&mut self, taken: &Snapshot) {
        *self = MemStats::new();
        self.fill_accounts(|account| taken.account(account) as u64);
        self.sys = taken.total(Total::TotalMapped) as u64;
        self.mspan_inuse = taken.total(Total::SpanInUse) as u64;
        self.mcache_inuse = taken.total(Total::CacheInUse) as u64;
        for (class, c) in taken.classes() {
            let by_size = BySize { size: class.size() as u64, mallocs: c.allocs, frees: c.frees + c.received };
            self.add_class(class, by_size, c.live() as u64);
            self.in_transit = self.in_transit.wrapping_add(c.in_transit() as u64);
        }
        let (allocs, frees) = (taken.total(Total::LargeAllocs) as u64, taken.total(Total::LargeFrees) as u64);
        self.mallocs += allocs;
        self.frees += frees;
        self.total_alloc += taken.total(Total::LargeAllocBytes) as u64;
        self.add_objects(allocs.wrapping_sub(frees), taken.large_bytes() as u64);
    }

    /// Fills in the same figures from the second side: the accounts, the caches' own counters, and the walk. Only the
    /// cumulative figures of freed large objects come from the snapshot: they have no second side.
    pub(super) fn fill_slowly(&mut self, accounts: &Accounts, found: &Found, taken: &Snapshot) {
        *self = MemStats::new();
        let walked = &found.walked;
        self.fill_accounts(|account| accounts.get(account) as u64);
        self.heap_inuse = walked.accounts[Account::HeapInUse as usize] as u64;
        self.heap_released = walked.accounts[Account::HeapReleased as usize] as u64;
        self.heap_idle = self.heap_released + walked.accounts[Account::HeapFree as usize] as u64;
        self.heap_sys = self.heap_inuse + self.heap_idle;
        self.stack_inuse = walked.accounts[Account::InStacks as usize] as u64;
        self.sys = accounts.total() as u64;
        self.mspan_inuse = walked.spans as u64 * size_of::<crate::span::Span>() as u64;
        self.mcache_inuse = found.caches as u64 * size_of::<crate::cache::Cache>() as u64;
        for class in Class::all() {
            let i = class.index();
            let live = walked.slots[i].wrapping_sub(walked.vacant[i]).wrapping_sub(found.cached[i]);
            let by_size = BySize {
                size: class.size() as u64,
                mallocs: found.allocs[i],
                frees: found.allocs[i].wrapping_sub(live),
            };
            self.add_class(class, by_size, live);
            self.in_transit += found.arrived[i];
        }
        let freed = taken.total(Total::LargeFrees) as u64;
        self.mallocs += walked.large_objects as u64 + freed;
        self.frees += freed;
        self.total_alloc += walked.large_bytes as u64 + taken.total(Total::LargeFreeBytes) as u64;
        self.add_objects(walked.large_objects as u64, walked.large_bytes as u64);
    }

    fn fill_accounts(&mut self, get: impl Fn(Account) -> u64) {
        self.heap_inuse = get(Account::HeapInUse);
        self.heap_released = get(Account::HeapReleased);
        self.heap_idle = get(Account::HeapFree) + self.heap_released;
        self.heap_sys = self.heap_inuse + self.heap_idle;
        self.stack_inuse = get(Account::InStacks);
        self.stack_sys = self.stack_inuse + get(Account::StacksSys);
        self.mspan_sys = get(Account::SpanSys);
        self.mcache_sys = get(Account::CacheSys);
        self.buck_hash_sys = get(Account::ProfileBucketsSys);
        let spans = get(Account::InWorkBufs) + get(Account::InBitmaps);
        self.other_sys = get(Account::OtherSys) + get(Account::TraceSys) + spans;
    }

    // Wrapping, so that wrong figures do not end the program that asks for them.

    fn add_class(&mut self, class: Class, by_size: BySize, live: u64) {
        self.by_size[class.index()] = by_size;
        self.mallocs = self.mallocs.wrapping_add(by_size.mallocs);
        self.frees = self.frees.wrapping_add(by_size.frees);
        self.total_alloc = self.total_alloc.wrapping_add(by_size.mallocs.wrapping_mul(by_size.size));
        self.add_objects(live, live.wrapping_mul(by_size.size));
    }

    fn add_objects(&mut self, objects: u64, bytes: u64) {
        self.heap_objects = self.heap_objects.wrapping_add(objects);
        self.heap_alloc = self.heap_alloc.wrapping_add(bytes);
        self.alloc = self.heap_alloc;
    }
}

/// The figures of every span and every cache, found while no thread allocates or frees.
pub(super) struct Found {
    /// The spans.
    pub(super) walked: Walked,
    /// The number of caches.
    pub(super) caches: usize,
    /// Objects allocated from each cache since it was made, by class.
    pub(super) allocs: [u64; CLASSES],
    /// Free objects in the caches' free lists, by class.
    pub(super) cached: [u64; CLASSES],
    /// Objects in the caches' inboxes, by class.
    pub(super) arrived: [u64; CLASSES],
}
