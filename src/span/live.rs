//! Which objects of a span are live, one bit each: kept where every free is validated.

use core::ptr::null_mut;
use core::sync::atomic::{AtomicPtr, AtomicU64, Ordering};

use crate::size_class::MAX_OBJECTS;
use crate::units::Addr;

/// Bits of a word.
const WORD: usize = u64::BITS as usize;

/// A bit for each object of a span: set while it is the caller's. All zero in a span without objects.
///
/// A free one holds, in its first word, the next free one of its list.
pub struct LiveBits {
    words: [AtomicU64; MAX_OBJECTS.div_ceil(WORD)],
}

impl LiveBits {
    /// Makes every object free. The caller's alone.
    pub fn clear_all(&self) {
        self.words.iter().for_each(|word| word.store(0, Ordering::Relaxed));
    }

    /// The next bitmap of a list of free ones. The caller's alone.
    pub fn next(&self) -> *mut LiveBits {
        core::ptr::with_exposed_provenance_mut(self.words[0].load(Ordering::Relaxed) as usize)
    }

    /// Sets the next bitmap of a list of free ones. The caller's alone.
    pub fn set_next(&self, next: *mut LiveBits) {
        self.words[0].store(next.expose_provenance() as u64, Ordering::Relaxed);
    }

    fn list_state(&self, index: usize) -> Option<(&AtomicU64, u64)> {
        Some((self.words.get(index / WORD)?, 1 << (index % WORD)))
    }

    /// Whether the object is live.
    fn is_set(&self, index: usize) -> bool {
        self.list_state(index).is_some_and(|(word, bit)| word.load(Ordering::Relaxed) & bit != 0)
    }

    /// Makes a free object live. `false`: it is live already.
    fn set(&self, index: usize) -> bool {
        self.list_state(index).is_some_and(|(word, bit)| word.fetch_or(bit, Ordering::Relaxed) & bit == 0)
    }

    /// Makes a live object free. `false`: it is free already.
    fn clear(&self, index: usize) -> bool {
        self.list_state(index).is_some_and(|(word, bit)| word.fetch_and(!bit, Ordering::Relaxed) & bit != 0)
    }
}

/// A span's bitmap, or none: then nothing is known, and every object counts as what its caller says.
pub(super) struct Live(AtomicPtr<LiveBits>);

impl Live {
    pub(super) const fn none() -> Live {
        Live(AtomicPtr::new(null_mut()))
    }

    pub(super) fn bits(&self) -> Option<&LiveBits> {
        // SAFETY: bitmaps lie in spans that are never given back, so even a stale one can be read.
        unsafe { self.0.load(Ordering::Acquire).as_ref() }
    }
}

impl super::Span {
    /// The span's bitmap, where frees are validated.
    #[inline]
    pub fn live(&self) -> Option<&LiveBits> {
        self.live.bits()
    }

    /// Gives the span a bitmap, or takes it away. The caller owns the span, which has no live object.
    pub fn set_live(&self, bits: Option<&LiveBits>) {
        let bits = bits.map_or(null_mut(), |bits| core::ptr::from_ref(bits).cast_mut());
        self.live.0.store(bits, Ordering::Release);
    }

    /// Whether `addr` is known to be no live object: of the objects of a span with a bitmap, a free one.
    pub fn is_freed(&self, addr: Addr) -> bool {
        self.live().is_some_and(|bits| !bits.is_set(self.index_of(addr)))
    }

    /// Makes the object at `addr` live. `false`: it is known to be live already.
    pub fn mark_allocated(&self, addr: Addr) -> bool {
        self.live().is_none_or(|bits| bits.set(self.index_of(addr)))
    }

    /// Makes the object at `addr` free, for one of all that try. `false`: it is known to be free already.
    pub fn mark_freed(&self, addr: Addr) -> bool {
        self.live().is_none_or(|bits| bits.clear(self.index_of(addr)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bit_changes_once() {
        let bits = LiveBits { words: [const { AtomicU64::new(0) }; MAX_OBJECTS.div_ceil(WORD)] };
        for index in [0, 63, 64, MAX_OBJECTS - 1] {
            assert!(!bits.clear(index) && !bits.is_set(index));
            assert!(bits.set(index) && !bits.set(index) && bits.is_set(index));
            assert!(bits.clear(index) && !bits.clear(index));
        }
        // Beyond the last object nothing is live, and nothing becomes so.
        assert!(!bits.set(bits.words.len() * WORD) && !bits.clear(usize::MAX) && !bits.is_set(usize::MAX));
    }
}
