//! The plan of the house against the house: every path that names a room of this crate must lead to a
//! lower floor. The plan stands here, once.
//!
//! A module may name its own room, rooms on lower floors, and what an exception below allows. What has
//! to call upward is handed in. Paths in comments are not counted: text may point anywhere.

#[path = "layering/circles.rs"]
mod circles;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The rooms, floor by floor, from the ground up. A row may be ahead of the house; a room that stands
/// in no row fails the test. `src/lib.rs` is the roof and may name them all.
const FLOORS: &[&[&str]] = &[
    &["units", "bits", "size_class", "config", "sync"],
    &["arch", "os"],
    &["report", "options", "local"],
    &["lock", "event", "system_stack"],
    &["stats", "stats_page"],
    &["vm"],
    &["meta"],
    &["page", "span"],
    &["heap"],
    &["central"],
    &["cache"],
    &["thread", "stack_pool"],
    &["malloc"],
    &["audit", "metrics", "mem_stats", "scavenge", "trace", "profile"],
    &["sysmon"],
    &["allocator"],
    &["isolated"],
    &["process"],
];

/// Which room may name another one on its own floor, and why that is no knot.
const EXCEPTIONS: &[(&str, &str, &str)] = &[
    ("bits", "units", "bitmaps count in pages, and units name no other room"),
    ("size_class", "units", "sizes are in the units, and units name no other room"),
    ("config", "units", "constants are in the units, and units name no other room"),
    ("size_class", "config", "the table of classes must keep the relations that config states"),
    ("metrics", "mem_stats", "metrics give names to what the reading of the books finds"),
    ("os", "arch", "a system call that rustix lacks goes through the one assembly line for it"),
];

/// Longest file in lines.
const LONGEST: usize = 500;
/// The folders whose Rust files may not be longer.
const PARTS: &[&str] = &["src", "tests", "preload/src", "cli/src", "xtask/src", "bench/linked/src", "model/src"];

fn floor(room: &str) -> Option<usize> {
    FLOORS.iter().position(|rooms| rooms.contains(&room))
}

/// Whether `from` may name `to`; if not, why.
fn verdict(from: &str, to: &str) -> Result<(), String> {
    let Some(own) = floor(from) else { return Err(format!("`{from}` stands on no floor of the plan")) };
    let Some(other) = floor(to) else { return Err(format!("`{to}` is no room of the plan")) };
    let excepted = EXCEPTIONS.iter().any(|&(a, b, _)| (a, b) == (from, to));
    if from == to || other < own || excepted {
        return Ok(());
    }
    let place = if other == own { "beside" } else { "above" };
    Err(format!("`{from}` on floor {own} names `{to}` on floor {other}, {place} it"))
}

/// A word or a sign of Rust, with the line it stands on.
#[derive(Clone, PartialEq, Debug)]
struct Token {
    text: String,
    line: usize,
}

/// Cuts Rust into words and signs; comments and literals fall away. `::` is one sign.
fn tokens(source: &str) -> Vec<Token> {
    let chars: Vec<char> = source.chars().collect();
    let at = |i: usize| chars.get(i).copied().unwrap_or('\0');
    let word = |c: char| c.is_alphanumeric() || c == '_';
    let (mut found, mut i, mut line) = (Vec::new(), 0, 1);
    while i < chars.len() {
        let start = i;
        match (at(i), at(i + 1)) {
            ('/', '/') => i = seek(&chars, i, |j| at(j) == '\n'),
            ('/', '*') => i = end_of_comment(&chars, i),
            ('"', _) => i = end_of_string(&chars, i),
            ('r', '"' | '#') | ('b' | 'c', 'r') if raw_string(&chars, i).is_some() => {
                i = raw_string(&chars, i).unwrap();
            }
            // A character, or a lifetime, which has no closing quote.
            ('\'', '\\') => i = seek(&chars, i + 3, |j| at(j) == '\'') + 1,
            ('\'', _) if at(i + 2) == '\'' => i += 3,
            (c, _) if word(c) => {
                i = seek(&chars, i, |j| !word(at(j)));
                found.push(Token { text: chars[start..i].iter().collect(), line });
            }
            (':', ':') => {
                i += 2;
                found.push(Token { text: "::".into(), line });
            }
            (c, _) => {
                i += 1;
                if !c.is_whitespace() {
                    found.push(Token { text: c.into(), line });
                }
            }
        }
        line += chars[start..i.min(chars.len())].iter().filter(|&&c| c == '\n').count();
    }
    found
}

/// The first place from `i` on where `end` is true, or the end of the text.
fn seek(chars: &[char], i: usize, end: impl Fn(usize) -> bool) -> usize {
    (i..chars.len()).find(|&j| end(j)).unwrap_or(chars.len())
}

/// The place after the comment, which may hold others, that begins at `i`.
fn end_of_comment(chars: &[char], mut i: usize) -> usize {
    let mut depth = 0;
    while i < chars.len() {
        match chars[i..].get(..2) {
            Some(['/', '*']) => (depth, i) = (depth + 1, i + 2),
            Some(['*', '/']) => (depth, i) = (depth - 1, i + 2),
            _ => i += 1,
        }
        if depth == 0 {
            break;
        }
    }
    i
}

/// The place after the string that begins at `i`.
fn end_of_string(chars: &[char], mut i: usize) -> usize {
    i += 1;
    while i < chars.len() && chars[i] != '"' {
        i += if chars[i] == '\\' { 2 } else { 1 };
    }
    i + 1
}

/// The place after the raw string that begins at `i`, if one does.
fn raw_string(chars: &[char], i: usize) -> Option<usize> {
    let r = seek(chars, i, |j| chars[j] == 'r');
    let quote = seek(chars, r + 1, |j| chars[j] != '#');
    if chars.get(quote) != Some(&'"') {
        return None;
    }
    let hashes = quote - r - 1;
    let end = seek(chars, quote + 1, |j| {
        chars[j] == '"' && chars[j + 1..].iter().take_while(|&&c| c == '#').take(hashes).count() == hashes
    });
    Some(end + 1 + hashes)
}

/// The rooms that a file names, with lines. `depth` is how many modules the file lies below the roof.
fn named(source: &str, depth: usize) -> Vec<Token> {
    let tokens = tokens(source);
    let is = |i: usize, text: &str| tokens.get(i).is_some_and(|token| token.text == text);
    let mut found = Vec::new();
    for i in 0..tokens.len() {
        if is(i, "crate") && is(i + 1, "::") {
            heads(&tokens, i + 2, &mut found);
        } else if is(i, "crate") && is(i + 1, "as") {
            // Another name for the roof would hide what is behind it.
            found.push(tokens[i + 1].clone());
        }
        // As many `super` as the file is deep lead to the roof; inside an inline module they may end
        // below it, on a name that is no room.
        let inside = i > 0 && is(i - 1, "::");
        let supers = (0..).take_while(|up| is(i + 2 * up, "super") && is(i + 2 * up + 1, "::")).count();
        if supers >= depth && supers > 0 && !inside {
            let mut reached = Vec::new();
            heads(&tokens, i + 2 * supers, &mut reached);
            found.extend(reached.into_iter().filter(|token| floor(&token.text).is_some()));
        }
    }
    found
}

/// The first words of the path or of the braced group of paths at `i`.
fn heads(tokens: &[Token], i: usize, found: &mut Vec<Token>) {
    let Some(first) = tokens.get(i) else { return };
    if first.text != "{" {
        found.push(first.clone());
        return;
    }
    let (mut depth, mut expected) = (0, false);
    for token in &tokens[i..] {
        match token.text.as_str() {
            "{" => (depth, expected) = (depth + 1, depth == 0),
            "}" => depth -= 1,
            "," => expected = depth == 1,
            _ if expected => {
                found.push(token.clone());
                expected = false;
            }
            _ => {}
        }
        if depth == 0 {
            return;
        }
    }
}

/// Where the sources lie.
fn house() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// Every Rust file under `folder`, in the order of names.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let below = |path: PathBuf| if path.is_dir() { files(&path) } else { vec![path] };
    let all = paths.into_iter().flat_map(below);
    all.filter(|path| path.extension().is_some_and(|extension| extension == "rs")).collect()
}

/// A file's modules from the roof down, without `mod`: `src/os/sim/host.rs` is `os`, `sim`, `host`.
fn modules(path: &Path) -> Vec<String> {
    let inside = path.strip_prefix(house()).unwrap().with_extension("");
    let names = inside.iter().map(|name| name.to_str().unwrap().to_owned());
    names.filter(|name| name != "mod").collect()
}

fn shown(path: &Path) -> String {
    format!("src/{}", path.strip_prefix(house()).unwrap().display())
}

/// The sources that the plan is about: all but the roof and the files of unit tests.
fn rooms() -> Vec<(PathBuf, Vec<String>, String)> {
    let inside = files(&house()).into_iter().filter(|path| !path.ends_with("tests.rs"));
    let read = inside.map(|path| (path.clone(), modules(&path), fs::read_to_string(&path).unwrap()));
    read.filter(|(_, modules, _)| modules != &["lib"]).collect()
}

fn complain(complaints: Vec<String>) {
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}

#[test]
fn every_path_leads_down() {
    let mut complaints = Vec::new();
    for (path, modules, source) in rooms() {
        for name in named(&source, modules.len()) {
            if let Err(why) = verdict(&modules[0], &name.text) {
                complaints.push(format!("{}:{}: {why}", shown(&path), name.line));
            }
        }
    }
    complain(complaints);
}

#[test]
fn every_room_stands_in_the_plan() {
    let found: BTreeSet<String> = rooms().into_iter().map(|(_, modules, _)| modules[0].clone()).collect();
    assert!(found.contains("lock"), "the house was not found: {found:?}");
    complain(found.into_iter().filter(|room| floor(room).is_none()).map(|r| format!("no floor: {r}")).collect());
}

#[test]
fn the_plan_is_sound() {
    let all: Vec<&str> = FLOORS.concat();
    for room in &all {
        assert_eq!(all.iter().filter(|other| *other == room).count(), 1, "`{room}` stands on two floors");
    }
    for &(from, to, why) in EXCEPTIONS {
        assert!(!why.is_empty() && from != to);
        assert!(floor(from).is_some() && floor(from) == floor(to), "{from} -> {to} is more than an exception");
        assert!(!exceptions_lead(to, from), "{from} and {to} name each other");
    }
}

/// Whether exceptions lead from one room to another.
fn exceptions_lead(from: &str, to: &str) -> bool {
    EXCEPTIONS.iter().any(|&(a, b, _)| a == from && (b == to || exceptions_lead(b, to)))
}

/// Circles of files that may stay: one type's `impl` over several files. Those of `allocator`, `api` and `cache` are not yet open.
const CIRCLES: &[(&str, &[&str])] = &[
    ("src", &["heap/", "isolated/", "page/alloc.rs", "page/release.rs", "allocator/", "api", "cache/"]),
    ("preload/src", &[]),
    ("cli/src", &[]),
];

#[test]
fn files_do_not_import_each_other_in_circles() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let all = CIRCLES.iter().flat_map(|&(part, allowed)| circles::complaints(&root.join(part), part == "src", allowed));
    complain(all.collect());
}

#[test]
fn no_file_is_too_long() {
    let long = |path: &Path| {
        let lines = fs::read_to_string(path).unwrap().lines().count();
        (lines > LONGEST).then(|| format!("{}: {lines} lines, more than {LONGEST}", path.display()))
    };
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let all = PARTS.iter().flat_map(|part| files(&root.join(part)));
    let complaints: Vec<String> = all.filter_map(|path| long(&path)).collect();
    complain(complaints);
}

#[test]
fn only_arch_depends_on_the_cpu() {
    let others = rooms().into_iter().filter(|(_, modules, _)| modules[0] != "arch");
    let names = others.filter(|(_, _, source)| source.contains("target_arch"));
    complain(names.map(|(path, _, _)| format!("{} names target_arch", shown(&path))).collect());
}

#[test]
fn every_door_says_what_is_behind_it() {
    let doors = rooms().into_iter().filter(|(path, modules, _)| path.ends_with("mod.rs") || modules.len() == 1);
    let closed = doors.filter(|(_, _, source)| !source.starts_with("//!"));
    complain(closed.map(|(path, ..)| format!("{}: does not begin with `//!`", shown(&path))).collect());
}

#[test]
fn paths_are_found_wherever_they_stand() {
    // What a file says, how deep it lies, and what it names: line and room.
    type Row<'a> = (&'a str, usize, &'a [(usize, &'a str)]);
    let rows: &[Row<'_>] = &[
        ("use crate::units::Addr;", 1, &[(1, "units")]),
        ("pub(crate) use crate :: vm;", 1, &[(1, "vm")]),
        ("use crate::{heap, lock::{Mutex, held::{self}},\n  os::{Os}};", 1, &[(1, "heap"), (1, "lock"), (2, "os")]),
        ("fn f() {\n\n    crate::arch::trap()\n}", 1, &[(3, "arch")]),
        ("macro_rules! m { () => { $crate::page::P } }", 1, &[(1, "page")]),
        ("use crate::*;", 1, &[(1, "*")]),
        ("// crate::a\n/* crate::b /* crate::c */ crate::d */ crate::heap", 1, &[(2, "heap")]),
        ("/// [`crate::heap`]\n//! crate::heap\npub(crate) struct S;", 1, &[]),
        ("\"crate::a \\\" crate::b\"; r\"\\\"; crate::c; r#\"\" crate::d\"#; br\"crate::e\"", 1, &[(1, "c")]),
        (
            "'\"'; crate::a; '\\''; crate::b; fn f<'a>(x: &'a str) {}; crate::c; '\\u{22}'; b'\"'; crate::d",
            1,
            &[(1, "a"), (1, "b"), (1, "c"), (1, "d")],
        ),
        ("\"two\nlines\"; crate::a", 1, &[(2, "a")]),
        ("let r = 1; for r in crate::a {}", 1, &[(1, "a")]),
        ("use super::heap::Heap; use super::mine;", 1, &[(1, "heap")]),
        ("use super::heap; use super::super::{vm, heap::Heap};", 2, &[(1, "vm"), (1, "heap")]),
        ("use super::super::vm;", 3, &[]),
        ("mod inline { use super::super::vm; }", 1, &[(1, "vm")]),
        ("use crate as roof;", 1, &[(1, "as")]),
    ];
    for (source, depth, expected) in rows {
        let found: Vec<(usize, String)> = named(source, *depth).into_iter().map(|t| (t.line, t.text)).collect();
        let expected: Vec<(usize, String)> = expected.iter().map(|&(line, room)| (line, room.into())).collect();
        assert_eq!(found, expected, "{source}");
    }
}

#[test]
fn verdicts() {
    let rows = [
        ("lock", "os", Ok(())),
        ("lock", "lock", Ok(())),
        ("size_class", "config", Ok(())),
        ("config", "size_class", Err("`config` on floor 0 names `size_class` on floor 0, beside it")),
        ("span", "page", Err("`span` on floor 7 names `page` on floor 7, beside it")),
        ("vm", "heap", Err("`vm` on floor 5 names `heap` on floor 8, above it")),
        ("attic", "units", Err("`attic` stands on no floor of the plan")),
        ("heap", "Kernel", Err("`Kernel` is no room of the plan")),
    ];
    for (from, to, expected) in rows {
        assert_eq!(verdict(from, to), expected.map_err(String::from));
    }
}
