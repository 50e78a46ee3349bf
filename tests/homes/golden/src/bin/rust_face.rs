//! Measures what Rust's `alloc` and `dealloc` cost with the crate as global allocator.

use std::alloc::{Layout, alloc, dealloc};

use golden::{Face, run};

#[global_allocator]
static A: crossfoot::Crossfoot = crossfoot::Crossfoot::new();

fn layout(size: usize) -> Layout {
    // SAFETY: 8 is a power of two, and the sizes are small.
    unsafe { Layout::from_size_align_unchecked(size, 8) }
}

/// The entry symbol that callgrind is told to count in.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn probe_malloc(size: usize) -> *mut u8 {
    // SAFETY: the sizes are not zero.
    unsafe { alloc(layout(size)) }
}

/// The entry symbol that callgrind is told to count in.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn probe_free(p: *mut u8, size: usize) {
    // SAFETY: the driver frees what it allocated, once.
    unsafe { dealloc(p, layout(size)) }
}

fn main() {
    run(&Face { name: "rust", alloc: |size| probe_malloc(size), free: |p, size| probe_free(p, size) });
}
