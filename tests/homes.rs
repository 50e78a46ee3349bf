//! The homes beside the preloaded object: a static program without libc, a std program with the crate as its
//! global allocator, and a static C program on the archive. Each is built as a user would build it.

mod common;

use std::path::Path;
use std::process::{Command, Output};

use common::{Artifacts, artifacts, home, installed, run, scratch, text};
use object::Object;

fn assert_success(output: &Output) {
    assert!(output.status.success(), "{}\n{}{}", output.status, text(&output.stdout), text(&output.stderr));
}

/// The number after `word` in a program's output.
fn number(output: &str, word: &str) -> u64 {
    let line = output.lines().find_map(|line| line.strip_prefix(word)).unwrap_or_else(|| panic!("no {word}: {output}"));
    line.trim().parse().unwrap_or_else(|e| panic!("{word}: {line}: {e}"))
}

/// The exit report that a program was told to write.
fn report(path: &Path) -> serde_json::Value {
    let json = std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    serde_json::from_str(&json).unwrap_or_else(|e| panic!("{e}: {json}"))
}

fn options(report: &Path) -> String {
    format!("check:on,exit_format:json,exit_report:{}", report.display())
}

#[test]
fn a_static_program_without_libc_balances() {
    let program = home("static-nolibc").join("static-nolibc");
    let headers = std::fs::read(&program).expect("the program was built");
    let file = object::File::parse(&*headers).expect("an ELF file");
    assert_eq!(Object::kind(&file), object::ObjectKind::Executable, "not relocatable");
    assert!(Object::imports(&file).expect("a symbol table").next().is_none(), "nothing comes from a library");
    let output = run(Command::new(program).env_remove("CROSSFOOT"));
    assert_success(&output);
    assert_eq!(text(&output.stdout), "balanced\n");
}

#[test]
fn a_rust_program_with_eight_threads_balances() {
    let path = scratch().join("rust-global.json");
    let _ = std::fs::remove_file(&path);
    let output = run(Command::new(home("rust-global").join("rust-global")).env("CROSSFOOT", options(&path)));
    assert_success(&output);
    let out = text(&output.stdout);
    // 8 threads, 15 rounds, 2,000 entries of a key and a value each.
    let objects = number(&out, "objects ");
    assert_eq!(objects, 8 * 15 * 2_000 * 2);
    assert!(number(&out, "allocations ") >= objects, "{out}");
    assert!(out.ends_with("balanced\n"), "{out}");
    let report = report(&path);
    assert_eq!(report["crossfoot"], "balanced");
    assert!(report["/gc/heap/allocs:objects"].as_u64() >= Some(objects), "{report:#}");
}

#[test]
fn a_static_c_program_on_the_archive_balances() {
    let Some(gcc) = installed("gcc") else { return };
    let Artifacts { a, .. } = artifacts();
    let (program, path) = (scratch().join("c-static"), scratch().join("c-static.json"));
    let _ = std::fs::remove_file(&path);
    let source = common::root().join("tests/homes/c-static/main.c");
    let mut compile = Command::new(gcc);
    // The compiler knows `malloc` and would drop calls whose result nobody needs.
    compile.args(["-static", "-O2", "-Wall", "-fno-builtin", "-pthread", "-o"]).arg(&program).arg(source).arg(a);
    assert_success(&run(&mut compile));
    let output = run(Command::new(program).env("CROSSFOOT", options(&path)));
    assert_success(&output);
    assert_eq!(text(&output.stdout), "sound\n");
    let report = report(&path);
    assert_eq!(report["crossfoot"], "balanced");
    // 20,000 by `malloc`, and the few after them.
    assert!(report["/gc/heap/allocs:objects"].as_u64() >= Some(20_004), "{report:#}");
}
