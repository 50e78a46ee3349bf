//! Runs CPython's own test suite.

use std::path::Path;
use std::time::Duration;

use anyhow::Result;

use super::outcomes::{Known, Outcomes, Unit, compare};
use super::process::finish;
use super::yard::{Side, Yard, installed, neutral, text_of};
use super::{Findings, Verdict};

/// The interpreter of the distribution: another one in `PATH` may be a script, or lack the tests.
const PYTHON: &str = "/usr/bin/python3";
/// The tests of a quick run: objects of every kind, threads, processes, and C code called through `ctypes`.
const QUICK: [&str; 9] = [
    "test_subprocess",
    "test_ctypes",
    "test_gc",
    "test_bytes",
    "test_re",
    "test_json",
    "test_set",
    "test_dict",
    "test_list",
];
/// Tests that take longer.
const LONG: [&str; 14] = [
    "test_multiprocessing_fork",
    "test_threading",
    "test_fork1",
    "test_thread",
    "test_io",
    "test_memoryview",
    "test_array",
    "test_zlib",
    "test_sqlite3",
    "test_xml_etree_c",
    "test_pickle",
    "test_unicode",
    "test_ssl",
    "test_sys",
];
/// Tests that see the preloaded object.
const KNOWN: [Known; 1] = [Known {
    file: "test_subprocess",
    case: "test.test_subprocess.POSIXProcessTestCase.test_pass_fds_redirected",
    why: "it lists every open descriptor below 256, among them the two of the stats page",
}];
/// The limit of a file, more than ten times the longest seen.
const LIMIT: Duration = Duration::from_secs(900);

pub fn run(yard: &Yard, quick: bool) -> Result<Verdict> {
    let found = neutral(PYTHON).args(["-c", "import test.libregrtest, test.test_list"]).output();
    if !found.is_ok_and(|output| output.status.success()) {
        return Ok(Verdict::Skipped("the system's python3 with its test suite is not installed".to_owned()));
    }
    let mut findings = Findings::default();
    let sides = yard.sides("tests")?;
    let long: &[&str] = if quick { &[] } else { &LONG };
    let files: Vec<String> = long.iter().chain(&QUICK).map(|&name| name.to_owned()).collect();
    compare(&sides, &files, &KNOWN, &mut findings, unit)?;
    // Every test makes thousands of objects and starts the interpreter, which makes 20,000 allocations.
    sides[1].reports(&mut findings, 100_000 * files.len() as u64)?;
    Ok(Verdict::Ran(findings))
}

fn unit(side: &Side, file: &str) -> Result<Unit> {
    let base = side.fresh(file);
    let junit = base.with_extension("xml");
    let mut command = side.command(installed("env").unwrap_or_else(|| "env".into()));
    // `env` runs on Crossfoot too, and becomes the interpreter by exec.
    command.arg("PYTHONMALLOC=malloc").args([PYTHON, "-m", "test", "-v", "--timeout", "600", "--junit-xml"]);
    command.arg(&junit).arg("--tempdir").arg(&side.folder).arg(file);
    let mut unit = Unit::default();
    match finish(command, &base, LIMIT) {
        Ok(ended) => {
            unit.cpu = ended.cpu;
            unit.outcomes.ended(file, ended.status);
            unit.printed = ended.out + &ended.err;
            cases(&junit, file, &mut unit.outcomes);
        }
        Err(error) => unit.outcomes.note(file, "", &format!("{error:#}")),
    }
    Ok(unit)
}

/// Reads the outcomes from the file in JUnit's format, which does not exist if the interpreter crashed.
fn cases(junit: &Path, file: &str, outcomes: &mut Outcomes) {
    let text = text_of(junit).unwrap_or_default();
    for case in text.split("<testcase ").skip(1) {
        let name = case.split('"').nth(1).unwrap_or("");
        let case = case.split("</testsuite>").next().unwrap_or("");
        let outcome = [("<error", "error"), ("<failure", "failed"), ("<skipped", "skipped")];
        let outcome = outcome.into_iter().find(|(tag, _)| case.contains(tag)).map_or("passed", |(_, word)| word);
        outcomes.note(file, name, outcome);
    }
}
