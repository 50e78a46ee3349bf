//! A memory allocator for Linux whose books always balance.
//!
//! ```no_run
//! #[global_allocator]
//! static A: crossfoot::Crossfoot = crossfoot::Crossfoot::new();
//! # fn main() {}
//! ```
//!
//! At any instant, from any thread, its totals can be read without stopping anybody, and every sum
//! agrees with every other. `ARCHITECTURE.md` has the map of the rooms and three walks; the life of
//! `malloc(24)` begins in `cache`.

#![no_std]
#![cfg_attr(crossfoot_books_off, allow(unused, reason = "what serves the books is not called where there are none"))]

#[cfg(any(test, feature = "testing"))]
extern crate std;

pub mod allocator;
pub mod api;
pub mod arch;
#[deny(missing_debug_implementations)]
pub mod audit;
pub mod bits;
pub mod cache;
pub mod central;
pub mod config;
pub mod heap;
#[cfg(target_os = "linux")]
#[deny(missing_debug_implementations)]
pub mod isolated;
pub mod local;
pub mod lock;
#[deny(missing_debug_implementations)]
pub mod mem_stats;
pub mod meta;
#[deny(missing_debug_implementations)]
pub mod metrics;
#[deny(missing_debug_implementations)]
pub mod options;
pub mod os;
pub mod page;
#[cfg(target_os = "linux")]
#[deny(missing_debug_implementations)]
pub mod process;
pub mod report;
pub mod size_class;
pub mod span;
pub mod stack_pool;
pub mod stats;
pub mod stats_page;
mod sync;
pub mod system_stack;
pub mod thread;
pub mod units;
pub mod vm;

#[cfg(target_os = "linux")]
pub use isolated::Heap;
#[cfg(target_os = "linux")]
pub use process::Crossfoot;

/// Defines the panic handler of a face without std: a panic is a bug of the allocator; say where, and end the
/// process.
///
/// A macro of the kernel, because the kernel alone knows whether it was built with `testing` and so with std,
/// which has a handler of its own: checks of the whole workspace unify features.
#[cfg(not(feature = "testing"))]
#[macro_export]
macro_rules! panic_handler {
    () => {
        #[cfg(panic = "abort")]
        #[panic_handler]
        fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
            $crate::report::fatal(format_args!("crossfoot: {info}"))
        }

        #[cfg(panic = "unwind")]
        extern crate std;
    };
}

/// With `testing`, std has the handler.
#[cfg(feature = "testing")]
#[macro_export]
macro_rules! panic_handler {
    () => {
        extern crate std;
    };
}
