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

/// As the functions above, for a size that the compiler knows. A function for each, since callgrind counts by names.
macro_rules! known {
    ($($size:literal $alloc:ident $dealloc:ident)*) => {
        $(
            #[unsafe(no_mangle)]
            #[inline(never)]
            extern "C" fn $alloc() -> *mut u8 {
                // SAFETY: the size is not zero.
                unsafe { alloc(layout($size)) }
            }

            #[unsafe(no_mangle)]
            #[inline(never)]
            extern "C" fn $dealloc(p: *mut u8) {
                // SAFETY: the driver frees what it allocated, once.
                unsafe { dealloc(p, layout($size)) }
            }
        )*

        fn known_malloc(size: usize) -> *mut u8 {
            match size {
                $($size => $alloc(),)*
                _ => unreachable!("the driver has no other size"),
            }
        }

        fn known_free(p: *mut u8, size: usize) {
            match size {
                $($size => $dealloc(p),)*
                _ => unreachable!("the driver has no other size"),
            }
        }
    };
}

known! {
    8 known_malloc_8 known_free_8
    16 known_malloc_16 known_free_16
    24 known_malloc_24 known_free_24
    64 known_malloc_64 known_free_64
    128 known_malloc_128 known_free_128
    512 known_malloc_512 known_free_512
    1024 known_malloc_1024 known_free_1024
}

fn main() {
    if std::env::args().nth(1).as_deref() == Some("known") {
        return run(&Face { name: "known", alloc: known_malloc, free: known_free });
    }
    run(&Face { name: "rust", alloc: |size| probe_malloc(size), free: |p, size| probe_free(p, size) });
}
