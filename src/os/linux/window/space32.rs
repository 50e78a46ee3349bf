//! Address spaces of 32 bits: 2 to 4 GiB, of which the program, its libraries and stacks take parts anywhere.

use core::ops::RangeInclusive;

use super::Places;
use crate::config::{ARENA_SIZE, MAX_PHYSICAL_PAGE};
use crate::units::{GIB, MIB};

/// The lowest base of the heap: above programs that cannot be moved.
const FIRST: usize = GIB / 2;
/// The heap begins less than this above its lowest base.
const SPREAD: usize = GIB / 4;
/// The page map begins less than 64 MiB above this.
const MAP_FIRST: usize = 384 * MIB;
/// No option sets the base here: those that it may set are larger addresses.
#[allow(clippy::reversed_empty_ranges, reason = "an empty range")]
pub(super) const BASES: RangeInclusive<usize> = 1..=0;
/// A limit changes nothing here: the tables are small.
pub(super) const LIMITED: u64 = 0;
pub(super) const LIMITED_BASE: usize = 0;
/// The window of a process that has no address space for the other one's tables.
pub(super) const SMALL: usize = GIB;

/// Returns where the heap and its page map may lie. The window reaches up to the last addresses, since the OS may have
/// free ones anywhere.
pub(super) const fn places(_bits: u32) -> Places {
    Places {
        first: FIRST,
        bases: SPREAD / ARENA_SIZE,
        end: usize::MAX - ARENA_SIZE + 1,
        largest: usize::MAX,
        map_first: MAP_FIRST,
        map_places: 64 * MIB / MAX_PHYSICAL_PAGE,
    }
}

const _: () = assert!(MAP_FIRST + 64 * MIB + (usize::MAX / 2048) <= FIRST, "the page map ends below the heap");
