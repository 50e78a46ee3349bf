//! The layout of the tree's tables: the first entries of all of them share one page.

use super::chunk::Chunk;
use super::summary::Summary;
use super::table::{Need, Table, TableSpace};
use super::tree::{FAN, FAN_LOG, Tree};
#[cfg(test)]
use crate::units::Addr;

/// How many chunks have their bits, and the summaries above, at the head of the tables: those of one arena. A
/// whole number of blocks of siblings.
const FIRST_CHUNKS: usize = 2 * FAN;

impl<const LEVELS: usize> Tree<LEVELS> {
    /// Returns the number of nodes of `level` in a window of `chunks` chunks, and how many of them lie at the
    /// head. The root has none there, since it is scanned as one slice.
    fn nodes(level: usize, chunks: usize) -> (usize, usize) {
        let root = chunks.div_ceil(1 << Self::log_chunks(0));
        let first = if level == 0 { 0 } else { (FIRST_CHUNKS >> Self::log_chunks(level)).max(FAN) };
        (root << (level as u32 * FAN_LOG), first)
    }

    /// Returns the bytes that the tables need for a window of `chunks` chunks.
    pub(super) fn need(chunks: usize) -> Option<Need> {
        (0..LEVELS)
            .map(|level| Self::nodes(level, chunks))
            .try_fold(Table::<Chunk>::need(chunks, FIRST_CHUNKS)?, |need, (nodes, first)| {
                need.and(Table::<Summary>::need(nodes, first))
            })
    }

    /// Cuts the tables for a window of `chunks` chunks from `space`. The root's entries come first behind the
    /// head.
    pub(super) fn cut(space: &mut TableSpace, chunks: usize) -> Option<Self> {
        let mut tree = Self::empty();
        for (level, table) in tree.levels.iter_mut().enumerate() {
            let (nodes, first) = Self::nodes(level, chunks);
            *table = Table::cut(space, nodes, first)?;
        }
        tree.chunks = Table::cut(space, chunks, FIRST_CHUNKS)?;
        tree.limit = chunks;
        Some(tree)
    }

    /// Returns the address of the summary of node `i` of `level`.
    #[cfg(test)]
    pub(super) fn address_of_node(&self, level: usize, i: usize) -> Addr {
        self.levels[level].at(i)
    }

    /// Returns the address of the bits of chunk `c`.
    #[cfg(test)]
    pub(super) fn address_of_chunk(&self, c: usize) -> Addr {
        self.chunks.at(c)
    }
}
