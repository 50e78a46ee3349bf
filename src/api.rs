//! Allocate, free, resize: what every face is made of.
//!
//! The faces call it with the calling thread's cache. Small requests go to `cache`, large ones to
//! the page heap; misuse that is seen ends here with one exact line.
//!
//! No lock is held on entry. Null means no memory or a request that no memory could serve; nothing
//! is half done then.
//!
//! Invariant: an address handed out is the first byte of a live object until it is freed.

mod large;

use core::fmt::Display;
use core::ptr::null_mut;

use crate::cache::{Cache, Freed, Pended};
use crate::central::Central;
use crate::config::{MAX_ALIGN, MAX_REQUEST, MIN_ALIGN};
use crate::heap::{Heap, Use};
use crate::os::Os;
use crate::report;
use crate::size_class::{Class, QUICK_MAX, SMALL_MAX};
use crate::span::{Kind, ListState, Object, Span};
use crate::system_stack;
use crate::units::{Addr, Pages};

/// What is found of an object that was freed before.
const FREED: &str = "already freed";

/// Allocates `size` bytes aligned to 16. Null: no memory.
#[inline(always)]
pub fn allocate<O: Os>(heap: &Heap<O>, central: &Central<O>, cache: &Cache, size: usize) -> *mut u8 {
    if size <= QUICK_MAX {
        let p = cache.pop_quick(size);
        if !p.is_null() {
            return p;
        }
    }
    allocate_slow(heap, central, cache, size)
}

/// Allocates `size` bytes where the fast path found nothing in hand. Null: no memory.
#[cold]
#[inline(never)]
pub fn allocate_slow<O: Os>(heap: &Heap<O>, central: &Central<O>, cache: &Cache, size: usize) -> *mut u8 {
    if size <= SMALL_MAX {
        allocate_class(heap, central, cache, Class::of(size))
    } else {
        allocate_large(heap, cache, size, 1, false).0
    }
}

fn allocate_class<O: Os>(heap: &Heap<O>, central: &Central<O>, cache: &Cache, class: Class) -> *mut u8 {
    let p = cache.pop(class);
    if p.is_null() { cache.refill(heap, central, class) } else { p }
}

/// A large object, and where that is asked for by `zero`, whether it reads as zero.
///
/// A call of its own: small objects' slow path would save registers for it each time.
#[inline(never)]
fn allocate_large<O: Os>(heap: &Heap<O>, cache: &Cache, size: usize, align: usize, zero: bool) -> (*mut u8, bool) {
    if size > MAX_REQUEST {
        return (null_mut(), false);
    }
    let Some(pages) = Pages::holding(size) else { return (null_mut(), false) };
    let _inside = cache.enter_to_change(|| ("malloc", 0));
    match heap.take_large(cache.client(), pages, align, zero) {
        Some(span) => {
            cache.publish_after(heap, pages);
            (span.base().ptr(), span.zero())
        }
        None => (null_mut(), false),
    }
}

/// Allocates `size` bytes aligned to `align`, a power of two of at most [`MAX_ALIGN`]. Null: no memory, or
/// a larger alignment.
pub fn allocate_aligned<O: Os>(
    heap: &Heap<O>,
    central: &Central<O>,
    cache: &Cache,
    size: usize,
    align: usize,
) -> *mut u8 {
    debug_assert!(align.is_power_of_two());
    if align <= MIN_ALIGN {
        return allocate(heap, central, cache, size);
    }
    if align > MAX_ALIGN {
        return null_mut();
    }
    match Class::of_aligned(size, align) {
        Some(class) => allocate_class(heap, central, cache, class),
        None => allocate_large(heap, cache, size.max(1), align, false).0,
    }
}

/// Allocates `size` zero bytes aligned to 16. Memory that is known to be zero is not written again.
pub fn allocate_zeroed<O: Os>(heap: &Heap<O>, central: &Central<O>, cache: &Cache, size: usize) -> *mut u8 {
    if size > SMALL_MAX {
        let (p, zero) = allocate_large(heap, cache, size, 1, true);
        if !p.is_null() && !zero {
            // SAFETY: a fresh object of at least `size` bytes.
            unsafe { p.write_bytes(0, size) };
        }
        return p;
    }
    let class = Class::of(size);
    let p = allocate_class(heap, central, cache, class);
    if !p.is_null() {
        // A fresh object holds nothing but its link, which is its first word.
        let dirty = if cache.is_fresh(class) { size_of::<*mut Object>() } else { size };
        // SAFETY: a fresh object; objects have at least 16 bytes.
        unsafe { p.write_bytes(0, dirty) };
    }
    p
}

/// Frees an object.
///
/// # Safety
/// `p` is null or an object that this kernel handed out and nobody uses any more. What is seen to be
/// something else ends the process with one line.
#[inline(always)]
pub unsafe fn free<O: Os>(heap: &Heap<O>, central: &Central<O>, cache: &Cache, p: *mut u8) {
    // SAFETY: the caller's promise.
    match unsafe { free_quick(heap, cache.thread_id(), p) } {
        Freed::Done => {}
        Freed::Last => free_last(heap, || Some(cache), p),
        // SAFETY: the caller's promise.
        Freed::Not => unsafe { free_other(heap, central, cache, p, "free") },
    }
}

/// The part of [`free`] that most frees need, by the thread that `thread_id` tells from others. The rest is for
/// [`free_last`] and [`free_other`].
///
/// # Safety
/// As for [`free`].
#[inline(always)]
pub unsafe fn free_quick<O: Os>(heap: &Heap<O>, thread_id: usize, p: *mut u8) -> Freed {
    match heap.span_of_thread(Addr(p.addr()), thread_id) {
        // SAFETY: the caller frees the object; a span with a token holds small objects, and the thread is its owner's.
        Some(span) => unsafe { Cache::push(span, p.cast()) },
        None => Freed::Not,
    }
}

/// As [`free_quick`], for callers that promise more, and need not be told if they were wrong.
///
/// # Safety
/// `p` is a live object of this kernel, and nobody uses it any more.
#[inline(always)]
pub unsafe fn free_live<O: Os>(heap: &Heap<O>, thread_id: usize, p: *mut u8) -> Freed {
    // SAFETY: the caller's promise.
    match unsafe { heap.span_of_live(Addr(p.addr()), thread_id) } {
        // SAFETY: as in `free_quick`.
        Some(span) => unsafe { Cache::push(span, p.cast()) },
        None => Freed::Not,
    }
}

/// What is left to do after [`free_quick`] or [`free_live`] answered [`Freed::Last`] for this object to the thread whose
/// cache `cache` gives.
///
/// A thread may have got the token of one that is gone: that one's spans stay where they are, since a fork may have come
/// while it changed its lists.
#[cold]
#[inline(never)]
pub fn free_last<'a, O: Os>(heap: &Heap<O>, cache: impl FnOnce() -> Option<&'a Cache>, p: *mut u8) {
    // Mostly it is the current one, which stays, and nobody needs to know whose.
    if let Some(span) = heap.span_of(Addr::of(p)).filter(|span| span.list_state.get() == ListState::Partial)
        && let Some(cache) = cache().filter(|cache| cache.owns(span))
    {
        cache.freed_last(heap, span);
    }
}

/// What a free that [`free_quick`] did not do is, as far as that can be said in a few instructions.
pub enum Other<'a> {
    /// Others' object, and done.
    Done,
    /// Others' object, and what was gathered of the span is to be sent: [`Cache::flush_pending_of`].
    Send(&'a Cache, &'a Span),
    /// An object of a span of the cache: [`Cache::free_into_full`], if the span is full and frees are not validated.
    Own(&'a Cache, &'a Span),
    /// Nothing of these: [`free_other`].
    Rest,
}

/// The second step of [`free`], after [`free_quick`] did nothing.
///
/// # Safety
/// As for [`free`]; `cache` is what the thread's word points to.
#[inline(always)]
pub unsafe fn free_pending<O: Os>(heap: &Heap<O>, cache: *const Cache, p: *mut u8) -> Other<'_> {
    let addr = Addr(p.addr());
    let Some(span) = heap.span_of(addr).filter(|span| span.is_object(addr)) else { return Other::Rest };
    // SAFETY: what owns or gathers is a cache; caches are never unmapped. The caller frees the object.
    unsafe {
        if core::ptr::eq(Cache::owner_of(span), cache) {
            return Other::Own(&*cache, span);
        }
        match Cache::free_pending(cache, span, p.cast()) {
            Pended::More => Other::Done,
            Pended::Full => Other::Send(&*cache, span),
            Pended::Not => Other::Rest,
        }
    }
}

/// The third step of [`free`]: objects of full spans, and of spans that nobody owns, or [`free_slow`].
///
/// # Safety
/// As for [`free`]; [`free_quick`] did nothing.
#[inline]
pub unsafe fn free_other<O: Os>(
    heap: &Heap<O>,
    central: &Central<O>,
    cache: &Cache,
    p: *mut u8,
    function: &'static str,
) {
    let addr = Addr::of(p);
    if let Some(span) = heap.span_of(addr)
        && span.kind() == Kind::Small
        && !cache.is_checked()
        && span.is_object(addr)
        && (cache.owns(span) || span.owner().is_null() && cache.adopt(central, span))
        && span.list_state.get() == ListState::Full
    {
        // SAFETY: the caller's promise, and it is an object of a span that this cache owns.
        return unsafe { cache.free_into_full(heap, span, p.cast()) };
    }
    // SAFETY: the caller's promise.
    unsafe { free_slow(heap, central, cache, p, function) }
}

/// The rest of [`free`]: large objects, other threads' objects, misuse, and all where frees are validated. `function`
/// is what the caller called.
///
/// # Safety
/// As for [`free`]; [`free_quick`] did nothing.
#[cold]
#[inline(never)]
pub unsafe fn free_slow<O: Os>(
    heap: &Heap<O>,
    central: &Central<O>,
    cache: &Cache,
    p: *mut u8,
    function: &'static str,
) {
    if p.is_null() {
        return;
    }
    // Misuse is found before anything changes: a handler of the signal that ends the process may still allocate.
    let span = checked_span(heap, p, function);
    let large = span.kind() == Kind::Large;
    let inside = cache.enter_to_change(|| (function, p.addr()));
    if !(if large { span.end_large() } else { span.mark_freed(Addr::of(p)) }) {
        drop(inside);
        misuse(function, p, FREED);
    }
    if large {
        let pages = span.pages();
        // SAFETY: this call ended the object's life, so nobody else gives its span back.
        unsafe { heap.give_back_near(cache.client(), span, Use::Large) };
        return cache.publish_after(heap, pages);
    }
    if !cache.owns(span) {
        // SAFETY: the caller's promise, and `checked_span` saw that it is an object.
        if !unsafe { cache.free_remote(heap, central, span, p.cast()) } {
            misuse(function, p, FREED);
        }
        return;
    }
    if span.list_state.get() == ListState::Full {
        // SAFETY: the caller's promise, and `checked_span` saw that it is an object.
        return unsafe { cache.free_into_full(heap, span, p.cast()) };
    }
    // The thread got its cache in this call, frees are validated, or the object is the one that was freed last.
    // SAFETY: as above.
    match unsafe { Cache::push(span, p.cast()) } {
        Freed::Done => {}
        Freed::Last => cache.freed_last(heap, span),
        Freed::Not => misuse(function, p, FREED),
    }
}

/// As [`free_slow`], for a caller that says how many bytes it asked for, with what alignment: where frees are
/// validated, that must be what it asked for.
///
/// # Safety
/// As for [`free_slow`].
#[cold]
#[inline(never)]
pub unsafe fn free_sized_slow<O: Os>(
    heap: &Heap<O>,
    central: &Central<O>,
    cache: &Cache,
    p: *mut u8,
    size: usize,
    align: usize,
    function: &'static str,
) {
    if cache.is_checked() && !p.is_null() {
        let span = checked_span(heap, p, function);
        let larger = heap.has_larger() && size <= span.usable();
        let aligned = align <= MIN_ALIGN || p.addr().is_multiple_of(align);
        if !(aligned && (is_of(span, size, align) || larger)) {
            let has = span.usable();
            if align <= MIN_ALIGN {
                misuse(function, p, format_args!("{size} bytes are not what was allocated: {has} bytes"));
            }
            let asked = format_args!("{size} bytes aligned to {align}");
            misuse(function, p, format_args!("{asked} are not what was allocated: {has} bytes"));
        }
    }
    // SAFETY: the caller's promise.
    unsafe { free_slow(heap, central, cache, p, function) }
}

/// Whether an object of `size` bytes aligned to `align` would be one of `span`.
fn is_of(span: &Span, size: usize, align: usize) -> bool {
    let small =
        if align <= MIN_ALIGN && size <= SMALL_MAX { Some(Class::of(size)) } else { Class::of_aligned(size, align) };
    match small {
        Some(class) => span.kind() == Kind::Small && span.class() == class,
        None => span.kind() == Kind::Large && Pages::holding(size.max(1)) == Some(span.pages()),
    }
}

/// The span of a live object, or the end of the process with a line that says what `p` is instead.
#[inline]
fn checked_span<'a, O: Os>(heap: &'a Heap<O>, p: *mut u8, function: &'static str) -> &'a Span {
    let addr = Addr::of(p);
    let found = heap.span_of(addr.align_down(MIN_ALIGN)).filter(|span| !span.is_dummy());
    let Some(span) = found else {
        misuse(function, p, "not an address of this allocator, or already freed");
    };
    match span.kind() {
        Kind::Small if !addr.is_aligned(MIN_ALIGN) => misuse(function, p, "misaligned"),
        Kind::Small if !span.is_object(addr) => misuse(function, p, "inside an object, not its start"),
        Kind::Large if addr != span.base() => misuse(function, p, "inside an object, not its start"),
        Kind::Small if span.is_freed(addr) => misuse(function, p, FREED),
        Kind::Small | Kind::Large => span,
        Kind::Dead => misuse(function, p, FREED),
        Kind::Stack | Kind::WorkBuf | Kind::Bitmap => misuse(function, p, "not an object"),
    }
}

#[cold]
fn misuse(function: &str, p: *mut u8, found: impl Display) -> ! {
    report::fatal(format_args!("crossfoot: {function}({:#x}): {found}", p.addr()))
}

/// How many bytes of an object the caller may use; 0 for null.
///
/// # Safety
/// `p` is null or a live object of this kernel.
pub unsafe fn usable_size<O: Os>(heap: &Heap<O>, p: *mut u8) -> usize {
    if p.is_null() { 0 } else { checked_span(heap, p, "malloc_usable_size").usable() }
}

/// Changes an object's size to `size` bytes, at least 1, keeping its content as far as both reach; the object may move. Null:
/// no memory, and the old object is as it was.
///
/// # Safety
/// `p` is a live object of this kernel; if the result is not null, it is not used any more. An
/// alignment above 16 bytes is kept only if the object does not move: `align` says what is needed.
pub unsafe fn reallocate<O: Os>(
    heap: &Heap<O>,
    central: &Central<O>,
    cache: &Cache,
    p: *mut u8,
    size: usize,
    align: usize,
) -> *mut u8 {
    if cache.is_checked() {
        system_stack::abort_if_active_always("realloc", p.addr());
    }
    let span = checked_span(heap, p, "realloc");
    let old = span.usable();
    if span.kind() == Kind::Large {
        if size > SMALL_MAX {
            if resize_large(heap, cache, span, size) {
                return p;
            }
            // SAFETY: the caller's promise.
            return unsafe { large::move_large(heap, central, cache, p, span, size, align) };
        }
    } else if stays(cache, span, size, align) {
        return p;
    }
    let new = allocate_aligned(heap, central, cache, size, align);
    if new.is_null() && size <= old {
        heap.note_larger();
        // No memory to make it smaller: it is large enough where it is.
        return p;
    }
    if !new.is_null() {
        // SAFETY: two objects of at least this many bytes, one of them new.
        unsafe {
            copy(p, new, old.min(size));
            free(heap, central, cache, p);
        }
    }
    new
}

/// Whether a small object stays where it is when its size becomes `size`: while half of it is used, or where frees are
/// validated, while it is what would be allocated for that size.
#[inline]
fn stays(cache: &Cache, span: &Span, size: usize, align: usize) -> bool {
    if cache.is_checked() {
        return is_of(span, size, align);
    }
    let old = span.object_size();
    size <= old && (size >= old / 2 || old <= 2 * MIN_ALIGN)
}

/// Copies `bytes` bytes between two objects.
///
/// By `memmove`, though they do not overlap: a shared object without version needs is given the oldest `memcpy` of
/// glibc, which does not use the CPU's wide registers; of `memmove` there is only one.
///
/// # Safety
/// Both have so many bytes.
unsafe fn copy(from: *const u8, to: *mut u8, bytes: usize) {
    // SAFETY: the caller's promise.
    unsafe { to.copy_from(from, bytes) };
}

/// Makes a large object's span fit `size` bytes where it is. `false`: it can't grow there.
fn resize_large<O: Os>(heap: &Heap<O>, cache: &Cache, span: &Span, size: usize) -> bool {
    let Some(pages) = Pages::holding(size) else { return false };
    if size > MAX_REQUEST {
        return false;
    }
    match pages.cmp(&span.pages()) {
        core::cmp::Ordering::Equal => true,
        core::cmp::Ordering::Less => {
            let _inside = cache.enter_to_change(|| ("realloc", span.base().0));
            heap.shrink(cache.writer(), span, pages);
            true
        }
        core::cmp::Ordering::Greater => {
            let _inside = cache.enter_to_change(|| ("realloc", span.base().0));
            heap.grow_in_place(cache.client(), span, pages)
        }
    }
}
