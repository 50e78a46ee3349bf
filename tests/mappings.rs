//! Processes that have few mappings or little address space left, or have locked their memory: small programs under the
//! preloaded object.

mod common;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use common::{artifacts, installed, root, run, scratch, text};

/// Compiles `tests/mappings/NAME.c`. `None`: there is no compiler, which was said aloud.
fn compile(name: &str, flags: &[&str]) -> Option<PathBuf> {
    let compiler = installed("gcc")?;
    let out = scratch().join(format!("mappings-{name}"));
    let mut command = Command::new(compiler);
    command.args(["-O1", "-g", "-pthread", "-fno-builtin", "-o"]).arg(&out).args(flags);
    let output = run(command.arg(root().join("tests/mappings").join(format!("{name}.c"))));
    assert!(output.status.success(), "{}", text(&output.stderr));
    Some(out)
}

/// Runs a program under the shared object, with `options`.
fn preloaded(program: &Path, arguments: &[&str], options: &str) -> Output {
    let mut command = Command::new("timeout");
    command.args(["--kill-after=10", "60", "env"]).arg(format!("CROSSFOOT={options}"));
    command.arg(format!("LD_PRELOAD={}", artifacts().so.display()));
    run(command.arg(program).args(arguments))
}

/// What the program printed, if it ended with 0. Fails otherwise.
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
