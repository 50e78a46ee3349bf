//! Spans without an owner that have room, by size class.
//!
//! `cache` takes a span here before it asks the page heap, and gives its spans to this module when its thread exits. Objects
//! of spans without an owner are freed here.
//!
//! One lock for each class, [`Rank::Central`], protects the class's list, the owner-only fields of spans without an owner, and
//! every change of a span's owner. No two of these locks are held together.
//!
//! Invariant: a span without an owner that has free or uncarved objects is listed; a listed span has no owner.

use core::ptr::NonNull;
use core::sync::atomic::{AtomicBool, Ordering};

use crate::heap::{Client, Heap, Use};
use crate::lock::{CachePadded, Fork, Mutex, Rank, Waits, hold_row, let_go_row};
use crate::os::Os;
use crate::size_class::{CLASSES, Class};
use crate::span::{Batch, Changed, ListState, Object, Span, SpanList};
use crate::stats::Count;

/// The listed spans of one class.
struct Spans {
    partial: SpanList,
}

// SAFETY: the list and its spans are touched only through the mutex around them.
unsafe impl Send for Spans {}

/// The row of one class.
struct Row<O: Os> {
    spans: Mutex<O, Spans>,
    /// Whether a span is listed. Read without the lock, so that an empty list costs no lock; written under it. A stale read
    /// only takes a span of the page heap instead.
    listed: AtomicBool,
}

impl<O: Os> Row<O> {
    /// Updates `listed` after a change of the list.
    fn note(&self, spans: &Spans) {
        self.listed.store(!spans.partial.is_empty(), Ordering::Relaxed);
    }
}

/// The central lists of one allocator.
pub struct Central<O: Os> {
    classes: [CachePadded<Row<O>>; CLASSES],
}

impl<O: Os> Central<O> {
    /// Returns empty lists.
    #[allow(clippy::new_without_default, reason = "a const constructor is the only one wanted")]
    pub const fn new() -> Central<O> {
        Central {
            classes: [const {
                let spans = Mutex::new(Rank::Central, Spans { partial: SpanList::new() });
                CachePadded::new(Row { spans, listed: AtomicBool::new(false) })
            }; CLASSES],
        }
    }

    fn row(&self, class: Class) -> &Row<O> {
        &self.classes[class.index()]
    }

    fn locks(&self) -> impl Iterator<Item = &Mutex<O, Spans>> {
        self.classes.iter().map(|row| &row.spans)
    }

    /// Takes a span from the class's list for `owner`.
    fn take_listed(&self, class: Class, owner: *mut (), thread_id: usize) -> Option<NonNull<Span>> {
        let row = self.row(class);
        if !row.listed.load(Ordering::Relaxed) {
            return None;
        }
        let spans = row.spans.lock();
        let span = spans.take(owner, thread_id);
        row.note(&spans);
        span
    }

    /// Takes a span of `class` with room for `owner`, of the thread `thread_id`: from the list, else from the page heap. Returns
    /// `None` if there is no memory.
    pub fn take<'a>(
        &self,
        heap: &'a Heap<O>,
        client: &Client,
        class: Class,
        owner: *mut (),
        thread_id: usize,
    ) -> Option<&'a Span> {
        if let Some(span) = self.take_listed(class, owner, thread_id) {
            // SAFETY: records of spans in use are alive; the span is the caller's now.
            return Some(unsafe { span.as_ref() });
        }
        let span = heap.take_near(client, class.span_pages(), Use::Small(class))?;
        span.set_owner(owner, thread_id);
        Some(span)
    }

    /// Takes a span from its owner, which is the caller. It has no owner afterwards, or goes back to the page heap if none of
    /// its objects is out.
    ///
    /// The caller has posted everything about the span, and has it in no list.
    pub fn put(&self, heap: &Heap<O>, client: &Client, span: &Span) {
        if span.count_or_abort() == 0 {
            return heap.retire(client, span);
        }
        let row = self.row(span.class());
        let spans = row.spans.lock();
        span.disown();
        spans.list(span);
        row.note(&spans);
    }

    /// Gives `span` to `owner`, of the thread `thread_id`, if it has no owner, and takes it off the list. Returns `false` if it
    /// has one.
    pub fn adopt(&self, span: &Span, owner: *mut (), thread_id: usize) -> bool {
        let row = self.row(span.class());
        let spans = row.spans.lock();
        if !span.owner().is_null() {
            return false;
        }
        if span.has_room() {
            spans.partial.remove(span);
            row.note(&spans);
        }
        span.set_owner(owner, thread_id);
        true
    }

    /// Frees objects of a span that has no owner. Returns `false` and changes nothing if it has one by now.
    ///
    /// The objects were posted as sent. They count as received by the caller.
    pub fn free(&self, heap: &Heap<O>, client: &Client, span: &Span, batch: &Batch<Object>) -> bool {
        let class = span.class();
        let row = self.row(class);
        let spans = row.spans.lock();
        if !span.owner().is_null() {
            return false;
        }
        let had_room = span.has_room();
        // SAFETY: the batch's objects are free ones of this span, which is ours under the lock.
        let received = match unsafe { receive(span, batch) } {
            Ok(count) => count as usize,
            Err(changed) => {
                drop(spans);
                changed.abort()
            }
        };
        heap.stats().count(client.writer(), class, Count::Received, received);
        if span.out.get() == 0 {
            if had_room {
                spans.partial.remove(span);
                row.note(&spans);
            }
            drop(spans);
            heap.retire(client, span);
        } else if !had_room {
            spans.list(span);
            row.note(&spans);
        }
        true
    }

    /// Takes the locks of all classes for a fork.
    pub fn hold_for_fork(&self, fork: &Fork) {
        hold_row(self.locks(), fork);
    }

    /// Returns whether the calling thread holds the lock of a class.
    pub fn is_held_by_this_thread(&self) -> bool {
        self.locks().any(Mutex::is_mine)
    }

    /// Releases what [`Central::hold_for_fork`] took.
    ///
    /// # Safety
    /// This thread, or in the child the one that forked, holds the locks by that call.
    pub unsafe fn release_after_fork(&self, fork: &Fork, child: bool) {
        // SAFETY: the caller's promise.
        unsafe { let_go_row(self.locks(), fork, child) };
    }

    /// Calls `f` with how threads waited for the lock of each class.
    pub fn each_wait(&self, mut f: impl FnMut(Rank, Waits)) {
        self.locks().for_each(|lock| f(Rank::Central, lock.waits()));
    }
}

impl Spans {
    fn list(&self, span: &Span) {
        if span.has_room() {
            span.list_state.set(ListState::Partial);
            self.partial.push(span);
        } else {
            span.list_state.set(ListState::Full);
        }
    }

    fn take(&self, owner: *mut (), thread_id: usize) -> Option<NonNull<Span>> {
        let span = self.partial.pop()?;
        // SAFETY: a listed span is alive, and under the lock it is ours.
        unsafe { span.as_ref() }.set_owner(owner, thread_id);
        Some(span)
    }
}

/// Puts a batch on its span's free list, as returned and posted, and returns how many objects it has. Leaves the span's list
/// state as it is, though no object may be out afterwards. Returns an error and changes nothing if the batch has more objects
/// than are out.
///
/// # Safety
/// The objects are outstanding ones of `span`, linked as the batch says; the caller owns the span.
pub unsafe fn receive(span: &Span, batch: &Batch<Object>) -> Result<u32, Changed> {
    let count = span.count_of(batch.sum);
    if count > span.outstanding() {
        // An object was freed twice, through two threads.
        return Err(Changed::List(span.base().0));
    }
    // SAFETY: the tail is a free object, by the caller's promise.
    unsafe { (*batch.tail).next.set(span.free.get()) };
    span.free.set(batch.head);
    span.out.set(span.out.get().wrapping_sub(batch.sum));
    span.accounted.set(span.accounted.get().wrapping_add(count));
    Ok(count)
}
