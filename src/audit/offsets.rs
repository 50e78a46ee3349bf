//! The addresses and offsets of an allocator's structures in its process.

use super::fields::{CHUNK, RECORD};
use crate::cache::CacheOffsets;
use crate::page::PageOffsets;
use crate::span::{MapOffsets, SpanOffsets};
use crate::stats::{AccountOffsets, WriterOffsets};
use crate::stats_page::layout::OFFSETS;

/// The addresses and offsets of an allocator's structures, as words of the stats page. With them a command built from
/// another version reads structures whose layout differs.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Offsets {
    /// The form of these words: [`Offsets::FORM`].
    pub form: u64,
    /// The binary logarithm of the size of a page.
    pub page_shift: u64,
    /// The size of a physical page in bytes.
    pub physical_page: u64,
    /// The address of the pointer to the cache made last.
    pub caches: u64,
    /// The offsets in a span record.
    pub span: SpanOffsets,
    /// The page map.
    pub map: MapOffsets,
    /// The page bitmaps.
    pub pages: PageOffsets,
    /// The accounts.
    pub accounts: AccountOffsets,
    /// The writers of the consistent statistics.
    pub writers: WriterOffsets,
    /// The addresses of the turn counters of two locks: the heap's and the caches'. Pages, spans and caches move under
    /// them.
    pub turns: [u64; 2],
    /// The offsets in a cache.
    pub cache: CacheOffsets,
}

/// The number of words.
const WORDS: usize = size_of::<Offsets>() / size_of::<u64>();

const _: () = assert!(WORDS <= OFFSETS && align_of::<Offsets>() == align_of::<u64>(), "the ledger has room");

impl Offsets {
    /// The meaning of the words. It changes whenever the meaning changes. Structures with pointers of 32 bits have a form
    /// of their own: a command of 64 bits reads such a process's readings, but does not audit it.
    pub const FORM: u64 = if usize::BITS == 64 { 2 } else { 1 << 32 | 2 };

    /// Returns the offsets as words, padded with zeros.
    pub fn words(&self) -> [u64; OFFSETS] {
        let mut words = [0; OFFSETS];
        // SAFETY: the structure consists of `WORDS` integers of eight bytes, without padding.
        let own: &[u64; WORDS] = unsafe { &*core::ptr::from_ref(self).cast() };
        words.iter_mut().zip(own).for_each(|(to, from)| *to = *from);
        words
    }

    /// Returns the offsets from the words of a stats page. Returns `None` if they have another form or invalid values.
    pub fn from_words(words: &[u64; OFFSETS]) -> Option<Offsets> {
        // SAFETY: the source is at least as large, and any bits are valid integers.
        let offsets: Offsets = unsafe { core::ptr::from_ref(words).cast::<Offsets>().read() };
        (offsets.form == Offsets::FORM && offsets.is_valid()).then_some(offsets)
    }

    /// Returns whether a reader can compute with the values without an overflow or an excess of its buffers.
    fn is_valid(&self) -> bool {
        let powers = self.physical_page.is_power_of_two() && self.pages.chunk_pages.is_power_of_two();
        let small = |n: u64, most: u64| n > 0 && n <= most;
        powers
            && (9..=30).contains(&self.page_shift)
            && (512..=1 << 20).contains(&self.physical_page)
            && small(self.span.size, RECORD as u64)
            && small(self.pages.chunk_size, CHUNK as u64)
            && small(self.pages.chunk_pages, CHUNK as u64 * 4)
            && small(self.cache.classes, 256)
            && small(self.cache.in_outbox.count, 128)
    }
}
