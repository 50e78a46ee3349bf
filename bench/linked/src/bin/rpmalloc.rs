//! The compiler on rpmalloc, whose crate of Rust's trait is of an older line than the one that is compared.

use rpmalloc_sys::{rpaligned_alloc, rpaligned_realloc, rpcalloc, rpfree, rpmalloc, rprealloc};
use std::alloc::{GlobalAlloc, Layout};

/// rpmalloc's functions; it starts itself, as in its preloaded form.
struct RpMalloc;

/// Alignment that every block of rpmalloc has.
const NATURAL: usize = 16;

// SAFETY: rpmalloc's functions give blocks of the size and alignment that are asked for, may be called on any thread,
// and never unwind.
unsafe impl GlobalAlloc for RpMalloc {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if layout.align() <= NATURAL {
            // SAFETY: any size may be asked for.
            return unsafe { rpmalloc(layout.size()) }.cast();
        }
        // SAFETY: the alignment is a power of two and a multiple of the word's.
        unsafe { rpaligned_alloc(layout.align(), layout.size()) }.cast()
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if layout.align() <= NATURAL {
            // SAFETY: any size may be asked for.
            return unsafe { rpcalloc(1, layout.size()) }.cast();
        }
        // SAFETY: the caller's layout.
        let block = unsafe { self.alloc(layout) };
        if !block.is_null() {
            // SAFETY: the block is new and has this size.
            unsafe { block.write_bytes(0, layout.size()) };
        }
        block
    }

    #[inline]
    unsafe fn dealloc(&self, block: *mut u8, _layout: Layout) {
        // SAFETY: the caller gives up a block of this allocator.
        unsafe { rpfree(block.cast()) };
    }

    #[inline]
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if layout.align() <= NATURAL {
            // SAFETY: the caller gives up a block of this allocator, unless there is no memory.
            return unsafe { rprealloc(block.cast(), size) }.cast();
        }
        // SAFETY: as above; the alignment is the block's.
        unsafe { rpaligned_realloc(block.cast(), layout.align(), size, layout.size(), 0) }.cast()
    }
}

#[global_allocator]
static GLOBAL: RpMalloc = RpMalloc;

fn main() {
    linked::main();
}
