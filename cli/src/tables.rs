//! Prints the allocator's tables: its options, size classes and locks.

use std::fmt::Write as _;
use std::io::{ErrorKind, Write as _};

use crossfoot::lock;
use crossfoot::options::TABLE;
use crossfoot::size_class::Class;

use crate::failure::Failure;

/// Writes `text` to standard output. Fails without a message if the reader has closed the pipe.
pub fn print(text: &str) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(|error| match error.kind() {
        ErrorKind::BrokenPipe => Failure { status: Failure::CLOSED_PIPE, line: String::new() },
        _ => Failure { status: Failure::NOT_WRITTEN, line: format!("cannot write: {error}") },
    })
}

/// Returns the table of options.
pub fn options() -> String {
    let rows: Vec<[&str; 4]> = TABLE.iter().map(|row| [row.name, row.default, row.range, row.help]).collect();
    let text = String::from("Set in the environment: CROSSFOOT=\"name:value,name:value\"\n\n");
    text + &aligned(&["name", "default", "range", "help"], &rows, &[])
}

/// Returns the table of size classes.
pub fn classes() -> String {
    let mut text = String::from("class  object bytes  span bytes  objects  tail %  most lost %\n");
    let mut below = 0;
    for class in Class::all() {
        let (size, span, objects) = (class.size(), class.span_pages().bytes(), class.objects());
        let tail = span - objects * size;
        // The most bytes are lost in a span full of the smallest requests of this class.
        let lost = tail + objects * (size - (below + 1));
        let percent = |part: usize| 100.0 * part as f64 / span as f64;
        // Writing to a string does not fail.
        let _ = writeln!(
            text,
            "{:>5}  {size:>12}  {span:>10}  {objects:>7}  {:>6.2}  {:>11.2}",
            class.index(),
            percent(tail),
            percent(lost)
        );
        below = size;
    }
    text
}

/// Returns the locks in their order. With `dot`, as a graph for Graphviz.
pub fn locks(dot: bool) -> String {
    if dot { lock::dot().to_string() } else { lock::table().to_string() }
}

/// Returns rows under a heading, each column as wide as its widest entry. The columns in `right` are aligned at the
/// right.
pub fn aligned<S: AsRef<str>, const N: usize>(heading: &[&str; N], rows: &[[S; N]], right: &[usize]) -> String {
    let rows: Vec<[&str; N]> =
        [*heading].into_iter().chain(rows.iter().map(|row| row.each_ref().map(AsRef::as_ref))).collect();
    let width = |i: usize| rows.iter().map(|row| row[i].chars().count()).max().unwrap_or(0);
    let widths: [usize; N] = std::array::from_fn(width);
    let mut text = String::new();
    for row in rows {
        let entry = |i: usize| match (row[i], widths[i]) {
            (entry, width) if right.contains(&i) => format!("{entry:>width$}"),
            (entry, width) => format!("{entry:<width$}"),
        };
        text += (0..N).map(entry).collect::<Vec<_>>().join("  ").trim_end();
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_option_and_class_has_its_row() {
        let text = options();
        for row in TABLE {
            let line = text.lines().find(|line| line.split_whitespace().next() == Some(row.name)).expect(row.name);
            assert!(line.contains(row.range) && line.ends_with(row.help), "{line}");
        }
        let text = classes();
        assert_eq!(text.lines().count(), 1 + crossfoot::size_class::CLASSES);
        // One byte in an object of 16 loses 15/16.
        let first: Vec<&str> = text.lines().nth(1).unwrap().split_whitespace().collect();
        assert_eq!(first, ["0", "16", "16384", "1024", "0.00", "93.75"]);
    }

    #[test]
    fn columns_are_aligned() {
        let rows = [["ccc", "d"], ["e", "f g"]];
        assert_eq!(aligned(&["a", "bb"], &rows, &[]), "a    bb\nccc  d\ne    f g\n");
        assert_eq!(aligned(&["a", "bb"], &rows, &[0]), "  a  bb\nccc  d\n  e  f g\n");
    }
}
