//! Whole programs as rows: interpreters, a compiler, a database.
//!
//! A program is prepared once, and for each allocator it is asked whether its
//! calls of `malloc` really go there: a program that brings its own allocator
//! would otherwise be measured as a very good one.

use crate::{measure, workspace::Workspace};
use anyhow::{Context, Result, ensure};
use std::{
    env,
    fmt::Write,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// A program with its arguments, ready to be run.
pub struct Program {
    binary: PathBuf,
    arguments: Vec<String>,
    /// Arguments that make it do next to nothing.
    trifle: Vec<String>,
    environment: &'static [(&'static str, &'static str)],
}

/// A program that is to be measured: its name, and what finds and prepares it
/// for this much work in percent.
pub struct Candidate {
    /// The row's name.
    pub name: &'static str,
    /// Finds the program and writes its input.
    pub prepare: fn(&Workspace, u32) -> Result<Program>,
}

/// Every program that has a row. A new one is a function and a line here.
pub const TABLE: &[Candidate] = &[
    Candidate { name: "python3", prepare: python },
    Candidate { name: "perl", prepare: perl },
    Candidate { name: "gcc", prepare: gcc },
    Candidate { name: "g++", prepare: gpp },
    Candidate { name: "sqlite3", prepare: sqlite },
];

impl Program {
    /// The command that does the work, with the allocator in `object`, if any.
    pub fn command(&self, object: Option<&Path>) -> Command {
        let mut command = measure::command(&self.binary, object);
        command.args(&self.arguments).envs(self.environment.iter().copied());
        command
    }

    /// Makes sure that the program's `malloc` is the object's.
    pub fn prove(&self, workspace: &Workspace, object: &Path) -> Result<()> {
        let log = workspace.inputs()?.join("bindings");
        let mut command = measure::command(&self.binary, Some(object));
        command.args(&self.trifle).envs(self.environment.iter().copied());
        command.env("LD_DEBUG", "bindings").env("LD_DEBUG_OUTPUT", &log);
        let outcome = measure::run(command);
        let mut bound = false;
        for entry in fs::read_dir(workspace.inputs()?)? {
            let path = entry?.path();
            if path.with_extension("") == log {
                let text = String::from_utf8_lossy(&fs::read(&path)?).into_owned();
                bound |= binds_malloc(&text, object);
                fs::remove_file(path)?;
            }
        }
        outcome.context("a first, empty run fails")?;
        ensure!(bound, "not active: malloc is bound elsewhere");
        Ok(())
    }
}

/// Whether the dynamic linker's log says that the program or one of its
/// libraries, other than the C library, got `malloc` from the object.
fn binds_malloc(log: &str, object: &Path) -> bool {
    let target = format!("{} [", object.display());
    log.lines().filter(|line| line.contains("symbol `malloc'")).any(|line| {
        let Some((caller, provider)) = line.split_once(" to ") else {
            return false;
        };
        provider.starts_with(&target) && !caller.contains(&target) && !caller.contains("libc.so")
    })
}

/// The path of a program in `PATH`.
fn find_program(name: &str) -> Result<PathBuf> {
    let path = env::var_os("PATH").context("PATH is not set")?;
    let mut places = env::split_paths(&path).map(|directory| directory.join(name));
    let found = places.find(|file| file.is_file());
    found.with_context(|| format!("{name} is not installed"))
}

/// A line of a program's output, run without any preloading.
fn ask(program: &Path, arguments: &[&str]) -> Result<PathBuf> {
    let mut command = measure::command(program, None);
    command.args(arguments);
    let (_, output) = measure::run(command)?;
    let line = output.lines().next().context("it does not answer")?;
    Ok(PathBuf::from(line.trim()))
}

/// A number of rounds that this much work in percent means.
fn scaled(full: u32, percent: u32) -> String {
    (full * percent / 100).max(1).to_string()
}

/// The Python interpreter with its own small-object allocator switched off.
fn python(workspace: &Workspace, percent: u32) -> Result<Program> {
    // The name may be a wrapper script; what counts is what runs in the end.
    let wrapper = find_program("python3")?;
    let binary = ask(&wrapper, &["-c", "import sys, os; print(os.path.realpath(sys.executable))"])?;
    let script = workspace.root.join("runner/programs/words.py");
    Ok(Program {
        binary,
        arguments: vec!["-S".into(), text(&script), scaled(40, percent)],
        trifle: vec!["-S".into(), "-c".into(), "pass".into()],
        environment: &[("PYTHONMALLOC", "malloc"), ("PYTHONHASHSEED", "0")],
    })
}

/// Perl with a script of hashes and strings.
fn perl(workspace: &Workspace, percent: u32) -> Result<Program> {
    let script = workspace.root.join("runner/programs/hashes.pl");
    Ok(Program {
        binary: find_program("perl")?,
        arguments: vec![text(&script), scaled(30, percent)],
        trifle: vec!["-e".into(), "1".into()],
        environment: &[("PERL_HASH_SEED", "0")],
    })
}

/// The C compiler on a generated file.
fn gcc(workspace: &Workspace, percent: u32) -> Result<Program> {
    let source = workspace.inputs()?.join("generated.c");
    fs::write(&source, c_source((300 * percent / 100).max(1)))?;
    compiler("cc1", &source, &["-quiet", "-O1", "-o", "/dev/null"])
}

/// The C++ compiler's front end on a generated file full of templates, which
/// was preprocessed before.
fn gpp(workspace: &Workspace, percent: u32) -> Result<Program> {
    let source = workspace.inputs()?.join("generated.cc");
    fs::write(&source, cpp_source((20 * percent / 100).max(1)))?;
    let preprocessed = source.with_extension("ii");
    let mut driver = measure::command(&find_program("g++")?, None);
    driver.args(["-E", "-o"]).args([&preprocessed, &source]);
    measure::run(driver).context("preprocessing")?;
    compiler("cc1plus", &preprocessed, &["-quiet", "-fpreprocessed", "-fsyntax-only"])
}

/// A compiler proper, without driver, assembler and linker.
fn compiler(name: &str, source: &Path, options: &[&str]) -> Result<Program> {
    let binary = ask(&find_program("gcc")?, &[&format!("-print-prog-name={name}")])?;
    ensure!(binary.is_file(), "gcc has no {name}");
    let options = options.iter().map(|option| (*option).to_owned());
    Ok(Program {
        binary,
        arguments: options.clone().chain([text(source)]).collect(),
        trifle: options.chain(["/dev/null".to_owned()]).collect(),
        environment: &[],
    })
}

/// A C++ file that makes the compiler write this many kinds of containers.
fn cpp_source(kinds: u32) -> String {
    let mut source = String::from("#include <map>\n#include <string>\n#include <vector>\n");
    for number in 0..kinds {
        let _infallible = write!(
            source,
            "struct k{number} {{ int v; bool operator<(const k{number} &o) const {{ return v < o.v; }} }};\n\
             int g{number}(std::map<k{number}, std::vector<std::string>> &m, int n) {{\n\
             m[k{number}{{n}}].push_back(std::to_string(n));\n\
             int sum = 0; for (auto &e : m) for (auto &s : e.second) sum += s.size() + e.first.v;\n\
             m.erase(k{number}{{sum}}); return sum; }}\n",
        );
    }
    source
}

/// A C file with this many functions.
fn c_source(functions: u32) -> String {
    let mut source = String::new();
    for number in 0..functions {
        let _infallible = write!(
            source,
            "struct s{number} {{ int a[{size}]; struct s{number} *next; }};\n\
             int f{number}(struct s{number} *s, int n) {{\n\
             int sum = {number};\n\
             for (; s; s = s->next) for (int i = 0; i < {size}; i++) {{\n\
             switch (s->a[i] & 7) {{ case 0: sum += n * i; break; case 1: sum ^= s->a[i] >> 2;\n\
             case 2: sum -= i; break; case 5: sum *= 3; break; default: s->a[i] = sum + n; }} }}\n\
             return sum; }}\n",
            size = number % 13 + 3,
        );
    }
    source
}

/// SQLite's shell with a database in memory.
fn sqlite(workspace: &Workspace, percent: u32) -> Result<Program> {
    let template = fs::read_to_string(workspace.root.join("runner/programs/tables.sql"))?;
    let script = workspace.inputs()?.join("tables.sql");
    fs::write(&script, template.replace("@ROWS@", &scaled(150_000, percent)))?;
    Ok(Program {
        binary: find_program("sqlite3")?,
        arguments: vec![":memory:".into(), format!(".read '{}'", script.display())],
        trifle: vec![":memory:".into(), "SELECT 1".into()],
        environment: &[],
    })
}

/// A path as an argument.
fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}
