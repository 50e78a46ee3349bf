//! Where this thread's cache is.
//!
//! The faces and `thread` use it for the one kernel that is bound to the process; `lock` keeps
//! the ranks that this thread holds here, in checked builds.
//!
//! One load of a thread-local word; no lock, no allocation, no libc.
//!
//! Invariant: the word points to the cache that this thread owns, or to bytes that are zero.

use core::ptr::{from_ref, null};
use core::sync::atomic::{Ordering, compiler_fence};

use crate::arch;

/// How many bytes of zero stand for the cache of a thread that has none.
pub const EMPTY_CACHE_BYTES: usize = arch::EMPTY_CACHE_BYTES;

/// This thread's cache, or, if it has none, [`EMPTY_CACHE_BYTES`] bytes of zero in the same alignment, not to be written.
#[inline(always)]
pub fn cache_or_empty<T>() -> *const T {
    core::ptr::with_exposed_provenance(arch::thread_word())
}

/// This thread's cache, or null if it has none.
#[inline(always)]
pub fn cache<T>() -> *const T {
    let word = cache_or_empty::<T>();
    if core::ptr::eq(word.cast(), from_ref(&arch::EMPTY_CACHE)) { null() } else { word }
}

/// Says that this thread owns `cache` from now on; null: none.
#[inline]
pub fn set_cache<T>(cache: *const T) {
    let nothing = from_ref(&arch::EMPTY_CACHE).cast();
    arch::set_thread_word(if cache.is_null() { nothing } else { cache }.expose_provenance());
}

/// What tells this thread from all others that run. Not zero, and a multiple of eight.
#[inline(always)]
pub fn thread_id() -> usize {
    arch::thread_id()
}

/// The flag of a thread that gave its cache back because it ends.
const ENDED: usize = 1;
/// The flag of a thread that is where no signal handler may allocate.
const BUSY: usize = 2;

/// The flag of a thread that ends the process.
const DYING: usize = 8;

/// The flag of a thread that uses an isolated heap.
const IN_HEAP: usize = 4;

/// The flag of a thread that ends the process where it was inside the allocator.
const EXITING: usize = 1 << 7;

/// Where the flag has the number of this thread's forks that are under way.
const FORKS_SHIFT: usize = 4;
const FORKS_MAX: usize = 7;
/// And for each of them, by its number, whether the thread was inside the allocator.
const INSIDE_SHIFT: usize = 8;

/// Whether this thread gave its cache back because it ends. It may still free, and even allocate.
pub fn ended() -> bool {
    arch::thread_flag() & ENDED != 0
}

/// Says that this thread gave its cache back because it ends.
pub fn set_ended() {
    arch::set_thread_flag(arch::thread_flag() | ENDED);
}

/// Until it is dropped, this thread is busy: it gets or loses its cache, or uses the one of those that have none.
pub struct Busy(());

impl Busy {
    /// `None`: this thread is busy already, so a signal handler is calling.
    pub fn begin() -> Option<Busy> {
        let flag = arch::thread_flag();
        if flag & BUSY != 0 {
            return None;
        }
        arch::set_thread_flag(flag | BUSY);
        // A handler on this thread finds it set from here on.
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

/// Whether this thread uses an isolated heap.
pub fn is_in_heap() -> bool {
    arch::thread_flag() & IN_HEAP != 0
}

/// Until it is dropped, this thread uses an isolated heap. The heaps' locks lie in memory that may go, so whether the
/// thread holds one is not to be found out by looking at them.
pub struct InHeap(usize);

impl InHeap {
    /// Says that this thread uses one.
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

/// How many forks of this thread are under way: each but the first in a signal handler that interrupted the one before.
pub fn forks() -> usize {
    arch::thread_flag() >> FORKS_SHIFT & FORKS_MAX
}

/// Whether this thread holds locks of the process's allocators for a fork, or takes or releases them.
pub fn is_forking() -> bool {
    forks() != 0
}

/// Says that a fork of this thread begins, and whether the thread is inside the allocator. `None`: there are too many.
pub fn begin_fork(inside: bool) -> Option<usize> {
    let level = forks() + 1;
    if level > FORKS_MAX {
        return None;
    }
    let flag = arch::thread_flag() & !(1 << (INSIDE_SHIFT + level));
    arch::set_thread_flag((flag + (1 << FORKS_SHIFT)) | (usize::from(inside) << (INSIDE_SHIFT + level)));
    // A handler on this thread finds it set from here on.
    compiler_fence(Ordering::SeqCst);
    Some(level)
}

/// Whether this thread was inside the allocator when the last of its forks began that are under way.
pub fn forks_inside() -> bool {
    arch::thread_flag() >> (INSIDE_SHIFT + forks()) & 1 != 0
}

/// Says that the last of this thread's forks is over, in the parent or in the child.
pub fn end_fork() {
    compiler_fence(Ordering::SeqCst);
    arch::set_thread_flag(arch::thread_flag() - (1 << FORKS_SHIFT));
}

/// Whether this thread is ending the process, and a handler of its signal runs.
pub fn is_dying() -> bool {
    arch::thread_flag() & DYING != 0
}

/// Says that this thread ends the process.
pub fn set_dying() {
    arch::set_thread_flag(arch::thread_flag() | DYING);
}

/// Whether this thread gets or loses its cache, or uses the one of those that have none.
pub fn is_busy() -> bool {
    arch::thread_flag() & BUSY != 0
}

/// Whether this thread ends the process where it was inside the allocator.
pub fn is_exiting() -> bool {
    arch::thread_flag() & EXITING != 0
}

/// Says whether this thread ends the process where it was inside the allocator.
pub fn set_exiting(on: bool) {
    let flag = arch::thread_flag() & !EXITING;
    arch::set_thread_flag(if on { flag | EXITING } else { flag });
}

/// Where the system stack ends on which this thread runs something; 0: none.
#[inline]
pub fn stack() -> usize {
    arch::thread_stack()
}

/// Says where the system stack ends on which this thread runs something from now on; 0: none.
pub fn set_stack(end: usize) {
    // A handler on this thread finds what was done before.
    compiler_fence(Ordering::SeqCst);
    arch::set_thread_stack(end);
    compiler_fence(Ordering::SeqCst);
}

/// The locks that this thread holds; zero bytes in a new thread.
#[cfg(debug_assertions)]
pub fn held<T>() -> *mut T {
    const { assert!(size_of::<T>() <= arch::HELD_BYTES && align_of::<T>() <= 8) };
    arch::held_bytes().cast()
}
