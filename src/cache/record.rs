//! A cache's record. Fields are grouped by how often they are touched.

use core::cell::{Cell, UnsafeCell};
use core::mem::offset_of;
use core::ptr::null_mut;
use core::sync::atomic::{AtomicBool, AtomicPtr};

use super::free_list::FreeList;
use super::inbox::Inbox;
use super::outbox::{Outbox, OutboxOffsets};
use crate::config::MIN_ALIGN;
use crate::heap::Client;
use crate::size_class::{CLASSES, Class, QUICK_MAX};
use crate::span::{Changed, ListState, NO_THREAD, Object, Span, SpanList};
use crate::stats::{Tallies, Tally, Writer};

/// The part of a class that every allocation touches.
#[repr(C)]
pub(super) struct Slot {
    /// The free list: objects ready to be allocated.
    pub(super) head: Cell<*mut Object>,
    /// How many objects were allocated from the slot.
    pub(super) allocs: Tally,
}

/// The part of a class that only slow paths touch.
pub(super) struct ClassState {
    /// The span of the objects in the slot. All other spans of the class are in the lists.
    pub(super) current: Cell<*const Span>,
    /// Spans with free objects.
    pub(super) partial: SpanList,
    /// Spans without free objects.
    pub(super) full: SpanList,
    /// The free list with `check:on`: then the slot stays empty.
    pub(super) stock: Cell<FreeList>,
    /// Whether the objects of the free list read as zero except for their link.
    pub(super) fresh: Cell<bool>,
}

/// The allocator state of one thread. Never unmapped; it returns to a pool and is adopted.
#[repr(C, align(128))]
pub struct Cache {
    pub(super) slots: [Slot; CLASSES],
    /// The byte offset of a size's slot in this record, by 16-byte granules.
    pub(super) offsets: [u16; QUICK_MAX / MIN_ALIGN + 1],
    pub(super) classes: [ClassState; CLASSES],
    pub(super) outbox: UnsafeCell<Outbox>,
    pub(super) inbox: Inbox<Object>,
    client: Client,
    /// The class of which [`Cache::post_next`] counts the frees next. Owner only.
    pub(super) next_post: Cell<usize>,
    /// The number of whole spans that were taken or given back. Owner only.
    pub(super) span_moves: Cell<u32>,
    /// The owning thread's id, which its spans bear. Owner only; fixed while the cache owns a span.
    thread_id: Cell<usize>,
    /// Whether every free is validated. Owner only; fixed while the cache owns a span.
    pub(super) checked: Cell<bool>,
    /// Whether the owner is inside the allocator, in a slow path. Owner only.
    pub(super) inside: AtomicBool,
    /// How often the owning thread's exit was postponed. Owner only.
    pub exit_rounds: Cell<usize>,
    /// The owner's system stack, or null. Never changed once set. Owner only.
    pub system_stack: Cell<*const Span>,
    /// The thread pointer of the owner's thread, where the caches know it, or 0. Protected by the caches' lock.
    pub thread: Cell<usize>,
    /// The process of that thread. Protected by the caches' lock.
    pub process: Cell<i32>,
    /// The next cache in a list of the map from threads to caches. Protected by the caches' lock.
    pub next_by_thread: Cell<*mut Cache>,
    /// The next cache in the pool. Protected by the caches' lock.
    pub next_idle: Cell<*mut Cache>,
    /// The next cache of all that were ever created. Set once, before other threads can find this one.
    pub next: AtomicPtr<Cache>,
}

// SAFETY: the inbox, the writer and the counters are made for other threads; everything else is touched
// by the owner only, and a cache changes its owner under the caches' lock.
unsafe impl Sync for Cache {}
// SAFETY: see above; a cache holds nothing that is bound to a thread.
unsafe impl Send for Cache {}

const _: () = assert!(size_of::<Slot>() * CLASSES <= u16::MAX as usize, "a slot's offset fits 16 bits");
const _: () = assert!(offset_of!(Cache, slots) == 0, "a slot's offset is from the record's first byte");

const fn offsets() -> [u16; QUICK_MAX / MIN_ALIGN + 1] {
    let mut t = [0; QUICK_MAX / MIN_ALIGN + 1];
    let mut i = 0;
    while i < t.len() {
        t[i] = (Class::of(i * MIN_ALIGN).index() * size_of::<Slot>()) as u16;
        i += 1;
    }
    t
}

/// Offsets of a cache's parts, in bytes: for a reader in another process.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct CacheOffsets {
    /// The address of the next cache in the list of all, eight bytes.
    pub next: u64,
    /// How many classes there are.
    pub classes: u64,
    /// The offset of the first class's slot, which begins with the head of its free list.
    pub slots: u64,
    /// The size of a slot, in bytes.
    pub slot_size: u64,
    /// The offset of the state of the first class.
    pub states: u64,
    /// The size of the state of a class, in bytes.
    pub state_size: u64,
    /// The offset, in the state of a class, of the address of the class's current span.
    pub current: u64,
    /// The offset, in the state of a class, of the head of the free list that is used with `check:on`.
    pub stock: u64,
    /// The inbox: the tail of the last batch, eight bytes; 0 and 1 are none.
    pub inbox: u64,
    /// The outbox.
    pub outbox: u64,
    /// The parts of the outbox.
    pub in_outbox: OutboxOffsets,
}

impl Cache {
    /// The offsets of its parts.
    pub const OFFSETS: CacheOffsets = CacheOffsets {
        next: offset_of!(Cache, next) as u64,
        classes: CLASSES as u64,
        slots: (offset_of!(Cache, slots) + offset_of!(Slot, head)) as u64,
        slot_size: size_of::<Slot>() as u64,
        states: offset_of!(Cache, classes) as u64,
        state_size: size_of::<ClassState>() as u64,
        current: offset_of!(ClassState, current) as u64,
        stock: (offset_of!(ClassState, stock) + offset_of!(FreeList, first)) as u64,
        inbox: offset_of!(Cache, inbox) as u64,
        outbox: offset_of!(Cache, outbox) as u64,
        in_outbox: Outbox::OFFSETS,
    };

    /// Returns a cache that owns nothing and never allocates. All of it is zero bytes: the table of slots is empty.
    #[allow(clippy::new_without_default, reason = "a const constructor is the only one wanted")]
    pub const fn new() -> Cache {
        Cache {
            slots: [const { Slot { head: Cell::new(null_mut()), allocs: Tally::new() } }; CLASSES],
            offsets: [0; QUICK_MAX / MIN_ALIGN + 1],
            classes: [const {
                ClassState {
                    current: Cell::new(core::ptr::null()),
                    partial: SpanList::new(),
                    full: SpanList::new(),
                    stock: Cell::new(FreeList::EMPTY),
                    fresh: Cell::new(false),
                }
            }; CLASSES],
            outbox: UnsafeCell::new(Outbox::new()),
            inbox: Inbox::new(),
            client: Client::new(),
            next_post: Cell::new(0),
            span_moves: Cell::new(0),
            thread_id: Cell::new(NO_THREAD),
            checked: Cell::new(false),
            inside: AtomicBool::new(false),
            exit_rounds: Cell::new(0),
            system_stack: Cell::new(core::ptr::null()),
            thread: Cell::new(0),
            process: Cell::new(0),
            next_by_thread: Cell::new(null_mut()),
            next_idle: Cell::new(null_mut()),
            next: AtomicPtr::new(null_mut()),
        }
    }

    /// Makes zero bytes a new cache. Writes only what is not zero, so that memory which a thread never uses is never
    /// touched.
    ///
    /// # Safety
    /// `this` points to zero bytes of the size and alignment of a cache, the caller's alone.
    pub unsafe fn init(this: *mut Cache) {
        // SAFETY: in bounds; see above. Zero bytes are valid for all other fields: null pointers, empty
        // lists, counters at zero, an inbox that is closed.
        unsafe { (&raw mut (*this).offsets).write(offsets()) };
    }

    /// Returns where the slots' tallies are, for readers of statistics.
    pub fn tallies(&self) -> Tallies {
        let first = (&raw const self.slots).cast::<u8>().wrapping_add(offset_of!(Slot, allocs)).cast();
        Tallies { first, stride: size_of::<Slot>() }
    }

    /// Returns the owner's writer of statistics.
    pub fn writer(&self) -> &Writer {
        self.client.writer()
    }

    /// Returns the cache's part that the page heap uses.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Sets the owner's thread id, a multiple of eight and not zero. A free compares it with the span's. Owner only;
    /// the cache owns no span.
    pub fn set_thread_id(&self, thread_id: usize) {
        debug_assert!(thread_id != NO_THREAD && thread_id.is_multiple_of(8) && self.owns_no_span());
        self.thread_id.set(thread_id);
    }

    /// Returns this cache as the owner of spans.
    #[inline(always)]
    pub(super) fn as_owner(&self) -> *mut () {
        core::ptr::from_ref(self).cast::<()>().cast_mut()
    }

    /// Returns the id that its spans bear. With `check:on` it differs from the thread's, so that the fast path of a
    /// free finds none of them.
    #[inline(always)]
    pub(super) fn span_thread_id(&self) -> usize {
        self.thread_id.get() | usize::from(self.checked.get())
    }

    /// Returns the owner's thread id.
    #[inline(always)]
    pub fn thread_id(&self) -> usize {
        self.thread_id.get()
    }

    /// Returns the cache that owns `span`, or null.
    pub fn owner_of(span: &Span) -> *const Cache {
        Cache::of_owner(span.owner())
    }

    /// Returns the owner of a span as a cache, or null.
    pub(super) fn of_owner(owner: *mut ()) -> *const Cache {
        owner.cast()
    }

    /// Returns whether this cache owns `span`. Owner only.
    #[inline]
    pub fn owns(&self, span: &Span) -> bool {
        span.owner() == self.as_owner()
    }

    /// Returns whether this cache owns no span. Owner only.
    pub(super) fn owns_no_span(&self) -> bool {
        let is_empty =
            |state: &ClassState| state.current.get().is_null() && state.partial.is_empty() && state.full.is_empty();
        self.classes.iter().all(is_empty)
    }

    /// Returns how many objects of `class` are in the cache's free lists. Owner only, or with all threads outside the
    /// allocator.
    pub fn cached(&self, class: Class) -> Result<usize, Changed> {
        let state = &self.classes[class.index()];
        // SAFETY: the current span is alive while it is current.
        let Some(span) = (unsafe { state.current.get().as_ref() }) else { return Ok(0) };
        let slot = span.follow(self.slots[class.index()].head.get(), span.outstanding())?;
        let stock = state.stock.get().followed(span)?;
        Ok((slot.count + stock.count) as usize)
    }

    /// Returns whether the cache's spans and lists are consistent. Owner only; for checked builds.
    pub fn is_valid(&self) -> bool {
        Class::all().all(|class| {
            let state = &self.classes[class.index()];
            // SAFETY: the current span is alive while it is current.
            let current = unsafe { state.current.get().as_ref() };
            let has_free = !self.slots[class.index()].head.get().is_null() || state.stock.get().count != 0;
            let current_ok = current.is_none_or(|s| {
                s.is_valid()
                    && s.list_state.get() == ListState::Current
                    && s.owner() == self.as_owner()
                    && self.cached(class).is_ok()
            });
            current_ok && (current.is_some() || !has_free)
        })
    }
}
