//! A span's record.

use core::cell::Cell;
use core::mem::offset_of;
use core::ptr::null_mut;
use core::sync::atomic::{AtomicPtr, AtomicU8, AtomicUsize, Ordering};

use super::batch::Link;
use super::live::Live;
use crate::arch;
use crate::size_class::Class;
use crate::units::{Addr, Pages};

/// The token of no thread: of a span that no cache owns, and of memory that is no span's.
pub const NO_THREAD: usize = 0;
/// Added to a token, which is a multiple of eight: the span is full, so that its first free is not taken for any other.
const FULL: usize = 2;

/// A free object. Only free objects hold this; a live one is the caller's memory.
#[repr(C)]
pub struct Object {
    /// The next free object of the same list.
    pub next: Cell<*mut Object>,
    /// Used by lists that travel between caches.
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

/// What a span is used for.
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

/// Which list a span of small objects stands in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ListState {
    /// None: it is the one its cache allocates from.
    Current,
    /// A list of spans with free objects.
    Partial,
    /// A list of spans without free objects.
    Full,
}

/// The record of a span. Records live in memory that only ever holds records.
///
/// The first cache line is what any thread reads that frees an object, and hardly anybody writes while the owner
/// stays; the second one is what the owner writes, so that it does not lose the line to those who only ask
/// whose the span is.
///
/// All-zero bytes are the record that stands for no span: of a kind that is dead, at no address, nobody's.
#[repr(C, align(128))]
pub struct Span {
    /// The token of the thread that frees into the span on the fast path: the one that has the owner. [`NO_THREAD`]
    /// where no cache owns it; changed by a mark where every free has to be looked at. Written by the owner, or under
    /// the lock of the class's central list; read by anyone.
    thread_id: AtomicUsize,
    /// The cache that owns the span, or null, as for spans without small objects. Written under the lock of the class's
    /// central list, read by anyone.
    owner: AtomicPtr<()>,
    /// The first byte. Fixed while the span lives.
    base: Cell<Addr>,
    /// The reciprocal of the size. Fixed while the span lives.
    reciprocal: Cell<u64>,
    /// The reciprocal of the first byte's address: see [`Span::count_of`]. Fixed while the span lives.
    base_reciprocal: Cell<u64>,
    /// Bytes of each object. Fixed while the span lives.
    size: Cell<u32>,
    /// How many pages. Fixed while the span lives, but for a large object's owner.
    pages: Cell<u32>,
    /// Which objects are live, where that is kept. Fixed while the span lives.
    pub(super) live: Live,
    /// Objects that fit. Fixed while the span lives.
    objects: Cell<u16>,
    /// The [`Kind`]. Written under the page heap's lock or by a free of the large object.
    kind: AtomicU8,
    /// The size class's number. Fixed while the span lives.
    class: Cell<u8>,
    /// Whether its memory read as zero when the span was taken. Fixed while the span lives.
    zero: Cell<bool>,
    own: Own,
}

/// The owner's part of a record.
#[repr(C, align(64))]
pub struct Own {
    /// Objects freed since the last take, last freed first.
    pub free: Cell<*mut Object>,
    /// The sum of the addresses of all objects that are out: live, in transit, or in the cache's hand. A free by the
    /// owner takes one address away, so that zero says that the last one came back, the quotient by the span's first
    /// byte how many are out, and the rest whether what was freed was objects; see `returned.rs`.
    pub out: Cell<u64>,
    /// The sum of the addresses of all objects made so far.
    pub all: Cell<u64>,
    /// Objects made of the span's memory so far.
    pub carved: Cell<u32>,
    /// How many objects on the list are accounted for: frees that the owner's cache has counted, and objects that came
    /// back without a free of the owner (came home, never handed out).
    pub accounted: Cell<u32>,
    /// Which list of its owner the span stands in.
    pub list_state: Cell<ListState>,
    /// The list's links.
    pub(super) next: Cell<*mut Span>,
    pub(super) prev: Cell<*mut Span>,
}

const _: () = assert!(offset_of!(Span, thread_id) == 0, "the fast path compares a record's first word");
const _: () = assert!(offset_of!(Span, owner) < 16, "a free record keeps its first two words: nobody's");
const _: () = assert!(offset_of!(Span, own) == 64, "what all read fills one line");
const _: () = assert!(crate::size_class::MAX_OBJECTS <= u16::MAX as usize, "a number of objects fits 16 bits");

/// The owner's part is reached through the span: whoever names a field of it is the owner, or holds the lock
/// of the class's central list where there is none.
impl core::ops::Deref for Span {
    type Target = Own;

    #[inline(always)]
    fn deref(&self) -> &Own {
        &self.own
    }
}

// SAFETY: atomics may be touched by anyone; each `Cell` is either fixed while the span lives, or touched
// only by the owner (see the fields), and ownership changes hands under a lock.
unsafe impl Sync for Span {}

impl Span {
    /// A record to be written over fresh memory.
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

    /// Whether this record stands for no span.
    #[inline]
    pub fn is_dummy(&self) -> bool {
        self.base() == Addr::NULL
    }

    /// The cache that owns the span, or null.
    #[inline(always)]
    pub fn owner(&self) -> *mut () {
        self.owner.load(Ordering::Relaxed)
    }

    /// Gives the span an owner, whose thread frees with `thread_id`. The caller holds the lock of the class's central list
    /// or made the span.
    pub fn set_owner(&self, owner: *mut (), thread_id: usize) {
        self.thread_id.store(thread_id, Ordering::Relaxed);
        self.owner.store(owner, Ordering::Release);
    }

    /// Takes the owner away. The caller holds the lock of the class's central list.
    pub fn disown(&self) {
        self.set_owner(null_mut(), NO_THREAD);
    }

    /// Says whether the span is full, so that the owner's next free has to be looked at. Owner only.
    #[inline(always)]
    pub fn mark_full(&self, full: bool) {
        let thread_id = self.thread_id.load(Ordering::Relaxed);
        self.thread_id.store(if full { thread_id | FULL } else { thread_id & !FULL }, Ordering::Relaxed);
    }

    /// What the span is used for.
    #[inline]
    pub fn kind(&self) -> Kind {
        Kind::ALL[self.kind.load(Ordering::Relaxed) as usize % Kind::ALL.len()]
    }

    /// Ends the use of a live large object: whoever calls this first gets `true` and must give the
    /// span back; a second free gets `false`.
    pub fn end_large(&self) -> bool {
        let (large, dead) = (Kind::Large as u8, Kind::Dead as u8);
        self.kind.compare_exchange(large, dead, Ordering::Acquire, Ordering::Relaxed).is_ok()
    }

    /// Marks the record free. The caller holds the page heap's lock and the span's last reference.
    pub fn end(&self) {
        self.kind.store(Kind::Dead as u8, Ordering::Relaxed);
        // A stale pointer into the span finds no owner, so no thread takes it for its own.
        self.thread_id.store(NO_THREAD, Ordering::Relaxed);
        self.owner.store(null_mut(), Ordering::Relaxed);
    }

    /// The first byte.
    #[inline]
    pub fn base(&self) -> Addr {
        self.base.get()
    }

    /// How many pages.
    #[inline]
    pub fn pages(&self) -> Pages {
        Pages(self.pages.get() as usize)
    }

    /// The span shrinks or grows to `pages`, in place. The caller owns the large object in it.
    pub fn set_pages(&self, pages: Pages) {
        self.pages.set(pages.0 as u32);
    }

    /// The size class, of a span of kind [`Kind::Small`].
    #[inline]
    pub fn class(&self) -> Class {
        Class::from_index(self.class.get() as usize)
    }

    /// Bytes of each object of a small span.
    #[inline]
    pub fn object_size(&self) -> usize {
        self.size.get() as usize
    }

    /// How many objects fit.
    #[inline]
    pub fn objects(&self) -> u32 {
        u32::from(self.objects.get())
    }

    /// Whether the memory read as zero when the span was taken, so that what was not handed out yet still does.
    #[inline]
    pub fn zero(&self) -> bool {
        self.zero.get()
    }

    /// The bytes that a caller may use of the object at the span's pages: all of them for large ones.
    #[inline]
    pub fn usable(&self) -> usize {
        match self.kind() {
            Kind::Small => self.object_size(),
            _ => self.pages().bytes(),
        }
    }

    /// Whether `addr` is the first byte of an object of this small span. Any address may be asked for.
    #[inline]
    pub fn is_object(&self, addr: Addr) -> bool {
        let distance = addr.0.wrapping_sub(self.base().0);
        // Of a distance that is far too large a product may be anything.
        self.is_multiple(distance as u64) && distance <= self.pages().bytes().wrapping_sub(self.object_size())
    }

    /// Whether `addr` lies in the span's pages.
    #[inline]
    pub fn is_inside(&self, addr: Addr) -> bool {
        addr.0.wrapping_sub(self.base().0) < self.pages().bytes()
    }

    /// The reciprocal of the size.
    #[inline(always)]
    pub(super) fn reciprocal(&self) -> u64 {
        self.reciprocal.get()
    }

    /// The reciprocal of the first byte's address.
    #[inline(always)]
    pub(super) fn base_reciprocal(&self) -> u64 {
        self.base_reciprocal.get()
    }

    /// The number of the object of this small span that holds `addr`, an address inside the span.
    #[inline]
    pub fn index_of(&self, addr: Addr) -> usize {
        let offset = addr.0.wrapping_sub(self.base().0) as u32;
        Class::quotient(offset, self.reciprocal()) as usize
    }

    /// Whether objects can be taken from the span. Owner only.
    #[inline]
    pub fn has_room(&self) -> bool {
        !self.free.get().is_null() || self.carved.get() < self.objects()
    }

    /// Whether the record makes sense. Owner only; for checked builds.
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

/// Where a record's parts lie, in bytes from its first one: for a reader in another process.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct SpanOffsets {
    /// Bytes of a record.
    pub size: u64,
    /// The address of the span, eight bytes.
    pub base: u64,
    /// How many pages, four bytes.
    pub pages: u64,
    /// Bytes of each object, four bytes.
    pub object_size: u64,
    /// Objects that fit, two bytes.
    pub objects: u64,
    /// The [`Kind`], a byte.
    pub kind: u64,
    /// The size class's number, a byte.
    pub class: u64,
    /// The cache that owns it, eight bytes.
    pub owner: u64,
    /// The list of free objects, eight bytes.
    pub free: u64,
    /// The sum of the addresses of all objects that are out, eight bytes.
    pub out: u64,
    /// How many objects were made so far, four bytes.
    pub carved: u64,
    /// In an object: the next one of its list, eight bytes.
    pub object_next: u64,
    /// In an object: the word beside it.
    pub object_extra: u64,
}

impl Span {
    /// Where its parts lie.
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

/// What a sum of addresses in a span at `base` is multiplied by to be divided by that: see [`Span::count_of`].
fn reciprocal_of(base: Addr) -> u64 {
    u64::MAX / base.0 as u64 + 1
}
