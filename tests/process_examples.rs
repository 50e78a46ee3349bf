//! The examples: each runs and prints what its comment says.

mod common;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use common::{Artifacts, artifacts, builds, compile, root, run, scratch, text};

/// Returns the folder of the examples, built with this test's profile in its target folder, where `cargo test` has them
/// already unless it builds only a part.
fn folder() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let (target, release) = (builds().parent().expect("a folder in the target folder"), !cfg!(debug_assertions));
        let mut cargo = Command::new(env!("CARGO"));
        cargo.current_dir(root()).args(["build", "--examples", "--target-dir"]).arg(target);
        cargo.args(release.then_some("--release"));
        // The same settings as for tests, or cargo would build every dependency again.
        cargo.args(["--config", if release { "profile.release.panic='unwind'" } else { "profile.dev.panic='unwind'" }]);
        let output = run(&mut cargo);
        assert!(output.status.success(), "{}", text(&output.stderr));
        target.join(if release { "release/examples" } else { "debug/examples" })
    })
}

/// Returns the output of a program, which must succeed within a minute.
fn printed(program: &Path, options: &str) -> String {
    let output = run(Command::new("timeout").arg("60").arg(program).env("CROSSFOOT", options));
    let (out, errors) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{}: {} {out}{errors}", program.display(), output.status);
    out
}

/// Returns the output of an example, which must balance when it exits.
fn example(name: &str) -> String {
    printed(&folder().join(name), "check:on")
}

/// Returns the numbers in a line.
fn numbers(line: &str) -> Vec<f64> {
    line.split(|c: char| !c.is_ascii_digit() && c != '.').filter_map(|word| word.parse().ok()).collect()
}

/// Returns the numbers of the first line that contains `words`.
fn numbers_of(out: &str, words: &str) -> Vec<f64> {
    numbers(out.lines().find(|line| line.contains(words)).unwrap_or_else(|| panic!("no line with '{words}': {out}")))
}

#[test]
fn global_allocator() {
    let out = example("global_allocator");
    let alive = numbers_of(&out, "strings are alive");
    assert!(alive[0] == 200_000.0 && alive[1] >= 200_000.0 && alive[2] > 3_000.0, "{out}");
    let counts = numbers_of(&out, "were allocated");
    assert!(counts[0] >= 400_000.0 && counts[1] <= counts[0] && counts[1] >= 300_000.0, "{out}");
    assert!(out.ends_with("the books balance\n"), "{out}");
}

#[test]
fn isolated_heap() {
    let out = example("isolated_heap");
    assert_eq!(numbers_of(&out, "the sum of its numbers"), [500_000.0, 124_999_750_000.0]);
    let heap = numbers_of(&out, "its heap");
    assert!(heap[0] == 500_000.0 && heap[1] == 7_812.0 && heap[2] >= heap[1], "{out}");
    let left = numbers_of(&out, "address space remain of them");
    assert!(left[0] <= 1_024.0, "{out}");
    assert!(numbers_of(&out, "of memory and")[0] < 256.0 && out.contains("is made, used once and dropped in"), "{out}");
}

#[test]
fn allocator_api() {
    let expected = "'and' is at [4, 6, 9, 15]\n12 words, in 13 objects of the heap\n\
        [1, 4, 9, 16, 25, 36, 49, 64, 81, 100], in the heap: false\nobjects of the heap at the end: 0\n";
    assert_eq!(example("allocator_api"), expected);
}

#[test]
fn statistics() {
    let out = example("statistics");
    let phases = ["at the start", "200,000 strings", "48 MiB", "remains", "without the table", "nothing"];
    let rows: Vec<Vec<f64>> = phases
        .iter()
        .map(|phase| {
            let line = out.lines().find(|line| line.contains(phase)).unwrap_or_else(|| panic!("no {phase}: {out}"));
            numbers(line.get(26..).expect("a long line"))
        })
        .collect();
    for row in &rows {
        let &[objects, unused, free, released, records, total, _] = &row[..] else { panic!("{row:?}: {out}") };
        let sum = objects + unused + free + released + records;
        // Each is rounded down.
        assert!(sum <= total && sum + 5.0 > total, "{row:?}: {out}");
    }
    assert!(rows[1][6] >= 200_000.0 && rows[2][0] - rows[1][0] == 48.0 * 1_024.0, "{out}");
    assert!(rows[3][6] < 10_000.0 && rows[4][0] < rows[3][0] && rows[5][6] < 1_000.0, "{out}");
    assert!(out.ends_with("the books balance\n"), "{out}");
}

/// Compiles a C program with Crossfoot's headers. Returns `None` without a compiler.
fn compiled(source: &str, name: &str, link: &[&Path]) -> Option<PathBuf> {
    compile("gcc", name, |gcc| {
        gcc.args(["-std=c11", "-D_GNU_SOURCE", "-O2", "-Wall", "-Wextra", "-Werror", "-pthread", "-I"]);
        gcc.arg(root().join("preload/include")).arg(root().join(source)).args(link)
    })
}

/// Compiles a program with the archive and with the shared object.
fn both(source: &str, name: &str) -> Option<[PathBuf; 2]> {
    let Artifacts { a, so, .. } = artifacts();
    let archive = compiled(source, &format!("{name}-a"), &[a])?;
    // The loader looks for the soname.
    let folder = scratch().join(format!("{name}-libraries"));
    std::fs::create_dir_all(&folder).expect("the scratch folder can be written");
    std::fs::copy(so, folder.join("libcrossfoot.so.0")).expect("the object can be copied");
    let path = format!("-Wl,-rpath,{}", folder.display());
    let shared = compiled(source, &format!("{name}-so"), &[&folder.join("libcrossfoot.so.0"), Path::new(&path)])?;
    Some([archive, shared])
}

#[test]
fn isolated_heap_in_c() {
    let Some(programs) = both("examples/c/isolated_heap.c", "isolated-heap-c") else { return };
    let expected = "'the' is there 3 times\n'and' is there 3 times\n\
        the first byte of the table is 0, it has room for 48000 bytes\n\
        the aligned object's address ends in 000\n8 MiB in a heap of 4 MiB: refused\n";
    programs.iter().for_each(|program| assert_eq!(printed(program, "check:on"), expected, "{}", program.display()));
}

#[test]
fn metrics_in_c() {
    let Some(programs) = both("examples/c/metrics.c", "metrics-c") else { return };
    let expected = "complete: yes\nat least 20000 objects were allocated: yes\na name that no metric has: bad\n\
        /heap/live-by-size:objects, in objects: Objects of each class that are live or in transit.\n\
        most live objects: size=\"64\", at least 20000: yes\n0 bytes are not accounted for\nthe books balance\n";
    programs.iter().for_each(|program| assert_eq!(printed(program, "check:on"), expected, "{}", program.display()));
}

/// Not an example: a program that checks everything that `crossfoot-heap.h` promises.
#[test]
fn heaps_in_c_do_what_their_header_says() {
    let Some(programs) = both("tests/c_heaps/face.c", "heaps-face") else { return };
    programs.iter().for_each(|program| assert_eq!(printed(program, "check:on"), "sound\n", "{}", program.display()));
}
