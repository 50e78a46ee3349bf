//! The ten lines that `stat` prints by default: the bytes of a process by their use. Also formats numbers of bytes.

use std::fmt::Write as _;

use crossfoot::stats::{Account, Failures, Snapshot};

use crate::process;

/// The number of parts of the total.
const PARTS: usize = 7;

/// Returns the parts of all bytes that the allocator has from Linux, in the order of the lines. Their sum is [`total`].
fn parts(books: &Snapshot) -> [(i64, &'static str); PARTS] {
    let transit = in_transit(books);
    let account = |account| books.account(account);
    let (in_use, free, released) =
        (account(Account::HeapInUse), account(Account::HeapFree), account(Account::HeapReleased));
    let stacks = account(Account::InStacks) + account(Account::StacksSys);
    let rest = total(books) - in_use - free - released - stacks;
    [
        (books.live_bytes() - transit, "live objects"),
        (transit, "in transit: freed by other threads, not yet returned to their owners"),
        (in_use - books.live_bytes(), "free slots in spans"),
        (free, "free pages with memory"),
        (released, "released to Linux, or never used: address space only"),
        (stacks, "stacks"),
        (rest, "caches and other records of the allocator"),
    ]
}

/// Returns the bytes of objects in transit to the owner of their span.
fn in_transit(books: &Snapshot) -> i64 {
    books.classes().map(|(class, totals)| totals.in_transit() * class.size() as i64).sum()
}

/// Returns the bytes that the allocator has from Linux.
pub fn total(books: &Snapshot) -> i64 {
    Account::ALL.into_iter().map(|account| books.account(account)).sum()
}

/// Returns the bytes of live objects, without those in transit.
pub fn live(books: &Snapshot) -> i64 {
    books.live_bytes() - in_transit(books)
}

/// Returns a process's resident bytes, as Linux counts them.
pub fn resident(pid: i32) -> Option<i64> {
    let text = process::status(process::readable(pid), "VmRSS")?;
    Some(text.strip_suffix("kB")?.trim().parse::<i64>().ok()? * 1024)
}

/// Formats a number of bytes: unchanged if `raw`, else in the largest unit of which there is at least one.
pub fn bytes(n: i64, raw: bool) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if raw {
        return n.to_string();
    }
    if n.unsigned_abs() < 1024 {
        return format!("{n} B");
    }
    let (mut size, mut unit) = (n as f64 / 1024.0, 0);
    // A number that would be printed as 1024.0 gets the next unit.
    while size.abs() >= 1023.95 && unit + 1 < UNITS.len() {
        size /= 1024.0;
        unit += 1;
    }
    format!("{size:.1} {}", UNITS[unit])
}

/// The content of the ten lines.
pub struct Summary<'a> {
    /// The process.
    pub pid: i32,
    /// The snapshot of its statistics.
    pub books: &'a Snapshot,
    /// The identities that the snapshot fails.
    pub failures: &'a Failures,
    /// The age of the snapshot, in seconds.
    pub age: f64,
    /// The snapshot that was printed before, and the seconds between the two.
    pub before: Option<(&'a Snapshot, f64)>,
    /// Whether bytes are printed without units.
    pub raw: bool,
}

/// Returns the ten lines, and a line for each identity that fails.
pub fn text(summary: &Summary<'_>) -> String {
    let Summary { books, raw, .. } = *summary;
    let before = summary.before.map(|(before, seconds)| (parts(before), total(before), seconds));
    let mut text = String::new();
    let mut line = |value: String, change: Option<f64>, what: &str| {
        let change = change.map_or(String::new(), |change| {
            let sign = if change < 0.0 { "" } else { "+" };
            format!("  {:>16}", format!("{sign}{}/s", bytes(change as i64, raw)))
        });
        let column = if summary.before.is_some() { format!("{change:>18}") } else { change };
        // Writing to a string does not fail.
        let _ = writeln!(text, "{value:>14}{column}  {what}");
    };
    for (i, (part, what)) in parts(books).into_iter().enumerate() {
        let change = before.map(|(parts, _, seconds)| (part - parts[i].0) as f64 / seconds);
        line(bytes(part, raw), change, what);
    }
    let change = before.map(|(_, before, seconds)| (total(books) - before) as f64 / seconds);
    line(bytes(total(books), raw), change, "total of the above: all bytes from Linux");
    let resident = resident(summary.pid).map_or_else(|| "-".to_owned(), |resident| bytes(resident, raw));
    line(resident, None, "resident (Rss) of the whole process, as Linux counts it");
    let verdict = if summary.failures.is_empty() { "balanced" } else { "UNBALANCED" };
    line(verdict.to_owned(), None, &format!("crossfoot, of a reading that is {:.1} s old", summary.age));
    summary.failures.describe(|what| line("UNBALANCED".to_owned(), None, &what.to_string()));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_have_the_unit_of_which_there_is_one() {
        let shown = [0, 1023, 1024, 1536, -2048, 1_048_575, 1 << 20, 5 << 30, i64::MAX].map(|n| bytes(n, false));
        let wanted = ["0 B", "1023 B", "1.0 KiB", "1.5 KiB", "-2.0 KiB", "1.0 MiB", "1.0 MiB", "5.0 GiB", "8192.0 PiB"];
        assert_eq!(shown, wanted);
        assert_eq!(bytes(1536, true), "1536");
    }

    #[test]
    fn there_are_ten_lines() {
        let (books, failures) = (Snapshot::new(), Failures::default());
        let mut summary = Summary { pid: 1, books: &books, failures: &failures, age: 0.25, before: None, raw: false };
        let shown = text(&summary);
        assert_eq!(shown.lines().count(), 10, "{shown}");
        assert!(shown.ends_with("balanced  crossfoot, of a reading that is 0.2 s old\n"), "{shown}");
        summary.before = Some((&books, 1.0));
        let shown = text(&summary);
        assert_eq!(shown.lines().filter(|line| line.contains("+0 B/s")).count(), 8, "{shown}");
        let at = |line: &str| line.find("  live").or_else(|| line.find("  crossfoot"));
        assert_eq!(shown.lines().next().and_then(at), shown.lines().last().and_then(at), "{shown}");
    }
}
