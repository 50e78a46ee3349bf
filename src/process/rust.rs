//! The Rust front end: the process's allocator as `#[global_allocator]`.

use core::alloc::{GlobalAlloc, Layout};

use super::check::crossfoot_with;
use super::thread_exit::retire_cache;
use super::{allocate_aligned, allocate_known, allocate_zeroed, free_live, reallocate};
use crate::config::MIN_ALIGN;

/// The process's allocator, for `#[global_allocator]`. All values are the same allocator.
#[derive(Clone, Copy, Debug, Default)]
pub struct Crossfoot;

impl Crossfoot {
    /// Returns the process's allocator.
    pub const fn new() -> Crossfoot {
        Crossfoot
    }

    /// Checks every identity of the statistics, and returns whether all hold.
    pub fn crossfoot(&self) -> bool {
        crossfoot_with(|balance| balance.is_none_or(|balance| balance.failures.is_empty()))
    }

    /// Gives this thread's cache back. Without a libc, call it at the end of each thread.
    pub fn retire_thread(&self) {
        retire_cache();
    }
}

// SAFETY: the functions below return live objects of the size and alignment asked for, or null.
unsafe impl GlobalAlloc for Crossfoot {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if layout.align() <= MIN_ALIGN {
            allocate_known(layout.size())
        } else {
            allocate_aligned(layout.size(), layout.align())
        }
    }

    #[inline]
    unsafe fn dealloc(&self, p: *mut u8, layout: Layout) {
        // SAFETY: the caller frees a live object of this allocator.
        unsafe { free_live(p, layout.size(), layout.align(), "dealloc") }
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if layout.align() <= MIN_ALIGN {
            return allocate_zeroed(layout.size());
        }
        let p = allocate_aligned(layout.size(), layout.align());
        if !p.is_null() {
            // SAFETY: a fresh object of this size.
            unsafe { p.write_bytes(0, layout.size()) };
        }
        p
    }

    #[inline]
    unsafe fn realloc(&self, p: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller's object; `size` is not zero.
        unsafe { reallocate(p, size, layout.align()) }
    }
}
