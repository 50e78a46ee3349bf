//! Constants of the whole crate, and the relations between them.
//!
//! Every module may use them. A relation that a module relies on is a `const` assertion with a sentence, here
//! or beside the constant, so that a change that breaks it does not compile.
//!
//! Nothing here runs.
//!
//! Invariant: the assertions at the end.

use crate::units::{KIB, MIB, PAGE_SIZE};

/// The size of an arena in bytes. The page heap reserves address space by arenas, aligned to their size.
#[cfg(target_pointer_width = "64")]
pub const ARENA_SIZE: usize = 64 * MIB;
/// The size of an arena in bytes. The page heap reserves address space by arenas, aligned to their size.
#[cfg(target_pointer_width = "32")]
pub const ARENA_SIZE: usize = 4 * MIB;

/// The alignment of every object in bytes, at least: that of `max_align_t` on 64-bit CPUs. A free object
/// keeps two words in them.
pub const MIN_ALIGN: usize = 16;

/// The largest physical page that the allocator supports, in bytes.
pub const MAX_PHYSICAL_PAGE: usize = 64 * KIB;

/// The most bytes of a span that one refill carves into objects. It bounds the memory that is touched ahead
/// of need.
pub const CARVE_BYTES: usize = 4 * KIB;

/// The largest supported alignment in bytes.
pub const MAX_ALIGN: usize = 1 << 30;

/// The largest request in bytes: `PTRDIFF_MAX`, so that pointer differences inside an object fit.
pub const MAX_REQUEST: usize = isize::MAX as usize;

/// Levels of the page allocator's summary tree: five for addresses of 47 bits.
#[cfg(target_pointer_width = "64")]
pub const SUMMARY_LEVELS: usize = 5;
/// Levels of the page allocator's summary tree: the flat form for addresses of 32 bits.
#[cfg(target_pointer_width = "32")]
pub const SUMMARY_LEVELS: usize = 1;

const _: () = assert!(ARENA_SIZE.is_power_of_two(), "the arena of an address is found by masking");
const _: () = assert!(ARENA_SIZE.is_multiple_of(MAX_PHYSICAL_PAGE), "an arena is a whole number of physical pages");
const _: () = assert!(ARENA_SIZE.is_multiple_of(PAGE_SIZE), "an arena is a whole number of pages");
const _: () = assert!(PAGE_SIZE.is_multiple_of(CARVE_BYTES), "a page is a whole number of carved pieces");
