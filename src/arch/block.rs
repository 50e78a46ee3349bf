//! The block of thread-local storage, the same for all CPUs.
//!
//! The linker and the loader copy it for every thread. It is never referenced from Rust, since its address there is an
//! offset: `thread_block` of each CPU finds the calling thread's copy.

use core::sync::atomic::{AtomicPtr, AtomicUsize};

/// The thread-local data.
#[repr(C, align(16))]
pub(super) struct ThreadBlock {
    /// The word of `thread_word`, first, so that a CPU can load it by the block's offset.
    pub(super) word: AtomicPtr<EmptyCache>,
    pub(super) flag: usize,
    pub(super) stack: usize,
    pub(super) held: [u8; HELD_BYTES],
}

/// The number of zero bytes of [`EMPTY_CACHE`].
pub const EMPTY_CACHE_BYTES: usize = 16 * 1024;

/// Zero bytes that are never written.
#[repr(align(128))]
pub struct EmptyCache(
    #[allow(dead_code, reason = "read through the thread word")] [AtomicUsize; EMPTY_CACHE_BYTES / size_of::<usize>()],
);

/// The zero bytes that a new thread's word points to, so that it always points to a cache.
pub static EMPTY_CACHE: EmptyCache =
    EmptyCache([const { AtomicUsize::new(0) }; EMPTY_CACHE_BYTES / size_of::<usize>()]);

/// The number of bytes for the held-lock checker; release builds use none of them.
#[cfg(debug_assertions)]
pub const HELD_BYTES: usize = 512;
/// The number of bytes for the held-lock checker; release builds use none of them.
#[cfg(not(debug_assertions))]
pub const HELD_BYTES: usize = 8;

// Loaders relocate the block's image like other data, before they copy it.
#[unsafe(link_section = ".tdata.crossfoot")]
pub(super) static THREAD_BLOCK: ThreadBlock =
    ThreadBlock { word: AtomicPtr::new((&raw const EMPTY_CACHE).cast_mut()), flag: 0, stack: 0, held: [0; HELD_BYTES] };
