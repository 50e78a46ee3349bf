//! Processes with few mappings or little address space left, or with locked memory: small programs with the preloaded
//! object.

mod common;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use common::{artifacts, installed, root, run, text, try_compile};

/// Compiles `tests/mappings/NAME.c`. Returns `None` without a compiler.
fn compile(name: &str, flags: &[&str]) -> Option<PathBuf> {
    let source = root().join("tests/mappings").join(format!("{name}.c"));
    common::compile("gcc", &format!("mappings-{name}"), |gcc| {
        gcc.args(["-O1", "-g", "-pthread", "-fno-builtin"]).args(flags).arg(source)
    })
}

/// Runs a program under the shared object, with `options`.
fn preloaded(program: &Path, arguments: &[&str], options: &str) -> Output {
    let mut command = Command::new("timeout");
    command.args(["--kill-after=10", "60", "env"]).arg(format!("CROSSFOOT={options}"));
    command.arg(format!("LD_PRELOAD={}", artifacts().so.display()));
    run(command.arg(program).args(arguments))
}

/// Returns the output of a program that exited with status 0. Fails otherwise.
fn printed(output: &Output, what: &str) -> String {
    assert!(output.status.success(), "{what}: {} {}{}", output.status, text(&output.stdout), text(&output.stderr));
    text(&output.stdout).trim().to_string()
}

#[test]
fn an_object_that_cannot_move_by_its_pages_is_whole() {
    let Some(program) = compile("moves", &[]) else { return };
    for options in ["", "check:on"] {
        for how in ["filter", "limit", "maps"] {
            let output = preloaded(&program, &[how], options);
            let answer = printed(&output, how);
            assert!(["moved", "null"].contains(&answer.as_str()), "{how}: the object was to move: {answer}");
        }
    }
}

#[test]
fn a_process_without_mappings_left_gets_memory_all_the_same() {
    let Some(program) = compile("used_up", &[]) else { return };
    for options in ["", "check:on"] {
        let output = preloaded(&program, &[], options);
        assert_eq!(
            printed(&output, options),
            "0 0 0",
            "small objects, a large one, and one that grows: how many were null"
        );
    }
}

#[test]
fn locked_memory_has_room_below_the_usual_limit() {
    let Some(program) = compile("locked", &[]) else { return };
    // The usual limit of distributions.
    let output = preloaded(&program, &["8", "before"], "");
    if output.status.code() == Some(77) {
        eprintln!("skipped: the limit of locked memory cannot be set to 8 MiB");
        return;
    }
    assert_eq!(printed(&output, "before"), "0 0 0", "two calls of mlockall, and how many requests were null");
}

#[test]
fn little_address_space_is_enough_for_the_first_objects() {
    let Some(program) = compile("scarce", &[]) else { return };
    for options in ["", "check:on"] {
        let output = preloaded(&program, &["2048"], options);
        assert_eq!(printed(&output, options), "0", "how many of 101 objects were null, with 2 MiB left");
    }
}

/// The heap's base and the virtual size in MiB, as `foreign.c` prints them.
fn base_and_size(program: &Path, options: &str) -> (u64, u64) {
    let out = printed(&preloaded(program, &[], options), options);
    let (base, size) = out.split_once(' ').expect("two numbers");
    let base = u64::from_str_radix(base.trim_start_matches("0x"), 16).expect("an address");
    (base, size.parse().expect("a number"))
}

#[test]
fn any_address_may_be_looked_up_wherever_the_heap_is() {
    let Some(program) = compile("foreign", &[]) else { return };
    for base in [0x10_0000_0000, 0xc0_0000_0000_u64, 0x1000_0000_0000] {
        let (found, _) = base_and_size(&program, &format!("heap_base:{base:#x}"));
        assert_eq!(found, base, "the option says where the heap begins");
    }
    let bases: Vec<u64> = (0..4)
        .map(|i| {
            let (base, size) = base_and_size(&program, if i % 2 == 0 { "" } else { "check:on" });
            assert!((0x10_0000_0000..0x40_0000_0000).contains(&base), "{base:#x}");
            assert!(size < 1_100, "{size} MiB of address space");
            base
        })
        .collect();
    // Four equal addresses occur once in 2.9e10 runs.
    assert!(bases.iter().any(|&base| base != bases[0]), "{bases:x?}");
}

#[test]
fn an_impossible_heap_base_is_reported_and_ignored() {
    let Some(program) = compile("threads", &[]) else { return };
    for wrong in ["heap_base:0x1000000001", "heap_base:17", "heap_base:0x4000000", "heap_base:0x7f0000000000"] {
        let output = preloaded(&program, &[], wrong);
        assert_eq!(printed(&output, wrong), "sound");
        let told = text(&output.stderr);
        assert!(told.contains("crossfoot: CROSSFOOT: heap_base takes random|0x1000000000..=0x100000000000"), "{told}");
    }
}

#[test]
fn programs_with_thread_sanitizer_run_as_children() {
    let Some(shell) = installed("sh") else { return };
    let source = root().join("tests/mappings/threads.c");
    let flags = ["-fsanitize=thread", "-O1", "-fno-builtin"];
    let Some(compiled) = try_compile("gcc", "mappings-sanitized", |gcc| gcc.args(flags).arg(source)) else { return };
    let Ok(out) = compiled else { return common::skipped("the library of ThreadSanitizer") };
    // If addresses have more random bits than ThreadSanitizer supports, its programs do not start.
    let plain = run(Command::new("timeout").arg("60").arg(&out));
    if !plain.status.success() {
        eprintln!("skipped: ThreadSanitizer does not start here: {}", text(&plain.stderr));
        return;
    }
    for _ in 0..4 {
        let output = preloaded(&shell, &["-c", &format!("'{}'; exit $?", out.display())], "");
        assert_eq!(printed(&output, "a child of sh"), "sound");
    }
}
