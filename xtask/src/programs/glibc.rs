//! Runs glibc's own tests of malloc, from its source package, built against the installed libc.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::outcomes::{Known, Unit, compare};
use super::process::{finish, succeed};
use super::yard::{Side, Yard, installed, neutral};
use super::{Findings, Verdict, fetch};

/// The limit of a test. The tests' own limits are shorter.
const LIMIT: Duration = Duration::from_secs(400);
/// The limit of a call of the compiler.
const COMPILING: Duration = Duration::from_secs(120);

/// Tests that are not run, and why.
const OMITTED: [(&str, &str); 23] = [
    ("tst-compathooks-off", "internal headers of glibc"),
    ("tst-compathooks-on", "internal headers of glibc"),
    ("tst-dynarray-at-fail", "a message of glibc's, of a function that is built in here"),
    (
        "tst-free-errno",
        "maps pages of zeros over what lies beside an object: with check:on, over the allocator's bitmaps",
    ),
    ("tst-interpose-aux", "part of another test"),
    ("tst-interpose-aux-nothread", "part of another test"),
    ("tst-interpose-aux-thread", "part of another test"),
    ("tst-interpose-nothread", "brings an allocator of its own"),
    ("tst-interpose-skeleton", "brings an allocator of its own"),
    ("tst-interpose-static-nothread", "brings an allocator of its own"),
    ("tst-interpose-static-thread", "brings an allocator of its own"),
    ("tst-interpose-thread", "brings an allocator of its own"),
    ("tst-malloc-backtrace", "damages the chunks of glibc's allocator"),
    ("tst-malloc-usable", "settings of glibc's allocator in its environment"),
    ("tst-malloc-usable-static", "settings of glibc's allocator in its environment"),
    ("tst-malloc-usable-static-tunables", "settings of glibc's allocator in its environment"),
    ("tst-malloc-usable-tunables", "settings of glibc's allocator in its environment"),
    ("tst-mallocstate", "internal headers of glibc"),
    ("tst-mtrace", "the library that traces glibc's allocator"),
    ("tst-safe-linking", "damages the lists of glibc's allocator"),
    ("tst-tcfree1", "misuse, which tests/misuse has"),
    ("tst-tcfree2", "misuse, which tests/misuse has"),
    ("tst-tcfree3", "misuse, which tests/misuse has"),
];

/// Known differences, with the reason.
const KNOWN: [Known; 2] = [
    Known {
        file: "tst-dynarray-fail",
        case: "test",
        why: "it fills memory with objects of two sizes, then wants null for others: their size classes have free slots",
    },
    Known { file: "tst-mallopt", case: "test", why: "mallopt says 0 of parameters that mean nothing here" },
];

/// The tests of a quick run. None takes a second.
const QUICK: [&str; 12] = [
    "mallocbug",
    "tst-calloc",
    "tst-malloc",
    "tst-malloc-thread-exit",
    "tst-malloc-too-large",
    "tst-malloc_info",
    "tst-memalign",
    "tst-mallopt",
    "tst-obstack",
    "tst-posix_memalign",
    "tst-realloc",
    "tst-reallocarray",
];

pub fn run(yard: &Yard, quick: bool) -> Result<Verdict> {
    let (Some(compiler), Some(archiver)) = (installed("gcc"), installed("ar")) else {
        return Ok(Verdict::Skipped("gcc is not installed".to_owned()));
    };
    let Some(source) = fetch::glibc_source() else {
        return Ok(Verdict::Skipped("glibc's sources are not here: cargo xtask programs --fetch".to_owned()));
    };
    let mut findings = Findings::default();
    let sides = yard.sides("tests")?;
    let build = Build { compiler, archiver, source, folder: sides[0].folder.join("build") };
    fs::create_dir_all(build.folder.join("include/malloc"))?;
    let tests = build.tests(quick)?;
    build.library()?;
    for test in &tests {
        build.test(test)?;
    }
    compare(&sides, &tests, if quick { &KNOWN[1..] } else { &KNOWN }, &mut findings, |side, test| {
        unit(side, &build.folder.join(test), test)
    })?;
    for (test, why) in OMITTED.iter().filter(|(test, _)| !quick && build.source_of(test).exists()) {
        findings.see(format!("not run: {test}: {why}"));
    }
    sides[1].reports(&mut findings, 100 * tests.len() as u64)?;
    Ok(Verdict::Ran(findings))
}

/// The folders and the tools of the build.
struct Build {
    compiler: PathBuf,
    archiver: PathBuf,
    source: PathBuf,
    folder: PathBuf,
}

impl Build {
    fn source_of(&self, test: &str) -> PathBuf {
        self.source.join("malloc").join(format!("{test}.c"))
    }

    /// Returns the names of the tests.
    fn tests(&self, quick: bool) -> Result<Vec<String>> {
        let mut tests = names(&self.source.join("malloc"))?;
        tests.retain(|name| name.starts_with("tst-") || name == "mallocbug");
        tests.retain(|name| !OMITTED.iter().any(|(omitted, _)| name == omitted));
        tests.retain(|name| !quick || QUICK.contains(&name.as_str()));
        ensure!(tests.len() >= QUICK.len(), "only {} tests in {}", tests.len(), self.source.display());
        Ok(tests)
    }

    fn compile(&self) -> Command {
        let mut command = neutral(&self.compiler);
        command.args(["-std=gnu11", "-O1", "-w", "-fno-builtin", "-pthread", "-D_GNU_SOURCE", "-include"]);
        command.arg(crate::root().join("xtask/src/programs/glibc.h"));
        for folder in
            [&self.folder.join("include"), &self.source.join("support"), &self.source, &self.source.join("malloc")]
        {
            command.arg("-I").arg(folder);
        }
        command
    }

    /// Builds the support library of the tests. Some of its files need more of glibc than is installed, and no malloc
    /// test needs those.
    fn library(&self) -> Result<()> {
        // Copies those headers of glibc that are not installed. Copies of the others would hide the installed ones.
        for name in ["alloc_buffer.h", "array_length.h", "libc-diag.h", "libc-pointer-arith.h", "scratch_buffer.h"] {
            let header = self.source.join("include").join(name);
            if header.exists() {
                fs::copy(&header, self.folder.join("include").join(name))?;
            }
        }
        for name in ["malloc-size.h", "malloc-alignment.h"] {
            let header = self.source.join("sysdeps/generic").join(name);
            if header.exists() {
                fs::copy(&header, self.folder.join("include").join(name))?;
            }
        }
        for name in ["malloc/dynarray.h", "malloc/dynarray-skeleton.c"] {
            fs::copy(self.source.join(name), self.folder.join("include").join(name))?;
        }
        let mut objects = Vec::new();
        for (folder, begins) in [("support", ""), ("malloc", "dynarray"), ("malloc", "alloc_buffer")] {
            for name in names(&self.source.join(folder))?.into_iter().filter(|name| name.starts_with(begins)) {
                let object = self.folder.join(format!("{name}.o"));
                let mut compile = self.compile();
                compile.arg("-c").arg(self.source.join(folder).join(format!("{name}.c"))).arg("-o").arg(&object);
                // A file that does not compile is left out.
                if name != "dynarray-skeleton"
                    && finish(compile, &self.folder.join("compile"), COMPILING)?.status.success()
                {
                    objects.push(object);
                }
            }
        }
        // These are programs of their own, not parts of the library.
        objects.retain(|object| !object.to_string_lossy().contains("tst-"));
        let mut archive = neutral(&self.archiver);
        archive.arg("rcs").arg(self.folder.join("libsupport.a")).args(&objects);
        succeed(archive, &self.folder.join("archive"), COMPILING).map(|_| ())
    }

    fn test(&self, name: &str) -> Result<()> {
        let mut compile = self.compile();
        compile.arg(self.source_of(name)).arg("-o").arg(self.folder.join(name)).arg(self.folder.join("libsupport.a"));
        succeed(compile, &self.folder.join("compile"), COMPILING).map(|_| ())
    }
}

/// Returns the names of the C files of a folder, without extension.
fn names(folder: &Path) -> Result<Vec<String>> {
    let entries = fs::read_dir(folder).with_context(|| folder.display().to_string())?;
    let files = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let mut names: Vec<String> = files.filter_map(|name| name.strip_suffix(".c").map(str::to_owned)).collect();
    names.sort_unstable();
    Ok(names)
}

fn unit(side: &Side, program: &Path, test: &str) -> Result<Unit> {
    let mut unit = Unit::default();
    match finish(side.command(program), &side.fresh(test), LIMIT) {
        Ok(ended) => {
            unit.cpu = ended.cpu;
            unit.outcomes.ended(test, ended.status);
            unit.outcomes.note(test, "test", outcome(ended.status.code()));
            unit.printed = ended.err + &ended.out;
        }
        Err(error) => unit.outcomes.note(test, "", &format!("{error:#}")),
    }
    Ok(unit)
}

/// Returns the outcome that an exit status of the test support means.
pub fn outcome(code: Option<i32>) -> &'static str {
    match code {
        Some(0) => "passed",
        Some(77) => "unsupported",
        Some(_) => "failed",
        None => "killed",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_an_outcome() {
        assert_eq!([Some(0), Some(1), Some(77), None].map(outcome), ["passed", "failed", "unsupported", "killed"]);
    }

    #[test]
    fn what_is_run_quickly_is_run() {
        assert!(QUICK.iter().all(|test| !OMITTED.iter().any(|(omitted, _)| test == omitted)));
    }
}
