//! The C API of Crossfoot: `malloc` and its family, C++'s operators, and the functions of `include/`, for `LD_PRELOAD`
//! and for linking. Each name is in `docs/c-surface.md`.
//!
//! Programs, their libraries and the libc call it, on any thread, also before the libc has started. It calls the
//! process's allocator, `crossfoot::process`.
//!
//! It calls the libc only through weak references, because there may be none, and never with a lock held. No frame of
//! Rust may be unwound by a C++ exception: functions that one may pass through are assembly (`cxx`).
//!
//! Four parts are assembly for x86-64 alone: C++'s operators (`cxx`), the copying functions (`mem`), `dlopen` (`loader`)
//! and `_exit` (`immediate_exit`). On other CPUs programs take the libc's and those of their C++ library, which call `malloc` and `free`.
//!
//! A call that succeeds leaves `errno` unchanged. Any object may be freed by any of the functions for freeing: they
//! share one heap. Only objects of isolated heaps (`heaps`) are apart.

#![no_std]

mod aliases;
mod audit;
#[cfg(target_arch = "x86_64")]
mod cxx;
mod exit;
mod extras;
mod heaps;
#[cfg(target_arch = "x86_64")]
mod immediate_exit;
mod introspection;
#[cfg(target_arch = "x86_64")]
mod loader;
#[cfg(target_arch = "x86_64")]
mod mem;
mod metrics;
#[cfg(target_env = "musl")]
mod musl;
mod names;
mod own;

crossfoot::panic_handler!();

/// An instruction that ends the process.
#[cfg(all(panic = "abort", any(target_arch = "x86_64", target_arch = "x86")))]
macro_rules! illegal {
    () => {
        "ud2"
    };
}
#[cfg(all(panic = "abort", any(target_arch = "aarch64", target_arch = "arm")))]
macro_rules! illegal {
    () => {
        "udf #0"
    };
}
#[cfg(all(panic = "abort", target_arch = "riscv64"))]
macro_rules! illegal {
    () => {
        "unimp"
    };
}

// The prebuilt `core` refers to this personality function. It is never called: no frame of Rust here is unwound.
#[cfg(panic = "abort")]
core::arch::global_asm!(
    ".pushsection .text.rust_eh_personality,\"ax\",%progbits",
    ".weak rust_eh_personality",
    ".hidden rust_eh_personality",
    "rust_eh_personality:",
    illegal!(),
    ".popsection"
);
