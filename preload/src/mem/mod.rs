//! The functions of memory that the compiler calls: `memcpy`, `memmove`, `memset`, `memcmp`, `bcmp`, `strlen`.
//!
//! The shared object brings its own, so that it needs no other object, also in a namespace of `dlmopen` that has no
//! libc. They are hidden, and have other names here: `build.rs` gives them their names in the shared object alone.
//! A program that links the archive keeps its libc's.
//!
//! No lock, no allocation, no stack; any thread, also before relocation.

use core::arch::global_asm;

#[cfg(target_arch = "x86_64")]
global_asm!(include_str!("x86_64.s"));
