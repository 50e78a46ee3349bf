//! Counting the owner's frees, and finding those of addresses inside an object without a division on the free path.
//!
//! The owner's free adds the address up ([`Own::freed_sum`](super::record::Own::freed_sum)), in one instruction. The
//! distances from the span's first byte are multiples of the size, each of them, so their sum is one too, unless a free
//! was of an address inside an object: then it is not, but for the chance that two such frees make up for each other.
//! That is looked at before a freed object is handed out again, and before the span is given back.

use super::record::Span;
use crate::report;
use crate::units::Addr;

impl Span {
    /// Ends the process where a free by the owner since the last call was of an address inside an object. Owner only.
    #[inline(always)]
    pub fn refuse_interior(&self) {
        let firsts = self.base().0.wrapping_mul(self.uncounted() as usize);
        if !self.is_multiple(self.freed_sum.get().wrapping_sub(firsts)) {
            self.tell_interior();
        }
        // Without what was found to be right, so that the sum stays small.
        self.freed_sum.set(firsts);
    }

    /// Counts the owner's frees: from now on all objects that are free are accounted for. Returns how many were not.
    /// Owner only.
    #[inline(always)]
    pub fn count_freed(&self) -> u32 {
        let uncounted = self.uncounted();
        // Of the addresses that are counted, the distances stay in the sum until they are looked at.
        let firsts = self.base().0.wrapping_mul(uncounted as usize);
        self.freed_sum.set(self.freed_sum.get().wrapping_sub(firsts));
        self.accounted.set(self.accounted.get().wrapping_add(uncounted));
        uncounted
    }

    /// Before the free objects are taken to be allocated again: they stay frees that are not counted, and are not on
    /// the list any more. Returns how many they are. Owner only.
    #[inline(always)]
    pub fn take_back(&self) -> u32 {
        self.refuse_interior();
        let freed = self.carved.get() - self.outstanding();
        self.accounted.set(self.accounted.get().wrapping_sub(freed));
        freed
    }

    /// Names the address, which stands on the span's list unless the list was overwritten.
    #[cold]
    #[inline(never)]
    fn tell_interior(&self) -> ! {
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
        self.tell_changed()
    }

    /// Says that the list of free objects is not what it was made, and ends the process.
    #[cold]
    #[inline(never)]
    pub fn tell_changed(&self) -> ! {
        report::fatal(format_args!("crossfoot: free: the list of free objects at {:#x} was changed", self.base().0))
    }
}
