//! How tests compile and copy the programs that they execute: several tests of one binary do so at the same time.

mod common;

use std::process::Command;
use std::sync::Barrier;

use common::{compile, copy_program, installed, run, scratch, try_compile, unused_path, write_program};

#[test]
fn a_program_that_two_threads_compile_is_whole_when_either_runs_it() {
    let source = unused_path("slow-to-link", "c");
    // 4 MiB of data, so that the linker writes for a while.
    let text = "char data[4 << 20] = { 1 };\nint main(void) { return data[0] - 1; }\n";
    std::fs::write(&source, text).expect("the scratch folder can be written");
    for round in 0..10 {
        let (name, together) = (format!("slow-to-link-{round}"), Barrier::new(2));
        let compile_and_run = |late: u64| {
            together.wait();
            std::thread::sleep(std::time::Duration::from_millis(late * 10 * round));
            let program = compile("gcc", &name, |gcc| gcc.arg(&source))?;
            let ended = Command::new(&program).status();
            assert!(ended.as_ref().is_ok_and(|status| status.success()), "round {round}: {ended:?}");
            Some(())
        };
        let compiled = std::thread::scope(|scope| {
            let other = scope.spawn(|| compile_and_run(0));
            let first = compile_and_run(1);
            first.and(other.join().expect("the program runs"))
        });
        if compiled.is_none() {
            return;
        }
    }
}

#[test]
fn a_copied_or_written_program_can_be_executed_while_other_tests_fork() {
    let Some(program) = installed("true") else { return };
    let forks = |ends: &std::sync::atomic::AtomicBool| {
        while !ends.load(std::sync::atomic::Ordering::Relaxed) {
            assert!(run(&mut Command::new(&program)).status.success());
        }
    };
    let ends = std::sync::atomic::AtomicBool::new(false);
    let failures = std::thread::scope(|scope| {
        (0..3).for_each(|_| drop(scope.spawn(|| forks(&ends))));
        let failures: Vec<String> = (0..100)
            .flat_map(|_| {
                let (copy, script) = (unused_path("copy", "program"), unused_path("script", "sh"));
                copy_program(&program, &copy);
                write_program(&script, "#!/bin/sh\nexit 0\n");
                [copy, script].map(|program| Command::new(program).status())
            })
            .filter_map(|ended| ended.err().map(|error| error.to_string()))
            .collect();
        ends.store(true, std::sync::atomic::Ordering::Relaxed);
        failures
    });
    assert!(failures.is_empty(), "{failures:?}");
}

#[test]
fn what_does_not_compile_returns_the_messages_and_leaves_no_file() {
    let source = unused_path("no-program", "c");
    std::fs::write(&source, "int main(void) { return nothing; }\n").expect("the scratch folder can be written");
    let Some(compiled) = try_compile("gcc", "no-program", |gcc| gcc.arg(&source)) else { return };
    assert!(compiled.is_err_and(|messages| messages.contains("nothing")));
    assert!(!scratch().join("no-program").exists());
}

#[test]
#[should_panic(expected = "two programs of this test binary are called twice")]
fn two_programs_of_one_name_fail() {
    let source = common::root().join("tests/targets/cxx/alone.c");
    if installed("gcc").is_none() {
        panic!("two programs of this test binary are called twice: not tried");
    }
    compile("gcc", "twice", |gcc| gcc.arg(&source));
    compile("gcc", "twice", |gcc| gcc.arg("-O1").arg(&source));
}

#[test]
fn the_scratch_folder_is_this_process_s_and_its_predecessors_go() {
    let name = scratch().file_name().and_then(|name| name.to_str()).expect("a name of ours");
    assert_eq!(name, format!("{}.{}", env!("CARGO_CRATE_NAME"), std::process::id()));
    // No process has a number above 2^22.
    let folders = ["tools_programs.4999999", "another_binary.4999999"].map(|name| common::builds().join(name));
    folders.iter().for_each(|folder| std::fs::create_dir_all(folder).expect("the target folder can be written"));
    let again = Command::new(std::env::current_exe().expect("this test"))
        .args(["--exact", "what_does_not_compile_returns_the_messages_and_leaves_no_file"])
        .output();
    assert!(again.is_ok_and(|again| again.status.success()));
    assert!(scratch().exists() && !folders[0].exists() && folders[1].exists(), "{folders:?}");
    std::fs::remove_dir(&folders[1]).expect("it is empty");
}
