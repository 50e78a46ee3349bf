//! The life of an object: allocate, free, resize.
//!
//! The front ends call these functions: `process` for the C and Rust APIs, `isolated` for heaps of their own, and tests.
//! They pass a [`Binding`], which stands for all that differs between them: how to reach the allocator and the calling
//! thread's cache. `alloc.rs`, `free.rs` and `realloc.rs` begin with their call trees.
//!
//! The caller holds no lock, but for an isolated heap its own. Fast paths take no lock, make no call, and execute no atomic
//! read-modify-write. Nothing here allocates for itself or recurses; little stack is needed.
//!
//! Invariant: an address handed out is the first byte of a live object until it is freed. A call that returns null has
//! changed nothing. Misuse that is seen ends the process with one line (`misuse.rs`).

mod alloc;
mod binding;
mod free;
mod misuse;
mod realloc;

pub use alloc::{allocate, allocate_aligned, allocate_known, allocate_zeroed};
pub use binding::{Binding, Bound};
pub use free::{free, free_live, free_sized};
pub use realloc::{reallocate, usable_size};
