//! The calling thread's own words: its cache, its id, its flags, its system stack.
//!
//! The front ends and `thread` use them for the process's allocator. `lock` stores here, in checked builds,
//! the ranks that this thread holds.
//!
//! Each access is a load or a store of a thread-local word. It takes no lock, allocates nothing and calls no
//! libc.
//!
//! Invariant: the cache word points to the cache that this thread owns, or to zero bytes.

use core::ptr::{from_ref, null};
use core::sync::atomic::{Ordering, compiler_fence};

use crate::arch;

/// The number of zero bytes that serve as the cache of a thread without one.
pub const EMPTY_CACHE_BYTES: usize = arch::EMPTY_CACHE_BYTES;

/// Returns this thread's cache. If it has none, returns [`EMPTY_CACHE_BYTES`] zero bytes with the same
/// alignment, which must not be written.
#[inline(always)]
pub fn cache_or_empty<T>() -> *const T {
    core::ptr::with_exposed_provenance(arch::thread_word())
}

/// Returns this thread's cache, or null if it has none.
#[inline(always)]
pub fn cache<T>() -> *const T {
    let word = cache_or_empty::<T>();
    if core::ptr::eq(word.cast(), from_ref(&arch::EMPTY_CACHE)) { null() } else { word }
}

/// Sets this thread's cache. Null means that it has none.
#[inline]
pub fn set_cache<T>(cache: *const T) {
    let nothing = from_ref(&arch::EMPTY_CACHE).cast();
    arch::set_thread_word(if cache.is_null() { nothing } else { cache }.expose_provenance());
}

/// Returns the thread id: unique among running threads, not zero, a multiple of eight.
#[inline(always)]
pub fn thread_id() -> usize {
    arch::thread_id()
}

/// Flag: the thread gave its cache back at its exit.
const ENDED: usize = 1;
/// Flag: the thread is in a section in which no signal handler may allocate.
const BUSY: usize = 2;

/// Flag: the thread is ending the process.
const DYING: usize = 8;

/// Flag: the thread is in a call on an isolated heap.
const IN_HEAP: usize = 4;

/// Flag: the thread is ending the process from inside the allocator.
const EXITING: usize = 1 << 7;

/// Where the flag word has the number of this thread's forks in progress.
const FORKS_SHIFT: usize = 4;
const FORKS_MAX: usize = 7;
/// One bit for each of these forks, by its level: set if the thread was inside the allocator.
const INSIDE_SHIFT: usize = 8;

/// Returns whether this thread gave its cache back at its exit. It may still free, and even allocate.
pub fn ended() -> bool {
    arch::thread_flag() & ENDED != 0
}

/// Records that this thread gave its cache back at its exit.
pub fn set_ended() {
    arch::set_thread_flag(arch::thread_flag() | ENDED);
}

/// A section in which this thread takes or gives back its cache, or uses the shared one. It ends when this is
/// dropped.
pub struct Busy(());

impl Busy {
    /// Begins a section. Returns `None` if this thread is in one already: then the caller is a signal
    /// handler.
    pub fn begin() -> Option<Busy> {
        let flag = arch::thread_flag();
        if flag & BUSY != 0 {
            return None;
        }
        arch::set_thread_flag(flag | BUSY);
        // A signal handler on this thread sees the flag from here on.
        compiler_fence(Ordering::SeqCst);
        Some(Busy(()))
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        compiler_fence(Ordering::SeqCst);
        arch::set_thread_flag(arch::thread_flag() & !BUSY);
    }
}

/// Returns whether this thread is in a call on an isolated heap.
pub fn is_in_heap() -> bool {
    arch::thread_flag() & IN_HEAP != 0
}

/// A call of this thread on an isolated heap. It ends when this is dropped. The flag answers whether the
/// thread holds such a heap's lock: the lock itself cannot be read, since the heap's memory may be unmapped.
pub struct InHeap(usize);

impl InHeap {
    /// Marks the thread as in a call on an isolated heap.
    #[inline]
    pub fn begin() -> InHeap {
        let flag = arch::thread_flag();
        arch::set_thread_flag(flag | IN_HEAP);
        compiler_fence(Ordering::SeqCst);
        InHeap(flag & IN_HEAP)
    }
}

impl Drop for InHeap {
    #[inline]
    fn drop(&mut self) {
        compiler_fence(Ordering::SeqCst);
        arch::set_thread_flag(arch::thread_flag() & !IN_HEAP | self.0);
    }
}

/// Returns how many forks of this thread are in progress. Each but the first began in a signal handler that
/// interrupted the previous one.
pub fn forks() -> usize {
    arch::thread_flag() >> FORKS_SHIFT & FORKS_MAX
}

/// Returns whether a fork of this thread is in progress: it takes, holds or releases locks of the allocators.
pub fn is_forking() -> bool {
    forks() != 0
}

/// Begins a fork of this thread. `inside` is true if the thread is inside the allocator. Returns the fork's
/// level, or `None` if too many forks are in progress.
pub fn begin_fork(inside: bool) -> Option<usize> {
    let level = forks() + 1;
    if level > FORKS_MAX {
        return None;
    }
    let flag = arch::thread_flag() & !(1 << (INSIDE_SHIFT + level));
    arch::set_thread_flag((flag + (1 << FORKS_SHIFT)) | (usize::from(inside) << (INSIDE_SHIFT + level)));
    // A signal handler on this thread sees the level from here on.
    compiler_fence(Ordering::SeqCst);
    Some(level)
}

/// Returns whether this thread was inside the allocator when its last fork in progress began.
pub fn forks_inside() -> bool {
    arch::thread_flag() >> (INSIDE_SHIFT + forks()) & 1 != 0
}

/// Ends this thread's last fork in progress, in the parent or in the child.
pub fn end_fork() {
    compiler_fence(Ordering::SeqCst);
    arch::set_thread_flag(arch::thread_flag() - (1 << FORKS_SHIFT));
}

/// Returns whether this thread is ending the process. Then the caller may be a handler of its signal.
pub fn is_dying() -> bool {
    arch::thread_flag() & DYING != 0
}

/// Records that this thread is ending the process.
pub fn set_dying() {
    arch::set_thread_flag(arch::thread_flag() | DYING);
}

/// Returns whether this thread is in a section of [`Busy`].
pub fn is_busy() -> bool {
    arch::thread_flag() & BUSY != 0
}

/// Returns whether this thread is ending the process from inside the allocator.
pub fn is_exiting() -> bool {
    arch::thread_flag() & EXITING != 0
}

/// Sets whether this thread is ending the process from inside the allocator.
pub fn set_exiting(on: bool) {
    let flag = arch::thread_flag() & !EXITING;
    arch::set_thread_flag(if on { flag | EXITING } else { flag });
}

/// Returns the end of the system stack that this thread is using, or 0 if it uses none.
#[inline]
pub fn stack() -> usize {
    arch::thread_stack()
}

/// Sets the end of the system stack that this thread is using. 0 means none.
pub fn set_stack(end: usize) {
    // A signal handler that sees the new word also sees the stores before it.
    compiler_fence(Ordering::SeqCst);
    arch::set_thread_stack(end);
    compiler_fence(Ordering::SeqCst);
}

/// Returns this thread's storage for the list of held locks. It is zero in a new thread.
#[cfg(debug_assertions)]
pub fn held<T>() -> *mut T {
    const { assert!(size_of::<T>() <= arch::HELD_BYTES && align_of::<T>() <= 8) };
    arch::held_bytes().cast()
}
