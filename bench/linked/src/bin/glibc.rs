//! The compiler on the C library's allocator.

#[global_allocator]
static GLOBAL: std::alloc::System = std::alloc::System;

fn main() {
    linked::main();
}
