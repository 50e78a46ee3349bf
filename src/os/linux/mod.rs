//! Linux, through rustix: no libc.
//!
//! System calls that rustix lacks go through the raw call of `arch`: `exit_group` and signals (`abort.rs`, `signals.rs`),
//! `madvise` with `MADV_COLLAPSE` and with guards (`mm.rs`), `mincore`, `clock_gettime` without the vDSO (`platform.rs`), and
//! those of `environment.rs`, `shared.rs`, `process.rs` and `stderr.rs`.

mod abort;
mod base;
mod environment;
mod fence;
mod guard;
mod identity;
mod kept;
mod memory;
mod mm;
mod platform;
mod process;
mod range;
mod report_file;
pub mod shared;
mod signals;
mod stderr;
mod window;

pub use base::Linux;
pub use process::{Backing, Process, Run, Runs};
pub use range::{Extent, RangeOs};
