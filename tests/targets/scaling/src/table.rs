//! The tables of docs/scaling.md.

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::run::{Order, Outcome};

/// A row of runs: one pattern in one order, by how many threads.
type Row<'a> = BTreeMap<usize, &'a Outcome>;

/// The runs of each pattern in an order, as the patterns stand in their table.
fn rows(results: &[Outcome], order: Order) -> Vec<(&'static str, Row<'_>)> {
    let mut rows: Vec<(&'static str, Row<'_>)> = Vec::new();
    for result in results.iter().filter(|result| result.order == order) {
        if rows.last().is_none_or(|(name, _)| *name != result.name) {
            rows.push((result.name, Row::new()));
        }
        if let Some((_, row)) = rows.last_mut() {
            row.insert(result.threads, result);
        }
    }
    rows
}

/// A table with a column for each number of threads.
fn table(results: &[Outcome], order: Order, title: &str, cell: impl Fn(&Outcome, &Row<'_>) -> String) -> String {
    let mut threads: Vec<usize> = results.iter().filter(|r| r.order == order).map(|r| r.threads).collect();
    threads.sort_unstable();
    threads.dedup();
    let mut text = format!("\n### {title}\n\n| pattern |");
    threads.iter().for_each(|n| text += &format!(" {n} |"));
    text += &format!("\n|---|{}\n", "---:|".repeat(threads.len()));
    for (name, row) in rows(results, order) {
        text += &format!("| `{name}` |");
        for n in &threads {
            let cell = row.get(n).map_or(String::new(), |result| cell(result, &row));
            text += if cell.is_empty() { " |".into() } else { format!(" {cell} |") }.as_str();
        }
        text += "\n";
    }
    text
}

/// A number with as many places as say something.
fn number(n: f64) -> String {
    match n {
        0.0 => "0".into(),
        _ if n < 0.005 => "0.00".into(),
        _ if n < 1.0 => format!("{n:.2}"),
        _ if n < 100.0 => format!("{n:.1}"),
        _ => format!("{n:.0}"),
    }
}

/// Every table.
pub fn tables(results: &[Outcome]) -> String {
    let mut text = patterns(results);
    let moved = |result: &Outcome, _: &Row<'_>| number(result.per_thousand(result.counts.moved));
    text += &table(results, Order::Time, "Lines moved by the allocator, for a thousand calls", moved);
    text +=
        &table(results, Order::Random, "Lines moved by the allocator, with random turns, for a thousand calls", moved);
    text += &table(results, Order::Time, "Lines moved by the program itself, for a thousand calls", |result, _| {
        number(result.per_thousand(result.counts.by_program))
    });
    text += &table(results, Order::Time, "Atomic read-modify-writes, for a thousand calls", |result, _| {
        number(result.per_thousand(result.counts.locked))
    });
    text += &table(results, Order::Time, "Speedup over one thread", |result, row| {
        let Some(&first) = row.values().next() else { return String::new() };
        number(result.rate() / first.rate() * first.threads as f64)
    });
    text += &locks(results);
    text += &wheres(results);
    text += &readers(results);
    text
}

fn patterns(results: &[Outcome]) -> String {
    let mut text = "\n### The patterns\n\n| pattern | what its threads do |\n|---|---|\n".to_owned();
    for (name, row) in rows(results, Order::Time) {
        if let Some(first) = row.values().next() {
            let _ = writeln!(text, "| `{name}` | {} |", first.what);
        }
    }
    text
}

/// The locks that were taken.
fn locks(results: &[Outcome]) -> String {
    let mut text =
        "\n### Locks\n\n| pattern | threads | rank | taken, for a thousand calls | threads that took the same \
                    one | waits, for a thousand calls | threads' time spent waiting, % |\n\
                    |---|---:|---|---:|---:|---:|---:|\n"
            .to_owned();
    for result in results.iter().filter(|result| result.order == Order::Time && result.threads > 1) {
        for (name, rank) in &result.ranks {
            let time = result.elapsed as f64 * result.threads as f64;
            let _ = writeln!(
                text,
                "| `{}` | {} | {name} | {} | {} | {} | {} |",
                result.name,
                result.threads,
                number(result.per_thousand(rank.taken)),
                rank.sharers,
                number(result.per_thousand(rank.waits)),
                number(rank.waited as f64 * 100.0 / time)
            );
        }
    }
    text
}

/// Below this share of a pattern's moved lines a place is not named.
const LEAST: f64 = 0.01;

/// Where the lines lie that moved, with the most threads.
fn wheres(results: &[Outcome]) -> String {
    let mut text = String::new();
    for (name, row) in rows(results, Order::Time) {
        let Some((&threads, result)) = row.range(..=64).next_back() else { continue };
        let mut places: Vec<(&str, u64)> = result.moves.iter().map(|(&place, &n)| (place, n)).collect();
        places.sort_by_key(|&(_, n)| std::cmp::Reverse(n));
        let least = result.counts.moved as f64 * LEAST;
        let named: Vec<String> = places
            .into_iter()
            .filter(|&(_, n)| n as f64 >= least.max(1.0))
            .map(|(place, n)| format!("{place} {}", number(result.per_thousand(n))))
            .collect();
        if !named.is_empty() {
            let _ = writeln!(text, "| `{name}` | {threads} | {} |", named.join("; "));
        }
    }
    format!(
        "\n### Lines moved, by what they contain, for a thousand calls\n\n| pattern | threads | lines |\n|---|---:|---|\n{text}"
    )
}

/// What readings cost.
fn readers(results: &[Outcome]) -> String {
    let mut text =
        "\n### Readings\n\n| pattern | threads | readings | lines moved for each | for each and each thread \
                    |\n|---|---:|---:|---:|---:|\n"
            .to_owned();
    let alone = |name: &str, threads: usize| {
        let name = name.strip_suffix(", read")?;
        results.iter().find(|r| r.name == name && r.threads == threads && r.order == Order::Time)
    };
    for result in results.iter().filter(|result| result.reads > 0) {
        let Some(alone) = alone(result.name, result.threads) else { continue };
        let expected = alone.per_thousand(alone.counts.moved) * result.counts.operations as f64 / 1_000.0;
        let each = (result.counts.moved as f64 - expected).max(0.0) / result.reads as f64;
        let (name, threads, reads) = (result.name, result.threads, result.reads);
        let _ =
            writeln!(text, "| `{name}` | {threads} | {reads} | {} | {} |", number(each), number(each / threads as f64));
    }
    text
}

/// The words that moved most.
pub fn lines(results: &[Outcome], top: usize) -> String {
    let mut text = String::new();
    for result in results {
        let mut words: Vec<_> = result.words.iter().collect();
        words.sort_by_key(|&(_, n)| std::cmp::Reverse(n));
        let _ = writeln!(text, "{} {} {:?}", result.name, result.threads, result.order);
        for (word, &n) in words.into_iter().take(top) {
            let _ = writeln!(text, "  {:8.2} {word}", result.per_thousand(n));
        }
    }
    text
}
