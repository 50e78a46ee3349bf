//! Validation of a span's objects: whether each is live or free, by its bit.

use super::live::LiveBits;
use super::record::Span;
use crate::units::Addr;

impl Span {
    /// Returns the span's bitmap, if its frees are validated.
    #[inline]
    pub fn live(&self) -> Option<&LiveBits> {
        self.live.bits()
    }

    /// Sets or removes the span's bitmap. The caller owns the span, which has no live object.
    pub fn set_live(&self, bits: Option<&LiveBits>) {
        self.live.set_bits(bits);
    }

    /// Returns whether the object at `addr` is known to be free: the span has a bitmap and its bit is not
    /// set.
    pub fn is_freed(&self, addr: Addr) -> bool {
        self.live().is_some_and(|bits| !bits.is_set(self.index_of(addr)))
    }

    /// Marks the object at `addr` live. Returns false if it is known to be live already.
    pub fn mark_allocated(&self, addr: Addr) -> bool {
        self.live().is_none_or(|bits| bits.set(self.index_of(addr)))
    }

    /// Marks the object at `addr` free. Returns false if it is known to be free already. Of concurrent
    /// callers one gets true.
    pub fn mark_freed(&self, addr: Addr) -> bool {
        self.live().is_none_or(|bits| bits.clear(self.index_of(addr)))
    }
}
