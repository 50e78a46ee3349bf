//! The golden record of the fast path: executed instructions of small `malloc` and `free`, from the entry
//! symbol to its `ret`, counted by callgrind.
//!
//! A change of the record must be seen in review: a difference from `tests/golden/fast_path.txt` fails,
//! and `CROSSFOOT_BLESS=1` writes the file anew. The drivers are in `tests/targets/golden`.

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The limits: a call on the fast path executes at most this many instructions, by API and function.
const BARS: [(&str, &str, u64); 8] = [
    ("c", "malloc", 15),
    ("c", "free", 18),
    ("rust", "malloc", 15),
    ("rust", "free", 15),
    ("known", "malloc", 11),
    ("known", "free", 15),
    ("nolto", "malloc", 19),
    ("nolto", "free", 16),
];
/// The limits of the cost of statistics for a pair of calls: instructions on the fast path, and hundredths of them on
/// average over a long run.
///
/// In the long run, objects of 1 KiB are refilled four at a time and cost most: 6.0 of 66 was measured. Each refill
/// labels the counts of its class: `docs/decisions/0024-readers-look-at-tallies.md`.
const BOOKS: u64 = 2;
const BOOKS_MEAN: u64 = 610;
/// The calls of each function in the driver's long run, as defined there.
const LONG: u64 = 43_520;
/// The tolerance of the mean of the long run, in percent. It contains slow paths, whose number depends a little on
/// earlier allocations.
const SLACK: u64 = 1;

const HEAD: &str = "\
# Executed instructions of small objects' malloc and free, counted by callgrind in release builds for x86-64.
# Written by `cargo xtask golden --bless`; compared by tests/process_golden.rs.
#
# face: c is the preloaded libcrossfoot.so, rust a program with the crate as its global allocator, known the same where
# the compiler knows the size, nolto the program of rust built by cargo's own release profile (no LTO, 16 codegen units),
# booksoff the first one built without statistics, which is not shipped.
# order: pair frees each object at once; lifo and fifo keep 16.
# malloc, free: one call on the fast path, from the entry symbol to its ret. Exact.
# mean: 100 calls of both, slow paths included. Compared with 1 % of slack.
#
# face function size pair lifo fifo
";

/// The counts of an API, and the program that calls it.
struct Face {
    name: &'static str,
    program: PathBuf,
    argument: &'static str,
    entries: [&'static str; 2],
    preload: Option<PathBuf>,
}

fn golden_file() -> PathBuf {
    common::root().join("tests/golden/fast_path.txt")
}

/// Runs a driver under callgrind. Returns label and instructions of each part of its record.
fn count(valgrind: &Path, face: &Face) -> Vec<(String, u64)> {
    let out = common::scratch().join(format!("callgrind.{}.{}", face.name, std::process::id()));
    let mut command = Command::new(valgrind);
    command.args(["--tool=callgrind", "--combine-dumps=yes"]).arg(format!("--callgrind-out-file={}", out.display()));
    command.args(face.entries.map(|entry| format!("--toggle-collect={entry}"))).arg(&face.program).arg(face.argument);
    // Readings for the stats page depend on the clock: a busy machine makes more of them.
    command.env("CROSSFOOT", "stats_page:off");
    if let Some(so) = &face.preload {
        command.env("LD_PRELOAD", so);
    }
    let output = common::run(&mut command);
    assert!(output.status.success(), "{command:?}: {}\n{}", output.status, common::text(&output.stderr));
    let record = std::fs::read_to_string(&out).expect("callgrind wrote its record");
    let _ = std::fs::remove_file(&out);
    parts(&record)
}

/// Returns label and sum of each part of a callgrind record that is cut by client requests.
fn parts(record: &str) -> Vec<(String, u64)> {
    let mut label = None;
    let mut parts = Vec::new();
    for line in record.lines() {
        if let Some(trigger) = line.strip_prefix("desc: Trigger: ") {
            label = trigger.strip_prefix("Client Request: ").map(str::to_owned);
        } else if let Some(sum) = line.strip_prefix("summary: ")
            && let Some(label) = label.take()
        {
            parts.push((label, sum.trim().parse().expect("a summary is a number")));
        }
    }
    parts
}

/// Returns the lines of the record: for calls the most frequent number, for long runs the mean.
fn lines(parts: Vec<(String, u64)>) -> BTreeMap<String, u64> {
    let mut calls: BTreeMap<String, BTreeMap<u64, usize>> = BTreeMap::new();
    let mut lines = BTreeMap::new();
    for (label, sum) in parts {
        let (key, what) = label.rsplit_once(' ').expect("a label has five words");
        if what == "long" {
            // The minimum of several: readings for the stats page depend on the clock, and valgrind is slow.
            let mean = sum * 100 / LONG;
            lines.entry(key.to_owned()).and_modify(|least: &mut u64| *least = mean.min(*least)).or_insert(mean);
        } else {
            *calls.entry(key.to_owned()).or_default().entry(sum).or_default() += 1;
        }
    }
    for (key, sums) in calls {
        let (&sum, &most) = sums.iter().max_by_key(|&(_, &n)| n).expect("a key has a call");
        assert!(most * 2 > sums.values().sum(), "{key}: no number of instructions is usual: {sums:?}");
        lines.insert(key, sum);
    }
    lines
}

/// Returns all measurements, or `None` without valgrind.
fn measure() -> Option<BTreeMap<String, u64>> {
    let valgrind = common::installed("valgrind")?;
    let (folder, plain) = (common::target("golden"), common::plain_target("golden"));
    let so = Some(common::artifacts().so.clone());
    let off = Some(common::without_books());
    let faces = [
        Face { name: "c", program: folder.join("c_face"), argument: "", entries: ["malloc", "free"], preload: so },
        Face {
            name: "rust",
            program: folder.join("rust_face"),
            argument: "",
            entries: ["probe_malloc", "probe_free"],
            preload: None,
        },
        Face {
            name: "known",
            program: folder.join("rust_face"),
            argument: "known",
            entries: ["known_malloc_*", "known_free_*"],
            preload: None,
        },
        Face {
            name: "nolto",
            program: plain.join("rust_face"),
            argument: "",
            entries: ["probe_malloc", "probe_free"],
            preload: None,
        },
        Face {
            name: "booksoff",
            program: folder.join("c_face"),
            argument: "",
            entries: ["malloc", "free"],
            preload: off,
        },
    ];
    let named = |face: &Face| {
        // The first word of a label is the API.
        let rename = |(key, n): (String, u64)| (format!("{} {}", face.name, key.split_once(' ').unwrap().1), n);
        lines(count(&valgrind, face)).into_iter().map(rename).collect::<Vec<_>>()
    };
    Some(faces.iter().flat_map(named).collect())
}

/// The orders of frees, the columns of the record.
const ORDERS: [&str; 3] = ["pair", "lifo", "fifo"];

fn print(measured: &BTreeMap<String, u64>) -> String {
    let mut text = HEAD.to_owned();
    let size = |row: &str| row.rsplit_once(' ').and_then(|(_, size)| size.parse::<u64>().ok());
    let rows: BTreeSet<&str> = measured.keys().filter_map(|key| Some(key.rsplit_once(' ')?.0)).collect();
    let mut rows: Vec<&str> = rows.into_iter().collect();
    rows.sort_by_key(|row| (row.split(' ').take(2).collect::<Vec<_>>(), size(row)));
    for row in rows {
        let counts = ORDERS.map(|order| measured.get(&format!("{row} {order}")).map_or(String::new(), u64::to_string));
        let _ = writeln!(text, "{row} {}", counts.join(" "));
    }
    text
}

fn read(text: &str) -> BTreeMap<String, u64> {
    let mut golden = BTreeMap::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let words: Vec<&str> = line.split(' ').collect();
        let [face, function, size, counts @ ..] = words.as_slice() else { continue };
        for (order, count) in ORDERS.iter().zip(counts) {
            golden.insert(format!("{face} {function} {size} {order}"), count.parse().unwrap_or(0));
        }
    }
    golden
}

/// Returns the differences from the record, a line for each row.
fn differences(measured: &BTreeMap<String, u64>, golden: &BTreeMap<String, u64>) -> Vec<String> {
    let mut found = Vec::new();
    for (key, &now) in measured {
        let slack = |was: u64| if key.contains(" mean ") { was * SLACK / 100 } else { 0 };
        match golden.get(key) {
            Some(&was) if now.abs_diff(was) <= slack(was) => {}
            Some(was) => found.push(format!("{key}: {now}, the record says {was}")),
            None => found.push(format!("{key}: {now}, not in the record")),
        }
    }
    found.extend(golden.keys().filter(|key| !measured.contains_key(*key)).map(|key| format!("{key}: not measured")));
    found
}

#[test]
fn the_fast_path_is_as_recorded() {
    let Some(measured) = measure() else { return };
    let expected = 5 * 3 * 7 * 3;
    assert_eq!(measured.len(), expected, "faces, functions, sizes and orders that were measured");
    let file = golden_file();
    if std::env::var_os("CROSSFOOT_BLESS").is_some_and(|v| v == "1") {
        std::fs::write(&file, print(&measured)).expect("the golden file can be written");
    }
    let golden = read(&std::fs::read_to_string(&file).unwrap_or_default());
    let found = differences(&measured, &golden);
    assert!(
        found.is_empty(),
        "the fast path changed:\n  {}\nIf that is meant: CROSSFOOT_BLESS=1 cargo test --test process_golden, and say why in the commit.",
        found.join("\n  ")
    );
    for (face, function, bar) in BARS {
        let row = format!("{face} {function} ");
        for (key, &count) in measured.iter().filter(|(key, _)| key.starts_with(&row)) {
            assert!(count <= bar, "{key}: {count} instructions, the bar is {bar}");
        }
    }
    for (key, &without) in measured.iter().filter_map(|(key, n)| Some((key.strip_prefix("booksoff ")?, n))) {
        // A pair on the fast path, and in the long run, in which slow paths post.
        let (with, bar) = match key.strip_prefix("free ") {
            Some(rest) => {
                let sum = |face: &str| {
                    ["malloc", "free"].map(|f| measured[&format!("{face} {f} {rest}")]).iter().sum::<u64>()
                };
                (sum("c").saturating_sub(sum("booksoff")) * 100, BOOKS * 100)
            }
            None if key.starts_with("mean ") => (measured[&format!("c {key}")].saturating_sub(without), BOOKS_MEAN),
            None => continue,
        };
        assert!(
            with <= bar,
            "{key}: the books cost {with} hundredths of an instruction for each pair, the bar is {bar}"
        );
    }
}

#[test]
fn a_difference_is_found() {
    let map = |rows: &[(&str, u64)]| rows.iter().map(|&(k, n)| (k.to_owned(), n)).collect::<BTreeMap<_, _>>();
    let golden = map(&[("c malloc 8 pair", 16), ("c mean 8 pair", 3800)]);
    assert!(differences(&golden, &golden).is_empty());
    assert!(differences(&map(&[("c malloc 8 pair", 16), ("c mean 8 pair", 3838)]), &golden).is_empty());
    assert_eq!(
        differences(&map(&[("c malloc 8 pair", 17), ("c mean 8 pair", 3839)]), &golden),
        ["c malloc 8 pair: 17, the record says 16", "c mean 8 pair: 3839, the record says 3800"]
    );
    assert_eq!(
        differences(&map(&[("c free 8 pair", 21), ("c mean 8 pair", 3800)]), &golden),
        ["c free 8 pair: 21, not in the record", "c malloc 8 pair: not measured"]
    );
}

#[test]
fn what_is_printed_is_read_back() {
    let map = read("# a comment\nc malloc 8 16 17 18\nc malloc 16 19 20 21\nrust free 8 1 2 3\n");
    assert_eq!(map.len(), 9);
    assert_eq!(map["c malloc 8 lifo"], 17);
    assert_eq!(read(&print(&map)), map);
    assert!(print(&map).ends_with("fifo\nc malloc 8 16 17 18\nc malloc 16 19 20 21\nrust free 8 1 2 3\n"));
}

#[test]
fn a_record_is_read_as_callgrind_writes_it() {
    let record = "desc: Trigger: Client Request: c malloc 8 pair call\nevents: Ir\nsummary: 16\ntotals: 16\n\
                  desc: Trigger: Program termination\nsummary: 84\n";
    assert_eq!(parts(record), [("c malloc 8 pair call".to_owned(), 16)]);
}
