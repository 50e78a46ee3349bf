//! Exits of threads, and what remains of them.

use std::io::Write;
use std::process::Command;

use super::{artifacts, compile, live, live_with, program, run, text};

#[test]
fn destructors_of_keys_allocate_in_three_rounds() {
    let Some(program) = program("thread_end") else { return };
    for rounds in ["0", "1", "2", "3"] {
        let (_, report) = live_with(&program, &[rounds]);
        // The cache of the main thread, and one that 100 threads use in sequence.
        assert_eq!(report.caches(), 2, "{rounds} rounds");
        assert!(report.number("/gc/heap/objects:objects") < 50, "{rounds} rounds");
    }
    // No destructor runs after the fourth round. The next thread with the same thread pointer has the cache.
    let (_, report) = live_with(&program, &["4"]);
    assert!(report.caches() <= 8, "{} caches", report.caches());
}

#[test]
fn threads_that_come_last_of_all_share_a_few_caches() {
    let Some(program) = program("late_first") else { return };
    for arguments in [&[][..], &["allocate"]] {
        let (_, report) = live_with(&program, arguments);
        // The cache of the main thread, and one for each thread pointer of 400 threads in sequence.
        assert!(report.caches() <= 8, "{} caches", report.caches());
        assert!(report.number("/gc/heap/objects:objects") < 600);
    }
}

#[test]
fn thread_local_objects_allocate_when_they_are_destroyed() {
    let Some(program) = compile("thread_local.cpp", "thread_local", &[]) else { return };
    let (out, report) = live_with(&program, &[]);
    assert_eq!(out, "300\n", "three destructors in each of 100 threads");
    // Each early thread makes 20 objects, each late one 51.
    assert!(report.number("/gc/heap/allocs:objects") >= 100 * 70);
    assert_eq!(report.caches(), 2);
}

#[test]
fn ten_thousand_short_threads_share_a_few_caches() {
    let Some((out, report)) = live("short_threads") else { return };
    assert!(report.number("/gc/heap/allocs:objects") >= 10_000 * 32);
    // The caches of 64 threads at a time, and the main thread's.
    assert!(report.caches() <= 65, "{} caches", report.caches());
    assert!(report.number("/gc/heap/objects:objects") < 2_000, "objects that were freed long ago count as live");
    // A page that each thread kept would be 80 MB.
    let total = report.number("/memory/classes/total:bytes");
    assert!(total < 64 << 20, "{total} bytes");
    let kib: Vec<i64> = out.split_whitespace().map(|word| word.parse().expect("two numbers")).collect();
    let [early, late] = kib[..] else { panic!("{out}") };
    assert!(late < early + (32 << 10), "{early} KiB were resident after 1,000 threads, {late} at the end");
}

#[test]
fn raw_threads_leave_their_caches() {
    let Some(program) = program("raw_threads") else { return };
    let (_, report) = live_with(&program, &[]);
    // The cache of the main thread, and one for each thread pointer of 20 threads in sequence: at worst all differ.
    assert!((2..=21).contains(&report.caches()), "{} caches", report.caches());
    assert!(report.number("/heap/large/allocs:objects") >= 20);

    let (out, report) = live_with(&program, &["retire"]);
    match out.as_str() {
        "1\n" => assert_eq!(report.caches(), 2, "the threads have one cache, one after the other"),
        // Not captured by the test harness.
        "0\n" => drop(writeln!(std::io::stderr(), "skipped: the object has no crossfoot_retire_thread")),
        _ => panic!("{out}"),
    }
}

#[test]
fn remote_frees_are_neither_shown_nor_kept() {
    let Some(program) = program("inbox") else { return };
    let preload = format!("LD_PRELOAD={}", artifacts().so.display());
    let plain = run(Command::new("timeout").args(["120", "env", &preload]).arg(&program).env_remove("CROSSFOOT"));
    assert!(plain.status.success(), "{}", text(&plain.stderr));
    let (checked, report) = live_with(&program, &[]);
    assert!(report.number("/heap/in-transit:bytes") < 64 << 10);
    for out in [text(&plain.stdout), checked] {
        let kib: Vec<i64> = out.split_whitespace().map(|word| word.parse().expect("five numbers")).collect();
        let [before, all, freed, memory, trimmed] = kib[..] else { panic!("{out}") };
        assert!(all >= before + 38_000, "{out}");
        // Streams have buffers.
        assert!(freed <= before + 64, "nothing is live that was not before: {out}");
        assert!(trimmed <= memory + 4_096, "the memory went back: {out}");
    }
}

#[test]
fn threads_that_ended_leave_little_memory() {
    let Some((out, _)) = live("leave_much") else { return };
    let kib: Vec<i64> = out.split_whitespace().map(|word| word.parse().expect("three numbers")).collect();
    let [before, most, after] = kib[..] else { panic!("{out}") };
    assert!(most >= before + (150 << 10), "{out}");
    assert!(after <= before + (56 << 10), "{out}");
}

#[test]
fn exceptions_are_thrown_again_in_other_threads() {
    let Some(program) = compile("exceptions.cpp", "exceptions", &[]) else { return };
    let (out, report) = live_with(&program, &[]);
    let (counts, handlers) = out.split_once('\n').expect("two lines");
    assert_eq!(counts, "100 200", "thrown, and caught with all that they hold");
    assert_eq!(handlers, "3 2 1\n", "the new-handler was called, gave up, and threw");
    assert!(report.number("/gc/heap/objects:objects") < 1_000);
    // At most three threads are alive together.
    assert!(report.caches() <= 3, "{} caches", report.caches());
}
