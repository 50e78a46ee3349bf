//! Counts the owner's frees and detects frees of interior pointers, without a division or a counter on the
//! free path.
//!
//! A free by the owner subtracts its address from the sum [`Own::out`](super::record::Own::out):
//!
//! ```text
//! out = Σ (base + distance)  =  count · base + Σ distance
//! ```
//!
//! The base is more than twice the largest possible `Σ distance`, so `count = ⌊out / base⌋`. Each distance is
//! a multiple of the object size, so the rest, `Σ distance`, is one too. After a free of an interior pointer
//! it is not, unless two such frees cancel out by chance. The rest is checked before a freed object is
//! allocated again and before the span is given back.

use super::links::Changed;
use super::record::Span;
use crate::config::MIN_ALIGN;
use crate::report;
use crate::size_class::{CLASSES, Class, MAX_OBJECTS};
use crate::units::{Addr, PAGE_SIZE};

/// The largest `Σ distance` of any span: that of the class with the smallest objects.
const MOST_DISTANCE: usize = MAX_OBJECTS * (MAX_OBJECTS - 1) / 2 * MIN_ALIGN;

const _: () = {
    let mut i = 0;
    while i < CLASSES {
        let (class, pages) = (Class::from_index(i), Class::from_index(i).span_pages());
        let objects = pages.0 * PAGE_SIZE / class.size();
        assert!(objects * (objects - 1) / 2 * class.size() <= MOST_DISTANCE, "no class has a larger sum of distances");
        i += 1;
    }
};

// The heap's window begins at a multiple of an arena's size that is not zero.
#[cfg(target_pointer_width = "64")]
const _: () = assert!(MOST_DISTANCE * 2 < crate::config::ARENA_SIZE, "the quotient of a sum of addresses counts them");

impl Span {
    /// Returns how many addresses of this span make up `sum`, by one multiplication.
    ///
    /// The reciprocal is too large by at most 1, so the product is too large by at most `sum / 2^64`, and
    /// `sum < 2^57`. That does not reach the next integer: a sum's distance to the next multiple of the base
    /// is at least half the base.
    #[inline(always)]
    pub fn count_of(&self, sum: u64) -> u32 {
        ((u128::from(sum) * u128::from(self.base_reciprocal())) >> u64::BITS) as u32
    }

    /// Returns how many objects of this span make up `sum`. Returns `None` if `sum` is no sum of `least` or
    /// more of them.
    #[inline]
    pub fn count_of_batch(&self, sum: u64, least: u32) -> Option<u32> {
        let count = self.count_of(sum);
        let distances = sum.wrapping_sub(u64::from(count).wrapping_mul(self.base().0 as u64));
        let is_sum = distances <= MOST_DISTANCE as u64 && self.is_multiple(distances);
        (is_sum && (least..=self.objects()).contains(&count)).then_some(count)
    }

    /// Returns the sum of the addresses of the first `n` objects.
    #[inline(always)]
    pub fn sum_of_first(&self, n: u32) -> u64 {
        let n = u64::from(n);
        n * self.base().0 as u64 + n * n.saturating_sub(1) / 2 * self.object_size() as u64
    }

    /// Returns how many objects are out: live, in transit, or on the cache's free list. Owner only.
    #[inline(always)]
    pub fn outstanding(&self) -> u32 {
        self.count_of(self.out.get())
    }

    /// Returns how many frees by the owner its cache has not counted yet. Owner only.
    #[inline(always)]
    pub fn uncounted(&self) -> u32 {
        self.carved.get().wrapping_sub(self.outstanding()).wrapping_sub(self.accounted.get())
    }

    /// Marks all free objects as accounted for. Returns how many of them were not. Owner only.
    #[inline(always)]
    pub fn count_freed(&self) -> u32 {
        let uncounted = self.uncounted();
        self.accounted.set(self.accounted.get().wrapping_add(uncounted));
        uncounted
    }

    /// Takes the free objects off the list, to be allocated again. Returns their number, and how many of them
    /// are frees that the caller must count. Aborts if a freed address was no object. Owner only.
    #[inline(always)]
    pub fn take_back(&self) -> (u32, u32) {
        let freed = self.carved.get().wrapping_sub(self.count_or_abort());
        let uncounted = freed.wrapping_sub(self.accounted.replace(0));
        self.free.set(core::ptr::null_mut());
        self.out.set(self.all.get());
        (freed, uncounted)
    }

    /// Aborts if the owner freed an interior pointer or an object that was free. Returns how many objects are
    /// out. Owner only.
    #[inline(always)]
    pub fn count_or_abort(&self) -> u32 {
        let out = self.out.get();
        let count = self.count_of(out);
        let distances = out.wrapping_sub(u64::from(count).wrapping_mul(self.base().0 as u64));
        if count > self.carved.get() || distances > MOST_DISTANCE as u64 || !self.is_multiple(distances) {
            self.abort_interior();
        }
        count
    }

    /// Returns whether `bytes` is a multiple of this small span's object size, by one multiplication. Exact
    /// if the product of both fits 64 bits.
    #[inline(always)]
    pub(super) fn is_multiple(&self, bytes: u64) -> bool {
        bytes.wrapping_mul(self.reciprocal()) < self.reciprocal()
    }

    /// Aborts and names the interior pointer. It is on the span's free list unless the list was overwritten.
    #[cold]
    #[inline(never)]
    fn abort_interior(&self) -> ! {
        let mut free = self.free.get();
        for _ in 0..self.objects() {
            if !self.is_inside(Addr::of(free)) {
                break;
            }
            if !self.is_object(Addr::of(free)) {
                report::fatal(format_args!("crossfoot: free({:#x}): inside an object, not its start", free.addr()));
            }
            // SAFETY: `free` is the first word of an object of the span, which can be read.
            free = unsafe { (*free).next.get() };
        }
        Changed::List(self.base().0).abort()
    }
}
