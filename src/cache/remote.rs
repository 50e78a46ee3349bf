//! Objects that are freed by a thread that does not own their span.
//!
//! The freeing cache gathers them by span in its outbox and sends each batch to the owner's inbox by
//! one atomic exchange. The owner takes the whole inbox when it next refills a slot.

use core::mem::offset_of;
use core::ptr::null_mut;

use super::inbox::{Arrived, Owner, Route, Validate, forward};
use super::record::Cache;
use crate::central::{Central, receive};
use crate::heap::Heap;
use crate::local::EMPTY_CACHE_BYTES;
use crate::os::Os;
use crate::size_class::{CLASSES, Class};
use crate::span::{Changed, Kind, ListState, Object, Span};
use crate::stats::Count;
use crate::units::{Addr, KIB};

/// A batch of free objects.
type Batch = crate::span::Batch<Object>;

/// How many spans an outbox gathers for at a time: as many as a word has bits. With half as many, two spans at a time
/// meet in one parcel too often where objects of all classes come by turns.
const PENDING: usize = u128::BITS as usize;
/// How many bytes of objects make a full batch: large objects do not wait for company.
const FULL_BYTES: usize = 4 * KIB;
/// Every how many refills a cache empties its outbox and its inbox whatever else it does.
const SETTLE_EVERY: u32 = 32;

/// How many objects make a full batch, by class.
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

/// Objects of one span, not sent yet. All-zero bytes are none, of no span.
struct PendingBatch {
    /// The span; where frees are validated, one byte behind its record, so that [`Cache::free_pending`] finds nothing.
    span: *const Span,
    head: *mut Object,
    tail: *mut Object,
    sum: u64,
    /// How many more objects go in.
    room: usize,
}

/// What a cache has freed for others and not sent yet. Owner only.
///
/// All-zero bytes are an empty outbox.
pub(super) struct Outbox {
    pendings: [PendingBatch; PENDING],
    /// Which parcels are begun, one bit each.
    begun: u128,
    /// Refills since it was emptied.
    refills: u32,
}

impl PendingBatch {
    const EMPTY: PendingBatch =
        PendingBatch { span: core::ptr::null(), head: null_mut(), tail: null_mut(), sum: 0, room: 0 };
}

/// What became of an object that was to join a parcel.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Pended {
    /// It did, and there is room for more.
    More,
    /// It did, and the parcel is to be sent.
    Full,
    /// It did not: the parcel is another span's, or the object is the one that came last.
    Not,
}

impl PendingBatch {
    /// # Safety
    /// `object` is an object of the parcel's span, and the caller's to free.
    #[inline(always)]
    unsafe fn fetch(&mut self, object: *mut Object) -> Pended {
        if self.head == object {
            return Pended::Not;
        }
        // SAFETY: the object's memory is ours from now on.
        unsafe { (*object).next.set(self.head) };
        self.head = object;
        self.sum = self.sum.wrapping_add(object.addr() as u64);
        self.room = self.room.wrapping_sub(1);
        if self.room == 0 { Pended::Full } else { Pended::More }
    }
}

/// The number of a span's parcel. Records are 128 bytes, so the bits above tell them apart.
#[inline(always)]
fn pending_of(span: &Span) -> usize {
    (Addr::of(span).0 >> 7) % PENDING
}

const _: () = assert!(offset_of!(Cache, inbox) <= EMPTY_CACHE_BYTES, "zero bytes are a cache to free through");

/// Where the parts of an outbox lie, in bytes from its first one: for a reader in another process.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct OutboxOffsets {
    /// Which parcels are begun: sixteen bytes, a bit for each.
    pub begun: u64,
    /// The first parcel.
    pub pendings: u64,
    /// How many there are.
    pub count: u64,
    /// Bytes of a parcel.
    pub size: u64,
    /// In a parcel: the address of the span's record, and one more where frees are validated.
    pub span: u64,
    /// In a parcel: the sum of the addresses of the objects in it.
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
}

/// The ways home of a batch of `span` that `cache` has in hand.
struct ToOwner<'a, O: Os> {
    cache: &'a Cache,
    heap: &'a Heap<O>,
    central: &'a Central<O>,
    span: &'a Span,
}

impl<'a, O: Os> Route<'a, Object> for ToOwner<'a, O> {
    fn owner(&self) -> Owner<'a, Object> {
        let owner = self.span.owner();
        if owner.is_null() {
            Owner::Nobody
        } else if owner == self.cache.as_owner() {
            Owner::Own
        } else {
            // SAFETY: owners are caches, which are never unmapped.
            Owner::Other(unsafe { &(*Cache::of_owner(owner)).inbox })
        }
    }

    fn receive(&self, batch: &Batch) {
        self.cache.received(self.heap, self.span, batch);
    }

    fn free_unowned(&self, batch: &Batch) -> bool {
        self.central.free(self.heap, self.cache.client(), self.span, batch)
    }
}

impl Cache {
    /// Frees an object of a span that this cache does not own. `false`: it is the object that was freed last.
    ///
    /// # Safety
    /// `object` is an object of `span`, and the caller's to free.
    pub unsafe fn free_remote<O: Os>(
        &self,
        heap: &Heap<O>,
        central: &Central<O>,
        span: &Span,
        object: *mut Object,
    ) -> bool {
        let index = pending_of(span);
        // SAFETY: the outbox is the owner's, who is running this.
        let pending = unsafe { &mut (*self.outbox.get()).pendings[index] };
        if pending.span != self.pending_span(span) {
            // SAFETY: the caller's promise.
            unsafe { self.begin_pending(heap, central, index, span, object) };
            return true;
        }
        // SAFETY: the caller's promise.
        match unsafe { pending.fetch(object) } {
            Pended::More => {}
            Pended::Full => self.send(heap, central, index),
            Pended::Not => return false,
        }
        true
    }

    /// Frees an object of `span`, for which this cache gathers already: the rest of [`Cache::free_remote`] was done then.
    ///
    /// # Safety
    /// `object` is an object of `span`, and the caller's to free; `this` is the calling thread's cache, or
    /// [`EMPTY_CACHE_BYTES`] zero bytes.
    #[inline(always)]
    pub unsafe fn free_pending(this: *const Cache, span: &Span, object: *mut Object) -> Pended {
        // SAFETY: the outbox lies in the bytes that `this` has at least. In zero bytes, which other threads read too, no
        // parcel is the span's; so a reference is made only to a parcel of the calling thread's. The rest is the caller's
        // promise.
        unsafe {
            let pending = &raw mut (*(*this).outbox.get()).pendings[pending_of(span)];
            if !core::ptr::eq((*pending).span, span) {
                return Pended::Not;
            }
            (*pending).fetch(object)
        }
    }

    /// Sends what is gathered of `span`, after [`Cache::free_pending`] filled it.
    #[cold]
    #[inline(never)]
    pub fn flush_pending_of<O: Os>(&self, heap: &Heap<O>, central: &Central<O>, span: &Span) {
        let _inside = self.mark_inside();
        self.send(heap, central, pending_of(span));
    }

    /// Whether objects of `span` are gathered and not sent yet. Owner only.
    pub(super) fn has_pending(&self, span: &Span) -> bool {
        // SAFETY: the outbox is the owner's, who is running this.
        unsafe { (&(*self.outbox.get()).pendings)[pending_of(span)].span == self.pending_span(span) }
    }

    /// The span as its parcel has it.
    fn pending_span(&self, span: &Span) -> *const Span {
        core::ptr::from_ref(span).wrapping_byte_add(usize::from(self.is_checked()))
    }

    /// Sends the parcel `index`, if there is one, and begins another with `object` of `span`.
    ///
    /// # Safety
    /// As for [`Cache::free_remote`].
    #[cold]
    #[inline(never)]
    unsafe fn begin_pending<O: Os>(
        &self,
        heap: &Heap<O>,
        central: &Central<O>,
        index: usize,
        span: &Span,
        object: *mut Object,
    ) {
        self.send(heap, central, index);
        // SAFETY: the outbox is the owner's, who is running this.
        let outbox = unsafe { &mut *self.outbox.get() };
        let room = usize::from(FULL[span.class().index()]) - 1;
        // SAFETY: the object's memory is ours from now on.
        unsafe { (*object).next.set(null_mut()) };
        let as_parcels = self.pending_span(span);
        outbox.pendings[index] =
            PendingBatch { span: as_parcels, head: object, tail: object, sum: object.addr() as u64, room };
        outbox.begun |= 1 << index;
        if room == 0 {
            self.send(heap, central, index);
        }
    }

    /// Sends a parcel to its span's owner, or frees it where there is none.
    #[inline(never)]
    fn send<O: Os>(&self, heap: &Heap<O>, central: &Central<O>, index: usize) {
        // SAFETY: the outbox is the owner's, who is running this; nothing called below touches it.
        let outbox = unsafe { &mut *self.outbox.get() };
        outbox.begun &= !(1 << index);
        let PendingBatch { span, head, tail, sum, .. } =
            core::mem::replace(&mut outbox.pendings[index], PendingBatch::EMPTY);
        let span = span.map_addr(|addr| addr & !(align_of::<Span>() - 1));
        // SAFETY: the parcel's objects are outstanding, so their span is alive.
        let Some(span) = (unsafe { span.as_ref() }) else { return };
        // Before the owner can count them as received.
        heap.stats().count(self.writer(), span.class(), Count::Sent, span.count_of(sum) as usize);
        // SAFETY: the parcel's objects are free ones of the span, and this cache's.
        unsafe { forward(&ToOwner { cache: self, heap, central, span }, &Batch { head, tail, sum }) };
    }

    /// Calls `f` for everything that was sent to this cache and not taken in: how many objects of which span. Owner
    /// only, or with all threads outside the allocator.
    pub fn each_arrived<O: Os>(&self, heap: &Heap<O>, mut f: impl FnMut(&Span, u32)) -> Result<(), Changed> {
        self.inbox.each(&Known { heap }, |arrived| f(arrived.span, arrived.span.count_of(arrived.batch.sum)))
    }

    /// Whether it is time to [`settle`](Cache::settle), at one of so many refills.
    #[inline(always)]
    pub(super) fn is_time_to_settle(&self) -> bool {
        // SAFETY: the outbox is the owner's, who is running this.
        let outbox = unsafe { &mut *self.outbox.get() };
        outbox.refills += 1;
        outbox.refills >= SETTLE_EVERY
    }

    /// Sends what was gathered, and takes in what came home. A thread that lives on what it frees itself would do
    /// neither, and others' memory would wait for it.
    #[cold]
    #[inline(never)]
    pub(super) fn settle<O: Os>(&self, heap: &Heap<O>, central: &Central<O>) {
        self.send_all(heap, central);
        self.drain(heap, central);
        self.post_next(heap);
        if heap.stats_page().is_time() {
            self.publish(heap, false);
        }
    }

    /// Begins to count refills again; where frees are validated it is always time to settle. Owner only.
    pub(super) fn count_refills(&self) {
        // SAFETY: the outbox is the owner's, who is running this.
        unsafe { (*self.outbox.get()).refills = if self.is_checked() { SETTLE_EVERY } else { 0 } };
    }

    /// Sends everything that was gathered.
    pub(super) fn send_all<O: Os>(&self, heap: &Heap<O>, central: &Central<O>) {
        self.count_refills();
        // SAFETY: the outbox is the owner's, who is running this.
        let mut begun = unsafe { (*self.outbox.get()).begun };
        while begun != 0 {
            self.send(heap, central, begun.trailing_zeros() as usize);
            begun &= begun - 1;
        }
    }

    /// Takes in what came home; returns whether anything did.
    pub(super) fn drain<O: Os>(&self, heap: &Heap<O>, central: &Central<O>) -> bool {
        let any = self.inbox.has_any();
        if any {
            self.take_all(heap, central, false);
        }
        any
    }

    /// Closes the inbox and takes in what is there.
    pub(super) fn close_inbox<O: Os>(&self, heap: &Heap<O>, central: &Central<O>) {
        self.take_all(heap, central, true);
    }

    #[inline(never)]
    fn take_all<O: Os>(&self, heap: &Heap<O>, central: &Central<O>, closed: bool) {
        let look = Known { heap };
        let take_in = |Arrived { batch, span }: Arrived<Object, &Span>| {
            // SAFETY: what was in the inbox is free objects of the span, and this cache's now.
            unsafe { forward(&ToOwner { cache: self, heap, central, span }, &batch) };
        };
        let taken = if closed { self.inbox.close(&look, take_in) } else { self.inbox.take(&look, take_in) };
        taken.unwrap_or_else(|changed| changed.abort());
    }

    /// Puts a batch on the list of a span that this cache owns.
    fn received<O: Os>(&self, heap: &Heap<O>, span: &Span, batch: &Batch) {
        let class = span.class();
        // SAFETY: the batch's objects are this span's, and the span is ours.
        let count = unsafe { receive(span, batch) }.unwrap_or_else(|changed| changed.abort());
        heap.stats().count(self.writer(), class, Count::Received, count as usize);
        let state = &self.classes[class.index()];
        match span.list_state.get() {
            ListState::Current => {}
            ListState::Full => {
                span.mark_full(false);
                state.full.remove(span);
                self.list_partial(heap, span);
            }
            ListState::Partial if span.out.get() == 0 => {
                state.partial.remove(span);
                self.list_partial(heap, span);
            }
            ListState::Partial => {}
        }
    }
}

/// What a kernel knows of objects that come home.
struct Known<'a, O: Os> {
    heap: &'a Heap<O>,
}

impl<'a, O: Os> Validate<Object> for Known<'a, O> {
    type Span = &'a Span;
    type Changed = Changed;

    #[inline]
    fn span(&self, tail: *mut Object) -> Option<&'a Span> {
        let addr = Addr::of(tail);
        self.heap.span_of(addr).filter(|span| span.kind() == Kind::Small && span.may_be_free(addr))
    }

    #[inline]
    fn is_of(&self, span: &&'a Span, head: *mut Object) -> bool {
        span.may_be_free(Addr::of(head))
    }

    #[inline]
    fn is_sum(&self, span: &&'a Span, sum: u64) -> bool {
        span.count_of_batch(sum, 2).is_some()
    }

    #[cold]
    fn changed(&self, object: *mut Object) -> Changed {
        Changed::Object(object.addr())
    }
}
