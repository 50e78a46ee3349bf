//! Counting the owner's frees, and finding those of addresses inside an object, without a division or a counter on
//! the free path.
//!
//! A free by the owner takes the address away from one sum: of all that is out ([`Own::out`](super::record::Own::out)).
//! Every address is the span's first byte and a distance. The first byte is so much larger than all distances
//! together that the sum, divided by it, says how many objects are out. What is left over are the distances, which are
//! multiples of the size, each of them, so their sum is one too, unless a free was of an address inside an object: then
//! it is not, but for the chance that two such frees make up for each other. That is looked at before a freed object
//! is handed out again, and before the span is given back.

use super::links::Changed;
use super::record::Span;
use crate::config::{ARENA_SIZE, MIN_ALIGN};
use crate::report;
use crate::size_class::{CLASSES, Class, MAX_OBJECTS};
use crate::units::{Addr, PAGE_SIZE};

/// The most that all distances of a span's objects add up to: those of the most objects, the smallest ones. Spans with
/// fewer, larger objects come to less.
const MOST_DISTANCE: usize = MAX_OBJECTS * (MAX_OBJECTS - 1) / 2 * MIN_ALIGN;

const _: () = {
    let mut i = 0;
    while i < CLASSES {
        let (class, pages) = (Class::from_index(i), Class::from_index(i).span_pages());
        let objects = pages.0 * PAGE_SIZE / class.size();
        assert!(objects * (objects - 1) / 2 * class.size() <= MOST_DISTANCE, "no class comes to more");
        i += 1;
    }
};

// The heap's window begins at a multiple of an arena that is not zero.
#[cfg(target_pointer_width = "64")]
const _: () = assert!(MOST_DISTANCE * 2 < ARENA_SIZE, "a sum of addresses says how many they are");

impl Span {
    /// How many addresses of this span make the sum: one multiplication.
    ///
    /// The reciprocal is too large by at most 1, so the product by at most the sum, less than 2^57: not enough to reach
    /// the next number, from which a sum is half an address away at least.
    #[inline(always)]
    pub fn count_of(&self, sum: u64) -> u32 {
        ((u128::from(sum) * u128::from(self.base_reciprocal())) >> u64::BITS) as u32
    }

    /// How many objects of this span make the sum, if there are at least `least` that do: `None` of any other number.
    #[inline]
    pub fn count_of_batch(&self, sum: u64, least: u32) -> Option<u32> {
        let count = self.count_of(sum);
        let distances = sum.wrapping_sub(u64::from(count).wrapping_mul(self.base().0 as u64));
        let is_sum = distances <= MOST_DISTANCE as u64 && self.is_multiple(distances);
        (is_sum && (least..=self.objects()).contains(&count)).then_some(count)
    }

    /// The sum of the addresses of the first `n` objects.
    #[inline(always)]
    pub fn sum_of_first(&self, n: u32) -> u64 {
        let n = u64::from(n);
        n * self.base().0 as u64 + n * n.saturating_sub(1) / 2 * self.object_size() as u64
    }

    /// Objects that are out: live, in transit, or in the cache's hand. Owner only.
    #[inline(always)]
    pub fn outstanding(&self) -> u32 {
        self.count_of(self.out.get())
    }

    /// How many frees by the owner its cache has not counted yet. Owner only.
    #[inline(always)]
    pub fn uncounted(&self) -> u32 {
        self.carved.get().wrapping_sub(self.outstanding()).wrapping_sub(self.accounted.get())
    }

    /// Counts the owner's frees: from now on all objects that are free are accounted for. Returns how many were not.
    /// Owner only.
    #[inline(always)]
    pub fn count_freed(&self) -> u32 {
        let uncounted = self.uncounted();
        self.accounted.set(self.accounted.get().wrapping_add(uncounted));
        uncounted
    }

    /// Takes the free objects off the list, to be allocated again. Returns how many they are, and how many of them are
    /// frees that were not counted, which the caller counts. Ends the process where one of them is no object. Owner only.
    #[inline(always)]
    pub fn take_back(&self) -> (u32, u32) {
        let freed = self.carved.get().wrapping_sub(self.count_or_abort());
        let uncounted = freed.wrapping_sub(self.accounted.replace(0));
        self.free.set(core::ptr::null_mut());
        self.out.set(self.all.get());
        (freed, uncounted)
    }

    /// Ends the process where a free by the owner was of an address inside an object, or of one that was free. Returns
    /// how many objects are out. Owner only.
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

    /// Whether `bytes` is a multiple of the size of this small span's objects: one multiplication, exact as long as
    /// the product of both fits 64 bits.
    #[inline(always)]
    pub(super) fn is_multiple(&self, bytes: u64) -> bool {
        bytes.wrapping_mul(self.reciprocal()) < self.reciprocal()
    }

    /// Names the address, which stands on the span's list unless the list was overwritten.
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
            // SAFETY: the first word of an object of the span, which can be read.
            free = unsafe { (*free).next.get() };
        }
        Changed::List(self.base().0).abort()
    }
}
