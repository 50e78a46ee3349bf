//! What may not be called on a system stack.

use std::alloc::{GlobalAlloc, Layout};

use crossfoot::process::{self, on_system_stack, stack};

use crate::A;

/// Prints the address that the line will name, and does it.
pub fn run(case: &str) {
    let layout = Layout::new::<[u64; 4]>();
    // SAFETY: a layout that is not empty; the object is live.
    let p = unsafe { A.alloc(layout) };
    let large = process::allocate(1 << 20);
    let kept = stack::take(1).expect("memory");
    println!("{p:p} {large:p} {:p}", kept.base());
    // SAFETY: as above.
    on_system_stack(|| unsafe {
        match case {
            "malloc" => drop(process::allocate(10)),
            "malloc-large" => drop(process::allocate(100_000)),
            "calloc" => drop(process::allocate_zeroed(10)),
            "memalign" => drop(process::allocate_aligned(10, 64)),
            "rust" => drop(A.alloc(layout)),
            "free" => process::free(p),
            "free-large" => process::free(large),
            "free-sized" => process::free_sized(p, 32, 16, "free_sized"),
            "dealloc" => A.dealloc(p, layout),
            "realloc" => drop(process::reallocate(p, 100, 16)),
            "stack" => drop(stack::take(1)),
            "drop-stack" => drop(kept),
            _ => panic!("no such case: {case}"),
        }
    });
}
