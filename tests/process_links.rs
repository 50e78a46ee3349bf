//! Programs that overwrite links in free objects, in each situation in which the allocator follows such links. They end
//! with a line and `SIGABRT`, or normally, but never in a loop or a fault inside the allocator. The table is
//! `tests/links/table.txt`.

mod common;

use std::fmt::Debug;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use common::rows::{self, Failure};
use common::{artifacts, compile, root, run, text};

/// The end of a program.
#[derive(Clone, Copy, PartialEq, Debug)]
enum End {
    /// Status 0, without a line.
    Ok,
    /// `SIGABRT`, after a line with the object that was changed.
    This,
    /// `SIGABRT`, after a line with another object.
    One,
    /// `SIGABRT`, after a line with the list.
    List,
    /// Status 0, after lines that report unbalanced accounts.
    Unbalanced,
}

/// A row of the table.
struct Row {
    situation: String,
    options: String,
    /// The ends by link. `None` promises nothing.
    ends: Vec<Option<End>>,
}

impl Row {
    /// Returns the row's name for `CROSSFOOT_ONLY`.
    fn name(&self) -> String {
        format!("{} {}", self.situation, self.options)
    }
}

fn end(cell: &str) -> Option<End> {
    Some(match cell {
        "ok" => End::Ok,
        "this" => End::This,
        "one" => End::One,
        "list" => End::List,
        "unbalanced" => End::Unbalanced,
        "-" => return None,
        _ => panic!("no way to end: {cell}"),
    })
}

/// Returns the names of the links, and the rows.
fn table() -> (Vec<String>, Vec<Row>) {
    let file = std::fs::read_to_string(root().join("tests/links/table.txt")).expect("the table is there");
    let cells = |line: &str| -> Vec<String> { line.split('|').map(|cell| cell.trim().to_owned()).collect() };
    let head = file.lines().rfind(|line| line.starts_with('#')).expect("the table has a head");
    let links = cells(head).split_off(2);
    let rows = file.lines().filter(|line| !line.starts_with('#')).map(|line| {
        let cells = cells(line);
        assert_eq!(cells.len(), links.len() + 2, "{line}");
        let ends = cells[2..].iter().map(|cell| end(cell)).collect();
        Row { situation: cells[0].clone(), options: cells[1].clone(), ends }
    });
    (links.clone(), rows.collect())
}

fn program() -> Option<PathBuf> {
    let source = root().join("tests/links/links.c");
    compile("gcc", "links", |gcc| gcc.args(["-O1", "-fno-builtin", "-pthread", "-w"]).arg(source))
}

fn ended(output: &Output) -> Result<End, String> {
    let (said, lines) = (text(&output.stdout), text(&output.stderr));
    let object = |at: &str| format!("crossfoot: malloc: the object at {at} was written to after it was freed\n");
    let first = said.lines().next().unwrap_or("none");
    // A child and its parent may both print it.
    let says = |line: &str| !lines.is_empty() && lines.replace(line, "").is_empty();
    let one = |lines: &str, from: &str, to: &str| {
        lines.lines().count() > 0 && lines.lines().all(|line| line.starts_with(from) && line.ends_with(to))
    };
    match (output.status.code(), output.status.signal()) {
        (Some(0), _) if lines.is_empty() => Ok(End::Ok),
        (Some(0), _) if lines.lines().all(|line| line.starts_with("crossfoot: unbalanced: ")) => Ok(End::Unbalanced),
        (_, Some(6)) if says(&object(first)) => Ok(End::This),
        (_, Some(6)) if one(&lines, "crossfoot: malloc: the object at 0x", " was written to after it was freed") => {
            Ok(End::One)
        }
        (_, Some(6)) if one(&lines, "crossfoot: free: the list of free objects at 0x", " was changed") => Ok(End::List),
        _ => Err(format!("{}: {lines}", output.status)),
    }
}

/// Runs the program on the shared object, for at most a minute.
fn links(program: &Path, options: &str, words: [&str; 2]) -> Output {
    let mut command = Command::new("timeout");
    command.args(["--foreground", "60", "env"]).arg(format!("LD_PRELOAD={}", artifacts().so.display()));
    let options = match options {
        "default" => "",
        "exit_report" => "exit_report:/dev/null",
        options => options,
    };
    run(command.arg(format!("CROSSFOOT={options}")).arg(program).args(words))
}

/// Calls `f` for each item on two threads, and fails with the failures that it returns.
fn nothing_differs<T: Sync>(items: &[T], f: impl Fn(&T) -> Vec<Failure> + Sync) {
    let (first, second) = items.split_at(items.len() / 2);
    let found = std::thread::scope(|scope| {
        let other = scope.spawn(|| first.iter().flat_map(&f).collect::<Vec<_>>());
        let mut found: Vec<_> = second.iter().flat_map(&f).collect();
        found.extend(other.join().expect("the other half was run"));
        found
    });
    rows::assert_none(&found);
}

#[test]
fn every_changed_link_ends_as_the_table_says() {
    let Some(program) = program() else { return };
    let (links_of, rows) = table();
    let lines = rows.iter().flat_map(|row| &row.ends).filter(|end| !matches!(end, None | Some(End::Ok))).count();
    assert!(rows.len() >= 40 && lines >= 200, "{} rows, {lines} of their ends are lines", rows.len());
    if rows::only().is_some_and(|only| only.starts_with("fuzz ")) {
        return;
    }
    let rows = rows::selected(rows, |row, only| row.name() == only);
    nothing_differs(&rows, |row| {
        let differs = |(link, end): (&String, &Option<End>)| {
            let expected = (*end)?;
            let found = ended(&links(&program, &row.options, [&row.situation, link]));
            let different = format!("{} {link} [{}]: {found:?}, not {expected:?}", row.situation, row.options);
            (found != Ok(expected)).then(|| Failure { row: row.name(), found: different })
        };
        links_of.iter().zip(&row.ends).filter_map(differs).collect()
    });
}

/// Random links are overwritten, and then every function that walks lists is called: the program ends with a line or
/// normally.
#[test]
fn changed_links_never_end_in_a_loop_or_a_fault() {
    let Some(program) = program() else { return };
    if rows::only().is_some_and(|only| !only.starts_with("fuzz ")) {
        return;
    }
    let seeds: Vec<String> = (1..=80).map(|seed| seed.to_string()).collect();
    let seeds = rows::selected(seeds, |seed, only| format!("fuzz {seed}") == only);
    nothing_differs(&seeds, |seed| {
        let differs = |options: &&str| {
            let found = ended(&links(&program, options, ["fuzz", seed]));
            let failed =
                |found| Failure { row: format!("fuzz {seed}"), found: format!("fuzz {seed} [{options}]: {found}") };
            found.err().map(failed)
        };
        ["default", "check:on", "exit_report"].iter().filter_map(differs).collect()
    });
}

#[test]
fn a_different_end_is_detected() {
    let output = |script: &str| run(Command::new("sh").args(["-c", script]));
    let line = "crossfoot: malloc: the object at 0x20 was written to after it was freed";
    assert_eq!(ended(&output("echo 0x10")), Ok(End::Ok));
    assert_eq!(ended(&output(&format!("echo 0x20; echo '{line}' >&2; kill -ABRT $$"))), Ok(End::This));
    assert_eq!(ended(&output(&format!("echo 0x10; echo '{line}' >&2; kill -ABRT $$"))), Ok(End::One));
    assert!(ended(&output(&format!("echo 0x20; echo '{line}' >&2"))).is_err());
    assert!(ended(&output("kill -ABRT $$")).is_err());
    assert!(ended(&output("kill -SEGV $$")).is_err());
    assert!(ended(&output("exit 70")).is_err());
}
