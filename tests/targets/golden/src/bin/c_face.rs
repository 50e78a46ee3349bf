//! Measures `malloc` and `free` of the object that is preloaded.

use golden::{Face, run};

unsafe extern "C" {
    safe fn malloc(size: usize) -> *mut u8;
    fn free(p: *mut u8);
}

fn main() {
    // SAFETY: the driver frees what it allocated, once.
    run(&Face { name: "c", alloc: |size| malloc(size), free: |p, _| unsafe { free(p) } });
}
