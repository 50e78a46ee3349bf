//! The words of the thread block that slow paths use.

use super::cpu::thread_block;

/// Returns this thread's flags, for slow paths: 0 in a new thread.
pub fn thread_flag() -> usize {
    // SAFETY: the block is this thread's own and lives as long as the thread.
    unsafe { (*thread_block()).flag }
}

/// Sets this thread's flags.
pub fn set_thread_flag(flag: usize) {
    // SAFETY: as in `thread_flag`.
    unsafe { (*thread_block()).flag = flag }
}

/// Returns this thread's second word, for `system_stack`: 0 in a new thread.
pub fn thread_stack() -> usize {
    // SAFETY: as in `thread_flag`.
    unsafe { (*thread_block()).stack }
}

/// Sets this thread's second word.
pub fn set_thread_stack(stack: usize) {
    // SAFETY: as in `thread_flag`.
    unsafe { (*thread_block()).stack = stack }
}

/// Returns this thread's bytes for the held-lock checker, zero in a new thread, aligned to a word.
#[inline]
pub fn held_bytes() -> *mut u8 {
    // SAFETY: the field lies inside the block.
    unsafe { (&raw mut (*thread_block()).held).cast() }
}
