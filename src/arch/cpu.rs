//! The CPU that is built for.

#[cfg(target_arch = "aarch64")]
pub use super::aarch64::*;
#[cfg(target_arch = "arm")]
pub use super::armv7::*;
#[cfg(target_arch = "x86")]
pub use super::i686::*;
#[cfg(target_arch = "riscv64")]
pub use super::riscv64::*;
#[cfg(target_arch = "x86_64")]
pub use super::x86_64::*;

#[cfg(target_arch = "aarch64")]
pub(super) use super::aarch64::{thread_block, weak_address};
#[cfg(target_arch = "arm")]
pub(super) use super::armv7::{thread_block, weak_address};
#[cfg(target_arch = "x86")]
pub(super) use super::i686::{thread_block, weak_address};
#[cfg(target_arch = "riscv64")]
pub(super) use super::riscv64::{thread_block, weak_address};
#[cfg(target_arch = "x86_64")]
pub(super) use super::x86_64::{thread_block, weak_address};
