//! The state of a process before and after a pass. The audit compares both to find whether the process changed.

use super::fields::{CycleGuard, MANY, field};
use super::mappings::Mappings;
use super::offsets::Offsets;
use super::request::Request;
use crate::os::{OsError, Process};
use crate::stats::ACCOUNTS;

/// The maximum distance in bytes of the fields of a writer that are read by one system call.
const TOGETHER: usize = 64;

/// Counters that change with each movement of pages, spans, caches and accounts. If a process returned to the same
/// state, the counters still differ.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Counts {
    /// The sum of all writers' sequences.
    sequences: u64,
    /// The turn counters of the locks.
    turns: [u64; 2],
    /// The sequence of the list of ranges.
    changes: u64,
    /// True while a writer posts an entry or a lock is held.
    is_inside: bool,
    /// The bytes that caches moved from free to in use and that the accounts do not contain yet.
    moved: i64,
}

impl Counts {
    fn of(process: &Process, offsets: &Offsets, changes: u64) -> Result<Counts, OsError> {
        let mut turns = [0; 2];
        for (turn, &at) in turns.iter_mut().zip(&offsets.turns) {
            *turn = process.word(at)?;
        }
        let is_held = turns.iter().any(|turn| turn % 2 == 1);
        let mut counts = Counts { sequences: 0, turns, changes, is_inside: is_held, moved: 0 };
        let fields = [offsets.writers.sequence, offsets.writers.next, offsets.writers.moved];
        let (mut writer, mut guard) = (process.word(offsets.writers.first)?, CycleGuard::default());
        for _ in 0..MANY {
            if writer == 0 || !guard.is_new(writer) {
                break;
            }
            let [sequence, next, moved] = words(process, writer, fields)?;
            counts.sequences = counts.sequences.wrapping_add(sequence);
            counts.is_inside |= sequence % 2 == 1;
            counts.moved = counts.moved.wrapping_add(moved as i64);
            writer = next;
        }
        Ok(counts)
    }

    /// Returns the number of movements since `before`: entries, and acquisitions of locks. All those under way count as
    /// one.
    fn since(&self, before: &Counts) -> u64 {
        let pairs = self.turns.iter().zip(&before.turns).map(|(a, b)| a.wrapping_sub(*b));
        let steps = pairs.fold(self.sequences.wrapping_sub(before.sequences), u64::saturating_add);
        let changes = self.changes.wrapping_sub(before.changes);
        let under_way = u64::from(self.is_inside || before.is_inside);
        steps.div_ceil(2).saturating_add(changes.div_ceil(2)).max(under_way)
    }
}

/// Returns the words of `process` at wrapping distances from `at`, read by one system call if they are close together.
fn words<const N: usize>(process: &Process, at: u64, distances: [u64; N]) -> Result<[u64; N], OsError> {
    let ordered = distances.map(|distance| distance as i64);
    let (low, high) = ordered.iter().fold((i64::MAX, i64::MIN), |(low, high), &d| (low.min(d), high.max(d)));
    let mut out = [0; N];
    let mut bytes = [0; TOGETHER];
    let length = (high.wrapping_sub(low) as u64).saturating_add(8);
    match bytes.get_mut(..length as usize) {
        Some(bytes) => {
            process.read(at.wrapping_add(low as u64), bytes)?;
            for (out, distance) in out.iter_mut().zip(ordered) {
                *out = field::<8>(bytes, distance.wrapping_sub(low) as u64);
            }
        }
        None => {
            for (out, distance) in out.iter_mut().zip(distances) {
                *out = process.word(at.wrapping_add(distance))?;
            }
        }
    }
    Ok(out)
}

/// The state that is compared. The counters are read first and last. If the first counters of one state equal the last
/// counters of another, nothing changed between the two.
pub(super) struct Instant {
    first: Counts,
    last: Counts,
    /// The balances of the accounts.
    pub(super) balances: [u64; ACCOUNTS],
    ready: u64,
    /// The figures of `smaps`.
    pub(super) seen: Mappings,
}

impl Instant {
    #[inline(never)]
    pub(super) fn of(process: &Process, offsets: &Offsets, request: &impl Request) -> Result<Instant, OsError> {
        let first = Counts::of(process, offsets, request.changes())?;
        let (mut balances, mut bytes) = ([0; ACCOUNTS], [0; ACCOUNTS * 8]);
        process.read(offsets.accounts.balances, &mut bytes)?;
        for (balance, bytes) in balances.iter_mut().zip(bytes.as_chunks::<8>().0) {
            *balance = u64::from_ne_bytes(*bytes);
        }
        let ready = process.word(offsets.accounts.mapped_ready)?;
        let seen = Mappings::of(process, request)?;
        let last = Counts::of(process, offsets, request.changes())?;
        Ok(Instant { first, last, balances, ready, seen })
    }

    /// Returns the resident bytes of the allocator's ranges, from `smaps`.
    pub(super) fn resident(&self) -> u64 {
        self.seen.resident.saturating_sub(self.seen.foreign)
    }

    /// Returns the bytes that caches moved and that the accounts do not contain yet.
    pub(super) fn moved(&self) -> i64 {
        self.first.moved
    }

    /// Returns the number of movements from the start of `before` to the end of this.
    pub(super) fn movements(&self, before: &Instant) -> u64 {
        self.last.since(&before.first)
    }

    /// Returns the distance of the two states: the sum of all differences, in bytes.
    pub(super) fn distance(&self, before: &Instant) -> u64 {
        let pairs = self.balances.iter().zip(&before.balances).chain([(&self.ready, &before.ready)]);
        let difference =
            pairs.fold(self.moved().abs_diff(before.moved()), |sum, (a, b)| sum.saturating_add(a.abs_diff(*b)));
        difference.saturating_add(self.resident().abs_diff(before.resident()))
    }

    /// Returns whether the heap's lock was taken since this state was read. A cheap test for movement: it reads one
    /// word.
    pub(super) fn is_passed(&self, process: &Process, offsets: &Offsets) -> bool {
        process.word(offsets.turns[0]).is_ok_and(|turns| turns != self.first.turns[0])
    }
}
