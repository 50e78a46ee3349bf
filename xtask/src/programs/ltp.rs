//! Runs the tests of the Linux Test Project that allocate: `malloc` under stress, its statistics, and `brk` beside it.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::Result;

use super::outcomes::{Known, Unit, compare};
use super::process::{finish, succeed};
use super::yard::{Side, Yard, installed, neutral};
use super::{Findings, Verdict, fetch};

/// `mallocstress` ends itself after ten minutes.
const LIMIT: Duration = Duration::from_secs(700);
/// The limit of a step of the build.
const BUILDING: Duration = Duration::from_secs(900);

/// A test: its folder below `testcases/kernel`, its name, and whether it is part of a quick run.
const TESTS: [(&str, &str, bool); 11] = [
    ("mem/mem", "mem02", true),
    ("mem/mtest05", "mmstress", false),
    ("mem/mtest07", "mallocstress", false),
    ("syscalls/brk", "brk01", true),
    ("syscalls/brk", "brk02", true),
    ("syscalls/mallinfo", "mallinfo01", true),
    ("syscalls/mallinfo", "mallinfo02", true),
    ("syscalls/mallinfo2", "mallinfo2_01", true),
    ("syscalls/mallopt", "mallopt01", true),
    ("syscalls/sbrk", "sbrk01", true),
    ("syscalls/sbrk", "sbrk02", true),
];

/// Tests that are not run, and why.
const OMITTED: [(&str, &str); 3] = [
    ("mtest01", "takes 80 % of the machine's memory and swap"),
    ("oom01 to oom05", "make the OS kill processes for want of memory"),
    ("sbrk03", "is for s390 only"),
];

/// Known differences, with the reason.
const KNOWN: [Known; 1] = [Known {
    file: "mallinfo01",
    case: "2",
    why: "ordblks is the number of free slots in spans: an object that is freed is one, but a span that is carved \
          meanwhile has more",
}];

pub fn run(yard: &Yard, quick: bool) -> Result<Verdict> {
    let missing = ["gcc", "make", "autoconf", "automake"].into_iter().find(|program| installed(program).is_none());
    if let Some(missing) = missing {
        return Ok(Verdict::Skipped(format!("{missing} is not installed")));
    }
    let Some(source) = fetch::ltp_source() else {
        return Ok(Verdict::Skipped("LTP's sources are not here: cargo xtask programs --fetch".to_owned()));
    };
    let mut findings = Findings::default();
    let sides = yard.sides("tests")?;
    let tests: Vec<_> = TESTS.into_iter().filter(|&(.., is_quick)| is_quick || !quick).collect();
    build(&source, tests.iter().map(|&(folder, ..)| folder), &sides[0].folder.join("build"))?;
    let names: Vec<String> = tests.iter().map(|&(_, name, _)| name.to_owned()).collect();
    compare(&sides, &names, &KNOWN, &mut findings, |side, test| {
        let folder = tests.iter().find(|&&(_, name, _)| name == test).map_or("", |&(folder, ..)| folder);
        unit(side, &source.join("testcases/kernel").join(folder), test)
    })?;
    for (test, why) in OMITTED.iter().filter(|_| !quick) {
        findings.see(format!("not run: {test}: {why}"));
    }
    sides[1].reports(&mut findings, 1000)?;
    Ok(Verdict::Ran(findings))
}

/// Builds the library of the tests and these folders, in the source tree, so that the next run finds them.
fn build<'a>(source: &Path, folders: impl Iterator<Item = &'a str>, log: &Path) -> Result<()> {
    let step = |mut command: Command| {
        command.current_dir(source);
        succeed(command, log, BUILDING).map(|_| ())
    };
    let make = |arguments: &[&str]| {
        let mut make = neutral("make");
        make.args(arguments);
        step(make)
    };
    if !source.join("configure").exists() {
        make(&["autotools"])?;
    }
    if !source.join("include/mk/config.mk").exists() {
        let mut configure = neutral(source.join("configure"));
        configure.arg("--disable-metadata");
        step(configure)?;
    }
    make(&["-C", "lib"])?;
    for folder in folders {
        make(&["-C", &format!("testcases/kernel/{folder}")])?;
    }
    Ok(())
}

/// Runs a test in the folder with the programs that it starts.
fn unit(side: &Side, folder: &Path, test: &str) -> Result<Unit> {
    let mut unit = Unit::default();
    let mut command = side.command(folder.join(test));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain([folder.to_owned()]);
    command.env("PATH", std::env::join_paths(folders)?).env("TMPDIR", &side.folder);
    match finish(command, &side.fresh(test), LIMIT) {
        Ok(ended) => {
            unit.cpu = ended.cpu;
            unit.outcomes.ended(test, ended.status);
            unit.printed = ended.err + &ended.out;
            for (case, outcome) in outcomes(&unit.printed).into_iter().enumerate() {
                unit.outcomes.note(test, &(case + 1).to_string(), outcome);
            }
        }
        Err(error) => unit.outcomes.note(test, "", &format!("{error:#}")),
    }
    Ok(unit)
}

/// Returns the results that a test prints, in order: `file.c:LINE: TPASS: TEXT`, and in older tests `file  1  TPASS  :
/// TEXT`.
fn outcomes(text: &str) -> Vec<&'static str> {
    let words =
        [("TPASS", "passed"), ("TFAIL", "failed"), ("TBROK", "broken"), ("TCONF", "unsupported"), ("TWARN", "warned")];
    let outcome = |line: &str| {
        let mut parts = line.split([' ', ':']);
        parts.find_map(|part| words.iter().find(|(word, _)| *word == part).map(|&(_, outcome)| outcome))
    };
    text.lines().filter_map(outcome).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_of_results_are_read() {
        let text = "tst_test.c:1: TINFO: Timeout\n\
                    mallinfo01.c:44: TPASS: mallinfo() uordblks passed\n\
                    mallinfo01.c:56: TFAIL: mallinfo() ordblks failed\n\
                    mem02       1  TPASS  :  calloc\n\
                    tst_test.c:9: TCONF: TPASS is said once\n\
                    passed   2\n";
        assert_eq!(outcomes(text), ["passed", "failed", "passed", "unsupported"]);
    }
}
