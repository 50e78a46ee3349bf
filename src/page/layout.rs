//! Where the tables of the tree stand: the first entries of all of them on one page.

use super::chunk::Chunk;
use super::summary::Summary;
use super::table::{Ground, Need, Table};
use super::tree::{FAN, FAN_LOG, Tree};
#[cfg(test)]
use crate::units::Addr;

/// How many chunks' bits stand in the head of the tables, with all that leads to them: an
/// arena's. Whole blocks of siblings.
const FIRST_CHUNKS: usize = 2 * FAN;

impl<const LEVELS: usize> Tree<LEVELS> {
    /// The nodes of `level` in a window of `chunks` chunks, and how many of them stand in
    /// the head: none of the root, which is gone through in a line.
    fn nodes(level: usize, chunks: usize) -> (usize, usize) {
        let root = chunks.div_ceil(1 << Self::log_chunks(0));
        let first = if level == 0 { 0 } else { (FIRST_CHUNKS >> Self::log_chunks(level)).max(FAN) };
        (root << (level as u32 * FAN_LOG), first)
    }

    /// What the tables for a window of `chunks` chunks need.
    pub(super) fn need(chunks: usize) -> Option<Need> {
        (0..LEVELS)
            .map(|level| Self::nodes(level, chunks))
            .try_fold(Table::<Chunk>::need(chunks, FIRST_CHUNKS)?, |need, (nodes, first)| {
                need.and(Table::<Summary>::need(nodes, first))
            })
    }

    /// Cuts the tables for a window of `chunks` chunks. The root's entries are the first
    /// behind the head.
    pub(super) fn cut(ground: &mut Ground, chunks: usize) -> Option<Self> {
        let mut tree = Self::empty();
        for (level, table) in tree.levels.iter_mut().enumerate() {
            let (nodes, first) = Self::nodes(level, chunks);
            *table = Table::cut(ground, nodes, first)?;
        }
        tree.chunks = Table::cut(ground, chunks, FIRST_CHUNKS)?;
        tree.limit = chunks;
        Some(tree)
    }

    /// Where the summary of node `i` of `level` stands.
    #[cfg(test)]
    pub(super) fn place_of_node(&self, level: usize, i: usize) -> Addr {
        self.levels[level].at(i)
    }

    /// Where the bits of chunk `c` stand.
    #[cfg(test)]
    pub(super) fn place_of_chunk(&self, c: usize) -> Addr {
        self.chunks.at(c)
    }
}
