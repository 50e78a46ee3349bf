//! The addresses of the process's heap and its page map.
//!
//! Both are low: the page map has an entry for each page from address zero up to the heap's end, so the address space below
//! the heap costs 1/1024 of its size. Below 512 GiB, ThreadSanitizer takes mappings for the program's; from there up to 1 TiB
//! and beyond it does not.

use core::sync::atomic::{AtomicUsize, Ordering};

use super::base::Linux;
use crate::arch;
use crate::config::{ARENA_SIZE, MAX_PHYSICAL_PAGE};
use crate::os::Window;
use crate::units::{Addr, GIB, MIB, align_up};

/// The lowest base of the heap: above the addresses for Java's compressed pointers. The base is one of [`BASES`] multiples of
/// an arena, up to 256 GiB.
const FIRST: usize = 64 * GIB;
const BASES: usize = (192 * GIB) / ARENA_SIZE;
/// The highest base that an option may set.
const LAST: usize = 16 << 40;
/// The window's size without a limit on address space: the largest heap that is promised.
const SIZE: usize = 16 << 40;
/// The lowest base of the page map. It is one of [`MAP_PLACES`], and the page map ends below the heap.
const MAP_FIRST: usize = 16 * GIB;
const MAP_PLACES: usize = (14 * GIB) / MAX_PHYSICAL_PAGE;
/// With a limit on address space below this, the window's size is the limit, and it lies below the page map.
const LIMITED: u64 = 12 << 30;
const LIMITED_BASE: usize = 4 * GIB;
/// The base of the small window, for a process that may not have the address space for the other window's tables: with
/// `mlockall`, a mapping counts whether or not it is touched. Programs that are not relocatable lie below.
const SMALL_BASE: usize = GIB / 4;
const SMALL: usize = 4 * GIB;
/// With less address space than this the window begins as low, since the page map takes a thousandth of what lies below:
/// 0.3 MiB and not 4. Its size leaves room for parts of chunks, which take the addresses of whole ones.
const SCARCE: u64 = 1 << 30;
const SCARCE_SIZE: usize = 2 * GIB;

const _: () = assert!(MAP_FIRST + MAP_PLACES * MAX_PHYSICAL_PAGE + (LAST + SIZE) / 1024 <= FIRST, "the map ends below");

/// The base that an option set; 0 if none did.
static WANTED: AtomicUsize = AtomicUsize::new(0);
/// The random number that decides the addresses; 0 if not drawn yet.
static DRAWN: AtomicUsize = AtomicUsize::new(0);

/// Returns a number that differs from run to run. It is a hash of addresses that Linux chose at random and of the time, so
/// that a few known bits of it disclose none of the addresses.
fn drawn() -> usize {
    let old = DRAWN.load(Ordering::Relaxed);
    if old != 0 {
        return old;
    }
    let mut x = arch::ticks() ^ (arch::stack_pointer() as u64).rotate_left(24);
    x ^= (&raw const DRAWN).addr() as u64;
    // The finalizer of SplitMix64.
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    let new = (x ^ (x >> 31)) as usize | 1;
    DRAWN.compare_exchange(0, new, Ordering::Relaxed, Ordering::Relaxed).err().unwrap_or(new)
}

impl Linux {
    /// Returns whether the heap may begin at `base`.
    pub fn is_heap_base(base: usize) -> bool {
        base.is_multiple_of(ARENA_SIZE) && (FIRST..=LAST).contains(&base)
    }

    /// Sets the heap's base. Has no effect after the first allocation.
    pub fn set_heap_base(base: usize) {
        if Linux::is_heap_base(base) {
            WANTED.store(base, Ordering::Relaxed);
        }
    }
}

/// Returns [`Memory::window`](crate::os::Memory::window).
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

/// Returns [`Memory::small_window`](crate::os::Memory::small_window).
pub(super) fn small_window() -> Window {
    Window { base: Addr(SMALL_BASE), size: SMALL }
}

/// Returns [`Memory::sparse_place`](crate::os::Memory::sparse_place).
pub(super) fn map_place() -> Addr {
    Addr(MAP_FIRST + (drawn() >> 32) % MAP_PLACES * MAX_PHYSICAL_PAGE)
}
