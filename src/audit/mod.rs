//! Every resident byte by its cause: the allocator's own structures beside what the system says of the same process.
//!
//! The command's `audit` and the process's own call [`audit`]. What is asked is a [`Process`], another one or this one, and
//! both are looked at from outside: structures are read through `/proc/PID/mem`, which pages are in memory through
//! `/proc/PID/pagemap`, and what each mapping has through `/proc/PID/smaps`. Where the structures lie, the process says in
//! its ledger.
//!
//! It takes no lock but the list's of the process's own mappings, one entry at a time, stops nobody and allocates nothing;
//! it needs about 40 KiB of stack, and reads files. A process that runs moves meanwhile, which counters say that change with
//! every movement (`instant.rs`): then it looks again, and says how far it moved. Nothing that another process wrote is
//! believed: sums do not overflow, every walk ends, and a link that leads nowhere was overwritten while it was read.
//!
//! Invariant: each cause is measured; what all of them leave of the system's figure is [`Audit::unexplained`].

mod cgroup;
mod instant;
mod lines;
mod mappings;
mod offsets;
mod report;
mod residency;
mod spans;

pub use cgroup::Group;
pub use lines::Line;
pub use mappings::Outside;
pub use offsets::Offsets;
pub use report::{write_json, write_table};
pub use residency::Backed;

use core::ffi::CStr;

use crate::os::{OsError, Process};
use crate::span::Kind;
use crate::stats::Account;
use crate::stats_page::MappingKind;
use crate::stats_page::view::Mapping;
use instant::Instant;
use lines::Lines;
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
    pub what: MappingKind,
}

impl Range {
    /// As a ledger lists it. `None`: it is empty, or no whole pages, or where no program has memory, or for something that
    /// this build does not know.
    pub fn of(mapping: &Mapping) -> Option<Range> {
        let Mapping { start, end, what } = *mapping;
        // No physical page is smaller; of parts of one the system says nothing.
        let is_whole = (start | end) % 4096 == 0;
        let is_range = is_whole && 0 < start && start < end && end <= HIGHEST;
        is_range.then_some(Range { start: start as usize, end: end as usize, what: MappingKind::of(what)? })
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
    StatsPage,
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
        Cause::StatsPage,
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
            Cause::StatsPage => c"ledger",
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
            Cause::StatsPage => "what other processes read",
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
    /// How far the process moved at least while the audit looked, in bytes: by what the system's figure and the accounts
    /// changed, or what does not add up, whichever is more. 0: the process kept still.
    pub moved: u64,
    /// How many movements of pages, spans, caches and accounts there were meanwhile: entries of the books, locks taken.
    pub movements: u64,
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

/// How many looks in a row may find something wrong that the one before did not find so, in a process that kept still.
const CONFIRMATIONS: u32 = 4;
/// How many looks may fail because what they went by was overwritten.
const TORN: u32 = 8;

/// What an audit goes by: the allocator's ranges, and how long it may take.
pub trait Request {
    /// A range by its number. `None`: there are fewer.
    fn range(&self, i: usize) -> Option<Range>;

    /// A number that is another one after each change of the ranges.
    fn changes(&self) -> u64;

    /// Whether a process that moved, or whose structures were overwritten while they were read, is looked at again. May
    /// wait before it answers.
    fn again(&self) -> bool;

    /// Whether a look that is under way is given up.
    fn is_over(&self) -> bool {
        false
    }
}

/// `ETIMEDOUT`: a request was over before one look was done.
pub const OVER: OsError = OsError::Errno(110);

/// Audits `process`, whose kernel's structures are at `offsets`. Keeps in `lines`, of which there is at least one, what it
/// read last.
///
/// A process that moved is looked at again as long as the request says so, and the look during which it moved least counts.
/// Something wrong in a process that kept still is said only when two looks agree on it, between which nothing moved
/// either.
///
/// An error: the process ended, or may not be read, or its structures are not where `offsets` say; or [`OVER`].
pub fn audit(
    process: &Process,
    offsets: &Offsets,
    request: &impl Request,
    lines: &mut [Line],
) -> Result<Audit, OsError> {
    let (mut before, mut passes) = (None, 0);
    let (mut best, mut suspect): (Option<Audit>, Option<Audit>) = (None, None);
    let mut confirmations = 0;
    loop {
        passes += 1;
        let looked = match before.take() {
            Some(before) => Ok(before),
            None => Instant::of(process, offsets, request),
        };
        let looked = looked.and_then(|before| scan(process, offsets, request, lines, &before, best.is_some()));
        match looked {
            Ok(Some((found, _))) if found.moved == 0 && found.is_balanced() => return Ok(Audit { passes, ..found }),
            Ok(Some((found, after))) if found.moved == 0 => {
                if suspect.is_some_and(|suspect| suspect.agrees(&found)) {
                    return Ok(Audit { passes, ..found });
                }
                best = best.or(Some(found.as_moved()));
                suspect = Some(found);
                before = Some(after);
                confirmations += 1;
                if confirmations < CONFIRMATIONS {
                    continue;
                }
            }
            Ok(found) => {
                suspect = None;
                if let Some((found, _)) = found
                    && best.is_none_or(|best| found.rank() <= best.rank())
                {
                    best = Some(found);
                }
            }
            Err(e) if Process::is_torn(e) && passes < TORN => suspect = None,
            Err(OVER) if best.is_some() => break,
            Err(e) if best.is_none() || !Process::is_torn(e) => return Err(e),
            Err(_) => suspect = None,
        }
        if !request.again() && (best.is_some() || passes >= TORN) {
            break;
        }
    }
    best.map(|best| Audit { passes, ..best }).ok_or(OsError::Unsupported)
}

/// One look, after `before` was read. `None`: it was given up because the process moved, which `may_give_up` allows.
#[inline(never)]
fn scan(
    process: &Process,
    offsets: &Offsets,
    request: &impl Request,
    lines: &mut [Line],
    before: &Instant,
    may_give_up: bool,
) -> Result<Option<(Audit, Instant)>, OsError> {
    let mut walk = Walk::new(process, offsets, before, Lines::new(process, lines));
    let (mut spans, mut caches) = (0, 0);
    for range in (0..).map_while(|i| request.range(i)) {
        let Some(cause) = cause_of(range.what) else {
            let is_over = |before: &Instant| {
                if request.is_over() { Err(OVER) } else { Ok(may_give_up && before.is_passed(process, offsets)) }
            };
            if !walk.arena(range.start, range.end, is_over)? {
                return Ok(None);
            }
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
    let after = Instant::of(process, offsets, request)?;
    walk.causes.grow(Cause::Tables, after.balances[Account::OtherSys as usize]);
    let movements = after.movements(before).saturating_add(walk.torn);
    let found = Audit {
        causes: walk.causes,
        resident: after.resident(),
        unexplained: (after.resident() as i64).wrapping_sub(walk.causes.resident() as i64),
        outside: after.seen.outside,
        comparisons: compare(&after, &walk, spans, caches),
        moved: after.distance(before),
        movements,
        passes: 0,
        tells_zeros: process.tells_zeros(),
        group: Group::of(process),
    };
    let kept_still = found.moved == 0 && movements == 0;
    Ok(Some((if kept_still { found } else { found.as_moved() }, after)))
}

/// The cause of a range that has one as a whole. `None`: it is arenas.
fn cause_of(what: MappingKind) -> Option<Cause> {
    Some(match what {
        MappingKind::Heap => return None,
        MappingKind::Spans => Cause::SpanRecords,
        MappingKind::Caches => Cause::Caches,
        MappingKind::Tables | MappingKind::Profile | MappingKind::Trace => Cause::Tables,
        MappingKind::PageMap => Cause::PageMap,
        MappingKind::Stacks => Cause::Stacks,
        MappingKind::StatsPage => Cause::StatsPage,
        MappingKind::Isolated => Cause::Isolated,
    })
}

/// `records` and `caches` are the bytes of ranges for them.
fn compare(instant: &Instant, walk: &Walk<'_>, records: u64, caches: u64) -> [Comparison; COMPARISONS] {
    let spans = |kind: Kind| walk.spans.get(kind as usize).copied().unwrap_or(0);
    let in_use = spans(Kind::Small) + spans(Kind::Large) + spans(Kind::Dead);
    [
        // What caches moved, the accounts do not have yet.
        (Account::HeapInUse, instant.moved(), in_use),
        (Account::HeapFree, instant.moved().wrapping_neg(), walk.free + walk.cached),
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
    /// The same of a process that moved: by as much at least as does not add up.
    fn as_moved(mut self) -> Audit {
        let cache_padded = |c: &Comparison| c.account_bytes.abs_diff(c.walked);
        let most = self.comparisons.iter().map(cache_padded).fold(self.unexplained.unsigned_abs(), u64::max);
        self.moved = self.moved.max(most).max(1);
        self
    }

    /// By what the better of two looks at a process that moved is told.
    fn rank(&self) -> (u64, u64) {
        (self.moved, self.movements)
    }

    /// Whether both find the same wrong.
    fn agrees(&self, other: &Audit) -> bool {
        self.unexplained == other.unexplained && self.comparisons == other.comparisons
    }

    /// Whether everything is explained, and the accounts agree with the walk. Pages of zeros that could not be told from
    /// others may be explained without being there.
    pub fn is_balanced(&self) -> bool {
        let is_explained = self.unexplained == 0 || !self.tells_zeros && self.unexplained < 0;
        is_explained && self.comparisons.iter().all(|c| c.account_bytes == c.walked)
    }
}
