//! Objects and pages of the page heap: what each of them is, and whether it is in memory.

use super::instant::Instant;
use super::lines::Lines;
use super::offsets::Offsets;
use super::residency::Residency;
use super::{Cause, Causes};
use crate::os::{OsError, Process};
use crate::span::Kind;

/// The longest record of a span that is understood, in bytes.
pub(super) const RECORD: usize = 256;
/// The most bytes of a chunk's bits that are understood.
pub(super) const CHUNK: usize = 256;
/// How many entries of the page map are read at a time.
const ENTRIES: usize = 256;
/// The most objects of a span, and physical pages of a span of small objects, that are understood.
const OBJECTS: usize = 2048;
const PHYSICAL: usize = 512;
/// How many links between caches and between batches are followed, all together.
pub(super) const MANY: u32 = 1 << 22;

/// A span, as far as it matters here.
#[derive(Clone, Copy)]
struct Span {
    record: u64,
    base: u64,
    bytes: u64,
    kind: u8,
    class: u64,
    size: u64,
    objects: u64,
    owner: u64,
    free: u64,
    out: u64,
    carved: u64,
}

/// Bits, one for each object or page of a span.
struct Bits<const WORDS: usize>([u64; WORDS]);

impl<const WORDS: usize> Bits<WORDS> {
    fn set(&mut self, i: usize) -> bool {
        let (word, bit) = (self.0.get_mut(i / 64), 1 << (i % 64));
        word.is_some_and(|word| core::mem::replace(word, *word | bit) & bit == 0)
    }

    fn has(&self, i: usize) -> bool {
        self.0.get(i / 64).is_some_and(|word| word >> (i % 64) & 1 == 1)
    }
}

/// Where somebody was who follows links, as far as it takes to see that they lead back.
#[derive(Default)]
pub(super) struct CycleGuard {
    steps: u64,
    mark: u64,
}

impl CycleGuard {
    /// Whether `at`, which is not 0, is not the place that is remembered. That is always one of the latter half of the
    /// steps, so whoever goes in a circle comes by.
    pub(super) fn is_new(&mut self, at: u64) -> bool {
        if at == self.mark {
            return false;
        }
        self.steps += 1;
        if self.steps.is_power_of_two() {
            self.mark = at;
        }
        true
    }
}

/// What a walk goes by, and what it found so far.
pub(super) struct Walk<'a> {
    process: &'a Process,
    offsets: &'a Offsets,
    before: &'a Instant,
    lines: Lines<'a>,
    /// Causes found.
    pub(super) causes: Causes,
    /// Bytes of spans by [`Kind`], in the order of its numbers; of free pages; of pages in caches' hands.
    pub(super) spans: [u64; 6],
    pub(super) free: u64,
    pub(super) cached: u64,
    /// Lists of objects that ended where no list ends: threads allocated and freed meanwhile.
    pub(super) torn: u64,
    chunk: Option<u64>,
    bits: [u8; CHUNK],
    /// How many links may still be followed.
    links: u32,
}

pub(super) fn field<const N: usize>(record: &[u8], place: u64) -> u64 {
    let at = place as usize;
    let mut bytes = [0; 8];
    if let (Some(from), Some(to)) = (record.get(at..at.saturating_add(N)), bytes.get_mut(..N)) {
        to.copy_from_slice(from);
    }
    u64::from_le_bytes(bytes)
}

impl<'a> Walk<'a> {
    /// A walk after `before` was read, which keeps the lines read last in `lines`.
    pub(super) fn new(process: &'a Process, offsets: &'a Offsets, before: &'a Instant, lines: Lines<'a>) -> Walk<'a> {
        Walk {
            process,
            offsets,
            before,
            lines,
            causes: Causes::new(),
            spans: [0; 6],
            free: 0,
            cached: 0,
            torn: 0,
            chunk: None,
            bits: [0; CHUNK],
            links: MANY,
        }
    }

    fn span(&mut self, record: u64) -> Result<Span, OsError> {
        let (mut bytes, offsets) = ([0; RECORD], &self.offsets.span);
        let bytes = bytes.get_mut(..offsets.size as usize).unwrap_or_default();
        self.lines.read(record, bytes)?;
        Ok(Span {
            record,
            base: field::<8>(bytes, offsets.base),
            bytes: field::<4>(bytes, offsets.pages) << self.offsets.page_shift,
            kind: field::<1>(bytes, offsets.kind) as u8,
            class: field::<1>(bytes, offsets.class),
            size: field::<4>(bytes, offsets.object_size),
            objects: field::<2>(bytes, offsets.objects),
            owner: field::<8>(bytes, offsets.owner),
            free: field::<8>(bytes, offsets.free),
            out: field::<8>(bytes, offsets.out),
            carved: field::<4>(bytes, offsets.carved),
        })
    }

    /// The record of the span at `addr`; 0: there is none.
    fn record_of(&mut self, addr: u64) -> Result<u64, OsError> {
        let index = (addr >> self.offsets.page_shift).wrapping_sub(self.offsets.map.first);
        if index >= self.offsets.map.length {
            return Ok(0);
        }
        let distance = self.lines.word(self.offsets.map.entries.wrapping_add(index.wrapping_mul(8)))?;
        Ok(if distance == 0 { 0 } else { self.offsets.map.entries.wrapping_add(distance) })
    }

    /// Every page of an arena, or several. `false`: it was given up, because `is_over` said so, which is asked now and then.
    pub(super) fn arena(
        &mut self,
        start: usize,
        end: usize,
        is_over: impl Fn(&Instant) -> Result<bool, OsError>,
    ) -> Result<bool, OsError> {
        let page = 1u64 << self.offsets.page_shift;
        let (mut at, end) = (start as u64, end as u64);
        let mut residency = Residency::new(self.process, start, end as usize);
        let (mut entries, mut from, mut to) = ([0u8; 8 * ENTRIES], at, at);
        while at < end {
            if !(from..to).contains(&at) {
                if is_over(self.before)? {
                    return Ok(false);
                }
                let pages = ((end - at) >> self.offsets.page_shift).min(ENTRIES as u64);
                let index = (at >> self.offsets.page_shift).wrapping_sub(self.offsets.map.first);
                let place = self.offsets.map.entries.wrapping_add(index.wrapping_mul(8));
                self.process.read(place, entries.get_mut(..pages as usize * 8).unwrap_or_default())?;
                (from, to) = (at, at + (pages << self.offsets.page_shift));
                if pages == 0 {
                    return Ok(true);
                }
            }
            let distance = field::<8>(&entries, ((at - from) >> self.offsets.page_shift) * 8);
            if distance == 0 {
                self.free_page(at, page, &mut residency)?;
                at += page;
                continue;
            }
            // What does not fit its place is passed over: the process moved meanwhile, or the sums say that it is wrong.
            let span = match self.span(self.offsets.map.entries.wrapping_add(distance)) {
                Ok(span) if span.base == at && span.bytes != 0 && span.bytes <= end - at => span,
                Err(e) if !Process::is_torn(e) => return Err(e),
                _ => {
                    at += page;
                    continue;
                }
            };
            self.add(&span, &mut residency)?;
            at += span.bytes;
        }
        Ok(true)
    }

    /// A page that is no span's.
    fn free_page(&mut self, at: u64, page: u64, residency: &mut Residency<'_>) -> Result<(), OsError> {
        let pages = &self.offsets.pages;
        let index = at.wrapping_sub(pages.base) >> self.offsets.page_shift;
        let (chunk, i) = (index / pages.chunk_pages, index % pages.chunk_pages);
        if self.chunk != Some(chunk) {
            let table = if chunk < pages.in_head { pages.head } else { pages.rest };
            let place = table.wrapping_add(chunk.wrapping_mul(pages.chunk_size));
            let bits = self.bits.get_mut(..pages.chunk_size as usize).unwrap_or_default();
            // The bits of a chunk that was not added yet may not be there: then all its pages are released.
            match self.process.read(place, bits) {
                Err(e) if Process::is_torn(e) => bits.fill(0),
                result => result?,
            }
            self.chunk = Some(chunk);
        }
        let bit = |place: u64| field::<8>(&self.bits, place.saturating_add(i / 64 * 8)) >> (i % 64) & 1 == 1;
        let (taken, ready) = (bit(pages.taken), bit(pages.resident));
        let backed = residency.within(at as usize, (at + page) as usize)?;
        if taken {
            self.cached += page;
            self.causes.add(Cause::Cached, page, backed);
        } else if ready {
            self.free += page;
            self.causes.add(Cause::Free, page, backed);
        } else if self.before.seen.may_be_huge.iter().any(|range| (range.0..range.1).contains(&(at as usize))) {
            self.causes.add(Cause::Huge, backed.resident, backed);
        }
        // Elsewhere such pages have no memory; what they have is left unexplained.
        Ok(())
    }

    fn add(&mut self, span: &Span, residency: &mut Residency<'_>) -> Result<(), OsError> {
        if let Some(sum) = self.spans.get_mut(span.kind as usize) {
            *sum += span.bytes;
        }
        let cause = match span.kind {
            k if k == Kind::Small as u8 => return self.add_small(span, residency),
            k if k == Kind::Large as u8 => Cause::LiveLarge,
            k if k == Kind::Stack as u8 => Cause::Stacks,
            k if k == Kind::WorkBuf as u8 || k == Kind::Bitmap as u8 => Cause::Bitmaps,
            // A large object that was freed and is on its way to the page heap.
            _ => Cause::Cached,
        };
        let backed = residency.within(span.base as usize, (span.base + span.bytes) as usize)?;
        self.causes.add(cause, span.bytes, backed);
        Ok(())
    }

    fn add_small(&mut self, span: &Span, residency: &mut Residency<'_>) -> Result<(), OsError> {
        let physical = self.offsets.physical_page;
        let (objects, size) = (span.objects.min(OBJECTS as u64), span.size);
        if size == 0 || span.bytes / physical > PHYSICAL as u64 || objects * size > span.bytes {
            return Ok(());
        }
        let mut free = Bits([0; OBJECTS / 64]);
        let cached = match self.mark_cached(span, &mut free) {
            Err(e) if Process::is_torn(e) => 0,
            result => result?,
        };
        let live = span.out.checked_div(span.base).unwrap_or(0).saturating_sub(cached).min(objects);
        let vacant = if span.owner == 0 { Cause::Fragmentation } else { Cause::Cached };
        let (mut pages, mut backed_pages) = (Bits([0; PHYSICAL / 64]), 0);
        for i in 0..span.bytes / physical {
            let at = span.base + i * physical;
            let backed = residency.within(at as usize, (at + physical) as usize)?;
            self.causes.swapped += backed.swapped;
            if backed.resident > 0 {
                pages.set(i as usize);
                backed_pages += 1;
            }
        }
        let (live_bytes, vacant_bytes) = (live * size, (objects - live) * size);
        self.causes.grow(Cause::LiveSmall, live_bytes);
        self.causes.grow(vacant, vacant_bytes);
        self.causes.grow(Cause::Fragmentation, span.bytes - objects * size);
        if backed_pages * physical == span.bytes {
            self.causes.resides(Cause::LiveSmall, live_bytes);
            self.causes.resides(vacant, vacant_bytes);
            self.causes.resides(Cause::Fragmentation, span.bytes - objects * size);
            return Ok(());
        }
        // Some pages are not in memory: then it matters which objects lie there.
        self.mark(span, span.free, &mut free)?;
        let resident = |from: u64, to: u64| -> u64 {
            let part = |i: u64| to.min((i + 1) * physical) - from.max(i * physical);
            (from / physical..to.div_ceil(physical)).filter(|&i| pages.has(i as usize)).map(part).sum()
        };
        for i in 0..objects {
            let cause = if i >= span.carved || free.has(i as usize) { vacant } else { Cause::LiveSmall };
            self.causes.resides(cause, resident(i * size, (i + 1) * size));
        }
        self.causes.resides(Cause::Fragmentation, resident(objects * size, span.bytes));
        Ok(())
    }

    /// Marks the objects of the span that are in its owner's hand; returns how many those are.
    fn mark_cached(&mut self, span: &Span, free: &mut Bits<{ OBJECTS / 64 }>) -> Result<u64, OsError> {
        let cache = &self.offsets.cache;
        if span.owner == 0 || span.class >= cache.classes {
            return Ok(0);
        }
        let state = span.owner.wrapping_add(cache.states).wrapping_add(span.class.wrapping_mul(cache.state_size));
        if self.lines.word(state.wrapping_add(cache.current))? != span.record {
            return Ok(0);
        }
        let slot = span.owner.wrapping_add(cache.slots).wrapping_add(span.class.wrapping_mul(cache.slot_size));
        let hand = self.lines.word(slot)?;
        let stock = self.lines.word(state.wrapping_add(cache.stock))?;
        Ok(self.mark(span, hand, free)? + self.mark(span, stock, free)?)
    }

    /// Marks the objects of a list; returns how many were not marked before. A list that leaves the span ends there: its
    /// owner wrote it meanwhile.
    fn mark(&mut self, span: &Span, first: u64, free: &mut Bits<{ OBJECTS / 64 }>) -> Result<u64, OsError> {
        let (mut at, mut marked) = (first, 0);
        while at != 0 && at.wrapping_sub(span.base) < span.objects * span.size {
            if !free.set(((at - span.base) / span.size) as usize) {
                break;
            }
            marked += 1;
            at = match self.lines.word(at.wrapping_add(self.offsets.span.object_next)) {
                Err(e) if Process::is_torn(e) => 0,
                result => result?,
            };
        }
        Ok(marked)
    }

    /// Objects on their way home. They were counted as live.
    pub(super) fn caches(&mut self) -> Result<(), OsError> {
        let offsets = &self.offsets.cache;
        let mut cache = self.lines.word(self.offsets.caches)?;
        let mut transit: u64 = 0;
        let mut guard = CycleGuard::default();
        while cache != 0 && self.may_follow(&mut guard, cache) {
            for found in
                [self.outbox(cache.wrapping_add(offsets.outbox)), self.inbox(cache.wrapping_add(offsets.inbox))]
            {
                match found {
                    // A thread overwrote a link that was followed: its objects arrived.
                    Err(e) if Process::is_torn(e) => self.torn += 1,
                    found => transit = transit.saturating_add(found?),
                }
            }
            cache = self.lines.word(cache.wrapping_add(offsets.next))?;
        }
        self.causes.transfer(Cause::LiveSmall, Cause::InTransit, transit);
        Ok(())
    }

    /// Whether a link to `at` may be followed, which is counted. Of one that leads back the audit says that the process
    /// moved.
    fn may_follow(&mut self, guard: &mut CycleGuard, at: u64) -> bool {
        self.links = self.links.saturating_sub(1);
        let may = self.links > 0 && guard.is_new(at);
        self.torn += u64::from(!may);
        may
    }

    /// Bytes of objects in an outbox.
    fn outbox(&mut self, at: u64) -> Result<u64, OsError> {
        let offsets = &self.offsets.cache.in_outbox;
        let mut bytes = [0; 16];
        self.lines.read(at.wrapping_add(offsets.begun), &mut bytes)?;
        let (mut begun, mut sum) = (u128::from_le_bytes(bytes), 0_u64);
        while begun != 0 {
            let i = u64::from(begun.trailing_zeros());
            begun &= begun - 1;
            if i < offsets.count {
                let pending = at.wrapping_add(offsets.pendings).wrapping_add(i.wrapping_mul(offsets.size));
                // The lowest bit says that frees are validated.
                let span = self.lines.word(pending.wrapping_add(offsets.span))? & !1;
                let addresses = self.lines.word(pending.wrapping_add(offsets.sum))?;
                sum = sum.saturating_add(self.bytes_of(span, addresses)?);
            }
        }
        Ok(sum)
    }

    /// Bytes of objects in an inbox.
    fn inbox(&mut self, at: u64) -> Result<u64, OsError> {
        let (mut tail, mut bytes, offsets) = (self.lines.word(at)?, 0_u64, &self.offsets.span);
        let mut guard = CycleGuard::default();
        while tail > 1 && self.may_follow(&mut guard, tail) {
            let head = self.lines.word(tail.wrapping_add(offsets.object_next))?;
            let sum = if head == tail { tail } else { self.lines.word(head.wrapping_add(offsets.object_extra))? };
            let record = self.record_of(tail)?;
            if record != 0 {
                bytes = bytes.saturating_add(self.bytes_of(record, sum)?);
            }
            // The second bit says that the batch has one object.
            tail = self.lines.word(tail.wrapping_add(offsets.object_extra))? & !2;
        }
        Ok(bytes)
    }

    /// Bytes of objects of a span of which the sum of the addresses is given.
    fn bytes_of(&mut self, record: u64, sum: u64) -> Result<u64, OsError> {
        if record == 0 {
            return Ok(0);
        }
        let span = self.span(record)?;
        Ok(sum.checked_div(span.base).unwrap_or(0).min(span.objects) * span.size)
    }
}
