//! Real programs on Crossfoot, through the command. Each must have the same output as without Crossfoot, exit with
//! status 0, balance, and make at least its known minimum of allocations, which proves that it ran on Crossfoot.

mod common;
#[path = "programs/inputs.rs"]
mod inputs;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use common::{installed, run, text};
use serde_json::{Map, Value};

/// A program with its arguments, and where it runs.
struct Job<'a> {
    program: &'a Path,
    arguments: &'a [&'a str],
    folder: &'a Path,
    /// A file for standard input.
    input: Option<&'a Path>,
}

impl Job<'_> {
    /// The command, under `wrapper` if there is one.
    fn command(&self, wrapper: Option<Command>) -> Command {
        let mut command = match wrapper {
            Some(mut wrapper) => {
                wrapper.arg(self.program);
                wrapper
            }
            None => Command::new(self.program),
        };
        command.args(self.arguments).current_dir(self.folder);
        for variable in ["LD_PRELOAD", "CROSSFOOT", "CROSSFOOT_LIB"] {
            command.env_remove(variable);
        }
        // No settings of this machine or user.
        command.env("LC_ALL", "C").env("HOME", self.folder).env("GIT_CONFIG_NOSYSTEM", "1");
        command
    }

    fn run(&self, mut command: Command) -> Output {
        let Some(input) = self.input else { return run(&mut command) };
        command.stdin(std::fs::File::open(input).expect("the input was written"));
        command.output().unwrap_or_else(|e| panic!("cannot start {command:?}: {e}"))
    }

    /// Runs the program without Crossfoot. Returns its output.
    fn plain(&self) -> String {
        let output = self.run(self.command(None));
        assert!(output.status.success(), "without Crossfoot: {}\n{}", output.status, text(&output.stderr));
        text(&output.stdout)
    }

    /// Runs the program on Crossfoot. Returns its output, and the reports of it and its descendants.
    fn on_crossfoot(&self) -> (String, Reports) {
        let reports = self.folder.join("reports");
        let _ = std::fs::remove_dir_all(&reports);
        std::fs::create_dir(&reports).expect("the scratch folder can be written");
        let mut wrapper = Command::new(&common::artifacts().cli);
        wrapper
            .args(["run", "--check", "--descendants", "--format", "json", "--report"])
            .arg(reports.join("R"))
            .arg("--");
        let output = self.run(self.command(Some(wrapper)));
        let (out, err) = (text(&output.stdout), text(&output.stderr));
        assert!(output.status.success(), "on Crossfoot: {}\n{err}{out}", output.status);
        assert!(!err.contains("crossfoot"), "the allocator had something to say:\n{err}");
        (out, Reports::read(&reports))
    }

    /// Runs the program both ways, and asserts that the outputs are equal.
    fn same_both_ways(&self) -> (String, Reports) {
        let plain = self.plain();
        let (out, reports) = self.on_crossfoot();
        assert!(plain == out, "another output than without Crossfoot:\n{plain}\n---\n{out}");
        (out, reports)
    }
}

/// The reports of a run, all balanced.
#[derive(Default)]
struct Reports {
    /// The report of the started process.
    first: Map<String, Value>,
    /// The reports of its descendants.
    others: Vec<Map<String, Value>>,
}

impl Reports {
    fn read(folder: &Path) -> Reports {
        let mut first = None;
        let mut others = Vec::new();
        for entry in std::fs::read_dir(folder).expect("the reports' folder is there") {
            let path = entry.expect("a file").path();
            let report = report(&path);
            if path.file_name() == Some("R".as_ref()) { first = Some(report) } else { others.push(report) }
        }
        Reports { first: first.expect("the process that was started wrote its report"), others }
    }

    /// Returns the allocations of the started process.
    fn allocations(&self) -> u64 {
        allocations(&self.first)
    }
}

fn allocations(report: &Map<String, Value>) -> u64 {
    report["/gc/heap/allocs:objects"].as_u64().expect("a count")
}

/// Reads a report, and asserts that it balances and that its parts add up to the total.
fn report(path: &Path) -> Map<String, Value> {
    let json = std::fs::read_to_string(path).expect("a report can be read");
    let report: Map<String, Value> = serde_json::from_str(&json).unwrap_or_else(|e| panic!("{e}: {json}"));
    assert_eq!(report["crossfoot"], "balanced", "{}", path.display());
    let total = "/memory/classes/total:bytes";
    let is_part = |name: &str| name.starts_with("/memory/classes/") && name.ends_with(":bytes") && name != total;
    let value = |value: &Value| value.as_i64().unwrap_or_else(|| panic!("not a number: {value}"));
    let parts: Vec<i64> = report.iter().filter(|(name, _)| is_part(name)).map(|(_, v)| value(v)).collect();
    assert!(parts.len() > 10 && parts.iter().all(|&part| part >= 0), "{json}");
    assert_eq!(parts.iter().sum::<i64>(), value(&report[total]), "{json}");
    report
}

/// An empty folder for a test.
fn folder(name: &str) -> PathBuf {
    let folder = common::scratch().join("programs").join(name);
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).expect("the scratch folder can be written");
    folder
}

fn at_least(reports: &Reports, bound: u64) {
    let made = reports.allocations();
    assert!(made >= bound, "{made} allocations, but the program must make {bound}");
}

#[test]
fn python_with_a_million_objects_in_eight_threads() {
    let Some(python) = inputs::python() else { return };
    let folder = folder("python");
    let arguments = ["PYTHONMALLOC=malloc", &python, "-c", inputs::PYTHON];
    let env = installed("env").expect("every system has env");
    let job = Job { program: &env, arguments: &arguments, folder: &folder, input: None };
    let (out, reports) = job.same_both_ways();
    assert_eq!(out, "1000000 5888890\n");
    // A million strings that live at once. CPython has one free list for none of them: each is one `malloc`.
    at_least(&reports, 1_000_000);
    let caches = reports.first["/cache/made:caches"].as_u64();
    assert!(caches >= Some(9), "eight threads at once and the first one have a cache each, not {caches:?}");
}

#[test]
fn perl_with_a_large_hash() {
    let Some(perl) = installed("perl") else { return };
    let folder = folder("perl");
    let job = Job { program: &perl, arguments: &["-e", inputs::PERL], folder: &folder, input: None };
    let (out, reports) = job.same_both_ways();
    assert_eq!(out, "200000 19999900000\n");
    // Perl keeps scalars in arenas of its own, but every distinct key is a `malloc` and so is every value's text.
    at_least(&reports, 400_000);
}

#[test]
fn gcc_compiles_a_large_file() {
    let Some(gcc) = installed("gcc") else { return };
    let folder = folder("gcc");
    let source = inputs::c_source();
    assert!(source.lines().count() > 5_000);
    std::fs::write(folder.join("large.c"), source).expect("the scratch folder can be written");
    let job = |output| ["-O1", "-g0", "-o", output, "large.c"];
    let plain = Job { program: &gcc, arguments: &job("plain"), folder: &folder, input: None };
    plain.plain();
    let (_, reports) = Job { arguments: &job("crossfoot"), ..plain }.on_crossfoot();
    let binary = |name: &str| std::fs::read(folder.join(name)).expect("gcc wrote its output");
    assert!(binary("plain") == binary("crossfoot"), "gcc made another program on Crossfoot");
    let output = run(&mut Command::new(folder.join("crossfoot")));
    assert_eq!(text(&output.stdout), format!("{}\n", inputs::c_answer()));
    // The compiler proper, the assembler and the linker are processes of their own.
    assert!(reports.others.len() >= 3, "reports of {} descendants", reports.others.len());
    // The compiler keeps trees in pools, but each function's control flow graph, live sets and register
    // tables are arrays on the heap that end with the function: far more than ten for each.
    let most = reports.others.iter().map(allocations).max().unwrap_or(0);
    assert!(most >= 10 * inputs::C_FUNCTIONS, "the busiest descendant made {most} allocations");
}

#[test]
fn git_with_twenty_thousand_objects() {
    let Some(git) = installed("git") else { return };
    let folder = folder("git");
    let stream = folder.join("stream");
    std::fs::write(&stream, inputs::git_stream()).expect("the scratch folder can be written");
    let plain = folder.join("plain.git");
    let ours = folder.join("crossfoot.git");
    let job = |arguments: &[&str], folder: &Path, on_crossfoot: bool| {
        let job = Job { program: &git, arguments, folder, input: Some(&stream) };
        if on_crossfoot { job.on_crossfoot() } else { (job.plain(), Reports::default()) }
    };
    for (repository, on_crossfoot) in [(&plain, false), (&ours, true)] {
        std::fs::create_dir(repository).expect("the scratch folder can be written");
        job(&["init", "--quiet", "--bare", "-b", "main"], repository, on_crossfoot);
        job(&["fast-import", "--quiet"], repository, on_crossfoot);
    }
    let (_, repack) = job(&["-c", "pack.threads=4", "repack", "-adfq"], &ours, true);
    // Packing is a descendant's work; it reads each object at least once, each into a buffer of its own.
    let most = repack.others.iter().map(allocations).max().unwrap_or(0);
    assert!(most >= inputs::GIT_OBJECTS, "the busiest descendant made {most} allocations");
    let (out, fsck) = job(&["fsck", "--full", "--strict"], &ours, true);
    assert_eq!(out, "");
    // Checking inflates each object into a buffer of its own.
    at_least(&fsck, inputs::GIT_OBJECTS);
    let head = |repository| job(&["rev-parse", "main", "main^{tree}"], repository, false).0;
    assert_eq!(head(&plain), head(&ours), "the same history, by name");
    let (count, _) = job(&["count-objects", "-v"], &ours, false);
    assert!(count.contains(&format!("\nin-pack: {}\n", inputs::GIT_OBJECTS)), "{count}");
}

#[test]
fn sqlite_with_a_table_in_memory() {
    let Some(sqlite) = installed("sqlite3") else { return };
    let folder = folder("sqlite");
    let job = Job { program: &sqlite, arguments: &["-batch", ":memory:", inputs::SQL], folder: &folder, input: None };
    let (out, reports) = job.same_both_ways();
    assert_eq!(out, "100000|4999950000|40000000\n97|1031\nok\n");
    // 40 MB of text in a database in memory are 10,000 pages of 4 KiB; but for the first hundred, each page
    // is a `malloc` of its own.
    at_least(&reports, 9_900);
}

#[test]
fn a_rust_program_that_brings_its_own_crossfoot() {
    let program = common::target("rust-global").join("rust-global");
    let folder = folder("rust");
    let (out, reports) = Job { program: &program, arguments: &[], folder: &folder, input: None }.on_crossfoot();
    // Two allocators in one process: the crate serves Rust, the preloaded object serves the libc. Both
    // balance; the report is that of the crate, which has the program's objects.
    assert!(out.starts_with("objects 480000\n") && out.ends_with("balanced\n"), "{out}");
    at_least(&reports, 480_000);
}
