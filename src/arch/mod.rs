//! Every line of assembly: the thread word and token, raw system calls, weak references to a libc.
//!
//! Called by `local` (thread word), `os` (calls that rustix lacks) and the faces (weak
//! references), `system_stack` (the switch of stacks). One file per CPU, all with the same names. The switch is a file
//! of assembly for each CPU, `switch/`, because tests in C take it too: that of a CPU for which the rest is missing
//! is known to work.
//!
//! Functions here take no lock, allocate nothing and need no stack to speak of.
//!
//! Invariant: a thread word belongs to exactly one thread and is never moved while the
//! thread lives.

#[cfg(target_arch = "x86_64")]
mod x86_64;
#[cfg(target_arch = "x86_64")]
pub use x86_64::*;

#[cfg(not(target_arch = "x86_64"))]
compile_error!("crossfoot has no assembly for this CPU yet: add src/arch/<cpu>.rs");
