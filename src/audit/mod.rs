//! Every resident byte by its cause: the allocator's own structures beside what the system says of the same process.
//!
//! The command's `audit` and the process's own call [`audit`]. What is asked is a [`Process`], another one or this one, and
//! both are looked at from outside: structures are read through `/proc/PID/mem`, which pages are in memory through
//! `/proc/PID/pagemap`, and what each mapping has through `/proc/PID/smaps`. Where the structures lie, the process says in
//! its ledger.
//!
//! It takes no lock but the list's of the process's own mappings, one entry at a time, stops nobody and allocates nothing;
//! it needs about 24 KiB of stack, and reads files. A process that runs moves meanwhile: then it looks again, a few times,
//! and says how far it moved. Nothing that another process wrote is believed: sums do not overflow, and every walk ends.
//!
//! Invariant: each cause is measured; what all of them leave of the system's figure is [`Audit::unexplained`].

mod cgroup;
mod mappings;
mod places;
mod report;
mod residency;
mod spans;

pub use cgroup::Group;
pub use mappings::Outside;
pub use places::Places;
pub use report::{write_json, write_table};
pub use residency::Backed;

use core::ffi::CStr;

use crate::account::{ACCOUNTS, Account};
use crate::ledger::What;
use crate::ledger::view::Mapping;
use crate::os::{OsError, Process};
use crate::span::Kind;
use mappings::Seen;
use residency::Residency;
use spans::Walk;

/// A range of address space that a kernel obtained.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Range {
    /// The first byte.
    pub start: usize,
    /// The first byte behind it.
    pub end: usize,
    /// What it is for.
    pub what: What,
}

impl Range {
    /// As a ledger lists it. `None`: it is empty, or no whole pages, or where no program has memory, or for something that
    /// this build does not know.
    pub fn of(mapping: &Mapping) -> Option<Range> {
        let Mapping { start, end, what } = *mapping;
        // No physical page is smaller; of parts of one the system says nothing.
        let is_whole = (start | end) % 4096 == 0;
        let is_range = is_whole && 0 < start && start < end && end <= HIGHEST;
        is_range.then_some(Range { start: start as usize, end: end as usize, what: What::of(what)? })
    }
}

/// Why a byte of the allocator's mappings is in memory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Cause {
    /// Small objects that the program has.
    LiveSmall,
    /// Large objects that the program has.
    LiveLarge,
    /// Objects that a thread freed which does not own their span, on their way home.
    InTransit,
    /// What threads keep at hand: free places in spans that a thread owns, and free pages.
    Cached,
    /// Free places in spans that no thread owns, and the ends of spans where no object fits.
    Fragmentation,
    /// Free pages that are not given back to the system.
    Free,
    /// Pages that were never used, or were given back to the system, in memory as parts of huge pages of which others are
    /// used.
    Huge,
    /// Stacks.
    Stacks,
    /// Bitmaps and work buffers.
    Bitmaps,
    /// Records of spans.
    SpanRecords,
    /// Caches.
    Caches,
    /// Bits of pages, summaries, and other records.
    Tables,
    /// The page map.
    PageMap,
    /// The ledger.
    Ledger,
    /// Heaps that are isolated, as a whole.
    Isolated,
}

/// How many causes there are.
pub const CAUSES: usize = Cause::Isolated as usize + 1;

impl Cause {
    /// Every cause, in the order of their numbers.
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
        Cause::Ledger,
        Cause::Isolated,
    ];

    /// Its name, as in reports.
    pub fn name(self) -> &'static str {
        self.c_name().to_str().unwrap_or_default()
    }

    /// Its name for C.
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
            Cause::Ledger => c"ledger",
            Cause::Isolated => c"isolated-heaps",
        }
    }

    /// What it says, in a few words.
    pub const fn help(self) -> &'static str {
        match self {
            Cause::LiveSmall => "small objects that the program has",
            Cause::LiveLarge => "large objects that the program has",
            Cause::InTransit => "freed by another thread, on their way home",
            Cause::Cached => "free, at hand for the thread that owns the span or the pages",
            Cause::Fragmentation => "free places in spans of no thread, and ends of spans",
            Cause::Free => "free pages, not given back to the system",
            Cause::Huge => "never used or given back, but parts of huge pages",
            Cause::Stacks => "stacks of the stack pool",
            Cause::Bitmaps => "bitmaps and work buffers",
            Cause::SpanRecords => "records of spans",
            Cause::Caches => "caches of threads",
            Cause::Tables => "bits of pages and summaries",
            Cause::PageMap => "from addresses to spans",
            Cause::Ledger => "what other processes read",
            Cause::Isolated => "isolated heaps, as a whole",
        }
    }
}

/// How much of something there is, in bytes.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Amount {
    /// In address space.
    pub bytes: u64,
    /// Of that, in memory.
    pub resident: u64,
}

/// How much each cause has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Causes {
    amounts: [Amount; CAUSES],
    swapped: u64,
}

impl Causes {
    const fn new() -> Causes {
        Causes { amounts: [Amount { bytes: 0, resident: 0 }; CAUSES], swapped: 0 }
    }

    /// How much a cause has.
    pub fn get(&self, cause: Cause) -> Amount {
        self.amounts[cause as usize]
    }

    /// Bytes in memory, of all causes together.
    pub fn resident(&self) -> u64 {
        self.amounts.iter().fold(0, |sum, amount| sum.saturating_add(amount.resident))
    }

    fn grow(&mut self, cause: Cause, bytes: u64) {
        let amount = &mut self.amounts[cause as usize];
        amount.bytes = amount.bytes.saturating_add(bytes);
    }

    fn resides(&mut self, cause: Cause, bytes: u64) {
        let amount = &mut self.amounts[cause as usize];
        amount.resident = amount.resident.saturating_add(bytes);
    }

    fn add(&mut self, cause: Cause, bytes: u64, backed: Backed) {
        self.grow(cause, bytes);
        self.resides(cause, backed.resident);
        self.swapped += backed.swapped;
    }

    /// `bytes` that were counted as one cause have another one. What is in memory goes with them.
    fn transfer(&mut self, from: Cause, to: Cause, bytes: u64) {
        let bytes = bytes.min(self.get(from).bytes);
        let resident = bytes.min(self.get(from).resident);
        self.amounts[from as usize].bytes -= bytes;
        self.amounts[from as usize].resident -= resident;
        self.grow(to, bytes);
        self.resides(to, resident);
    }
}

/// The low-level accounts of the process, and the same from the walk, where both must agree.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Comparison {
    /// What is compared.
    pub account: Account,
    /// What the accounts say.
    pub account_bytes: i64,
    /// What the walk over every page found.
    pub walked: i64,
}

/// What an audit found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Audit {
    /// Every cause, with what is in memory of it.
    pub causes: Causes,
    /// What the system says is in memory of the allocator's mappings (`Rss` of `/proc/PID/smaps`), in bytes. Where the
    /// system made one mapping of the allocator's and others of the program, without the others' pages.
    pub resident: u64,
    /// `resident` less the sum of all causes.
    pub unexplained: i64,
    /// What is not the allocator's, and the whole process.
    pub outside: Outside,
    /// The accounts beside the walk.
    pub comparisons: [Comparison; COMPARISONS],
    /// How far the system's figure and the accounts moved while the audit looked, in bytes; 0: the process kept still.
    pub moved: u64,
    /// How often it looked.
    pub passes: u32,
    /// Whether the system tells pages of zeros from others (Linux 6.7): they are in no Rss. If not, `unexplained` is below 0
    /// by them.
    pub tells_zeros: bool,
    /// The control group.
    pub group: Group,
}

/// How many accounts are compared.
const COMPARISONS: usize = 6;

/// Where addresses end that a system gives to who asks for no higher ones: what a ledger lists further up is no kernel's.
/// Sums over all ranges of a ledger fit a word.
const HIGHEST: u64 = 1 << 48;

/// How often an audit looks again at a process that moves.
const PASSES: u32 = 8;

/// What is compared before and after a walk.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Instant {
    balances: [u64; ACCOUNTS],
    ready: u64,
    /// What caches moved from free to in use, and the accounts do not have yet.
    moved: i64,
}

impl Instant {
    fn of(process: &Process, places: &Places) -> Result<Instant, OsError> {
        let mut balances = [0; ACCOUNTS];
        for (i, balance) in (0..).zip(&mut balances) {
            *balance = process.word(places.accounts.balances.wrapping_add(i * 8))?;
        }
        let moved = spans::moved(process, places)?;
        Ok(Instant { balances, ready: process.word(places.accounts.mapped_ready)?, moved })
    }

    /// How far two are apart: the sum of all differences.
    fn distance(&self, other: &Instant) -> u64 {
        let pairs = self.balances.iter().zip(&other.balances).chain([(&self.ready, &other.ready)]);
        pairs.fold(self.moved.abs_diff(other.moved), |sum, (a, b)| sum.saturating_add(a.abs_diff(*b)))
    }
}

/// Audits `process`, whose kernel's structures are at `places` and whose ranges `range` gives by their number.
///
/// Looks again while the process moves, a few times, and gives the look during which it moved least. An error: the
/// process ended, or may not be read.
pub fn audit(process: &Process, places: &Places, range: impl Fn(usize) -> Option<Range>) -> Result<Audit, OsError> {
    let mut best: Option<Audit> = None;
    for pass in 1..=PASSES {
        let mut audit = look(process, places, &range)?;
        audit.passes = pass;
        let rank = |audit: &Audit| (audit.moved, !audit.is_balanced(), audit.unexplained.unsigned_abs());
        if best.as_ref().is_none_or(|best| rank(&audit) <= rank(best)) {
            best = Some(audit);
        }
        if let Some(best) = &mut best {
            best.passes = pass;
            if best.moved == 0 && best.is_balanced() {
                break;
            }
        }
    }
    best.ok_or(OsError::Unsupported)
}

/// One look.
#[inline(never)]
fn look(process: &Process, places: &Places, range: &impl Fn(usize) -> Option<Range>) -> Result<Audit, OsError> {
    let before = (Instant::of(process, places)?, Seen::of(process, range)?);
    let (mut walk, mut spans, mut caches) = (Walk::new(process, places, &before.1.may_be_huge), 0, 0);
    for range in (0..).map_while(range) {
        let Some(cause) = cause_of(range.what) else {
            walk.arena(range.start, range.end)?;
            continue;
        };
        let (backed, size) = (Residency::of(process, range.start, range.end)?, (range.end - range.start) as u64);
        match cause {
            Cause::SpanRecords => spans += size,
            Cause::Caches => caches += size,
            _ => {}
        }
        // Of what is reserved and made ready piece by piece, only the account says how much there is; of the page map,
        // which is below the accounts, nothing but what is there.
        let size = match cause {
            Cause::Tables => 0,
            Cause::PageMap | Cause::Isolated => backed.resident + backed.swapped,
            _ => size,
        };
        walk.causes.add(cause, size, backed);
    }
    walk.caches()?;
    let after = (Instant::of(process, places)?, Seen::of(process, range)?);
    walk.causes.grow(Cause::Tables, after.0.balances[Account::OtherSys as usize]);
    let resident = after.1.resident.saturating_sub(after.1.foreign);
    let moved_resident = resident.abs_diff(before.1.resident.saturating_sub(before.1.foreign));
    Ok(Audit {
        causes: walk.causes,
        resident,
        unexplained: (resident as i64).wrapping_sub(walk.causes.resident() as i64),
        outside: after.1.outside,
        comparisons: compare(&after.0, &walk, spans, caches),
        moved: before.0.distance(&after.0).saturating_add(moved_resident).saturating_add(walk.torn),
        passes: 0,
        tells_zeros: process.tells_zeros(),
        group: Group::of(process),
    })
}

/// The cause of a range that has one as a whole. `None`: it is arenas.
fn cause_of(what: What) -> Option<Cause> {
    Some(match what {
        What::Heap => return None,
        What::Spans => Cause::SpanRecords,
        What::Caches => Cause::Caches,
        What::Tables | What::Profile | What::Trace => Cause::Tables,
        What::PageMap => Cause::PageMap,
        What::Stacks => Cause::Stacks,
        What::Ledger => Cause::Ledger,
        What::Isolated => Cause::Isolated,
    })
}

/// `records` and `caches` are the bytes of ranges for them.
fn compare(instant: &Instant, walk: &Walk<'_>, records: u64, caches: u64) -> [Comparison; COMPARISONS] {
    let spans = |kind: Kind| walk.spans.get(kind as usize).copied().unwrap_or(0);
    let in_use = spans(Kind::Small) + spans(Kind::Large) + spans(Kind::Dead);
    [
        // What caches moved, the accounts do not have yet.
        (Account::HeapInUse, instant.moved, in_use),
        (Account::HeapFree, instant.moved.wrapping_neg(), walk.free + walk.in_hand),
        (Account::InStacks, 0, spans(Kind::Stack)),
        (Account::InBitmaps, 0, spans(Kind::Bitmap)),
        (Account::SpanSys, 0, records),
        (Account::CacheSys, 0, caches),
    ]
    .map(|(account, moved, walked)| Comparison {
        account,
        account_bytes: (instant.balances[account as usize] as i64).wrapping_add(moved),
        walked: walked as i64,
    })
}

impl Audit {
    /// Whether everything is explained, and the accounts agree with the walk. Pages of zeros that could not be told from
    /// others may be explained without being there.
    pub fn is_balanced(&self) -> bool {
        let is_explained = self.unexplained == 0 || !self.tells_zeros && self.unexplained < 0;
        is_explained && self.comparisons.iter().all(|c| c.account_bytes == c.walked)
    }
}
