//! How full the chunks of the heap are.

use super::Heap;
use crate::os::Os;

/// Pages of a chunk that are taken: the most of each group but the last, which is of full chunks.
pub const CHUNK_BOUNDS: [u64; 9] = [0, 64, 128, 192, 256, 320, 384, 448, 511];

/// How many chunks are looked at while the heap's lock is held: some microseconds.
const AT_ONCE: usize = 256;

/// Chunks by how many of their pages are taken: by a span, by a cache that holds them ready, or while they are released.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Chunks {
    /// How many there are in each group of [`CHUNK_BOUNDS`], and how many are full.
    pub counts: [u64; CHUNK_BOUNDS.len() + 1],
    /// How many pages of all of them are taken.
    pub taken: u64,
}

impl Chunks {
    /// No chunks.
    #[allow(clippy::new_without_default, reason = "a const constructor is the only one wanted")]
    pub const fn new() -> Chunks {
        Chunks { counts: [0; CHUNK_BOUNDS.len() + 1], taken: 0 }
    }

    fn add(&mut self, taken: usize) {
        let group = CHUNK_BOUNDS.iter().take_while(|&&bound| taken as u64 > bound).count();
        self.counts[group] += 1;
        self.taken += taken as u64;
    }
}

impl<O: Os> Heap<O> {
    /// Looks at every chunk. Takes the heap's lock for some of them at a time, so a chunk's figure is of an instant, and
    /// the sum is not where the heap is larger than 1 GiB.
    #[inline(never)]
    pub fn chunks(&self) -> Chunks {
        let (mut chunks, mut next) = (Chunks::new(), Some(0));
        while let Some(from) = next {
            next = self.state.lock().pages.each_chunk(from, AT_ONCE, |taken| chunks.add(taken));
        }
        chunks
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_are_grouped_by_their_taken_pages() {
        let mut chunks = Chunks::new();
        [0, 1, 64, 65, 448, 449, 511, 512, 512].into_iter().for_each(|taken| chunks.add(taken));
        assert_eq!(chunks.counts, [1, 2, 1, 0, 0, 0, 0, 1, 2, 2]);
        assert_eq!(chunks.taken, 1 + 64 + 65 + 448 + 449 + 511 + 2 * 512);
    }
}
