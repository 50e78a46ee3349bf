//! Programs that allocate much memory and touch little of it: what they do not touch is not resident. And programs that
//! touch all of it, which get huge pages.

mod common;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use common::{artifacts, root, run, text};

/// The KiB by which a program may grow beyond what it touches: spans of small objects, tables of the allocator, and a
/// piece of 2 MiB less a page that may have been huge before.
const BESIDES: i64 = 3 * 1024;

/// The allocations: by which function, how many, of how many bytes.
const SPARSE: [(&str, u32, u32); 16] = [
    ("malloc", 60, 1_000_000),
    ("malloc", 20, 3_000_000),
    ("malloc", 1_000, 70_000),
    ("malloc", 10, 9_000_000),
    ("malloc", 3_000, 32_768),
    ("malloc", 2_000, 32_769),
    ("ends", 5_000, 160_000),
    ("ends", 12, 16_000_000),
    ("ends", 6, 40_000_000),
    ("calloc", 60, 1_000_000),
    ("calloc", 20, 3_000_000),
    ("realloc", 40, 3_000_000),
    ("aligned", 60, 1_000_000),
    ("mixed", 60, 1_000_000),
    ("thread", 60, 1_000_000),
    ("after", 40, 3_000_000),
];

/// Compiles `tests/sparse/NAME.c`. Returns `None` without a compiler.
fn compile_one(name: &str) -> Option<PathBuf> {
    let source = root().join(format!("tests/sparse/{name}.c"));
    common::compile("gcc", &format!("sparse-{name}"), |gcc| gcc.args(["-O1", "-pthread", "-fno-builtin"]).arg(source))
}

/// Returns the program of sparse objects, compiled once.
fn compile() -> Option<&'static Path> {
    static PROGRAM: OnceLock<Option<PathBuf>> = OnceLock::new();
    PROGRAM.get_or_init(|| compile_one("sparse")).as_deref()
}

/// Returns the output of the program of sparse objects.
fn answer(program: &Path, options: &str, how: &str, count: u32, size: u32) -> String {
    printed(program, options, &[how, &count.to_string(), &size.to_string()])
}

/// Returns the output of a program on the shared object.
fn printed(program: &Path, options: &str, arguments: &[&str]) -> String {
    let mut command = Command::new("timeout");
    command.args(["--kill-after=10", "60", "env"]).arg(format!("CROSSFOOT={options}"));
    command.arg(format!("LD_PRELOAD={}", artifacts().so.display()));
    let output = run(command.arg(program).args(arguments));
    assert!(output.status.success(), "{arguments:?}: {} {}", output.status, text(&output.stderr));
    text(&output.stdout).trim().to_string()
}

fn two_numbers(answer: &str) -> (i64, i64) {
    let (first, second) = answer.split_once(' ').unwrap_or_else(|| panic!("two numbers: {answer}"));
    (first.parse().expect("a number"), second.parse().expect("a number"))
}

#[test]
fn untouched_memory_is_not_resident() {
    let Some(program) = compile() else { return };
    for (how, count, size) in SPARSE {
        let (grown, touched) = two_numbers(&answer(program, "", how, count, size));
        assert!(touched >= 4 * i64::from(count), "{how} touched {touched} KiB only");
        let most = touched * 13 / 10 + BESIDES;
        assert!(grown <= most, "{how}, {count} of {size} bytes: {touched} KiB touched, grown by {grown} KiB");
    }
}

#[test]
fn touched_memory_gets_huge_pages() {
    let Some(program) = compile() else { return };
    for (count, size) in [(300_000, 200), (2_000, 50_000), (80, 1_000_000), (20, 8_000_000)] {
        let answer = answer(program, "", "dense", count, size);
        if answer == "no huge pages" {
            println!("skipped: the kernel gives no huge pages");
            return;
        }
        let (huge, all) = two_numbers(&answer);
        assert!(huge >= all / 2, "{count} of {size} bytes: {huge} of {all} KiB in huge pages");
    }
}

#[test]
fn with_huge_pages_off_there_are_none() {
    let Some(program) = compile() else { return };
    let answer = answer(program, "huge_pages:off", "dense", 20, 8_000_000);
    if answer == "no huge pages" {
        println!("skipped: the kernel gives no huge pages");
        return;
    }
    assert!(two_numbers(&answer).0 <= 2048, "{answer}");
}

#[test]
fn objects_larger_than_memory_are_refused_and_cost_little() {
    let Some(program) = compile_one("refused") else { return };
    let policy = std::fs::read_to_string("/proc/sys/vm/overcommit_memory").unwrap_or_default();
    if policy.trim() != "0" {
        println!("skipped: the system refuses by another policy than the default one: {policy}");
        return;
    }
    for threads in [1, 8] {
        let answer = printed(&program, "", &[&threads.to_string(), "10"]);
        let numbers: Vec<u64> = answer.split(' ').map(|n| n.parse().expect("a number")).collect();
        let [largest, memory, ms] = numbers[..] else { panic!("three numbers: {answer}") };
        // Memory that several threads freed is adjacent, and may become one object larger than memory.
        assert!(threads > 1 || largest <= memory, "{largest} MiB were given, of memory and swap of {memory}");
        // Seconds where a request costs time for each of its megabytes, and some tens of milliseconds otherwise.
        assert!(ms < 2_000, "{threads} threads took {ms} ms of CPU time");
    }
}
