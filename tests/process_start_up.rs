//! The cost of the preloaded object, against the same process without it: system calls, private memory, and the loaded
//! part of the file. `docs/decisions/0012-start-up.md` explains each figure. Times are in the bench.

mod common;

use std::path::{Path, PathBuf};
use std::process::Command;

use object::elf;
use object::read::elf::{ElfFile64, FileHeader, ProgramHeader};
use object::{Endianness, Object, ObjectSection};

use common::{artifacts, installed, root, run, scratch, text};

/// A process's work, and the limits of its additional system calls and KiB of private memory. A page or two above the
/// measured values: libcs and stack addresses differ.
const BARS: [(&str, i64, i64); 3] = [("nothing", 11, 24), ("objects", 40, 108), ("threads", 12, 190)];

/// The limits of the loaded bytes of the file, and of those that are writable data.
const LOADED: u64 = 448 * 1024;
const WRITTEN: u64 = 1024;

/// Returns a command for the program, with the object or without.
fn command(program: &Path, what: &str, preload: Option<&Path>) -> Command {
    let mut command = Command::new(program);
    command.arg(what).env_clear();
    if let Some(object) = preload {
        command.env("LD_PRELOAD", object);
    }
    command
}

/// The program, compiled once for all tests of this process.
fn compile() -> Option<PathBuf> {
    let source = root().join("tests/start_up/program.c");
    common::compile("gcc", "start-up", |gcc| gcc.args(["-O1", "-pthread", "-fno-builtin-malloc"]).arg(source))
}

/// Returns the KiB of private pages.
fn own_memory(program: &Path, what: &str, preload: Option<&Path>) -> i64 {
    let output = run(&mut command(program, what, preload));
    assert!(output.status.success(), "{what}: {output:?}");
    text(&output.stdout).parse().expect("a number")
}

/// Returns the number of system calls of the process, or `None` if strace may not trace.
fn calls(tracer: &Path, program: &Path, what: &str, preload: Option<&Path>) -> Option<i64> {
    let log = scratch().join("start-up.calls");
    let mut traced = Command::new(tracer);
    traced.args(["-f", "-qq", "-e", "signal=none", "-o"]).arg(&log).env_clear();
    if let Some(object) = preload {
        traced.arg("-E").arg(format!("LD_PRELOAD={}", object.display()));
    }
    let output = run(traced.arg(program).arg(what));
    if !output.status.success() {
        common::skipped("a system on which strace may trace");
        return None;
    }
    let log = std::fs::read_to_string(log).expect("strace wrote its log");
    // A call that another thread interrupts has two lines.
    Some(log.lines().filter(|line| !line.contains(" resumed>") && line.contains('(')).count() as i64)
}

#[test]
fn a_process_makes_few_system_calls_more() {
    let (Some(tracer), Some(program)) = (installed("strace"), compile()) else { return };
    for (what, most, _) in BARS {
        let object = Some(artifacts().so.as_path());
        let Some(plain) = calls(&tracer, &program, what, None) else { return };
        let Some(with) = calls(&tracer, &program, what, object) else { return };
        assert!(what != "nothing" || with > plain, "{with} system calls, {plain} without: the object was not loaded");
        assert!(with - plain <= most, "{what}: {} system calls more than without, at most {most}", with - plain);
    }
}

#[test]
fn a_process_has_little_more_memory_of_its_own() {
    let Some(program) = compile() else { return };
    for (what, _, most) in BARS {
        // The minimum of some: the stack of one in five processes has a page more.
        let least = |preload| (0..16).map(|_| own_memory(&program, what, preload)).min().unwrap_or_default();
        let (plain, with) = (least(None), least(Some(artifacts().so.as_path())));
        assert!(with > plain, "{what}: {with} KiB, {plain} KiB without: the object was not loaded");
        assert!(with - plain <= most, "{what}: {} KiB more than without, at most {most}", with - plain);
    }
}

#[test]
fn little_of_the_file_is_loaded_and_a_new_allocator_is_zeros() {
    let bytes = std::fs::read(&artifacts().so).expect("the shared object was built");
    let file = ElfFile64::<Endianness>::parse(&*bytes).expect("a 64-bit ELF file");
    let headers = file.elf_header().program_headers(file.endian(), &*bytes).expect("program headers");
    let parts = headers.iter().filter(|header| header.p_type(file.endian()) == elf::PT_LOAD);
    let loaded: u64 = parts.map(|part| part.p_filesz(file.endian())).sum();
    assert!((1..=LOADED).contains(&loaded), "{loaded} bytes of the file are loaded, at most {LOADED}");
    let size = |name: &str| file.section_by_name(name).map_or(0, |section| section.size());
    assert!(size(".bss") > 32 * 1024, "the kernel is not among what is zero at first");
    assert!(size(".data") <= WRITTEN, "{} bytes are copied from the file, at most {WRITTEN}", size(".data"));
}
