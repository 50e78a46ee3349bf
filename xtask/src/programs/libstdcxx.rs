//! Runs libstdc++'s tests of language support (`operator new` and `delete`, their handlers, exceptions) and of its
//! allocators, from GCC's source package.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::glibc;
use super::outcomes::{Unit, compare};
use super::process::{finish, succeed};
use super::yard::{Side, Yard, installed, neutral, text_of};
use super::{Findings, Verdict, fetch};

/// The limit of a test. The longest takes a second.
const LIMIT: Duration = Duration::from_secs(120);
/// The limit of a call of the compiler.
const COMPILING: Duration = Duration::from_secs(300);

/// The files of the test suite that every test is linked with.
const SUPPORT: [&str; 2] = ["testsuite_allocator", "testsuite_hooks"];

/// The folders of the tests that are run, with their subfolders.
pub const FOLDERS: [&str; 12] = [
    "18_support",
    "20_util/allocator",
    "20_util/memory_resource",
    "20_util/monotonic_buffer_resource",
    "20_util/polymorphic_allocator",
    "20_util/synchronized_pool_resource",
    "20_util/unsynchronized_pool_resource",
    "ext/bitmap_allocator",
    "ext/malloc_allocator",
    "ext/mt_allocator",
    "ext/new_allocator",
    "ext/pool_allocator",
];

/// Tests that are not run, and why.
const OMITTED: [(&str, &str); 1] =
    [("18_support/type_info/103240", "needs shared objects that the test suite builds, and allocates nothing")];

/// The tests of a quick run: those of `operator new` and `delete`.
const QUICK: [&str; 10] = [
    "18_support/50594",
    "18_support/96817",
    "18_support/aligned_alloc/aligned_alloc",
    "18_support/bad_alloc/what",
    "18_support/cxa_vec",
    "18_support/destroying_delete",
    "18_support/new_aligned",
    "18_support/new_delete_placement",
    "18_support/new_handler",
    "18_support/new_nothrow",
];

pub fn run(yard: &Yard, quick: bool) -> Result<Verdict> {
    let Some(compiler) = installed("g++") else {
        return Ok(Verdict::Skipped("g++ is not installed".to_owned()));
    };
    let Some(source) = fetch::libstdcxx_source() else {
        return Ok(Verdict::Skipped("GCC's sources are not here: cargo xtask programs --fetch".to_owned()));
    };
    let mut findings = Findings::default();
    let sides = yard.sides("tests")?;
    let build = Build { compiler, source, folder: sides[0].folder.join("build") };
    fs::create_dir_all(&build.folder)?;
    let tests = build.tests(quick)?;
    build.support()?;
    for test in &tests {
        build.test(test)?;
    }
    compare(&sides, &tests, &[], &mut findings, |side, test| unit(side, &build.program(test), test))?;
    for (test, why) in OMITTED.iter().filter(|_| !quick) {
        findings.see(format!("not run: {test}: {why}"));
    }
    // Each process allocates at least libstdc++'s emergency pool for exceptions.
    sides[1].reports(&mut findings, tests.len() as u64)?;
    Ok(Verdict::Ran(findings))
}

/// The folders and the tools of the build.
struct Build {
    compiler: PathBuf,
    /// `libstdc++-v3/testsuite`.
    source: PathBuf,
    folder: PathBuf,
}

impl Build {
    fn source_of(&self, test: &str) -> PathBuf {
        self.source.join(format!("{test}.cc"))
    }

    fn program(&self, test: &str) -> PathBuf {
        self.folder.join(test.replace('/', "-"))
    }

    /// Returns the names of the tests that run a program, without extension.
    fn tests(&self, quick: bool) -> Result<Vec<String>> {
        let mut tests = Vec::new();
        for folder in FOLDERS {
            names(&self.source.join(folder), &format!("{folder}/"), &mut tests)?;
        }
        tests.retain(
            |test| if quick { QUICK.contains(&test.as_str()) } else { !OMITTED.iter().any(|(o, _)| test == o) },
        );
        let mut running = Vec::new();
        for test in tests {
            if Directives::of(&text_of(&self.source_of(&test))?).run {
                running.push(test);
            }
        }
        running.sort_unstable();
        ensure!(running.len() >= QUICK.len(), "only {} tests in {}", running.len(), self.source.display());
        Ok(running)
    }

    /// Builds the parts that all tests share.
    fn support(&self) -> Result<()> {
        for part in SUPPORT {
            let mut compile = self.compile("gnu++17");
            compile.arg("-c").arg(self.source.join("util").join(format!("{part}.cc")));
            compile.arg("-o").arg(self.folder.join(format!("{part}.o")));
            succeed(compile, &self.folder.join("compile"), COMPILING)?;
        }
        Ok(())
    }

    fn test(&self, test: &str) -> Result<()> {
        let source = self.source_of(test);
        let directives = Directives::of(&text_of(&source)?);
        let mut compile = self.compile(&directives.standard);
        compile.args(&directives.options).arg(source).arg("-o").arg(self.program(test));
        compile.args(SUPPORT.map(|part| self.folder.join(format!("{part}.o"))));
        succeed(compile, &self.folder.join("compile"), COMPILING).map(|_| ())
    }

    fn compile(&self, standard: &str) -> Command {
        let mut compile = neutral(&self.compiler);
        compile.args([&format!("-std={standard}"), "-O2", "-w", "-pthread", "-I"]).arg(self.source.join("util"));
        compile
    }
}

/// The DejaGnu directives of a test that matter here.
#[derive(PartialEq, Debug)]
struct Directives {
    /// The test is run, and not only compiled.
    run: bool,
    /// The language standard, as in `-std=`.
    standard: String,
    options: Vec<String>,
}

impl Directives {
    fn of(text: &str) -> Directives {
        let mut directives = Directives { run: true, standard: "gnu++17".to_owned(), options: Vec::new() };
        for line in text.lines() {
            if let Some((_, what)) = line.split_once("{ dg-do ") {
                directives.run = what.starts_with("run");
                // The test does not support the compiler's default.
                if what.contains("_down") || what.contains("_only") {
                    directives.standard = "gnu++14".to_owned();
                }
            }
            let options = line.split_once("{ dg-options \"").and_then(|(_, rest)| rest.split_once('"'));
            // Options for other targets name them.
            if let Some((options, _)) = options.filter(|(_, rest)| !rest.contains("target")) {
                for option in options.split_whitespace() {
                    match option.strip_prefix("-std=") {
                        Some(standard) => directives.standard = standard.to_owned(),
                        None => directives.options.push(option.to_owned()),
                    }
                }
            }
        }
        directives
    }
}

/// Appends the names of the C++ files of a folder and of its subfolders, without extension.
fn names(folder: &Path, prefix: &str, tests: &mut Vec<String>) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or("");
        if path.is_dir() {
            names(&path, &format!("{prefix}{name}/"), tests)?;
        } else if let Some(test) = name.strip_suffix(".cc") {
            tests.push(format!("{prefix}{test}"));
        }
    }
    Ok(())
}

fn unit(side: &Side, program: &Path, test: &str) -> Result<Unit> {
    let mut unit = Unit::default();
    match finish(side.command(program), &side.fresh(&test.replace('/', "-")), LIMIT) {
        Ok(ended) => {
            unit.cpu = ended.cpu;
            unit.outcomes.ended(test, ended.status);
            unit.outcomes.note(test, "test", glibc::outcome(ended.status.code()));
            unit.printed = ended.err + &ended.out;
        }
        Err(error) => unit.outcomes.note(test, "", &format!("{error:#}")),
    }
    Ok(unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directives_are_read() {
        let all = |run, standard: &str, options: &[&str]| Directives {
            run,
            standard: standard.to_owned(),
            options: options.iter().map(|&option| option.to_owned()).collect(),
        };
        assert_eq!(Directives::of("int main() {}"), all(true, "gnu++17", &[]));
        assert_eq!(Directives::of("// { dg-do compile { target c++17 } }"), all(false, "gnu++17", &[]));
        let down = "// { dg-do run { target c++14_down } }\n// { dg-options \"-Wno-deprecated\" }";
        assert_eq!(Directives::of(down), all(true, "gnu++14", &["-Wno-deprecated"]));
        let newer = "// { dg-options \"-std=gnu++2a -include string\" }\n// { dg-do run { target c++2a } }";
        assert_eq!(Directives::of(newer), all(true, "gnu++2a", &["-include", "string"]));
        let other = "// { dg-options \"-static\" { target *-*-mingw* } }";
        assert_eq!(Directives::of(other), all(true, "gnu++17", &[]));
    }
}
