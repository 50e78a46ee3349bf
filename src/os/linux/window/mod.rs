//! The addresses of the process's heap and its page map.
//!
//! Both are low: the page map has an entry for each page from address zero up to the heap's end, so the address space below
//! the heap costs 1/1024 of its size. Below 512 GiB, ThreadSanitizer takes mappings for the program's; from there up to 1 TiB
//! and beyond it does not.

#[cfg(target_pointer_width = "32")]
#[path = "space32.rs"]
mod space;
#[cfg(target_pointer_width = "64")]
#[path = "space64.rs"]
mod space;

use core::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

use super::base::Linux;
use crate::arch;
use crate::config::{ARENA_SIZE, MAX_PHYSICAL_PAGE};
use crate::os::{Memory, Window};
use crate::units::{Addr, GIB, MIB, align_up};

/// With less address space than this the window begins low, since the page map takes 1/1024 of what lies below it: 0.3 MiB
/// and not 4. Its size leaves addresses for parts of chunks, which take the addresses of whole ones.
const SCARCE: u64 = 1 << 30;
const SCARCE_SIZE: usize = 2 * GIB;
/// The base of that window and of the small one. Programs that are not relocatable lie below.
const SMALL_BASE: usize = GIB / 4;

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

/// The address space of this process in bits; 0 until it is known.
static BITS: AtomicU32 = AtomicU32::new(0);

/// Where the heap and its page map may lie in an address space.
struct Places {
    /// The heap begins at one of `bases` addresses from `first` on, an arena apart.
    first: usize,
    bases: usize,
    /// The end of the window, above every base.
    end: usize,
    /// The largest window.
    largest: usize,
    /// The page map begins at one of `map_places` addresses from `map_first` on, and ends below `first`.
    map_first: usize,
    map_places: usize,
}

impl Linux {
    /// Returns how many bits an address of this process has, by where Linux puts mappings and stacks: at the top.
    ///
    /// An emulator or a program that changed that makes the result smaller than it could be, never larger.
    pub(crate) fn address_bits() -> u32 {
        let [least, most] = arch::ADDRESS_BITS;
        if least == most {
            return most;
        }
        match BITS.load(Ordering::Relaxed) {
            0 => {
                let mapped = Linux.reserve(None, MAX_PHYSICAL_PAGE).map_or(0, |at| {
                    // SAFETY: the range was reserved by the call above, and nothing else knows of it.
                    let _ = unsafe { Linux.free(at, MAX_PHYSICAL_PAGE) };
                    at.0
                });
                let bits = (usize::BITS - mapped.max(arch::stack_pointer()).leading_zeros()).clamp(least, most);
                BITS.store(bits, Ordering::Relaxed);
                bits
            }
            known => known,
        }
    }

    /// Returns whether the heap may begin at `base`, in an address space that reaches so far.
    pub fn is_heap_base(base: usize) -> bool {
        base.is_multiple_of(ARENA_SIZE) && space::BASES.contains(&base)
    }

    /// Sets where the heap begins. Only before the first allocation.
    pub fn set_heap_base(base: usize) {
        if Linux::is_heap_base(base) {
            WANTED.store(base, Ordering::Relaxed);
        }
    }
}

/// Returns [`Memory::window`].
pub(super) fn window() -> Window {
    match Linux::address_space_limit() {
        Some(limit) if limit < SCARCE => return Window { base: Addr(SMALL_BASE), size: SCARCE_SIZE },
        Some(limit) if limit < space::LIMITED => {
            let size = align_up((limit as usize).max(MIB), ARENA_SIZE);
            return Window { base: Addr(space::LIMITED_BASE), size };
        }
        _ => {}
    }
    let places = space::places(Linux::address_bits());
    let base = match WANTED.load(Ordering::Relaxed) {
        wanted if wanted != 0 && wanted < places.end => wanted,
        _ => places.first + drawn() % places.bases * ARENA_SIZE,
    };
    Window { base: Addr(base), size: places.largest.min(places.end - base) }
}

/// Returns [`Memory::small_window`].
pub(super) fn small_window() -> Window {
    Window { base: Addr(SMALL_BASE), size: space::SMALL }
}

/// Returns [`Memory::sparse_place`].
pub(super) fn map_place() -> Addr {
    let places = space::places(Linux::address_bits());
    Addr(places.map_first + drawn().rotate_right(usize::BITS / 2) % places.map_places * MAX_PHYSICAL_PAGE)
}
