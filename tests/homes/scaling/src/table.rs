//! The tables of docs/scaling.md.

use crate::run::Outcome;

/// Every table.
pub fn tables(_results: &[Outcome]) -> String {
    String::new()
}

/// The words that moved most.
pub fn lines(results: &[Outcome], top: usize) -> String {
    let mut text = String::new();
    for result in results {
        let mut words: Vec<_> = result.words.iter().collect();
        words.sort_by_key(|&(_, n)| std::cmp::Reverse(n));
        text += &format!("{} {} {:?}\n", result.name, result.threads, result.order);
        for (word, &n) in words.into_iter().take(top) {
            text += &format!("  {:8.2} {word}\n", result.per_thousand(n));
        }
    }
    text
}
