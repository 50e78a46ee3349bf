//! The audit: assigns every resident byte of the allocator's mappings to a cause.
//!
//! The command's `audit` calls [`audit`] for another process, and a process calls it for itself. The [`Process`] is
//! read from outside in both cases: structures through `/proc/PID/mem`, resident pages through `/proc/PID/pagemap`, and
//! the figures of each mapping through `/proc/PID/smaps`. The stats page has the addresses of the structures.
//!
//! An audit allocates nothing, stops no thread and takes one lock: that of the process's own list of mappings, for one
//! entry at a time. It needs about 40 KiB of stack, and reads files. If the process changes meanwhile, which counters
//! show (`instant.rs`), the audit makes another pass, and reports how far the process moved. Data of another process is
//! not trusted: sums do not overflow, every walk ends, and an invalid link is treated as overwritten during the walk.
//!
//! Invariant: the bytes of each cause are measured. The difference from the figure of `smaps` is
//! [`Audit::unexplained`].

mod causes;
mod cgroup;
mod fields;
mod instant;
mod lines;
mod mappings;
mod offsets;
mod report;
mod request;
mod residency;
mod spans;

pub use causes::{Amount, CAUSES, Cause, Causes};
pub use cgroup::Group;
pub use lines::Line;
pub use mappings::Outside;
pub use offsets::Offsets;
pub use report::{write_json, write_table};
pub use request::{OVER, Range, Request};
pub use residency::Backed;

use crate::os::{OsError, Process};
use crate::span::Kind;
use crate::stats::Account;
use crate::stats_page::MappingKind;
use instant::Instant;
use lines::Lines;
use residency::Residency;
use spans::Walk;

/// An account of the process, and the same figure from the walk. They must be equal.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Comparison {
    /// The account.
    pub account: Account,
    /// The balance of the account.
    pub account_bytes: i64,
    /// The bytes found by the walk over every page.
    pub walked: i64,
}

/// The result of an audit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Audit {
    /// The amount of each cause.
    pub causes: Causes,
    /// The resident bytes of the allocator's mappings (`Rss` of `/proc/PID/smaps`). If Linux merged the allocator's and
    /// the program's memory into one mapping, the program's pages are not included.
    pub resident: u64,
    /// `resident` minus the sum of all causes.
    pub unexplained: i64,
    /// The memory that is not the allocator's, and the whole process.
    pub outside: Outside,
    /// The accounts beside the walk.
    pub comparisons: [Comparison; COMPARISONS],
    /// A lower bound, in bytes, of how far the process moved during the pass: the change of the resident bytes and the
    /// accounts, or the bytes that do not add up, whichever is more. 0 means that the process did not move.
    pub moved: u64,
    /// The number of movements of pages, spans, caches and accounts during the pass: entries and acquisitions of locks.
    pub movements: u64,
    /// The number of passes.
    pub passes: u32,
    /// Whether Linux distinguishes zero pages from others (6.7 and later): they are in no Rss. If not, `unexplained` is
    /// negative by their size.
    pub tells_zeros: bool,
    /// The control group.
    pub group: Group,
}

/// The number of accounts compared.
const COMPARISONS: usize = 6;

/// The maximum number of successive passes over a process that did not move, each with another error.
const CONFIRMATIONS: u32 = 4;
/// The maximum number of passes that may fail because structures were overwritten.
const TORN: u32 = 8;

/// Audits `process`, whose allocator has its structures at `offsets`. Uses `lines`, at least one, as its buffer.
///
/// If the process moved during a pass, the audit makes another pass as long as the request allows, and returns the pass
/// with the least movement. An error in a process that did not move is reported only if two passes agree on it and
/// nothing moved between them either.
///
/// Returns an error if the process ended or may not be read, or if its structures are not at `offsets`; or [`OVER`].
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
        let pass = match before.take() {
            Some(before) => Ok(before),
            None => Instant::of(process, offsets, request),
        };
        let pass = pass.and_then(|before| scan(process, offsets, request, lines, &before, best.is_some()));
        match pass {
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

/// Makes one pass, after `before` was read. Returns `None` if the pass was abandoned because the process moved, which
/// `may_give_up` allows.
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
        // Tables are reserved as a whole and committed in parts: the account has their size. The page map has no
        // account and an isolated heap has its own: of these only resident and swapped pages are counted.
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
    let unchanged = found.moved == 0 && movements == 0;
    Ok(Some((if unchanged { found } else { found.as_moved() }, after)))
}

/// Returns the cause of a range that has a single one. Returns `None` for arenas.
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

/// Compares accounts with the walk. `records` and `caches` are the bytes of their ranges.
fn compare(instant: &Instant, walk: &Walk<'_>, records: u64, caches: u64) -> [Comparison; COMPARISONS] {
    let spans = |kind: Kind| walk.spans.get(kind as usize).copied().unwrap_or(0);
    let in_use = spans(Kind::Small) + spans(Kind::Large) + spans(Kind::Dead);
    [
        // The accounts do not contain yet what caches moved.
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
    /// Returns this audit as that of a process that moved: at least by the bytes that do not add up.
    fn as_moved(mut self) -> Audit {
        let difference = |c: &Comparison| c.account_bytes.abs_diff(c.walked);
        let most = self.comparisons.iter().map(difference).fold(self.unexplained.unsigned_abs(), u64::max);
        self.moved = self.moved.max(most).max(1);
        self
    }

    /// Returns the key by which two passes over a process that moved are compared.
    fn rank(&self) -> (u64, u64) {
        (self.moved, self.movements)
    }

    /// Returns whether both have the same errors.
    fn agrees(&self, other: &Audit) -> bool {
        self.unexplained == other.unexplained && self.comparisons == other.comparisons
    }

    /// Returns whether everything is explained and the accounts agree with the walk. If zero pages cannot be
    /// distinguished, pages that are not resident may have been counted, so a negative `unexplained` is accepted.
    pub fn is_balanced(&self) -> bool {
        let is_explained = self.unexplained == 0 || !self.tells_zeros && self.unexplained < 0;
        is_explained && self.comparisons.iter().all(|c| c.account_bytes == c.walked)
    }
}
