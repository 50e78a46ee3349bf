//! C programs beside each libc: linked with the archive into static programs of glibc and of musl, and dynamic programs
//! of musl under the preloaded object. In each a thread gives its cache back when it exits, a child of a fork beside busy
//! threads allocates, and the exit report is written.

mod common;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use common::{artifacts, compile, for_target, root, run, text, unused_path};

/// The Rust target of the archive for musl.
const MUSL: &str = "x86_64-unknown-linux-musl";

/// A libc, and how Crossfoot comes into a program.
#[derive(Clone, Copy, Debug)]
enum Way {
    StaticGlibc,
    StaticMusl,
    /// The archive, linked with musl's shared object.
    LinkedMusl,
    PreloadedMusl,
}

impl Way {
    /// Compiles `source`. Returns `None`, after a line on stderr, if something is not installed.
    fn program(self, source: &str) -> Option<PathBuf> {
        let (compiler, archive, is_static) = match self {
            Way::StaticGlibc => ("gcc", Some(artifacts().a.clone()), true),
            Way::StaticMusl => ("musl-gcc", Some(for_target(MUSL)?.join("libcrossfoot.a")), true),
            Way::LinkedMusl => ("musl-gcc", Some(for_target(MUSL)?.join("libcrossfoot.a")), false),
            Way::PreloadedMusl => ("musl-gcc", None, false),
        };
        let name = Path::new(source).file_stem().and_then(|stem| stem.to_str()).expect("a file's name");
        compile(compiler, &format!("{name}-{self:?}"), |command| {
            command.args(["-O2", "-Wall", "-fno-builtin", "-pthread"]);
            command.args(is_static.then_some("-static")).arg(root().join(source)).args(archive)
        })
    }

    /// Runs a program with `arguments` and the options of an exit report at `report`.
    fn run(self, program: &Path, arguments: &[&str], report: &Path) -> Output {
        let mut command = Command::new("timeout");
        command.arg("300");
        if matches!(self, Way::PreloadedMusl) {
            command.arg(&artifacts().cli).args(["run", "--"]).env_remove("CROSSFOOT_LIB");
        }
        command.arg(program).args(arguments);
        run(command.env("CROSSFOOT", format!("check:on,exit_format:json,exit_report:{}", report.display())))
    }

    /// Runs a part of `tests/libcs/main.c`, which must be right and balanced. Returns its output and its report.
    fn part(self, part: &str) -> Option<(String, serde_json::Value)> {
        let program = self.program("tests/libcs/main.c")?;
        let report = unused_path(&format!("{self:?}-{part}"), "json");
        let output = self.run(&program, &[part], &report);
        let out = text(&output.stdout);
        assert!(output.status.success(), "{self:?}: {part}: {}: {out}{}", output.status, text(&output.stderr));
        assert!(out.ends_with("right\n"), "{self:?}: {part}: {out}");
        let json = std::fs::read_to_string(&report).unwrap_or_else(|e| panic!("{self:?}: {part}: no report: {e}"));
        let report: serde_json::Value = serde_json::from_str(&json).unwrap_or_else(|e| panic!("{e}: {json}"));
        assert_eq!(report["crossfoot"], "balanced", "{self:?}: {part}");
        Some((out, report))
    }

    /// Runs every part.
    fn check(self) -> Option<()> {
        let (out, _) = self.part("threads")?;
        let resident: u64 = out.lines().find_map(|line| line.strip_prefix("resident ")?.parse().ok()).expect(&out);
        // 2,000 threads. 200 at a time need 7,000 KiB; without thread exit they leave 130,000.
        assert!(resident < 30_000, "{self:?}: {resident} KiB");
        self.part("forks")?;
        self.part("fork_alone")?;
        self.part("errors")?;
        let (_, report) = self.part("handlers")?;
        let objects = report["/gc/heap/allocs:objects"].as_u64().expect("a number");
        assert!(objects >= 1000, "{self:?}: {objects} objects: those of a handler of atexit are missing");
        Some(())
    }
}

#[test]
fn a_static_program_of_glibc_sees_thread_exits_and_forks() {
    let _ = Way::StaticGlibc.check();
}

#[test]
fn a_static_program_of_musl_sees_thread_exits_and_forks() {
    let _ = Way::StaticMusl.check();
}

#[test]
fn a_program_of_musl_linked_with_the_archive_sees_thread_exits_and_forks() {
    let _ = Way::LinkedMusl.check();
}

#[test]
fn a_program_of_musl_runs_on_the_preloaded_object() {
    let _ = Way::PreloadedMusl.check();
}

/// musl's `fork` takes the lock of its list of streams, which `fflush(NULL)` holds while it waits for a stream that
/// `getline` holds while it allocates: the allocator's locks must come after it.
#[test]
fn a_static_program_of_musl_forks_beside_streams() {
    for arguments in [&["beside", "100"][..], &["alone"], &["two"]] {
        let Some(program) = Way::StaticMusl.program("tests/lives/streams_fork.c") else { return };
        let output = Way::StaticMusl.run(&program, arguments, &unused_path("streams", "json"));
        assert!(output.status.success(), "{arguments:?}: {}: {}", output.status, text(&output.stderr));
    }
}
