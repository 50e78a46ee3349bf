//! Bitmaps of live objects, for spans whose frees are validated.

use core::ptr::null_mut;
use core::sync::atomic::{AtomicPtr, AtomicU64, Ordering};

use crate::size_class::MAX_OBJECTS;

/// Bits of a word.
const WORD: usize = u64::BITS as usize;

/// One bit for each object of a span, set while the object is live. Zero in a span without objects.
///
/// A bitmap on the list of free bitmaps holds the next one in its first word.
pub struct LiveBits {
    words: [AtomicU64; MAX_OBJECTS.div_ceil(WORD)],
}

impl LiveBits {
    /// Marks every object free. The caller has exclusive access.
    pub fn clear_all(&self) {
        self.words.iter().for_each(|word| word.store(0, Ordering::Relaxed));
    }

    /// Returns the next bitmap of the list of free bitmaps. The caller has exclusive access.
    pub fn next(&self) -> *mut LiveBits {
        core::ptr::with_exposed_provenance_mut(self.words[0].load(Ordering::Relaxed) as usize)
    }

    /// Sets the next bitmap of the list of free bitmaps. The caller has exclusive access.
    pub fn set_next(&self, next: *mut LiveBits) {
        self.words[0].store(next.expose_provenance() as u64, Ordering::Relaxed);
    }

    fn word_and_bit(&self, index: usize) -> Option<(&AtomicU64, u64)> {
        Some((self.words.get(index / WORD)?, 1 << (index % WORD)))
    }

    /// Returns whether the object is live.
    pub(super) fn is_set(&self, index: usize) -> bool {
        self.word_and_bit(index).is_some_and(|(word, bit)| word.load(Ordering::Relaxed) & bit != 0)
    }

    /// Marks the object live. Returns false if it was live already.
    pub(super) fn set(&self, index: usize) -> bool {
        self.word_and_bit(index).is_some_and(|(word, bit)| word.fetch_or(bit, Ordering::Relaxed) & bit == 0)
    }

    /// Marks the object free. Returns false if it was free already.
    pub(super) fn clear(&self, index: usize) -> bool {
        self.word_and_bit(index).is_some_and(|(word, bit)| word.fetch_and(!bit, Ordering::Relaxed) & bit != 0)
    }
}

/// A span's bitmap, or null. Without a bitmap no object is known to be live or free.
pub(super) struct Live(AtomicPtr<LiveBits>);

impl Live {
    pub(super) const fn none() -> Live {
        Live(AtomicPtr::new(null_mut()))
    }

    pub(super) fn bits(&self) -> Option<&LiveBits> {
        // SAFETY: bitmaps lie in spans that are never given back, so even a stale pointer can be read.
        unsafe { self.0.load(Ordering::Acquire).as_ref() }
    }

    pub(super) fn set_bits(&self, bits: Option<&LiveBits>) {
        let bits = bits.map_or(null_mut(), |bits| core::ptr::from_ref(bits).cast_mut());
        self.0.store(bits, Ordering::Release);
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
        // An index beyond the last object changes nothing.
        assert!(!bits.set(bits.words.len() * WORD) && !bits.clear(usize::MAX) && !bits.is_set(usize::MAX));
    }
}
