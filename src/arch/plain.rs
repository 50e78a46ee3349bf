//! Operations in plain Rust, for CPUs on which assembly gains nothing.

use core::sync::atomic::{AtomicUsize, Ordering};

use super::cpu::thread_block;

/// Returns this thread's word: the address of [`EMPTY_CACHE`](super::block::EMPTY_CACHE) in a new thread.
#[inline(always)]
pub fn thread_word() -> usize {
    // SAFETY: the block is this thread's own and lives as long as the thread.
    unsafe { (*thread_block()).word.load(Ordering::Relaxed) }.expose_provenance()
}

/// Sets this thread's word.
#[inline]
pub fn set_thread_word(word: usize) {
    let word = core::ptr::with_exposed_provenance_mut(word);
    // SAFETY: as in `thread_word`.
    unsafe { (*thread_block()).word.store(word, Ordering::Relaxed) };
}

/// Returns whether the word at `base + distance` is `value`.
///
/// # Safety
/// The word can be read.
#[inline(always)]
pub unsafe fn is_word(base: *const u8, distance: usize, value: usize) -> bool {
    // The distance may lead out of the object of `base`, so the sum is an address.
    let word = core::ptr::with_exposed_provenance::<AtomicUsize>(base.expose_provenance().wrapping_add(distance));
    // SAFETY: the caller's promise; words that are read like this are aligned.
    unsafe { (*word).load(Ordering::Relaxed) == value }
}
