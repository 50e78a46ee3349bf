//! The kernel's tests under the compiler's sanitizers.
//!
//! The pinned compiler has them, but takes `-Z` flags only when told that it may. AddressSanitizer uses the standard
//! library as it comes. ThreadSanitizer has to see every synchronisation, so the standard library is built with it, from
//! its source.

use std::path::PathBuf;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, ensure};

use crate::cargo::{cargo, shown};
use crate::diary;
use crate::root;

/// What the tests are built for: with a target named, neither build scripts nor macros get the flags.
const TARGET: &str = "x86_64-unknown-linux-gnu";
/// What every sanitizer writes where it finds something.
const FINDING: &str = "SUMMARY: ";

/// A sanitizer, what it needs, and what it cannot run.
struct Sanitizer {
    /// As in `-Zsanitizer=…`.
    name: &'static str,
    /// The runtime's archive ends with this.
    runtime: &'static str,
    /// Whether the standard library is built with it.
    whole: bool,
    /// Targets of `cargo test`.
    targets: &'static [&'static str],
    /// The variable with its options, and the options.
    options: (&'static str, &'static str),
    /// Tests that cannot run under it, with the reason.
    left_out: &'static [(&'static str, &'static [&'static str])],
}

const ADDRESS: Sanitizer = Sanitizer {
    name: "address",
    runtime: "_rt.asan.a",
    whole: false,
    targets: &["--lib", "--test=kernel_books", "--test=kernel_objects", "--test=kernel_threads", "--test=kernel_snapshots", "--test=os_sim"],
    // Tests leave kernels behind on purpose. One test touches what is not there and looks at the signal.
    options: ("ASAN_OPTIONS", "detect_leaks=0:handle_segv=0:handle_sigbus=0"),
    left_out: &[
        (
            "the heap's addresses on Linux are those of the sanitizer's own table",
            &["_on_linux", "snapshots_beside_", "a_reader_that_is_stopped_makes_answers_stale", "objects_outlive_the_threads"],
        ),
        ("the sanitizer leaves no address space that low", &["a_machine_lies_below_its_address_bits"]),
    ],
};

const THREAD: Sanitizer = Sanitizer {
    name: "thread",
    runtime: "_rt.tsan.a",
    whole: true,
    targets: &["--lib", "--test=kernel_books", "--test=kernel_objects", "--test=kernel_threads", "--test=kernel_snapshots", "--test=kernel_signals", "--test=os_sim"],
    options: ("TSAN_OPTIONS", "halt_on_error=0:handle_segv=0"),
    left_out: &[],
};
