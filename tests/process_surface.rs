//! The edge table: every function that libcrossfoot.so exports, with every edge of its arguments, on glibc's allocator
//! and on Crossfoot. docs/c-surface.md lists exactly the differences from glibc. `tests/surface/defined.txt` defines
//! the answers where glibc has no such function.

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use common::rows::{self, Failure};
use common::{artifacts, compile, root, run, text};

/// Returns the answers that `defined.txt` demands.
struct Table {
    /// The version of the libc.
    glibc: Version,
    cases: BTreeMap<String, String>,
}

/// A version of glibc.
type Version = (u32, u32);

fn version(text: &str) -> Version {
    let (major, minor) = text.trim().split_once('.').expect("a version with a point");
    (major.parse().expect("a number"), minor.parse().expect("a number"))
}

impl Table {
    fn parse(printed: &str) -> Table {
        let mut lines = printed.lines();
        let glibc = lines.next().and_then(|line| line.strip_prefix("glibc ")).expect("the version comes first");
        let mut cases = BTreeMap::new();
        for line in lines.by_ref().take_while(|&line| line != "end") {
            let (key, answer) = line.split_once(" => ").unwrap_or_else(|| panic!("no case: {line}"));
            // Some cases occur more than once, after different cases, which must not matter.
            let other = cases.insert(key.to_owned(), answer.to_owned());
            assert!(other.is_none_or(|other| other == answer), "{key} has two answers, of which one is: {answer}");
        }
        assert!(printed.ends_with("end\n"), "the table ended early");
        Table { glibc: version(glibc), cases }
    }
}

/// Compiles the table. Returns `None` without a compiler.
fn program() -> Option<PathBuf> {
    let sources = ["main.c", "glibc.c", "introspection.c", "others.c", "heaps.c"]
        .map(|name| root().join("tests/surface").join(name));
    // The compiler knows what `malloc` and `free` do, and would not call them.
    compile("gcc", "surface", |gcc| gcc.args(["-O1", "-Wall", "-Wextra", "-Werror", "-fno-builtin"]).args(sources))
}

/// Runs the table on glibc's allocator, or with an object preloaded.
fn table(program: &Path, preload: Option<&Path>) -> Table {
    let mut command = Command::new("timeout");
    command.args(["60", "env", "-u", "CROSSFOOT"]);
    if let Some(so) = preload {
        command.arg(format!("LD_PRELOAD={}", so.display()));
    }
    let output = run(command.arg(program));
    assert!(output.status.success(), "{}\n{}", output.status, text(&output.stderr));
    Table::parse(&text(&output.stdout))
}

/// Returns both runs, made once, or `None` without a compiler.
fn tables() -> Option<&'static (Table, Table)> {
    static TABLES: std::sync::OnceLock<Option<(Table, Table)>> = std::sync::OnceLock::new();
    let made = TABLES.get_or_init(|| {
        let program = program()?;
        Some((table(&program, None), table(&program, Some(&artifacts().so))))
    });
    made.as_ref()
}

/// Returns all texts that a pattern stands for: `{a,b}` stands for each of its parts, and the name of a set in braces
/// for each of its members.
fn expand(pattern: &str, sets: &BTreeMap<&str, &str>) -> Vec<String> {
    let Some((before, rest)) = pattern.split_once('{') else { return vec![pattern.to_owned()] };
    let (inside, after) = rest.split_once('}').unwrap_or_else(|| panic!("an open brace: {pattern}"));
    let choices = inside.split(',').flat_map(|choice| sets.get(choice).copied().unwrap_or(choice).split(','));
    let behind = expand(after, sets);
    choices.flat_map(|choice| behind.iter().map(move |behind| format!("{before}{choice}{behind}"))).collect()
}

/// Whether `CROSSFOOT_ONLY` names a case: by its whole key, `malloc(0)`, or by its function, `malloc`. The program calls
/// every function all the same, since cases depend on what was allocated before them.
fn is_named(case: &str, only: &str) -> bool {
    case == only || case.split('(').next() == Some(only)
}

/// Values by case, sorted for people who read a failure.
type Cases<T> = BTreeMap<String, T>;

/// Returns the table of differences in docs/c-surface.md for this version of glibc: the answers of glibc and of
/// Crossfoot, by case.
fn listed(document: &str, glibc: Version) -> Cases<(String, String)> {
    let mut cases = Cases::new();
    let section = document.split("\n## Differences from glibc\n").nth(1).expect("the section is there");
    let section = section.split("\n## ").next().unwrap_or(section);
    for row in section.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<_> = row.trim_matches('|').split(" | ").map(|cell| cell.trim().trim_matches('`')).collect();
        let [pattern, theirs, ours, versions, why] = cells[..] else { panic!("not five cells: {row}") };
        assert!(!why.is_empty(), "no reason: {row}");
        let holds = match versions.split_once(' ') {
            None => versions == "any",
            Some(("<", limit)) => glibc < version(limit),
            Some((">=", limit)) => glibc >= version(limit),
            Some(_) => panic!("no versions: {row}"),
        };
        for case in expand(pattern, &BTreeMap::new()).into_iter().filter(|_| holds) {
            let twice = cases.insert(case, (theirs.to_owned(), ours.to_owned()));
            assert!(twice.is_none(), "listed twice: {row}");
        }
    }
    cases
}

/// Returns the differences between two runs, in the cases of both.
fn found(glibc: &Cases<String>, ours: &Cases<String>) -> Cases<(String, String)> {
    let both = glibc.iter().filter_map(|(case, theirs)| Some((case, theirs, ours.get(case)?)));
    both.filter(|(_, theirs, ours)| theirs != ours)
        .map(|(case, theirs, ours)| (case.clone(), (theirs.clone(), ours.clone())))
        .collect()
}

/// Returns the differences between the listed and the found cases.
fn unequal(listed: &Cases<(String, String)>, found: &Cases<(String, String)>) -> Vec<Failure> {
    let row = |what: &str, case: &str, (theirs, ours): &(String, String)| Failure {
        row: case.to_owned(),
        found: format!("{what}: {case} | {theirs} | {ours}"),
    };
    let missing = found.iter().filter(|&(case, answers)| listed.get(case) != Some(answers));
    let stale = listed.iter().filter(|&(case, answers)| found.get(case) != Some(answers));
    let missing = missing.map(|(case, answers)| row("found, not listed", case, answers));
    missing.chain(stale.map(|(case, answers)| row("listed, not found", case, answers))).collect()
}

/// The answers that `defined.txt` demands.
fn defined(definitions: &str) -> Cases<String> {
    let (mut sets, mut cases) = (BTreeMap::new(), Cases::new());
    for line in definitions.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        if let Some((pattern, answer)) = line.split_once(" => ") {
            for case in expand(pattern, &sets) {
                let answer = answer.replace("VERSION", env!("CARGO_PKG_VERSION"));
                assert!(cases.insert(case, answer).is_none(), "defined twice: {line}");
            }
        } else if let Some((name, set)) = line.split_once(" = ") {
            sets.insert(name, set);
        } else {
            panic!("neither a set nor a case: {line}");
        }
    }
    cases
}

fn document() -> String {
    std::fs::read_to_string(root().join("docs/c-surface.md")).expect("the document is there")
}

/// Returns the functions of linker/exports.txt.
fn exports() -> BTreeSet<String> {
    let list = std::fs::read_to_string(root().join("linker/exports.txt")).expect("the list is there");
    list.lines().filter(|line| !line.starts_with('#') && !line.is_empty()).map(str::to_owned).collect()
}

#[test]
fn it_differs_from_glibc_where_that_is_listed_and_nowhere_else() {
    let Some((glibc, ours)) = tables() else { return };
    let lost: Vec<_> = glibc.cases.keys().filter(|case| !ours.cases.contains_key(*case)).collect();
    assert!(lost.is_empty(), "cases of functions that only glibc has: {lost:?}");
    if rows::only().is_some_and(|only| !glibc.cases.keys().any(|case| is_named(case, &only))) {
        return;
    }
    let mut unequal = unequal(&listed(&document(), glibc.glibc), &found(&glibc.cases, &ours.cases));
    if let Some(only) = rows::only() {
        unequal.retain(|failure| is_named(&failure.row, &only));
    }
    rows::assert_none(&unequal);
}

#[test]
fn what_glibc_lacks_is_as_it_is_defined() {
    let Some((glibc, ours)) = tables() else { return };
    let definitions = std::fs::read_to_string(root().join("tests/surface/defined.txt")).expect("the table is there");
    let defined = defined(&definitions);
    let extra = ours.cases.keys().filter(|case| !glibc.cases.contains_key(*case));
    let cases: BTreeSet<&String> = defined.keys().chain(extra).collect();
    let is_here = |only: &str| cases.iter().any(|case| is_named(case, only));
    let is_there = |only: &str| glibc.cases.keys().any(|case| is_named(case, only));
    if rows::only().is_some_and(|only| is_there(&only) && !is_here(&only)) {
        return;
    }
    let cases: Vec<&String> = cases.into_iter().collect();
    let cases = rows::selected(cases, |case, only| is_named(case, only));
    let wrong = cases.into_iter().filter_map(|case| {
        let answer = ours.cases.get(case).map_or("no answer", String::as_str);
        let demanded = defined.get(case).map_or("nothing is defined", String::as_str);
        let found = format!("{case}: {answer}, should be: {demanded}");
        (answer != demanded).then(|| Failure { row: case.clone(), found })
    });
    rows::assert_none(&wrong.collect::<Vec<_>>());
}

#[test]
fn trimming_gives_back_what_is_free_but_for_the_pad() {
    let source = root().join("tests/surface/trim.c");
    let program = compile("gcc", "surface-trim", |gcc| gcc.args(["-O1", "-fno-builtin"]).arg(source));
    let Some(program) = program else { return };
    let mut command = Command::new("timeout");
    command.args(["60", "env", "CROSSFOOT=check:on"]).arg(format!("LD_PRELOAD={}", artifacts().so.display()));
    let output = run(command.arg(program));
    assert!(output.status.success() && output.stderr.is_empty(), "{} {}", output.status, text(&output.stderr));
    let out = text(&output.stdout);
    let row = |name: &str| -> [i64; 5] {
        let line = out.lines().find(|line| line.split(' ').next() == Some(name)).unwrap_or_else(|| panic!("{out}"));
        let numbers: Vec<_> = line.split(' ').filter_map(|word| word.parse().ok()).collect();
        numbers.try_into().unwrap_or_else(|_| panic!("{line}"))
    };
    // 640 objects of 13 pages are 65 MiB.
    let [returned, before, after, free_before, free_after] = row("all");
    assert!(returned == 1 && before - after >= 60 && free_before >= 64 && free_after == 0, "{out}");
    let [returned, before, after, ..] = row("again");
    assert!(returned == 0 && before == after, "{out}");
    let [returned, before, after, free_before, free_after] = row("half");
    assert!(returned == 1 && (28..=38).contains(&(before - after)), "{out}");
    assert!(free_before >= 64 && (31..=33).contains(&free_after), "{out}");
    let [returned, before, after, ..] = row("none");
    assert!(returned == 0 && before == after, "{out}");
    let [returned, .., free_after] = row("rest");
    assert!(returned == 1 && free_after == 0, "{out}");
}

#[test]
fn every_exported_function_is_called_and_documented() {
    let document = document();
    let unwritten: Vec<_> = exports().into_iter().filter(|name| !document.contains(&format!("`{name}`"))).collect();
    assert!(unwritten.is_empty(), "not in docs/c-surface.md: {unwritten:?}");
    let Some((_, ours)) = tables() else { return };
    let called: BTreeSet<String> =
        ours.cases.keys().filter_map(|case| Some(case.split_once('(')?.0.to_owned())).collect();
    let uncalled: Vec<_> = exports().difference(&called).cloned().collect();
    assert!(uncalled.is_empty(), "not in the edge table: {uncalled:?}");
}

#[test]
fn patterns_and_versions_are_read_and_differences_found_both_ways() {
    let sets = BTreeMap::from([("N", "1,2")]);
    assert_eq!(expand("f({N,x},{a,}) y", &sets), ["f(1,a) y", "f(1,) y", "f(2,a) y", "f(2,) y", "f(x,a) y", "f(x,) y"]);
    let document = "\n## Differences from glibc\n\n| `f({1,2})` | `a` | `b` | any | so |\n| `g()` | `a` | `b` | < 2.38 | so |\n\
                    \n## Other\n| `h()` | `a` | `b` | any | so |\n";
    assert_eq!(listed(document, (2, 38)).keys().collect::<Vec<_>>(), ["f(1)", "f(2)"]);
    let old = listed(document, (2, 36));
    assert_eq!(old.len(), 3);
    let cases = |pairs: &[(&str, &str)]| pairs.iter().map(|&(k, v)| (k.to_owned(), v.to_owned())).collect();
    let found = found(
        &cases(&[("f(1)", "a"), ("f(2)", "c"), ("g()", "a"), ("same()", "s")]),
        &cases(&[("f(1)", "b"), ("f(2)", "d"), ("g()", "a"), ("same()", "s"), ("more()", "m")]),
    );
    let rows = ["found, not listed: f(2) | c | d", "listed, not found: f(2) | a | b", "listed, not found: g() | a | b"];
    let unequal: Vec<String> = unequal(&old, &found).into_iter().map(|failure| failure.found).collect();
    assert_eq!(unequal, rows);
    assert_eq!(defined("N = 1,2\n# no\n\nf({N}) => x\n"), cases(&[("f(1)", "x"), ("f(2)", "x")]));
}
