//! The memory functions that compiled code calls: `memcpy`, `memmove`, `memset`, `memcmp`, `bcmp`, `strlen`.
//!
//! Code of the shared object calls them. With its own ones, it needs no other object, not even in a namespace of
//! `dlmopen` without a libc.
//!
//! They take no lock, allocate nothing and use no stack. Any thread may call them, also before relocation.
//!
//! They are hidden symbols with other names. `build.rs` gives them their C names in the shared object only: a program
//! that links the archive keeps its libc's functions.

use core::arch::global_asm;

#[cfg(target_arch = "x86_64")]
global_asm!(include_str!("x86_64.s"));
