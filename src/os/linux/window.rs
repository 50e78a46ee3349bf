//! Where the heap of the process lies, and its page map.
//!
//! Both lie low: the page map has an entry for each page from address zero up to the heap's end, so that the address space
//! below the heap costs a thousandth of its size. Below 512 GiB, ThreadSanitizer takes what is mapped for the program's,
//! which it does not do from there up to 1 TiB and beyond.

use core::sync::atomic::{AtomicUsize, Ordering};

use super::Linux;
use crate::arch;
use crate::config::{ARENA_SIZE, MAX_PHYSICAL_PAGE};
use crate::os::Window;
use crate::units::{Addr, GIB, MIB, align_up};

/// The heap begins at one of so many places, an arena apart: from 64 GiB, above where Java puts compressed pointers, up to
/// 256 GiB.
const FIRST: usize = 64 * GIB;
const BASES: usize = (192 * GIB) / ARENA_SIZE;
/// The highest base that may be asked for.
const LAST: usize = 16 << 40;
/// The window where the address space is not limited: the largest heap that is promised.
const SIZE: usize = 16 << 40;
/// The page map begins at one of so many places, and ends below the heap.
const MAP_FIRST: usize = 16 * GIB;
const MAP_PLACES: usize = (14 * GIB) / MAX_PHYSICAL_PAGE;
/// With less address space than this the window is as large as the limit, and lies below the page map.
const LIMITED: u64 = 12 << 30;
const LIMITED_BASE: usize = 4 * GIB;
/// The window for a process that may not have so much as the other one needs for its tables: what is locked counts whether
/// anything is behind it or not. Programs that cannot be moved lie below.
const SMALL_BASE: usize = GIB / 4;
const SMALL: usize = 4 * GIB;
/// With less address space than this the window begins as low, since the page map takes a thousandth of what lies below:
/// 0.3 MiB and not 4. Its size leaves room for parts of chunks, which take the addresses of whole ones.
const SCARCE: u64 = 1 << 30;
const SCARCE_SIZE: usize = 2 * GIB;

const _: () = assert!(MAP_FIRST + MAP_PLACES * MAX_PHYSICAL_PAGE + (LAST + SIZE) / 1024 <= FIRST, "the map ends below");

/// The base that was asked for; 0: none.
static WANTED: AtomicUsize = AtomicUsize::new(0);
/// The number that decides where things lie; 0: not drawn yet.
static DRAWN: AtomicUsize = AtomicUsize::new(0);

/// A number that differs from run to run: of addresses that the system chose at random, and of the time. Whoever knows a
/// few bits of it learns nothing about those.
fn drawn() -> usize {
    let old = DRAWN.load(Ordering::Relaxed);
    if old != 0 {
        return old;
    }
    let mut x = arch::ticks() ^ (arch::stack_pointer() as u64).rotate_left(24);
    x ^= (&raw const DRAWN).addr() as u64;
    // The end of SplitMix64.
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    let new = (x ^ (x >> 31)) as usize | 1;
    DRAWN.compare_exchange(0, new, Ordering::Relaxed, Ordering::Relaxed).err().unwrap_or(new)
}

impl Linux {
    /// Whether the heap may begin at `base`.
    pub fn is_heap_base(base: usize) -> bool {
        base.is_multiple_of(ARENA_SIZE) && (FIRST..=LAST).contains(&base)
    }

    /// Says where the heap begins. Before the first allocation; later it changes nothing.
    pub fn set_heap_base(base: usize) {
        if Linux::is_heap_base(base) {
            WANTED.store(base, Ordering::Relaxed);
        }
    }
}

/// See [`Os::window`](crate::os::Os::window).
pub(super) fn window() -> Window {
    match Linux::address_space_limit() {
        Some(limit) if limit < SCARCE => Window { base: Addr(SMALL_BASE), size: SCARCE_SIZE },
        Some(limit) if limit < LIMITED => {
            Window { base: Addr(LIMITED_BASE), size: align_up((limit as usize).max(MIB), ARENA_SIZE) }
        }
        _ => {
            let base = match WANTED.load(Ordering::Relaxed) {
                0 => FIRST + drawn() % BASES * ARENA_SIZE,
                wanted => wanted,
            };
            Window { base: Addr(base), size: SIZE }
        }
    }
}

/// See [`Os::small_window`](crate::os::Os::small_window).
pub(super) fn small_window() -> Window {
    Window { base: Addr(SMALL_BASE), size: SMALL }
}

/// See [`Os::sparse_place`](crate::os::Os::sparse_place).
pub(super) fn map_place() -> Addr {
    Addr(MAP_FIRST + (drawn() >> 32) % MAP_PLACES * MAX_PHYSICAL_PAGE)
}
