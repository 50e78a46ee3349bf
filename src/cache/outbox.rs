//! Objects that a thread freed and that other threads' spans own: batches that are pending, one for each of up to 128 spans.

use core::mem::offset_of;
use core::ptr::null_mut;

use crate::size_class::{CLASSES, Class};
use crate::span::{Object, Span};
use crate::units::{Addr, KIB};

/// How many batches may be pending: as many as a word has bits. With half as many, objects of all classes in turn too often
/// meet in one batch's place.
const PENDING: usize = u128::BITS as usize;
/// The number of bytes of objects that make a batch full. Objects of this size and above are flushed one by one.
const FULL_BYTES: usize = 4 * KIB;

/// The number of objects that make a batch full, by class.
static FULL: [u16; CLASSES] = full();

const fn full() -> [u16; CLASSES] {
    let mut t = [1; CLASSES];
    let mut i = 0;
    while i < CLASSES {
        let objects = FULL_BYTES.div_ceil(Class::from_index(i).size());
        t[i] = objects as u16;
        i += 1;
    }
    t
}

/// Objects of one span that this thread freed and has not returned yet. All-zero bytes are none, of no span.
pub struct PendingBatch {
    /// The span. With `check:on`, one byte behind its record, so that [`Cache::pending_for`](super::Cache::pending_for)
    /// finds nothing.
    pub(super) span: *const Span,
    pub(super) head: *mut Object,
    pub(super) tail: *mut Object,
    pub(super) sum: u64,
    /// How many more objects fit.
    room: usize,
}

impl PendingBatch {
    pub(super) const EMPTY: PendingBatch =
        PendingBatch { span: core::ptr::null(), head: null_mut(), tail: null_mut(), sum: 0, room: 0 };

    /// Makes a batch of one object, of a span of `class`. `span` is the key, as in the field. Returns whether the batch is
    /// full as well.
    pub(super) fn new(span: *const Span, class: Class, object: *mut Object) -> (PendingBatch, bool) {
        let room = usize::from(FULL[class.index()]) - 1;
        (PendingBatch { span, head: object, tail: object, sum: object.addr() as u64, room }, room == 0)
    }

    /// Returns whether the object is the one that was added last: it is freed twice.
    #[inline(always)]
    pub fn is_newest(&self, object: *mut Object) -> bool {
        self.head == object
    }

    /// Adds an object. Returns whether the batch is full now.
    ///
    /// # Safety
    /// It is an object of the batch's span, which the caller frees.
    #[inline(always)]
    pub unsafe fn push(&mut self, object: *mut Object) -> bool {
        // SAFETY: the object's memory is ours from now on.
        unsafe { (*object).next.set(self.head) };
        self.head = object;
        self.sum = self.sum.wrapping_add(object.addr() as u64);
        self.room = self.room.wrapping_sub(1);
        self.room == 0
    }
}

/// The pending batches of a cache. Owner only.
///
/// All-zero bytes are an empty outbox.
pub(super) struct Outbox {
    pub(super) pendings: [PendingBatch; PENDING],
    /// Which batches have objects, one bit each.
    pub(super) begun: u128,
    /// Refills since all batches were flushed.
    pub(super) refills: u32,
}

/// Offsets of the parts of an outbox, in bytes: for a reader in another process.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct OutboxOffsets {
    /// Which batches have objects: sixteen bytes, one bit each.
    pub begun: u64,
    /// The first batch.
    pub pendings: u64,
    /// The number of batches.
    pub count: u64,
    /// The size of a batch in bytes.
    pub size: u64,
    /// In a batch: the address of the span's record, plus one with `check:on`.
    pub span: u64,
    /// In a batch: the sum of the addresses of its objects.
    pub sum: u64,
}

impl Outbox {
    pub(super) const OFFSETS: OutboxOffsets = OutboxOffsets {
        begun: offset_of!(Outbox, begun) as u64,
        pendings: offset_of!(Outbox, pendings) as u64,
        count: PENDING as u64,
        size: size_of::<PendingBatch>() as u64,
        span: offset_of!(PendingBatch, span) as u64,
        sum: offset_of!(PendingBatch, sum) as u64,
    };

    pub(super) const fn new() -> Outbox {
        Outbox { pendings: [PendingBatch::EMPTY; PENDING], begun: 0, refills: 0 }
    }

    /// Returns the index of the batch for a span. Records are 128 bytes, so the bits above tell neighbours apart.
    #[inline(always)]
    pub(super) fn index_for(span: &Span) -> usize {
        (Addr::of(span).0 >> 7) % PENDING
    }
}
