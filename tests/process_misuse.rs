//! Programs that misuse the allocator, and some that only seem to: the end of each, by default and with `check:on`. The
//! table is `tests/misuse/table.txt`.

mod common;

use std::collections::BTreeSet;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use common::rows::{self, Failure};
use common::{artifacts, installed, root, run, text};

/// The end of a program.
#[derive(Clone, PartialEq, Debug)]
enum End {
    /// Status 0, without a line.
    Ok,
    /// `SIGABRT`, after a line.
    Abort(String),
    /// Another signal, without a line.
    Signal(i32),
    /// No promise.
    Open,
}

/// A row of the table.
struct Row {
    program: String,
    by_default: End,
    checked: End,
}

fn end(cell: &str) -> End {
    match cell.split_once(' ') {
        None if cell == "ok" => End::Ok,
        None if cell == "-" => End::Open,
        Some(("abort:", line)) => End::Abort(line.to_owned()),
        Some(("signal", number)) => End::Signal(number.parse().expect("the number of a signal")),
        _ => panic!("no way to end: {cell}"),
    }
}

fn table() -> Vec<Row> {
    let file = std::fs::read_to_string(folder().join("table.txt")).expect("the table is there");
    let lines = file.lines().filter(|line| !line.starts_with('#'));
    let rows = lines.map(|line| {
        let cells: Vec<_> = line.split('|').map(str::trim).collect();
        let [program, by_default, checked] = cells[..] else { panic!("a row has three cells: {line}") };
        let by_default = end(by_default);
        let checked = if checked == "same" { by_default.clone() } else { end(checked) };
        Row { program: program.to_owned(), by_default, checked }
    });
    rows.collect()
}

fn folder() -> PathBuf {
    root().join("tests/misuse")
}

/// Compiles `NAME.c`. Without builtins: the compiler knows `malloc` and `free` well enough to leave misuse out.
fn compile(name: &str) -> PathBuf {
    let source = folder().join(format!("{name}.c"));
    let program = common::compile("gcc", &format!("misuse-{name}"), |gcc| {
        gcc.args(["-O1", "-fno-builtin", "-pthread", "-w"]).arg(source)
    });
    program.expect("gcc was found")
}

/// Returns the end of a program, with the address that it printed replaced by `{}` in its line.
fn ended(output: &Output) -> Result<End, String> {
    let (said, line) = (text(&output.stdout), text(&output.stderr));
    let line = match said.trim() {
        "" => line,
        address => line.replace(address, "{}"),
    };
    match (output.status.code(), output.status.signal(), line.strip_suffix('\n')) {
        (Some(0), _, None) => Ok(End::Ok),
        (_, Some(6), Some(line)) if !line.contains('\n') => Ok(End::Abort(line.to_owned())),
        (_, Some(number), None) => Ok(End::Signal(number)),
        _ => Err(format!("{}: {line}", output.status)),
    }
}

/// Runs a program on the shared object. Returns the difference from the expected end, if any.
fn differs(program: &Path, options: &str, expected: &End) -> Option<String> {
    if *expected == End::Open {
        return None;
    }
    let mut command = Command::new("timeout");
    command.args(["--foreground", "60", "env"]).arg(format!("LD_PRELOAD={}", artifacts().so.display()));
    command.arg(format!("CROSSFOOT={options}")).arg(program);
    let found = ended(&run(&mut command));
    (found.as_ref() != Ok(expected)).then(|| format!("{} [{options}]: {found:?}, not {expected:?}", program.display()))
}

#[test]
fn every_program_ends_as_the_table_says() {
    if installed("gcc").is_none() {
        return;
    }
    let rows = rows::selected(table(), |row, only| row.program == only);
    let differences = |rows: &[Row]| -> Vec<Failure> {
        let both = |row: &Row| {
            let program = compile(&row.program);
            let found = [differs(&program, "", &row.by_default), differs(&program, "check:on", &row.checked)];
            found.map(|found| Some(Failure { row: row.program.clone(), found: found? }))
        };
        rows.iter().flat_map(both).flatten().collect()
    };
    // Two at a time: most of the time is the compiler's.
    let (first, second) = rows.split_at(rows.len() / 2);
    let found = std::thread::scope(|scope| {
        let other = scope.spawn(|| differences(first));
        let mut found = differences(second);
        found.extend(other.join().expect("the other half was compared"));
        found
    });
    rows::assert_none(&found);
}

#[test]
fn every_program_stands_in_the_table() {
    let listed: BTreeSet<String> = table().into_iter().map(|row| row.program).collect();
    let files = std::fs::read_dir(folder()).expect("the folder is there").filter_map(|entry| {
        let name = entry.ok()?.file_name().into_string().ok()?;
        name.strip_suffix(".c").map(str::to_owned)
    });
    assert_eq!(files.collect::<BTreeSet<_>>(), listed);
    let misuse = table().iter().filter(|row| row.checked != End::Ok).count();
    assert!(misuse >= 40, "only {misuse} programs of {} end with a line", listed.len());
}

#[test]
fn a_different_end_is_detected() {
    let output = |script: &str| run(Command::new("sh").args(["-c", script]));
    assert_eq!(ended(&output("exit 0")), Ok(End::Ok));
    assert!(ended(&output("exit 1")).is_err());
    assert!(ended(&output("echo a line >&2")).is_err());
    assert_eq!(ended(&output("echo 0x10; echo at 0x10 >&2; kill -ABRT $$")), Ok(End::Abort("at {}".into())));
    assert!(ended(&output("echo one >&2; echo two >&2; kill -ABRT $$")).is_err());
    assert_eq!(ended(&output("kill -SEGV $$")), Ok(End::Signal(11)));
}
