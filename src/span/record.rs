//! [`Span`]: the record of a span.

use core::cell::Cell;
use core::mem::offset_of;
use core::ptr::null_mut;
use core::sync::atomic::{AtomicPtr, AtomicU8, AtomicUsize, Ordering};

use super::batch::Link;
use super::live::Live;
use crate::arch;
use crate::size_class::Class;
use crate::units::{Addr, Pages};

/// The thread id of a span without an owner, and of the dummy record.
pub const NO_THREAD: usize = 0;
/// A mark added to the thread id of a full span, so that the fast path of free does not match it. Thread ids
/// are multiples of eight.
const FULL: usize = 2;

/// The words that a free object holds. The memory of a live object is the program's.
#[repr(C)]
pub struct Object {
    /// The next free object of the same list.
    pub next: Cell<*mut Object>,
    /// A second word for batches, which travel between caches.
    pub extra: Cell<u64>,
}

impl Link for Object {
    fn next(&self) -> *mut Object {
        self.next.get()
    }

    fn set_next(&self, next: *mut Object) {
        self.next.set(next);
    }

    fn extra(&self) -> u64 {
        self.extra.get()
    }

    fn set_extra(&self, extra: u64) {
        self.extra.set(extra);
    }

    #[inline(always)]
    fn prefetch(at: *mut Object) {
        arch::prefetch(at.cast());
    }
}

/// The use of a span.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Kind {
    /// The record is free.
    Dead,
    /// Objects of one size class.
    Small,
    /// One large object.
    Large,
    /// A stack.
    Stack,
    /// A work buffer.
    WorkBuf,
    /// A bitmap.
    Bitmap,
}

impl Kind {
    const ALL: [Kind; 6] = [Kind::Dead, Kind::Small, Kind::Large, Kind::Stack, Kind::WorkBuf, Kind::Bitmap];
}

/// The list in which a span of small objects is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ListState {
    /// No list: its cache allocates from it.
    Current,
    /// A list of spans with free objects.
    Partial,
    /// A list of spans without free objects.
    Full,
}

/// The record of a span. Records lie in memory that only ever holds records.
///
/// The first cache line holds the fields that every freeing thread reads and that rarely change while the
/// owner stays. The second line holds the fields that the owner writes. The split avoids false sharing
/// between the two.
///
/// An all-zero record is the dummy: its kind is [`Kind::Dead`], its base is null, and it has no owner.
#[repr(C, align(128))]
pub struct Span {
    /// The id of the owner's thread, with which the fast path of free compares its own. [`NO_THREAD`] if no
    /// cache owns the span. It differs from the thread's id by a mark while each free must take the slow
    /// path. Written by the owner or under the lock of the class's central list; read by any thread.
    thread_id: AtomicUsize,
    /// The cache that owns the span, or null, as for spans without small objects. Written under the lock of
    /// the class's central list; read by any thread.
    owner: AtomicPtr<()>,
    /// The first byte. Fixed while the span lives.
    base: Cell<Addr>,
    /// The reciprocal of the size. Fixed while the span lives.
    reciprocal: Cell<u64>,
    /// The reciprocal of the first byte's address, for [`Span::count_of`]. Fixed while the span lives.
    base_reciprocal: Cell<u64>,
    /// Bytes of each object. Fixed while the span lives.
    size: Cell<u32>,
    /// The number of pages. Fixed while the span lives, except that the owner of a large object may change
    /// it.
    pages: Cell<u32>,
    /// The bitmap of live objects, if the span has one. Fixed while the span lives.
    pub(super) live: Live,
    /// The number of objects that fit. Fixed while the span lives.
    objects: Cell<u16>,
    /// The [`Kind`]. Written under the page heap's lock or by the free of a large object.
    kind: AtomicU8,
    /// The size class's number. Fixed while the span lives.
    class: Cell<u8>,
    /// Whether the memory read as zero when the span was taken. Fixed while the span lives.
    zero: Cell<bool>,
    own: Own,
}

/// The part of a record that only the owner touches.
#[repr(C, align(64))]
pub struct Own {
    /// Objects freed since the last take, last freed first.
    pub free: Cell<*mut Object>,
    /// `out = Σ addr(objects that are live, in transit, or on the cache's free list)`. A free by the owner
    /// subtracts its address. `out == 0` means that no object is out. The quotient by the span's base counts the
    /// objects, and the rest shows whether the freed addresses were those of objects; see `returned.rs`.
    pub out: Cell<u64>,
    /// The sum of the addresses of all objects carved so far.
    pub all: Cell<u64>,
    /// The number of objects carved so far.
    pub carved: Cell<u32>,
    /// How many objects on the list are accounted for: frees that the owner's cache has counted, and objects
    /// that were put back without a free by the owner (returned by other threads, or never allocated).
    pub accounted: Cell<u32>,
    /// The list of its owner in which the span is.
    pub list_state: Cell<ListState>,
    /// The list's links.
    pub(super) next: Cell<*mut Span>,
    pub(super) prev: Cell<*mut Span>,
}

const _: () = assert!(offset_of!(Span, thread_id) == 0, "the fast path compares the first word of a record");
const _: () = assert!(offset_of!(Span, owner) < 16, "a record on the free list keeps its first 16 bytes: no owner");
const _: () = assert!(offset_of!(Span, own) == 64, "the fields that all threads read fill one cache line");
const _: () = assert!(crate::size_class::MAX_OBJECTS <= u16::MAX as usize, "an object count fits 16 bits");

/// Gives access to the owner's part. The caller owns the span, or holds the lock of the class's central list
/// if no cache owns it.
impl core::ops::Deref for Span {
    type Target = Own;

    #[inline(always)]
    fn deref(&self) -> &Own {
        &self.own
    }
}

// SAFETY: any thread may touch the atomics. Each `Cell` is either fixed while the span lives or touched only
// by the owner, as the fields say, and ownership changes under a lock.
unsafe impl Sync for Span {}

impl Span {
    /// Returns a record to be written over free record memory.
    pub fn new(base: Addr, pages: Pages, kind: Kind, class: Option<Class>, zero: bool) -> Span {
        let (size, objects) = match class {
            Some(c) => (c.size(), c.objects()),
            None => (0, 1),
        };
        Span {
            thread_id: AtomicUsize::new(NO_THREAD),
            owner: AtomicPtr::new(null_mut()),
            base: Cell::new(base),
            reciprocal: Cell::new(class.map_or(0, Class::reciprocal)),
            base_reciprocal: Cell::new(class.map_or(0, |_| reciprocal_of(base))),
            size: Cell::new(size as u32),
            pages: Cell::new(pages.0 as u32),
            live: Live::none(),
            objects: Cell::new(objects as u16),
            kind: AtomicU8::new(kind as u8),
            class: Cell::new(class.map_or(0, |c| c.index() as u8)),
            zero: Cell::new(zero),
            own: Own {
                free: Cell::new(null_mut()),
                out: Cell::new(0),
                all: Cell::new(0),
                carved: Cell::new(0),
                accounted: Cell::new(0),
                list_state: Cell::new(ListState::Current),
                next: Cell::new(null_mut()),
                prev: Cell::new(null_mut()),
            },
        }
    }

    /// Returns whether this is the dummy record.
    #[inline]
    pub fn is_dummy(&self) -> bool {
        self.base() == Addr::NULL
    }

    /// Returns the cache that owns the span, or null.
    #[inline(always)]
    pub fn owner(&self) -> *mut () {
        self.owner.load(Ordering::Relaxed)
    }

    /// Sets the owner and the id of the owner's thread. The caller holds the lock of the class's central list
    /// or has just created the span.
    pub fn set_owner(&self, owner: *mut (), thread_id: usize) {
        self.thread_id.store(thread_id, Ordering::Relaxed);
        self.owner.store(owner, Ordering::Release);
    }

    /// Removes the owner. The caller holds the lock of the class's central list.
    pub fn disown(&self) {
        self.set_owner(null_mut(), NO_THREAD);
    }

    /// Sets or clears the mark of a full span, which sends the owner's next free to the slow path. Owner
    /// only.
    #[inline(always)]
    pub fn mark_full(&self, full: bool) {
        let thread_id = self.thread_id.load(Ordering::Relaxed);
        self.thread_id.store(if full { thread_id | FULL } else { thread_id & !FULL }, Ordering::Relaxed);
    }

    /// Returns the use of the span.
    #[inline]
    pub fn kind(&self) -> Kind {
        Kind::ALL[self.kind.load(Ordering::Relaxed) as usize % Kind::ALL.len()]
    }

    /// Ends a live large object. Returns true for exactly one caller, which must give the span back, and
    /// false for every later free.
    pub fn end_large(&self) -> bool {
        let (large, dead) = (Kind::Large as u8, Kind::Dead as u8);
        self.kind.compare_exchange(large, dead, Ordering::Acquire, Ordering::Relaxed).is_ok()
    }

    /// Marks the record free. The caller holds the page heap's lock and the span's last reference.
    pub fn end(&self) {
        self.kind.store(Kind::Dead as u8, Ordering::Relaxed);
        // A stale pointer into the span then finds no owner, so no thread matches the record's thread id.
        self.thread_id.store(NO_THREAD, Ordering::Relaxed);
        self.owner.store(null_mut(), Ordering::Relaxed);
    }

    /// Returns the first byte.
    #[inline]
    pub fn base(&self) -> Addr {
        self.base.get()
    }

    /// Returns the number of pages.
    #[inline]
    pub fn pages(&self) -> Pages {
        Pages(self.pages.get() as usize)
    }

    /// Sets the number of pages after a resize in place. The caller owns the large object in the span.
    pub fn set_pages(&self, pages: Pages) {
        self.pages.set(pages.0 as u32);
    }

    /// Returns the size class of a span of kind [`Kind::Small`].
    #[inline]
    pub fn class(&self) -> Class {
        Class::from_index(self.class.get() as usize)
    }

    /// Returns the bytes of each object of a small span.
    #[inline]
    pub fn object_size(&self) -> usize {
        self.size.get() as usize
    }

    /// Returns the number of objects that fit.
    #[inline]
    pub fn objects(&self) -> u32 {
        u32::from(self.objects.get())
    }

    /// Returns whether the memory read as zero when the span was taken. Memory that was not allocated since
    /// still does.
    #[inline]
    pub fn zero(&self) -> bool {
        self.zero.get()
    }

    /// Returns the bytes that the program may use of an object: the size class's size, or all of a large
    /// span.
    #[inline]
    pub fn usable(&self) -> usize {
        match self.kind() {
            Kind::Small => self.object_size(),
            _ => self.pages().bytes(),
        }
    }

    /// Returns whether `addr` is the first byte of an object of this small span. `addr` may be any address.
    #[inline]
    pub fn is_object(&self, addr: Addr) -> bool {
        let distance = addr.0.wrapping_sub(self.base().0);
        // The product may match by chance if the distance is far too large.
        self.is_multiple(distance as u64) && distance <= self.pages().bytes().wrapping_sub(self.object_size())
    }

    /// Returns whether `addr` lies in the span's pages.
    #[inline]
    pub fn is_inside(&self, addr: Addr) -> bool {
        addr.0.wrapping_sub(self.base().0) < self.pages().bytes()
    }

    /// Returns the reciprocal of the size.
    #[inline(always)]
    pub(super) fn reciprocal(&self) -> u64 {
        self.reciprocal.get()
    }

    /// Returns the reciprocal of the first byte's address.
    #[inline(always)]
    pub(super) fn base_reciprocal(&self) -> u64 {
        self.base_reciprocal.get()
    }

    /// Returns the index of the object of this small span that contains `addr`, an address inside the span.
    #[inline]
    pub fn index_of(&self, addr: Addr) -> usize {
        let offset = addr.0.wrapping_sub(self.base().0) as u32;
        Class::quotient(offset, self.reciprocal()) as usize
    }

    /// Returns whether objects can be taken from the span. Owner only.
    #[inline]
    pub fn has_room(&self) -> bool {
        !self.free.get().is_null() || self.carved.get() < self.objects()
    }

    /// Returns whether the record is consistent. Owner only; for checked builds.
    pub fn is_valid(&self) -> bool {
        if self.kind() != Kind::Small {
            return self.kind() != Kind::Dead;
        }
        let freed = self.carved.get().wrapping_sub(self.outstanding());
        self.carved.get() <= self.objects()
            && self.all.get() == self.sum_of_first(self.carved.get())
            && freed <= self.carved.get()
            && freed.wrapping_sub(self.accounted.get()) as i32 >= 0
    }
}

/// The offsets of a record's fields in bytes, for a reader in another process.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct SpanOffsets {
    /// Bytes of a record.
    pub size: u64,
    /// The first byte, eight bytes.
    pub base: u64,
    /// The number of pages, four bytes.
    pub pages: u64,
    /// Bytes of each object, four bytes.
    pub object_size: u64,
    /// The number of objects that fit, two bytes.
    pub objects: u64,
    /// The [`Kind`], one byte.
    pub kind: u64,
    /// The size class's number, one byte.
    pub class: u64,
    /// The cache that owns the span, eight bytes.
    pub owner: u64,
    /// The head of the free list, eight bytes.
    pub free: u64,
    /// The sum of the addresses of all objects that are out, eight bytes.
    pub out: u64,
    /// The number of objects carved so far, four bytes.
    pub carved: u64,
    /// In an object: the next object of its list, eight bytes.
    pub object_next: u64,
    /// In an object: the second word.
    pub object_extra: u64,
}

impl Span {
    /// The offsets of the fields.
    pub const OFFSETS: SpanOffsets = SpanOffsets {
        size: size_of::<Span>() as u64,
        base: offset_of!(Span, base) as u64,
        pages: offset_of!(Span, pages) as u64,
        object_size: offset_of!(Span, size) as u64,
        objects: offset_of!(Span, objects) as u64,
        kind: offset_of!(Span, kind) as u64,
        class: offset_of!(Span, class) as u64,
        owner: offset_of!(Span, owner) as u64,
        free: offset_of!(Span, own.free) as u64,
        out: offset_of!(Span, own.out) as u64,
        carved: offset_of!(Span, own.carved) as u64,
        object_next: offset_of!(Object, next) as u64,
        object_extra: offset_of!(Object, extra) as u64,
    };
}

/// Returns the factor by which [`Span::count_of`] multiplies a sum of addresses to divide it by `base`.
fn reciprocal_of(base: Addr) -> u64 {
    u64::MAX / base.0 as u64 + 1
}
