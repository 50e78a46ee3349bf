//! The layers of the crate: a file may import from its own top module, from modules of lower layers, and what an exception
//! below allows. A lower layer that has to call a higher one takes a function or a trait. Paths in comments do not count.
//!
//! This file also checks that `src/lib.rs` lists the modules by layer, that files of one module do not import each other
//! in circles (`layering/circles.rs`), that no file is too long, and that each module begins with its documentation.

#[path = "layering/circles.rs"]
mod circles;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The modules of each layer, from the lowest layer up. `src/lib.rs` is above all layers.
const LAYERS: &[&[&str]] = &[
    &["units", "bits", "size_class", "config", "sync"],
    &["arch", "os"],
    &["report", "options", "local"],
    &["lock", "system_stack"],
    &["stats", "stats_page"],
    &["vm"],
    &["meta"],
    &["page", "span"],
    &["heap"],
    &["central"],
    &["cache"],
    &["thread", "stack_pool"],
    &["malloc"],
    &["audit", "metrics", "mem_stats"],
    &["allocator"],
    &["isolated"],
    &["process"],
];

/// Modules that may import from another module of their layer, and why this makes no circle.
const EXCEPTIONS: &[(&str, &str, &str)] = &[
    ("bits", "units", "bitmaps count in pages, and units imports nothing"),
    ("size_class", "units", "sizes are in the units, and units imports nothing"),
    ("config", "units", "constants are in the units, and units imports nothing"),
    ("size_class", "config", "the table of classes must keep the relations that config states"),
    ("metrics", "mem_stats", "metrics gives names to the results of mem_stats"),
    ("os", "arch", "system calls that rustix lacks go through the assembly of arch"),
];

/// The maximal length of a file, in lines.
const LONGEST: usize = 500;
/// The folders whose Rust files are checked for length.
const PARTS: &[&str] = &["src", "tests", "preload/src", "cli/src", "xtask/src", "bench/linked/src", "model/src"];

/// Returns the layer of a module.
fn layer(module: &str) -> Option<usize> {
    LAYERS.iter().position(|modules| modules.contains(&module))
}

/// Returns an error with the reason and the remedy if `from` must not import from `to`.
fn verdict(from: &str, to: &str) -> Result<(), String> {
    let Some(own) = layer(from) else { return Err(format!("`{from}` is in no layer: {ADD}")) };
    let Some(other) = layer(to) else { return Err(format!("`{to}` is no module of a layer: {ADD}")) };
    let excepted = EXCEPTIONS.iter().any(|&(a, b, _)| (a, b) == (from, to));
    if from == to || other < own || excepted {
        return Ok(());
    }
    let (place, remedy) = if other == own { ("the same", LEVEL) } else { ("a higher", DOWN) };
    Err(format!("`{from}` (layer {own}) imports from `{to}` (layer {other}), {place} layer: {remedy}"))
}

/// The remedy for a module without a layer.
const ADD: &str = "add it to LAYERS in tests/layering.rs, to src/lib.rs and to ARCHITECTURE.md";
/// The remedy for an import from a higher layer.
const DOWN: &str = "move the shared type to a lower layer, or pass a function or a trait down";
/// The remedy for an import from the same layer.
const LEVEL: &str = "move the shared type to a lower layer, or add an exception with its reason";

/// A word or a sign of Rust, with its line.
#[derive(Clone, PartialEq, Debug)]
struct Token {
    text: String,
    line: usize,
}

/// Splits Rust into words and signs, without comments and literals. `::` is one sign.
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

/// Returns the first index from `i` on at which `end` is true, or the length of the text.
fn seek(chars: &[char], i: usize, end: impl Fn(usize) -> bool) -> usize {
    (i..chars.len()).find(|&j| end(j)).unwrap_or(chars.len())
}

/// Returns the index after the comment at `i`, which may contain others.
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

/// Returns the index after the string at `i`.
fn end_of_string(chars: &[char], mut i: usize) -> usize {
    i += 1;
    while i < chars.len() && chars[i] != '"' {
        i += if chars[i] == '\\' { 2 } else { 1 };
    }
    i + 1
}

/// Returns the index after the raw string at `i`, or `None` if there is none.
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

/// Returns the top modules that a file names, with lines. `depth` is the number of the file's modules.
fn named(source: &str, depth: usize) -> Vec<Token> {
    let tokens = tokens(source);
    let is = |i: usize, text: &str| tokens.get(i).is_some_and(|token| token.text == text);
    let mut found = Vec::new();
    for i in 0..tokens.len() {
        if is(i, "crate") && is(i + 1, "::") {
            heads(&tokens, i + 2, &mut found);
        } else if is(i, "crate") && is(i + 1, "as") {
            // Another name for the crate would hide the paths behind it.
            found.push(tokens[i + 1].clone());
        }
        // `depth` times `super` lead to the crate's root. Inside an inline module they may end on a name that is no top module.
        let inside = i > 0 && is(i - 1, "::");
        let supers = (0..).take_while(|up| is(i + 2 * up, "super") && is(i + 2 * up + 1, "::")).count();
        if supers >= depth && supers > 0 && !inside {
            let mut reached = Vec::new();
            heads(&tokens, i + 2 * supers, &mut reached);
            found.extend(reached.into_iter().filter(|token| layer(&token.text).is_some()));
        }
    }
    found
}

/// Adds the first words of the path, or of the braced group of paths, at `i`.
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

/// Returns the folder of the sources.
fn sources() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// Returns every Rust file under `folder`, in the order of names.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let below = |path: PathBuf| if path.is_dir() { files(&path) } else { vec![path] };
    let all = paths.into_iter().flat_map(below);
    all.filter(|path| path.extension().is_some_and(|extension| extension == "rs")).collect()
}

/// Returns the module path of a file: `src/os/sim/host.rs` is `os`, `sim`, `host`.
fn modules(path: &Path) -> Vec<String> {
    let inside = path.strip_prefix(sources()).unwrap().with_extension("");
    let names = inside.iter().map(|name| name.to_str().unwrap().to_owned());
    names.filter(|name| name != "mod").collect()
}

fn shown(path: &Path) -> String {
    format!("src/{}", path.strip_prefix(sources()).unwrap().display())
}

/// Returns the checked sources: all but `src/lib.rs` and the files of unit tests.
fn checked() -> Vec<(PathBuf, Vec<String>, String)> {
    let inside = files(&sources()).into_iter().filter(|path| !path.ends_with("tests.rs"));
    let read = inside.map(|path| (path.clone(), modules(&path), fs::read_to_string(&path).unwrap()));
    read.filter(|(_, modules, _)| modules != &["lib"]).collect()
}

fn complain(complaints: Vec<String>) {
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}

#[test]
fn every_path_leads_down() {
    let mut complaints = Vec::new();
    for (path, modules, source) in checked() {
        for name in named(&source, modules.len()) {
            if let Err(why) = verdict(&modules[0], &name.text) {
                complaints.push(format!("{}:{}: {why}", shown(&path), name.line));
            }
        }
    }
    complain(complaints);
}

#[test]
fn every_module_has_a_layer() {
    let found: BTreeSet<String> = checked().into_iter().map(|(_, modules, _)| modules[0].clone()).collect();
    assert!(found.contains("lock"), "the sources were not found: {found:?}");
    let missing = found.into_iter().filter(|module| layer(module).is_none());
    complain(missing.map(|module| format!("`{module}` is in no layer: {ADD}")).collect());
}

#[test]
fn the_crate_lists_its_modules_by_layer() {
    let source = fs::read_to_string(sources().join("lib.rs")).unwrap();
    let (mut current, mut listed, mut complaints) = (None, BTreeSet::new(), Vec::new());
    for line in source.lines() {
        if let Some((number, _)) = line.strip_prefix("// Layer ").and_then(|rest| rest.split_once(':')) {
            let number = number.parse::<usize>().unwrap();
            if current.map_or(0, |before: usize| before + 1) != number {
                complaints.push(format!("src/lib.rs: layer {number} is out of order"));
            }
            current = Some(number);
        }
        let declared = line.trim_start_matches("pub ").strip_prefix("mod ").and_then(|rest| rest.strip_suffix(';'));
        if let Some(module) = declared {
            listed.insert(module.to_owned());
            if layer(module) != current {
                complaints.push(format!("src/lib.rs: `{module}` is not below the comment of its layer: move it there"));
            }
        }
    }
    complaints.extend(
        LAYERS
            .concat()
            .iter()
            .filter(|module| !listed.contains(**module))
            .map(|module| format!("src/lib.rs: `{module}` is in LAYERS and not declared")),
    );
    complain(complaints);
}

#[test]
fn the_layers_are_consistent() {
    let all: Vec<&str> = LAYERS.concat();
    for module in &all {
        assert_eq!(all.iter().filter(|other| *other == module).count(), 1, "`{module}` is in two layers");
    }
    for &(from, to, why) in EXCEPTIONS {
        assert!(!why.is_empty() && from != to);
        assert!(layer(from).is_some() && layer(from) == layer(to), "{from} and {to} are not in one layer");
        assert!(!exceptions_lead(to, from), "{from} and {to} import from each other");
    }
}

/// Returns whether exceptions lead from one module to another.
fn exceptions_lead(from: &str, to: &str) -> bool {
    EXCEPTIONS.iter().any(|&(a, b, _)| a == from && (b == to || exceptions_lead(b, to)))
}

/// Circles of files that may stay: one type's `impl` over several files.
const CIRCLES: &[(&str, &[&str])] =
    &[("src", &["heap/", "isolated/", "page/alloc.rs", "page/release.rs"]), ("preload/src", &[]), ("cli/src", &[])];

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
    let others = checked().into_iter().filter(|(_, modules, _)| modules[0] != "arch");
    let names = others.filter(|(_, _, source)| source.contains("target_arch"));
    complain(
        names.map(|(path, _, _)| format!("{} names target_arch: move that part to src/arch", shown(&path))).collect(),
    );
}

#[test]
fn a_module_with_files_of_its_own_is_a_mod_rs() {
    let with_folder = checked().into_iter().filter(|(path, ..)| path.with_extension("").is_dir());
    complain(with_folder.map(|(path, ..)| format!("{}: move it to mod.rs in its folder", shown(&path))).collect());
}

#[test]
fn every_module_begins_with_its_documentation() {
    let heads = checked().into_iter().filter(|(path, modules, _)| path.ends_with("mod.rs") || modules.len() == 1);
    let missing = heads.filter(|(_, _, source)| !source.starts_with("//!"));
    complain(missing.map(|(path, ..)| format!("{}: does not begin with `//!`", shown(&path))).collect());
}

#[test]
fn paths_are_found_wherever_they_stand() {
    // The source, its depth, and what it names: line and module.
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
        let expected: Vec<(usize, String)> = expected.iter().map(|&(line, module)| (line, module.into())).collect();
        assert_eq!(found, expected, "{source}");
    }
}

#[test]
fn verdicts() {
    let rows = [
        ("lock", "os", Ok(())),
        ("lock", "lock", Ok(())),
        ("size_class", "config", Ok(())),
        (
            "config",
            "size_class",
            Err(format!("`config` (layer 0) imports from `size_class` (layer 0), the same layer: {LEVEL}")),
        ),
        ("span", "page", Err(format!("`span` (layer 7) imports from `page` (layer 7), the same layer: {LEVEL}"))),
        ("vm", "heap", Err(format!("`vm` (layer 5) imports from `heap` (layer 8), a higher layer: {DOWN}"))),
        ("attic", "units", Err(format!("`attic` is in no layer: {ADD}"))),
        ("heap", "Allocator", Err(format!("`Allocator` is no module of a layer: {ADD}"))),
    ];
    for (from, to, expected) in rows {
        assert_eq!(verdict(from, to), expected);
    }
}
