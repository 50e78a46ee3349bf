//! The environments beside the preloaded object: a static program without libc, a std program with the crate as its
//! global allocator, a static C program and C++ programs on the archive. Each is built as a user would build it.

mod common;

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use common::{Artifacts, artifacts, compile, run, scratch, target, text};
use object::{Object, ObjectSegment};

fn assert_success(output: &Output) {
    assert!(output.status.success(), "{}\n{}{}", output.status, text(&output.stdout), text(&output.stderr));
}

/// Returns the number after `word` in a program's output.
fn number(output: &str, word: &str) -> u64 {
    let line = output.lines().find_map(|line| line.strip_prefix(word)).unwrap_or_else(|| panic!("no {word}: {output}"));
    line.trim().parse().unwrap_or_else(|e| panic!("{word}: {line}: {e}"))
}

/// Returns the exit report of a program.
fn report(path: &Path) -> serde_json::Value {
    let json = std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    serde_json::from_str(&json).unwrap_or_else(|e| panic!("{e}: {json}"))
}

fn options(report: &Path) -> String {
    format!("check:on,exit_format:json,exit_report:{}", report.display())
}

#[test]
fn a_static_program_without_libc_balances() {
    let program = target("static-nolibc").join("static-nolibc");
    let headers = std::fs::read(&program).expect("the program was built");
    let file = object::File::parse(&*headers).expect("an ELF file");
    assert_eq!(Object::kind(&file), object::ObjectKind::Executable, "not relocatable");
    assert!(Object::imports(&file).expect("a symbol table").next().is_none(), "nothing comes from a library");
    // `linker/static.ld`: constants, code, data.
    let loaded: Vec<_> = file.segments().map(|segment| segment.permissions()).collect();
    assert_eq!(loaded.len(), 3, "{loaded:?}");
    assert!(loaded.iter().all(|rights| !(rights.writable() && rights.executable())), "{loaded:?}");
    let output = run(Command::new(program).env_remove("CROSSFOOT"));
    assert_success(&output);
    assert_eq!(text(&output.stdout), "balanced\n");
}

#[test]
fn a_rust_program_with_eight_threads_balances() {
    let path = scratch().join("rust-global.json");
    let _ = std::fs::remove_file(&path);
    let output = run(Command::new(target("rust-global").join("rust-global")).env("CROSSFOOT", options(&path)));
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
    let path = scratch().join("c-static.json");
    let source = common::root().join("tests/targets/c-static/main.c");
    // The compiler knows `malloc` and would drop calls with unused results.
    let flags = ["-static", "-O2", "-Wall", "-fno-builtin", "-pthread"];
    let program = compile("gcc", "c-static", |gcc| gcc.args(flags).arg(source).arg(&artifacts().a));
    let Some(program) = program else { return };
    let output = run(Command::new(program).env("CROSSFOOT", options(&path)));
    assert_success(&output);
    assert_eq!(text(&output.stdout), "sound\n");
    let report = report(&path);
    assert_eq!(report["crossfoot"], "balanced");
    // 20,000 by `malloc`, and the few after them.
    assert!(report["/gc/heap/allocs:objects"].as_u64() >= Some(20_004), "{report:#}");
}

/// Compiles a C++ program of `tests/targets/cxx` with `arguments` after its source. Returns `None` without a compiler.
fn cxx(source: &str, out: &str, arguments: &[&OsStr]) -> Option<PathBuf> {
    let source = common::root().join("tests/targets/cxx").join(source);
    compile("g++", out, |gxx| {
        gxx.args(["-std=c++17", "-O1", "-Wall", "-Wextra", "-Werror", "-Wl,--fatal-warnings"]);
        // The compiler may drop an unused allocation.
        gxx.args(["-Wno-sized-deallocation", "-fno-builtin", "-pthread"]).arg(source).args(arguments)
    })
}

/// Runs a C++ program in three ways: under the shared object, with the archive, static with the archive.
fn in_three_ways(name: &str, archive: &[&str], check: impl Fn(&str, &str)) {
    let Artifacts { a, so, .. } = artifacts();
    let source = format!("{name}.cc");
    let program = |way: &str, arguments: &[&str]| {
        let mut arguments: Vec<_> = arguments.iter().map(OsStr::new).collect();
        if way != "preloaded" {
            arguments.extend(archive.iter().map(OsStr::new));
            arguments.push(a.as_os_str());
        }
        cxx(&source, &format!("cxx-{name}-{way}"), &arguments)
    };
    for (way, arguments) in [("preloaded", &[][..]), ("linked", &[]), ("static", &["-static"])] {
        let Some(program) = program(way, arguments) else { return };
        let path = scratch().join(format!("cxx-{name}-{way}.json"));
        let _ = std::fs::remove_file(&path);
        let mut command = Command::new("timeout");
        command.args(["60", "env"]).arg(format!("CROSSFOOT={}", options(&path)));
        if way == "preloaded" {
            command.arg(format!("LD_PRELOAD={}", so.display()));
        }
        let output = run(command.arg(program));
        assert!(output.status.success(), "{way}: {}\n{}{}", output.status, text(&output.stdout), text(&output.stderr));
        assert_eq!(report(&path)["crossfoot"], "balanced", "{way}");
        check(way, &text(&output.stdout));
    }
}

#[test]
fn every_operator_of_cxx_does_what_the_standard_says() {
    in_three_ways("main", &[], |way, out| {
        assert!(out.lines().all(|line| line.starts_with("right ")), "{way}: {out}");
        assert_eq!(out.lines().count(), 23, "{way}: {out}");
    });
}

#[test]
fn operators_that_a_program_replaces_serve_those_it_does_not() {
    // The program's operators come first, if the linker accepts duplicates.
    in_three_ways("replaced", &["-Wl,-z,muldefs"], |way, out| {
        assert_eq!(out, "made 5, freed 5, null\n", "{way}");
    });
}

#[test]
fn a_cxx_library_that_is_loaded_late_is_found_to_throw() {
    let Some(loaded) = cxx("loaded.cc", "loaded.so", &["-shared", "-fPIC"].map(OsStr::new)) else { return };
    let source = common::root().join("tests/targets/cxx/loader.c");
    let Some(loader) = compile("gcc", "cxx-loader", |gcc| gcc.arg(source)) else { return };
    let mut command = Command::new("timeout");
    command.args(["60", "env"]).arg(format!("LD_PRELOAD={}", artifacts().so.display())).arg(loader).arg(loaded);
    let output = run(&mut command);
    assert_success(&output);
    assert_eq!(text(&output.stdout), "bad_alloc\n");
}

#[test]
fn without_an_exception_runtime_new_ends_with_a_line() {
    use std::os::unix::process::ExitStatusExt;
    let source = common::root().join("tests/targets/cxx/alone.c");
    let Some(program) = compile("gcc", "cxx-alone", |gcc| gcc.arg(source)) else { return };
    let output = run(Command::new(program).env("LD_PRELOAD", &artifacts().so).env_remove("CROSSFOOT"));
    assert_eq!(output.status.signal(), Some(6), "{}", output.status);
    assert_eq!(text(&output.stdout), "an object\n");
    assert_eq!(text(&output.stderr), "crossfoot: operator new(4611686018427387903): out of memory\n");
}
