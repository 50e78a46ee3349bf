//! Libraries that allocate when they are loaded and free when they are unloaded, the allocator's own included.

use std::path::PathBuf;
use std::process::Command;

use super::common::{artifacts, run, text};
use super::{Life, compile, live_with, program};

/// Compiles `tests/lives/library.c` under two names, for one test.
fn libraries(test: &str) -> Option<[PathBuf; 2]> {
    let library = |name: &str| {
        let flags = ["-shared", "-fPIC", &format!("-DNAME=\"{name}\""), &format!("-DNAMED={name}")];
        compile("library.c", &format!("{test}-{name}.so"), &flags)
    };
    Some([library("one")?, library("two")?])
}

#[test]
fn libraries_begin_before_and_end_after_the_allocator() {
    let Some([one, two]) = libraries("ends") else { return };
    let so = &artifacts().so;
    for (name, linked) in [("ends", [&one, &two]), ("ends-two-first", [&two, &one])] {
        let linked = linked.map(|library| library.to_str().expect("a path of ours"));
        let Some(program) = compile("ends.c", name, &linked) else { return };
        // Not preloaded, before the allocator, after it; the linker's order decides the rest.
        let orders: [&[&PathBuf]; 4] = [&[so], &[&one, so, &two], &[so, &two, &one], &[&two, &one, so]];
        for preload in orders {
            let (_, report) = Life { program: &program, arguments: &[], preload }.live();
            assert!(report.number("/heap/large/allocs:objects") > 4, "the libraries' are among them");
            assert!(report.caches() <= 4, "{} caches", report.caches());
        }
    }
}

#[test]
fn a_library_is_opened_a_thousand_times() {
    let Some([one, _]) = libraries("open") else { return };
    let Some(program) = program("open_often") else { return };
    let library = one.to_str().expect("a path of ours");
    let totals = ["10", "1000"].map(|times| {
        let (_, report) = live_with(&program, &[library, times]);
        let least = 4 * times.parse::<i64>().expect("a number");
        assert!(report.number("/gc/heap/allocs:objects") >= least, "two in the constructor, two in the destructor");
        assert!(report.number("/gc/heap/objects:objects") < 50, "{times} times");
        report.number("/memory/classes/total:bytes")
    });
    assert_eq!(totals[0], totals[1], "the heap does not grow");
}

#[test]
fn the_allocator_is_opened_by_a_program_with_another() {
    let Some(program) = program("open_us") else { return };
    let output = run(Command::new("timeout").arg("60").arg(program).arg(&artifacts().so).env("CROSSFOOT", "check:on"));
    assert!(output.status.success(), "{} {}", output.status, text(&output.stderr));
}
