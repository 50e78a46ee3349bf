//! Address spaces of 36 to 48 bits.

use core::ops::RangeInclusive;

use super::Places;
use crate::config::{ARENA_SIZE, MAX_PHYSICAL_PAGE};
use crate::units::GIB;

/// The lowest base of the heap, if there is address space for it: above where Java puts compressed pointers.
const FIRST: usize = 64 * GIB;
/// The heap begins less than this above its lowest base.
const SPREAD: usize = 192 * GIB;
/// The largest window: the largest heap that is promised.
const LARGEST: usize = 16 << 40;
/// The bases that an option may set.
pub(super) const BASES: RangeInclusive<usize> = FIRST..=16 << 40;
/// With less address space than this the window is as large as the limit, and lies below the page map.
pub(super) const LIMITED: u64 = 12 << 30;
pub(super) const LIMITED_BASE: usize = 4 * GIB;
/// The window of a process that may not have as much address space as the tables of the other one need: a limit on
/// locked memory counts reserved address space too.
pub(super) const SMALL: usize = 4 * GIB;

/// Returns where the heap and its page map may lie among addresses of `bits` bits.
pub(super) const fn places(bits: u32) -> Places {
    let space = 1usize << bits;
    let first = if space / 16 < FIRST { space / 16 } else { FIRST };
    let spread = if space / 16 < SPREAD { space / 16 } else { SPREAD };
    Places {
        first,
        bases: spread / ARENA_SIZE,
        // A base that was asked for may lie at `first + largest`.
        end: space - ARENA_SIZE,
        largest: LARGEST,
        map_first: first / 4,
        map_places: first / 32 * 7 / MAX_PHYSICAL_PAGE,
    }
}

const fn map_ends_below_heap(bits: u32) -> bool {
    let places = places(bits);
    let end = if *BASES.end() + LARGEST < places.end { *BASES.end() + LARGEST } else { places.end };
    places.map_first + places.map_places * MAX_PHYSICAL_PAGE + end / 1024 <= places.first
}

const _: () = {
    let mut bits = 36;
    while bits <= 48 {
        assert!(map_ends_below_heap(bits), "the page map ends below the heap");
        bits += 1;
    }
};
