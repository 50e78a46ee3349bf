//! Where a kernel's structures lie in its process.

use crate::cache::CacheOffsets;
use crate::page::PageOffsets;
use crate::span::{MapOffsets, SpanOffsets};
use crate::stats::{AccountOffsets, WriterOffsets};
use crate::stats_page::layout::OFFSETS;

/// Where a kernel's structures lie, as words of the ledger: a command that was built from other sources, whose structures
/// have other shapes, finds its way by them.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Offsets {
    /// The form of these words: [`Offsets::FORM`].
    pub form: u64,
    /// Binary logarithm of a page's bytes.
    pub page_shift: u64,
    /// The physical page in bytes.
    pub physical_page: u64,
    /// The address of the word that leads to the cache made last.
    pub caches: u64,
    /// In a span's record.
    pub span: SpanOffsets,
    /// The page map.
    pub map: MapOffsets,
    /// The bits of pages.
    pub pages: PageOffsets,
    /// The accounts.
    pub accounts: AccountOffsets,
    /// The writers of the accounts' entries.
    pub writers: WriterOffsets,
    /// The turns of the locks under which pages, spans and caches move: of the heap's, and of the caches'.
    pub turns: [u64; 2],
    /// In a cache.
    pub cache: CacheOffsets,
}

/// How many there are.
const WORDS: usize = size_of::<Offsets>() / size_of::<u64>();

const _: () = assert!(WORDS <= OFFSETS && align_of::<Offsets>() == align_of::<u64>(), "the ledger has room");

impl Offsets {
    /// What the words mean; another number is another meaning.
    pub const FORM: u64 = 2;

    /// As words, the rest zero.
    pub fn words(&self) -> [u64; OFFSETS] {
        let mut words = [0; OFFSETS];
        // SAFETY: the structure is `WORDS` numbers of eight bytes without a gap.
        let own: &[u64; WORDS] = unsafe { &*core::ptr::from_ref(self).cast() };
        words.iter_mut().zip(own).for_each(|(to, from)| *to = *from);
        words
    }

    /// From the words of a ledger. `None`: they are of another form.
    pub fn from_words(words: &[u64; OFFSETS]) -> Option<Offsets> {
        // SAFETY: the room is at least as large, and any bits are a number.
        let offsets: Offsets = unsafe { core::ptr::from_ref(words).cast::<Offsets>().read() };
        (offsets.form == Offsets::FORM && offsets.is_valid()).then_some(offsets)
    }

    /// Whether a reader can go by them without arithmetic that fails, whatever they say.
    fn is_valid(&self) -> bool {
        let powers = self.physical_page.is_power_of_two() && self.pages.chunk_pages.is_power_of_two();
        let small = |n: u64, most: u64| n > 0 && n <= most;
        powers
            && (9..=30).contains(&self.page_shift)
            && (512..=1 << 20).contains(&self.physical_page)
            && small(self.span.size, super::spans::RECORD as u64)
            && small(self.pages.chunk_size, super::spans::CHUNK as u64)
            && small(self.pages.chunk_pages, super::spans::CHUNK as u64 * 4)
            && small(self.cache.classes, 256)
            && small(self.cache.in_outbox.count, 128)
    }
}
