//! The prose of comments: which words they lean on, and how doc comments begin.
//!
//! This is a guard against slipping back. It counts words and cannot tell a clear sentence from an obscure one.

use std::fs;
use std::path::{Path, PathBuf};

/// The trees whose comments are counted.
const TREES: [&str; 3] = ["src", "preload", "cli"];

/// Pronouns that stand for a thing or a part of the program that has a name.
const PRONOUNS: [&str; 7] = ["who", "whose", "whoever", "whom", "nobody", "somebody", "anybody"];

/// The largest share of comment lines with a pronoun, in percent, of a file and of all. A file may always have one.
const MOST_PERCENT: usize = 1;

/// First lines of doc comments that begin with "What", "Whether … or" or "Says" and are the clearest form.
const ALLOWED: [&str; 0] = [];

/// A comment line: its number, from 1, whether it is a doc comment's first line, and its text.
struct Line<'a> {
    number: usize,
    begins_doc: bool,
    text: &'a str,
}

/// Returns the comment lines of Rust source. A comment behind code counts if spaces stand around its `//`.
fn comments(source: &str) -> Vec<Line<'_>> {
    let mut lines = Vec::new();
    let mut in_doc = false;
    for (index, line) in source.lines().enumerate() {
        let line = line.trim_start();
        let doc = line.strip_prefix("///").or_else(|| line.strip_prefix("//!"));
        let text = doc.or_else(|| line.strip_prefix("//")).or_else(|| line.split_once(" // ").map(|(_, text)| text));
        if let Some(text) = text {
            lines.push(Line { number: index + 1, begins_doc: doc.is_some() && !in_doc, text: text.trim() });
        }
        in_doc = doc.is_some();
    }
    lines
}

/// Returns whether a line has one of the pronouns.
fn leans(text: &str) -> bool {
    let words = text.split(|c: char| !c.is_alphanumeric() && c != '_' && c != '\'');
    words.map(|word| word.trim_end_matches("'s").to_lowercase()).any(|word| PRONOUNS.contains(&word.as_str()))
}

/// Returns whether a doc comment begins in a way that says neither what a thing is nor what a function does.
fn begins_badly(text: &str) -> bool {
    let choice = text.starts_with("Whether ") && text.split('.').next().is_some_and(|first| first.contains(" or "));
    let bad = text.starts_with("What ") || text.starts_with("Says ") || choice;
    bad && !ALLOWED.contains(&text)
}

/// Returns every Rust file below `folder` that belongs to the project.
fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).expect("the folder can be read") {
        let path = entry.expect("an entry").path();
        if path.is_dir() && path.file_name().is_some_and(|name| name != "target") {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files.sort();
    files
}

/// Returns the faults of one file's comments, the number of its comment lines, and of those with a pronoun.
fn faults(name: &str, source: &str) -> (Vec<String>, usize, usize) {
    let lines = comments(source);
    let leaning: Vec<_> = lines.iter().filter(|line| leans(line.text)).collect();
    let most = (lines.len() * MOST_PERCENT / 100).max(1);
    let mut faults = Vec::new();
    if leaning.len() > most {
        let at: Vec<_> = leaning.iter().map(|line| line.number.to_string()).collect();
        faults.push(format!("{name}: {} of {} comment lines: {}", leaning.len(), lines.len(), at.join(", ")));
    }
    for line in lines.iter().filter(|line| line.begins_doc && begins_badly(line.text)) {
        faults.push(format!("{name}:{}: begins a doc comment: {}", line.number, line.text));
    }
    (faults, lines.len(), leaning.len())
}

#[test]
fn comments_name_things_by_their_names() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (mut all, mut leaning, mut found) = (0, 0, Vec::new());
    for file in TREES.iter().flat_map(|tree| rust_files(&root.join(tree))) {
        let name = file.strip_prefix(root).expect("a file of the project").display().to_string();
        let (faults, lines, with) = faults(&name, &fs::read_to_string(&file).expect("a source file"));
        (all, leaning) = (all + lines, leaning + with);
        found.extend(faults);
    }
    assert!(all > 5_000, "{all} comment lines are not all of the project's");
    if leaning * 100 > all * MOST_PERCENT {
        found.push(format!("{leaning} of all {all} comment lines; the most is {MOST_PERCENT} %"));
    }
    let found = (found.len(), found.join("\n"));
    assert!(
        found.0 == 0,
        "{} faults. Name the thing instead of {PRONOUNS:?}; begin with a verb:\n{}",
        found.0,
        found.1
    );
}

#[test]
fn faults_are_found() {
    let source = "/// What is freed.\n/// Whether it is, or not.\nfn f() {} // whoever calls\n\n/// Says by what.\n\
                  /// Whether a\n/// or b.\nfn g() {}\n/// Whether a or b.\nfn h() {}\n//! Nobody's.\n";
    let (found, all, leaning) = faults("f.rs", source);
    assert_eq!((all, leaning), (8, 2));
    let places: Vec<_> = found.iter().map(|fault| fault.split(": ").next().unwrap_or_default()).collect();
    assert_eq!(places, ["f.rs", "f.rs:1", "f.rs:5", "f.rs:9"]);
}
