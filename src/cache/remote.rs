//! Objects that are freed by a thread that does not own their span.
//!
//! The freeing cache gathers them by span in its outbox and sends each batch to the owner's inbox by
//! one atomic exchange. The owner takes the whole inbox when it next refills a slot.

use core::mem::offset_of;
use core::ptr::null_mut;

use super::inbox::{Arrived, Owner, Route, Validate, forward};
use super::outbox::{Outbox, PendingBatch};
use super::record::Cache;
use crate::central::{Central, receive};
use crate::heap::Heap;
use crate::local::EMPTY_CACHE_BYTES;
use crate::os::Os;
use crate::span::{Changed, Kind, ListState, Object, Span};
use crate::stats::Count;
use crate::units::Addr;

/// A batch of free objects.
type Batch = crate::span::Batch<Object>;

/// A cache flushes its pending batches and takes its inbox at every refill of this number.
const SETTLE_EVERY: u32 = 32;

const _: () = assert!(offset_of!(Cache, inbox) <= EMPTY_CACHE_BYTES, "zero bytes are a cache to free through");

/// Returns a batch of `span`, which `cache` holds, to the span's owner.
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
    /// Frees an object of a span that this cache does not own. Returns `false` if it is the object that was freed last.
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
        let index = Outbox::index_for(span);
        // SAFETY: only the owner touches the outbox, and runs this.
        let batch = unsafe { &mut (*self.outbox.get()).pendings[index] };
        if batch.span != self.pending_span(span) {
            // SAFETY: the caller's promise.
            unsafe { self.begin_pending(heap, central, index, span, object) };
            return true;
        }
        if batch.is_newest(object) {
            return false;
        }
        // SAFETY: the caller's promise.
        if unsafe { batch.push(object) } {
            self.send(heap, central, index);
        }
        true
    }

    /// Returns the calling thread's pending batch for `span`. Returns `None` if there is none: [`Cache::free_remote`] begins
    /// one.
    ///
    /// # Safety
    /// `this` is the calling thread's cache, or [`EMPTY_CACHE_BYTES`] zero bytes. The result is used before the cache is used
    /// otherwise.
    #[inline(always)]
    pub unsafe fn pending_for<'a>(this: *const Cache, span: &Span) -> Option<&'a mut PendingBatch> {
        // SAFETY: the outbox lies in the bytes that `this` has at least. In zero bytes, which other threads read too, no
        // batch is the span's; so a reference is made only to a batch of the calling thread's.
        unsafe {
            let batch = &raw mut (*(*this).outbox.get()).pendings[Outbox::index_for(span)];
            if core::ptr::eq((*batch).span, span) { Some(&mut *batch) } else { None }
        }
    }

    /// Flushes the pending batch for `span`, which is full.
    #[cold]
    #[inline(never)]
    pub fn flush_pending_of<O: Os>(&self, heap: &Heap<O>, central: &Central<O>, span: &Span) {
        let _inside = self.mark_inside();
        self.send(heap, central, Outbox::index_for(span));
    }

    /// Returns whether there is a pending batch for `span`. Owner only.
    pub(super) fn has_pending(&self, span: &Span) -> bool {
        // SAFETY: only the owner touches the outbox, and runs this.
        unsafe { (&(*self.outbox.get()).pendings)[Outbox::index_for(span)].span == self.pending_span(span) }
    }

    /// Returns the key of the batch for `span`.
    fn pending_span(&self, span: &Span) -> *const Span {
        core::ptr::from_ref(span).wrapping_byte_add(usize::from(self.is_checked()))
    }

    /// Flushes the batch at `index`, if there is one, and begins another one with `object` of `span`.
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
        // SAFETY: only the owner touches the outbox, and runs this.
        let outbox = unsafe { &mut *self.outbox.get() };
        // SAFETY: the object's memory is ours from now on.
        unsafe { (*object).next.set(null_mut()) };
        let (batch, is_full) = PendingBatch::new(self.pending_span(span), span.class(), object);
        outbox.pendings[index] = batch;
        outbox.begun |= 1 << index;
        if is_full {
            self.send(heap, central, index);
        }
    }

    /// Returns a batch to its span's owner, or frees it if there is none.
    #[inline(never)]
    fn send<O: Os>(&self, heap: &Heap<O>, central: &Central<O>, index: usize) {
        // SAFETY: only the owner touches the outbox, and runs this; nothing called below touches it.
        let outbox = unsafe { &mut *self.outbox.get() };
        outbox.begun &= !(1 << index);
        let PendingBatch { span, head, tail, sum, .. } =
            core::mem::replace(&mut outbox.pendings[index], PendingBatch::EMPTY);
        let span = span.map_addr(|addr| addr & !(align_of::<Span>() - 1));
        // SAFETY: the batch's objects are out, so their span is alive.
        let Some(span) = (unsafe { span.as_ref() }) else { return };
        // Before the owner can count them as received.
        heap.stats().count(self.writer(), span.class(), Count::Sent, span.count_of(sum) as usize);
        // SAFETY: the batch's objects are free ones of the span, and this cache's.
        unsafe { forward(&ToOwner { cache: self, heap, central, span }, &Batch { head, tail, sum }) };
    }

    /// Calls `f` for each batch in the inbox, with its span and number of objects. Owner only, or with all threads outside the
    /// allocator.
    pub fn each_arrived<O: Os>(&self, heap: &Heap<O>, mut f: impl FnMut(&Span, u32)) -> Result<(), Changed> {
        self.inbox.each(&Known { heap }, |arrived| f(arrived.span, arrived.span.count_of(arrived.batch.sum)))
    }

    /// Counts a refill. Returns whether it is time to [`settle`](Cache::settle).
    #[inline(always)]
    pub(super) fn is_time_to_settle(&self) -> bool {
        // SAFETY: only the owner touches the outbox, and runs this.
        let outbox = unsafe { &mut *self.outbox.get() };
        outbox.refills += 1;
        outbox.refills >= SETTLE_EVERY
    }

    /// Flushes the pending batches and takes the inbox. A thread that allocates only what it frees itself would do neither, and
    /// keep other threads' memory.
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

    /// Restarts the count of refills. With `check:on` it is always time to settle. Owner only.
    pub(super) fn count_refills(&self) {
        // SAFETY: only the owner touches the outbox, and runs this.
        unsafe { (*self.outbox.get()).refills = if self.is_checked() { SETTLE_EVERY } else { 0 } };
    }

    /// Flushes all pending batches.
    pub(super) fn send_all<O: Os>(&self, heap: &Heap<O>, central: &Central<O>) {
        self.count_refills();
        // SAFETY: only the owner touches the outbox, and runs this.
        let mut begun = unsafe { (*self.outbox.get()).begun };
        while begun != 0 {
            self.send(heap, central, begun.trailing_zeros() as usize);
            begun &= begun - 1;
        }
    }

    /// Takes the inbox. Returns whether there was anything in it.
    pub(super) fn drain<O: Os>(&self, heap: &Heap<O>, central: &Central<O>) -> bool {
        let any = self.inbox.has_any();
        if any {
            self.take_all(heap, central, false);
        }
        any
    }

    /// Closes the inbox and takes what is in it.
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

    /// Puts a batch on the free list of a span that this cache owns.
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

/// Validates returned objects against the page map.
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
