//! A memory allocator for Linux with statistics that always balance.
//!
//! ```no_run
//! #[global_allocator]
//! static A: crossfoot::Crossfoot = crossfoot::Crossfoot::new();
//! # fn main() {}
//! ```
//!
//! [`Crossfoot`] is the process's allocator, [`Heap`] an isolated heap. The functions of [`process`] read its statistics,
//! check them, and release memory: [`process::mem_stats`] fills a [`MemStats`], [`process::metrics::read`] reads
//! [`metrics`] by name, [`process::audit()`] attributes each resident byte to a cause. [`stack`] gives guarded stacks.
//! [`options`] lists what the environment variable `CROSSFOOT` may set.
//!
//! A reading takes one consistent snapshot without stopping a thread, so that all sums in it agree.
//!
//! All other modules are internal, and not part of the API that versions promise. They are public for the crate's C API and
//! command. `ARCHITECTURE.md` describes them; they are listed below in the order of their layers.

#![no_std]
#![cfg_attr(
    crossfoot_books_off,
    allow(unused, reason = "code for the statistics is not called in a build without them")
)]

#[cfg(any(test, feature = "testing"))]
extern crate std;

// Layer 0: types and constants.

// Addresses, counts of pages, sizes.
#[doc(hidden)]
pub mod units;
// Bitmaps of 512 pages.
#[doc(hidden)]
pub mod bits;
// Size → size class → shape of a span.
#[doc(hidden)]
pub mod size_class;
// Constants, and assertions on their relations.
#[doc(hidden)]
pub mod config;
// Atomics: the CPU's, or those of the model checker.
mod sync;

// Layer 1: the CPU and the operating system.

// All assembly: thread-local words, system calls, switches of stacks, weak references to the libc.
#[doc(hidden)]
pub mod arch;
// The operating system as a trait: Linux, a range of addresses, a given piece of memory, a simulated OS.
#[doc(hidden)]
pub mod os;

// Layer 2: what needs no lock.

// Prints lines and aborts, without allocating.
#[doc(hidden)]
pub mod report;
// The table of options and its parser.
#[deny(missing_debug_implementations)]
pub mod options;
// The calling thread's cache, id and flags.
#[doc(hidden)]
pub mod local;

// Layer 3: locks and stacks.

// Ranks, the mutex, locks around a fork, the checker of held locks.
#[doc(hidden)]
pub mod lock;
// Runs functions on a system stack.
#[doc(hidden)]
pub mod system_stack;

// Layer 4: statistics.

// Accounts, and the protocol of consistent statistics.
#[doc(hidden)]
pub mod stats;
// The page that other processes read.
#[doc(hidden)]
pub mod stats_page;

// Layer 5: address space with its accounting.
#[doc(hidden)]
pub mod vm;

// Layer 6: memory for the allocator's own records.
#[doc(hidden)]
pub mod meta;

// Layer 7: pages and spans.

// Which pages are free, and the first fit of a run.
#[doc(hidden)]
pub mod page;
// Records of spans, lists of spans, the page map.
#[doc(hidden)]
pub mod span;

// Layer 8: the page heap.
#[doc(hidden)]
pub mod heap;

// Layer 9: by size class, the spans without an owner.
#[doc(hidden)]
pub mod central;

// Layer 10: the cache of a thread, with the fast paths.
#[doc(hidden)]
pub mod cache;

// Layer 11: pools.

// Creates, adopts and retires caches.
#[doc(hidden)]
pub mod thread;
// Guarded stacks, kept by size.
#[doc(hidden)]
pub mod stack_pool;

// Layer 12: allocate, free and resize objects.
#[doc(hidden)]
pub mod malloc;

// Layer 13: reading the statistics.

// Attributes each resident byte to a cause.
#[deny(missing_debug_implementations)]
pub mod audit;
// Metrics by name, and their formats.
#[deny(missing_debug_implementations)]
pub mod metrics;
// `MemStats`, and the check of all identities.
#[deny(missing_debug_implementations)]
pub mod mem_stats;

// Layer 14: the whole allocator, its start-up, forks and readings.
#[doc(hidden)]
pub mod allocator;

// Layer 15: isolated heaps.
#[cfg(target_os = "linux")]
#[doc(hidden)]
#[deny(missing_debug_implementations)]
pub mod isolated;

// Layer 16: the process's allocator.
#[cfg(target_os = "linux")]
#[deny(missing_debug_implementations)]
pub mod process;

pub use mem_stats::MemStats;
pub use os::OsError;
pub use stats::{Answer, Snapshot, Totals};

#[cfg(target_os = "linux")]
pub use isolated::Heap;
#[cfg(target_os = "linux")]
pub use process::{Crossfoot, stack};

/// Defines the panic handler of a front end without std. A panic is a bug of the allocator: the handler prints its place and
/// aborts.
///
/// It is a macro of this crate, because only this crate knows whether it was built with the feature `testing`, and so with
/// std, which has a handler of its own. Checks of the whole workspace unify features.
#[doc(hidden)]
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

/// Links std, which has the panic handler, with the feature `testing`.
#[doc(hidden)]
#[cfg(feature = "testing")]
#[macro_export]
macro_rules! panic_handler {
    () => {
        extern crate std;
    };
}
