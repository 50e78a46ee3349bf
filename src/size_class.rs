//! Maps a size to its class, and a class to the shape of its spans.
//!
//! Classes go up in steps of 16 bytes to 128 bytes, then in eight steps per doubling to 32 KiB. So rounding
//! costs at most 15 bytes up to 128 bytes, and at most 1/8 of the request above. A request that is a multiple
//! of a power of two gets an object with that alignment.
//!
//! The modules from `stats` up use the classes. This module uses constants only.
//!
//! It touches no memory and takes no lock. The tables are computed from the rule by `const` evaluation; the
//! tests compare both.
//!
//! Invariants: class sizes ascend strictly, and [`Class::of`] returns the smallest class that holds `size`.

use crate::config::MIN_ALIGN;
use crate::units::{KIB, PAGE_SIZE, Pages};

/// The largest small object in bytes. A larger object gets a span of its own.
pub const SMALL_MAX: usize = 32 * KIB;
/// The largest size, in bytes, that a cache's own table maps to its slot. The fast path uses this table.
pub const QUICK_MAX: usize = KIB;
/// The number of classes.
pub const CLASSES: usize = LINEAR + (15 - 7) * STEPS;

/// The most objects that a span has: those of the smallest class.
pub const MAX_OBJECTS: usize = span_pages()[0] as usize * PAGE_SIZE / MIN_ALIGN;

/// Classes of the linear part: 16, 32, … 128.
const LINEAR: usize = 128 / MIN_ALIGN;
/// Steps per doubling above the linear part.
const STEPS: usize = 8;

/// Binary logarithm of the numerator of reciprocals.
const RECIPROCAL_SHIFT: u32 = 64;

/// A size class, `0..CLASSES`.
#[repr(transparent)]
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Class(u8);

/// The sizes in bytes, by class.
static SIZES: [u32; CLASSES] = sizes();
/// Pages of a span, by class.
static SPAN_PAGES: [u8; CLASSES] = span_pages();

const fn size_by_rule(class: usize) -> usize {
    if class < LINEAR {
        (class + 1) * MIN_ALIGN
    } else {
        let step = class - LINEAR;
        let base = 128usize << (step / STEPS);
        base + (step % STEPS + 1) * (base / STEPS)
    }
}

const fn class_by_rule(size: usize) -> usize {
    if size <= 128 {
        if size == 0 { 0 } else { (size - 1) / MIN_ALIGN }
    } else {
        // With b the highest set bit of size - 1, the three bits below b number the step.
        let b = (usize::BITS - 1 - (size - 1).leading_zeros()) as usize;
        LINEAR + (b - 7) * STEPS + (((size - 1) >> (b - 3)) & (STEPS - 1))
    }
}

const fn sizes() -> [u32; CLASSES] {
    let mut t = [0; CLASSES];
    let mut c = 0;
    while c < CLASSES {
        t[c] = size_by_rule(c) as u32;
        c += 1;
    }
    t
}

/// Bytes of a step of [`MIDDLE`]. Every class size above [`QUICK_MAX`] is a multiple of it.
const MIDDLE_STEP: usize = QUICK_MAX / STEPS;
/// The class of a size above [`QUICK_MAX`], by its number of steps.
static MIDDLE: [u8; SMALL_MAX / MIDDLE_STEP + 1] = middle();

const fn middle() -> [u8; SMALL_MAX / MIDDLE_STEP + 1] {
    let mut t = [0; SMALL_MAX / MIDDLE_STEP + 1];
    let mut i = 0;
    while i < t.len() {
        t[i] = class_by_rule(i * MIDDLE_STEP) as u8;
        i += 1;
    }
    t
}

/// Returns the minimum bytes of a span, by object size. Enough objects keep refills rare beside the
/// allocations that they serve; few enough bytes keep the memory of a thread with one object of a class
/// small.
const fn span_bytes_wanted(size: usize) -> usize {
    let many = size * 64;
    let least = if many < 16 * KIB { 16 * KIB } else { many };
    let most = if least > 64 * KIB { 64 * KIB } else { least };
    if most < size * 8 { size * 8 } else { most }
}

const fn span_pages() -> [u8; CLASSES] {
    let mut t = [0; CLASSES];
    let mut c = 0;
    while c < CLASSES {
        let size = size_by_rule(c);
        let mut pages = span_bytes_wanted(size).div_ceil(PAGE_SIZE);
        // At most 1/16 of a span may be left over behind the last object.
        while (pages * PAGE_SIZE) % size > pages * PAGE_SIZE / 16 {
            pages += 1;
        }
        t[c] = pages as u8;
        c += 1;
    }
    t
}

impl Class {
    /// Returns the class with index `i`, below [`CLASSES`].
    #[inline]
    pub const fn from_index(i: usize) -> Class {
        debug_assert!(i < CLASSES);
        // Clamps `i`, which may come from any memory, since `index` relies on the bound.
        Class(if i < CLASSES { i as u8 } else { CLASSES as u8 - 1 })
    }

    /// Returns the smallest class that holds `size` bytes, at most [`SMALL_MAX`].
    #[inline]
    pub const fn of(size: usize) -> Class {
        debug_assert!(size <= SMALL_MAX);
        Class::from_index(class_by_rule(size))
    }

    /// Returns the class of a size above [`QUICK_MAX`] by table, equal to [`Class::of`].
    #[inline]
    pub fn middle(size: usize) -> Class {
        debug_assert!(size > QUICK_MAX && size <= SMALL_MAX);
        Class(MIDDLE[size.div_ceil(MIDDLE_STEP)])
    }

    /// Returns the smallest class whose objects hold `size` bytes and are aligned to `align`, a power of two.
    /// Returns `None` if `align` is above a page or `size` above [`SMALL_MAX`]: then the object must be a
    /// large one.
    #[inline]
    pub const fn of_aligned(size: usize, align: usize) -> Option<Class> {
        if align > PAGE_SIZE || size > SMALL_MAX {
            return None;
        }
        // The class of a multiple of a power of two has objects of such a multiple. The rounded size does not
        // exceed SMALL_MAX, which is a multiple of every alignment up to a page.
        let least = if size == 0 { 1 } else { size };
        Some(Class::of((least + (align - 1)) & !(align - 1)))
    }

    /// Returns the class's index.
    #[inline]
    pub const fn index(self) -> usize {
        // SAFETY: every constructor makes a number below CLASSES: the rule ends there for SMALL_MAX, the
        // table is made by the rule, and `from_index` clamps. The hint removes bounds checks.
        unsafe { core::hint::assert_unchecked((self.0 as usize) < CLASSES) };
        self.0 as usize
    }

    /// Returns the bytes of each object.
    #[inline]
    pub const fn size(self) -> usize {
        size_by_rule(self.0 as usize)
    }

    /// Returns the pages of a span of this class.
    #[inline]
    pub const fn span_pages(self) -> Pages {
        Pages(SPAN_PAGES[self.index()] as usize)
    }

    /// Returns the number of objects in a span of this class.
    #[inline]
    pub fn objects(self) -> usize {
        self.span_pages().bytes() / SIZES[self.index()] as usize
    }

    /// Returns the bytes of a span of this class behind its last object.
    #[inline]
    pub fn tail(self) -> usize {
        self.span_pages().bytes() - self.objects() * self.size()
    }

    /// Returns the factor by which [`Class::quotient`] multiplies an offset to divide it by the size.
    #[inline]
    pub const fn reciprocal(self) -> u64 {
        (1u128 << RECIPROCAL_SHIFT).div_ceil(self.size() as u128) as u64
    }

    /// Returns `offset / size` for an offset inside a span, by one multiplication. `reciprocal` is the
    /// class's.
    ///
    /// Exact: the reciprocal is too large by less than 1, so the product is too large by less than `offset`.
    /// That is less than 2^64 / `size`, which separates the last byte of an object from the next object.
    #[inline]
    pub const fn quotient(offset: u32, reciprocal: u64) -> u32 {
        ((offset as u128 * reciprocal as u128) >> RECIPROCAL_SHIFT) as u32
    }

    /// Returns every class, smallest first.
    pub fn all() -> impl Iterator<Item = Class> {
        (0..CLASSES as u8).map(Class)
    }
}

const _: () = assert!(size_by_rule(CLASSES - 1) == SMALL_MAX, "the last class is the largest small size");
const _: () = assert!(
    SMALL_MAX.is_multiple_of(PAGE_SIZE),
    "a small size rounded up to an alignment of at most a page is still small"
);
const _: () = assert!(CLASSES < 128, "a class fits seven bits");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rule_and_table_agree_for_every_size() {
        for size in 0..=SMALL_MAX {
            let c = Class::of(size);
            assert!(c.size() >= size);
            assert!(
                c.index() == 0 || Class::from_index(c.index() - 1).size() < size,
                "{size} is not in the least class"
            );
            assert_eq!(SIZES[c.index()] as usize, c.size());
            if size > QUICK_MAX {
                assert_eq!(Class::middle(size), c, "size {size}");
            }
        }
    }

    #[test]
    fn rounding_loses_little() {
        for size in 1..=SMALL_MAX {
            let lost = Class::of(size).size() - size;
            assert!(lost < MIN_ALIGN || lost * 8 <= size, "{size} loses {lost}");
        }
    }

    #[test]
    fn powers_of_two_are_respected() {
        let mut align = 1;
        while align <= PAGE_SIZE {
            for size in (align..=SMALL_MAX).step_by(align) {
                assert!(Class::of(size).size().is_multiple_of(align), "size {size} align {align}");
            }
            for size in 0..=SMALL_MAX {
                let c = Class::of_aligned(size, align).unwrap();
                assert!(c.size() >= size && c.size().is_multiple_of(align));
                let mut below = Class::all().take(c.index());
                assert!(below.all(|c| c.size() < size || !c.size().is_multiple_of(align)), "{size} {align}");
            }
            align *= 2;
        }
    }

    #[test]
    fn quotients_are_exact_all_over_a_span() {
        for c in Class::all() {
            for offset in 0..c.span_pages().bytes() as u32 {
                assert_eq!(Class::quotient(offset, c.reciprocal()), offset / c.size() as u32);
            }
        }
    }

    #[test]
    fn spans_lose_little_and_hold_some() {
        for c in Class::all() {
            let bytes = c.span_pages().bytes();
            assert!(c.objects() >= 8);
            assert!(bytes - c.objects() * c.size() <= bytes / 16, "class {}", c.size());
        }
    }
}
