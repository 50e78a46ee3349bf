//! Constants of the house and the relations between them.
//!
//! Every room may read them; each relation that some room relies on is a `const`
//! assertion here, with a sentence, so that a change that breaks it does not compile.
//!
//! Nothing here runs.
//!
//! Invariant: the assertions at the end.

use crate::units::{KIB, MIB, PAGE_SIZE};

/// An arena: the aligned piece of address space that the page heap grows by, in bytes.
#[cfg(target_pointer_width = "64")]
pub const ARENA_SIZE: usize = 64 * MIB;
/// An arena: the aligned piece of address space that the page heap grows by, in bytes.
#[cfg(target_pointer_width = "32")]
pub const ARENA_SIZE: usize = 4 * MIB;

/// The least alignment of any object, in bytes: that of `max_align_t` on 64-bit CPUs. The low bits
/// that it frees in pointers carry counts in messages of remote frees.
pub const MIN_ALIGN: usize = 16;

/// The largest physical page that the kernel runs on, in bytes.
pub const MAX_PHYSICAL_PAGE: usize = 64 * KIB;

/// How many bytes one carving of a span may turn into free objects at most. It bounds how much
/// memory is touched ahead of need.
pub const CARVE_BYTES: usize = 4 * KIB;

/// The largest alignment that is served, in bytes.
pub const MAX_ALIGN: usize = 1 << 30;

/// The largest request in bytes: `PTRDIFF_MAX`, so that pointer differences inside an object fit.
pub const MAX_REQUEST: usize = isize::MAX as usize;

/// Levels of the page heap's radix summaries: five where addresses have 47 bits, the flat form where
/// they have 32.
#[cfg(target_pointer_width = "64")]
pub const SUMMARY_LEVELS: usize = 5;
/// Levels of the page heap's radix summaries: five where addresses have 47 bits, the flat form where
/// they have 32.
#[cfg(target_pointer_width = "32")]
pub const SUMMARY_LEVELS: usize = 1;

const _: () = assert!(ARENA_SIZE.is_power_of_two(), "an arena is found by masking");
const _: () = assert!(ARENA_SIZE.is_multiple_of(MAX_PHYSICAL_PAGE), "an arena is whole physical pages");
const _: () = assert!(ARENA_SIZE.is_multiple_of(PAGE_SIZE), "an arena is whole pages");
const _: () = assert!(PAGE_SIZE.is_multiple_of(CARVE_BYTES), "carving does not cross a page");
