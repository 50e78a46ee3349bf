//! The C face: `malloc` and its family, for `LD_PRELOAD` and for linking.

#![no_std]

mod aliases;
mod audit;
mod cxx;
mod exit;
mod extras;
mod heaps;
mod introspection;
mod loader;
mod mem;
mod metrics;
mod names;
mod own;

crossfoot::panic_handler!();

// The prebuilt `core` refers to the personality; nothing unwinds through this object.
#[cfg(panic = "abort")]
core::arch::global_asm!(
    ".pushsection .text.rust_eh_personality,\"ax\",@progbits",
    ".weak rust_eh_personality",
    ".hidden rust_eh_personality",
    "rust_eh_personality: ud2",
    ".popsection"
);
