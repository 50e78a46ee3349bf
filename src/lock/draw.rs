//! Prints the order as a graph and as tables, for the command and for `docs/locks.md`.

use super::rank::{EVALUATED, ORDER, Rank};
use core::fmt;

/// Returns the order for Graphviz. An arrow leads from a lock to the next one that may be taken.
pub fn dot() -> impl fmt::Display {
    fmt::from_fn(|f| {
        f.write_str("digraph locks {\n    node [shape=box];\n")?;
        steps(|first, then| writeln!(f, "    {} -> {};", first.name(), then.name()))?;
        f.write_str("}\n")
    })
}

/// Returns the same graph for Mermaid, which code hosts render in a document.
pub fn mermaid() -> impl fmt::Display {
    fmt::from_fn(|f| {
        f.write_str("graph TD\n")?;
        steps(|first, then| writeln!(f, "    {} --> {}", first.name(), then.name()))
    })
}

/// Returns the table of ranks in sorted order: what each protects, and which may be held when it is taken.
pub fn table() -> impl fmt::Display {
    fmt::from_fn(|f| {
        f.write_str("| rank | protects | may be held when it is taken |\n|---|---|---|\n")?;
        EVALUATED.sorted().iter().try_for_each(|&rank| {
            let before = EVALUATED.before(rank);
            writeln!(f, "| {} | {} | {before} |", rank.name(), rank.protects())
        })
    })
}

/// Returns the table of declared pairs with their reasons.
pub fn reasons() -> impl fmt::Display {
    fmt::from_fn(|f| {
        f.write_str("| first | then | because |\n|---|---|---|\n")?;
        ORDER.iter().try_for_each(|edge| writeln!(f, "| {} | {} | {} |", edge.first.name(), edge.then.name(), edge.why))
    })
}

/// Calls `draw` for every step of the order: the pairs that do not follow from other pairs.
fn steps(mut draw: impl FnMut(Rank, Rank) -> fmt::Result) -> fmt::Result {
    for first in EVALUATED.sorted() {
        for then in EVALUATED.sorted() {
            if EVALUATED.is_step(first, then) {
                draw(first, then)?;
            }
        }
    }
    Ok(())
}
