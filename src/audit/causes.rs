//! The causes to which an audit assigns resident memory, and their amounts.

use core::ffi::CStr;

use super::residency::Backed;

/// The reason why a byte of the allocator's mappings is resident.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Cause {
    /// Live small objects.
    LiveSmall,
    /// Live large objects.
    LiveLarge,
    /// Objects freed by a thread that does not own their span, not yet returned to the span.
    InTransit,
    /// Free memory that only one thread can use: free slots in spans that a thread owns, and local pages.
    Cached,
    /// Free slots in spans without an owner, and the ends of spans, where no object fits.
    Fragmentation,
    /// Free pages that are not given back to the OS.
    Free,
    /// Pages never used or given back to the OS, but resident as parts of huge pages.
    Huge,
    /// Stacks.
    Stacks,
    /// Bitmaps and work buffers.
    Bitmaps,
    /// Span records.
    SpanRecords,
    /// Caches.
    Caches,
    /// Page bitmaps, summaries, and other records.
    Tables,
    /// The page map.
    PageMap,
    /// The stats page.
    StatsPage,
    /// Isolated heaps, each as a whole.
    Isolated,
}

/// The number of causes.
pub const CAUSES: usize = Cause::Isolated as usize + 1;

impl Cause {
    /// All causes, in the order of their numbers.
    pub const ALL: [Cause; CAUSES] = [
        Cause::LiveSmall,
        Cause::LiveLarge,
        Cause::InTransit,
        Cause::Cached,
        Cause::Fragmentation,
        Cause::Free,
        Cause::Huge,
        Cause::Stacks,
        Cause::Bitmaps,
        Cause::SpanRecords,
        Cause::Caches,
        Cause::Tables,
        Cause::PageMap,
        Cause::StatsPage,
        Cause::Isolated,
    ];

    /// Returns the name, as in reports.
    pub fn name(self) -> &'static str {
        self.c_name().to_str().unwrap_or_default()
    }

    /// Returns the name for C.
    pub const fn c_name(self) -> &'static CStr {
        match self {
            Cause::LiveSmall => c"live/small",
            Cause::LiveLarge => c"live/large",
            Cause::InTransit => c"in-transit",
            Cause::Cached => c"cached",
            Cause::Fragmentation => c"fragmentation",
            Cause::Free => c"free",
            Cause::Huge => c"huge-fill",
            Cause::Stacks => c"stacks",
            Cause::Bitmaps => c"metadata/bitmaps",
            Cause::SpanRecords => c"metadata/spans",
            Cause::Caches => c"metadata/caches",
            Cause::Tables => c"metadata/tables",
            Cause::PageMap => c"metadata/page-map",
            Cause::StatsPage => c"ledger",
            Cause::Isolated => c"isolated-heaps",
        }
    }

    /// Returns a short description.
    pub const fn help(self) -> &'static str {
        match self {
            Cause::LiveSmall => "live small objects",
            Cause::LiveLarge => "live large objects",
            Cause::InTransit => "freed by another thread, not yet returned to their span",
            Cause::Cached => "free, for the thread that owns the span or the pages only",
            Cause::Fragmentation => "free slots in spans without an owner, and ends of spans",
            Cause::Free => "free pages, not given back to the OS",
            Cause::Huge => "never used or given back, but parts of huge pages",
            Cause::Stacks => "stacks of the stack pool",
            Cause::Bitmaps => "bitmaps and work buffers",
            Cause::SpanRecords => "span records",
            Cause::Caches => "caches of threads",
            Cause::Tables => "page bitmaps and summaries",
            Cause::PageMap => "maps addresses to spans",
            Cause::StatsPage => "statistics for other processes",
            Cause::Isolated => "isolated heaps, as a whole",
        }
    }
}

/// An amount of memory in bytes.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Amount {
    /// Address space.
    pub bytes: u64,
    /// The resident part of it.
    pub resident: u64,
}

/// The amount of each cause.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Causes {
    amounts: [Amount; CAUSES],
    pub(super) swapped: u64,
}

impl Causes {
    pub(super) const fn new() -> Causes {
        Causes { amounts: [Amount { bytes: 0, resident: 0 }; CAUSES], swapped: 0 }
    }

    /// Returns the amount of a cause.
    pub fn get(&self, cause: Cause) -> Amount {
        self.amounts[cause as usize]
    }

    /// Returns the resident bytes of all causes together.
    pub fn resident(&self) -> u64 {
        self.amounts.iter().fold(0, |sum, amount| sum.saturating_add(amount.resident))
    }

    pub(super) fn grow(&mut self, cause: Cause, bytes: u64) {
        let amount = &mut self.amounts[cause as usize];
        amount.bytes = amount.bytes.saturating_add(bytes);
    }

    pub(super) fn resides(&mut self, cause: Cause, bytes: u64) {
        let amount = &mut self.amounts[cause as usize];
        amount.resident = amount.resident.saturating_add(bytes);
    }

    pub(super) fn add(&mut self, cause: Cause, bytes: u64, backed: Backed) {
        self.grow(cause, bytes);
        self.resides(cause, backed.resident);
        self.swapped += backed.swapped;
    }

    /// Moves `bytes`, with the resident part, from one cause to another.
    pub(super) fn transfer(&mut self, from: Cause, to: Cause, bytes: u64) {
        let bytes = bytes.min(self.get(from).bytes);
        let resident = bytes.min(self.get(from).resident);
        self.amounts[from as usize].bytes -= bytes;
        self.amounts[from as usize].resident -= resident;
        self.grow(to, bytes);
        self.resides(to, resident);
    }
}
