//! The objects and pages of the page heap: what each is used for, and whether it is resident.

use super::causes::{Cause, Causes};
use super::fields::{CHUNK, CycleGuard, MANY, RECORD, field};
use super::instant::Instant;
use super::lines::Lines;
use super::offsets::Offsets;
use super::residency::Residency;
use crate::os::{OsError, Process};
use crate::span::Kind;

/// The number of entries of the page map read at a time.
const ENTRIES: usize = 256;
/// The maximum supported number of objects of a span, and of physical pages of a span of small objects.
const OBJECTS: usize = 2048;
const PHYSICAL: usize = 512;
/// The fields of a span that an audit needs.
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

/// The input of a walk, and its results so far.
pub(super) struct Walk<'a> {
    process: &'a Process,
    offsets: &'a Offsets,
    before: &'a Instant,
    lines: Lines<'a>,
    /// The causes found.
    pub(super) causes: Causes,
    /// The bytes of spans by the number of their [`Kind`], of free pages, and of local pages of caches.
    pub(super) spans: [u64; 6],
    pub(super) free: u64,
    pub(super) cached: u64,
    /// The number of lists that ended in an invalid link: threads changed them meanwhile.
    pub(super) torn: u64,
    chunk: Option<u64>,
    bits: [u8; CHUNK],
    /// The number of links that may still be followed.
    links: u32,
}

impl<'a> Walk<'a> {
    /// Returns a walk that starts after `before` was read, and uses `lines` as its buffer.
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

    /// Returns the address of the record of the span at `addr`, or 0 if there is none.
    fn record_of(&mut self, addr: u64) -> Result<u64, OsError> {
        let index = (addr >> self.offsets.page_shift).wrapping_sub(self.offsets.map.first);
        if index >= self.offsets.map.length {
            return Ok(0);
        }
        let distance = self.lines.word(self.offsets.map.entries.wrapping_add(index.wrapping_mul(8)))?;
        Ok(if distance == 0 { 0 } else { self.offsets.map.entries.wrapping_add(distance) })
    }

    /// Walks over the pages of an arena, or of several adjacent ones. Calls `is_over` from time to time; returns
    /// `false` if that ended the walk.
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
                let address = self.offsets.map.entries.wrapping_add(index.wrapping_mul(8));
                self.process.read(address, entries.get_mut(..pages as usize * 8).unwrap_or_default())?;
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
            // A record that does not fit its address is skipped. Either the process changed meanwhile, or the sums will
            // show the error.
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

    /// Classifies a page that no span has.
    fn free_page(&mut self, at: u64, page: u64, residency: &mut Residency<'_>) -> Result<(), OsError> {
        let pages = &self.offsets.pages;
        let index = at.wrapping_sub(pages.base) >> self.offsets.page_shift;
        let (chunk, i) = (index / pages.chunk_pages, index % pages.chunk_pages);
        if self.chunk != Some(chunk) {
            let table = if chunk < pages.in_head { pages.head } else { pages.rest };
            let address = table.wrapping_add(chunk.wrapping_mul(pages.chunk_size));
            let bits = self.bits.get_mut(..pages.chunk_size as usize).unwrap_or_default();
            // The bitmaps of a chunk that is not in use yet may not be mapped. All its pages are released then.
            match self.process.read(address, bits) {
                Err(e) if Process::is_torn(e) => bits.fill(0),
                result => result?,
            }
            self.chunk = Some(chunk);
        }
        let bit = |offset: u64| field::<8>(&self.bits, offset.saturating_add(i / 64 * 8)) >> (i % 64) & 1 == 1;
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
        // Elsewhere such pages have no memory. If they do, it remains unexplained.
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
            // A freed large object before its return to the page heap.
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
        // Some pages are not resident, so the addresses of the objects matter.
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

    /// Marks the objects of the span that are in its owner's free list and stock. Returns their number.
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
        let free_list = self.lines.word(slot)?;
        let stock = self.lines.word(state.wrapping_add(cache.stock))?;
        Ok(self.mark(span, free_list, free)? + self.mark(span, stock, free)?)
    }

    /// Marks the objects of a list. Returns the number that was not marked before. A link out of the span ends the
    /// list: its owner changed it meanwhile.
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

    /// Finds the objects in transit. They were counted as live.
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
                    // A thread overwrote a link during the walk: the objects were received.
                    Err(e) if Process::is_torn(e) => self.torn += 1,
                    found => transit = transit.saturating_add(found?),
                }
            }
            cache = self.lines.word(cache.wrapping_add(offsets.next))?;
        }
        self.causes.transfer(Cause::LiveSmall, Cause::InTransit, transit);
        Ok(())
    }

    /// Returns whether a link to `at` may be followed, and counts it. If not, because of a cycle or the maximum, the
    /// list counts as torn.
    fn may_follow(&mut self, guard: &mut CycleGuard, at: u64) -> bool {
        self.links = self.links.saturating_sub(1);
        let may = self.links > 0 && guard.is_new(at);
        self.torn += u64::from(!may);
        may
    }

    /// Returns the bytes of objects in an outbox.
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
                // The lowest bit of the address is a flag: frees are validated.
                let span = self.lines.word(pending.wrapping_add(offsets.span))? & !1;
                let addresses = self.lines.word(pending.wrapping_add(offsets.sum))?;
                sum = sum.saturating_add(self.bytes_of(span, addresses)?);
            }
        }
        Ok(sum)
    }

    /// Returns the bytes of objects in an inbox.
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
            // Bit 1 is a flag: the batch has one object.
            tail = self.lines.word(tail.wrapping_add(offsets.object_extra))? & !2;
        }
        Ok(bytes)
    }

    /// Returns the bytes of a span's objects whose addresses have this sum.
    fn bytes_of(&mut self, record: u64, sum: u64) -> Result<u64, OsError> {
        if record == 0 {
            return Ok(0);
        }
        let span = self.span(record)?;
        Ok(sum.checked_div(span.base).unwrap_or(0).min(span.objects) * span.size)
    }
}
