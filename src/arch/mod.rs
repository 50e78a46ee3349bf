//! Every line of assembly: the thread's word and id, raw system calls, weak references to a libc, the switch of stacks.
//!
//! `local` calls it for the thread's words, `os` for system calls that rustix lacks, `system_stack` for the switch of
//! stacks, the front ends for weak references. Nothing outside of this module depends on the CPU.
//!
//! Functions here take no lock, allocate nothing and need next to no stack.
//!
//! Invariant: a thread word belongs to one thread and stays at its address while the thread lives.
//!
//! # A CPU
//!
//! One file per CPU defines the same names, and `cpu` is the one that is built for. What is equal for all is in `block`,
//! `words` and `weak`, what is equal for some in `plain` and `generic`.
//!
//! | name | what it does |
//! |---|---|
//! | [`ADDRESS_BITS`], [`PHYSICAL_PAGE`] | bounds on the address space, and the size of a page if there is only one |
//! | `thread_block` | finds the thread's copy of `block::THREAD_BLOCK`: thread-local storage by the initial-exec model |
//! | [`thread_word`], [`set_thread_word`] | its first word; plain loads and stores of it, or shorter assembly |
//! | [`thread_id`] | the thread pointer |
//! | [`is_word`], [`prefetch`], [`stack_pointer`], [`ticks`], [`trap`] | |
//! | [`syscall3`], [`syscall4`], [`poll`], `SYS_*` | raw system calls and their numbers (`generic.rs` for new CPUs) |
//! | [`on_stack`] | a call on another stack, from `switch/CPU.s`, which tests in C include too |
//! | `weak_address!` | loads the address of a weak symbol from the global offset table |

mod block;
mod cpu;
mod weak;
mod words;

#[cfg(target_arch = "aarch64")]
mod aarch64;
#[cfg(target_arch = "arm")]
mod armv7;
#[cfg(target_arch = "x86")]
mod i686;
#[cfg(target_arch = "riscv64")]
mod riscv64;
#[cfg(target_arch = "x86_64")]
mod x86_64;

#[cfg(any(target_arch = "aarch64", target_arch = "riscv64"))]
mod generic;
#[cfg(not(target_arch = "x86_64"))]
mod plain;

pub use block::{EMPTY_CACHE, EMPTY_CACHE_BYTES, EmptyCache, HELD_BYTES};
pub use cpu::*;
#[cfg(any(target_arch = "aarch64", target_arch = "riscv64"))]
pub use generic::*;
#[cfg(not(target_arch = "x86_64"))]
pub use plain::*;
pub use weak::*;
pub use words::*;

#[cfg(not(any(
    target_arch = "x86_64",
    target_arch = "aarch64",
    target_arch = "riscv64",
    target_arch = "arm",
    target_arch = "x86"
)))]
compile_error!("crossfoot supports x86-64, aarch64, riscv64, armv7 and i686; for another CPU, add src/arch/CPU.rs");

#[cfg(target_endian = "big")]
compile_error!("crossfoot supports little-endian CPUs only");
