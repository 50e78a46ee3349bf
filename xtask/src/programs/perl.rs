//! Runs Perl's own tests of the language, from its source package, with the installed interpreter.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::outcomes::{Outcomes, Unit, compare};
use super::process::{finish, succeed};
use super::yard::{Side, Yard, installed, neutral};
use super::{Findings, Verdict, fetch};

/// The folders of tests that need only the interpreter and its library.
const FOLDERS: [&str; 10] = ["base", "cmd", "comp", "opbasic", "mro", "io", "uni", "lib", "re", "op"];
/// A quick run takes every sixth file of the folders after these.
const QUICK_FOLDERS: usize = 4;
/// The limit of a file, more than ten times the longest seen.
const LIMIT: Duration = Duration::from_secs(600);

pub fn run(yard: &Yard, quick: bool) -> Result<Verdict> {
    let Some(perl) = installed("perl") else { return Ok(Verdict::Skipped("perl is not installed".to_owned())) };
    let Some(source) = fetch::perl_source() else {
        return Ok(Verdict::Skipped("Perl's sources are not here: cargo xtask programs --fetch".to_owned()));
    };
    let mut findings = Findings::default();
    let sides = yard.sides("tests")?;
    let files = files(&source.join("t"), quick)?;
    for side in &sides {
        remap_free_pages(side, &source, &perl)?;
    }
    compare(&sides, &files, &[], &mut findings, unit)?;
    // The interpreter makes 5,000 allocations when it loads the library of the tests.
    sides[1].reports(&mut findings, 5_000 * files.len() as u64)?;
    Ok(Verdict::Ran(findings))
}

/// Returns the test files. Tests of Unicode properties need a file that only a build of Perl makes.
fn files(tests: &Path, quick: bool) -> Result<Vec<String>> {
    let mut files = Vec::new();
    for (index, folder) in FOLDERS.into_iter().enumerate() {
        let entries = std::fs::read_dir(tests.join(folder)).with_context(|| folder.to_owned())?;
        let mut names: Vec<String> = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect();
        names.retain(|name| name.ends_with(".t") && !name.starts_with("uniprops"));
        names.sort_unstable();
        // One of these files takes as long as all others.
        names.retain(|name| !quick || !name.starts_with("regexp_qr_embed"));
        let step = if quick && index >= QUICK_FOLDERS { 6 } else { 1 };
        files.extend(names.iter().step_by(step).map(|name| format!("{folder}/{name}")));
    }
    Ok(files)
}

/// Arranges the folders as in a built source tree: the tests in `t`, with the interpreter beside them, and the library
/// in `lib`.
fn remap_free_pages(side: &Side, source: &Path, perl: &Path) -> Result<()> {
    let (tests, library) = (side.folder.join("t"), side.folder.join("lib"));
    let limit = Duration::from_secs(120);
    let base = side.folder.join("setup");
    let mut copy = neutral("cp");
    copy.arg("-r").arg(source.join("t")).arg(&tests);
    succeed(copy, &base, limit)?;
    std::os::unix::fs::symlink(perl, tests.join("perl"))?;
    std::fs::create_dir(&library)?;
    let mut ask = neutral(perl);
    ask.args(["-MConfig", "-le", "print for @Config{qw(privlibexp archlibexp)}, grep m{/perl-base$}, @INC"]);
    let folders = succeed(ask, &base, limit)?;
    for folder in folders.lines().map(PathBuf::from).filter(|folder| folder.is_dir()) {
        let mut link = neutral("cp");
        link.arg("-rsn").arg(folder.canonicalize()?.join(".")).arg(&library);
        // `ln` fails for links that exist already.
        finish(link, &base, limit)?;
    }
    ensure!(library.join("strict.pm").exists(), "no library in {folders}");
    Ok(())
}

fn unit(side: &Side, file: &str) -> Result<Unit> {
    let tests = side.folder.join("t");
    let mut command = side.command(tests.join("perl"));
    command.current_dir(&tests).args(["-I../lib", file]).env("PERL_CORE", "1");
    // The order of hashes is part of many descriptions, and some tests depend on it.
    command.env("PERL_HASH_SEED", "0").env("PERL_PERTURB_KEYS", "0");
    let mut unit = Unit::default();
    match finish(command, &side.fresh(&file.replace(['/', '.'], "_")), LIMIT) {
        Ok(ended) => {
            unit.cpu = ended.cpu;
            unit.outcomes.ended(file, ended.status);
            cases(&ended.out, file, &mut unit.outcomes);
            unit.printed = ended.err + &ended.out;
        }
        Err(error) => unit.outcomes.note(file, "", &format!("{error:#}")),
    }
    Ok(unit)
}

/// Reads the outcomes: `ok 1 - what was tested`, `not ok 2 # TODO why`. Descriptions are not used as names, because
/// some contain addresses.
fn cases(out: &str, file: &str, outcomes: &mut Outcomes) {
    let mut last = 0;
    for line in out.lines() {
        let (rest, good) = match (line.strip_prefix("ok"), line.strip_prefix("not ok")) {
            (Some(rest), _) => (rest, true),
            (_, Some(rest)) => (rest, false),
            _ => continue,
        };
        // Other words begin with these letters too.
        if rest.starts_with(|c: char| c.is_alphanumeric()) {
            continue;
        }
        let digits = rest.trim_start().split(|c: char| !c.is_ascii_digit()).next().unwrap_or("");
        last = digits.parse().unwrap_or(last + 1);
        let directive = rest.rsplit_once('#').map_or("", |(_, directive)| directive.trim_start());
        let starts = |word: &str| directive.get(..4).is_some_and(|start| start.eq_ignore_ascii_case(word));
        let outcome = match (good, starts("skip"), starts("todo")) {
            (true, true, _) => "skipped",
            (true, _, true) => "passed-unexpectedly",
            (false, _, true) => "todo",
            (true, ..) => "passed",
            (false, ..) => "failed",
        };
        outcomes.note(file, &last.to_string(), outcome);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outcomes_are_read_by_number_and_directive() {
        let mut read = Outcomes::default();
        cases(
            "1..6\nok 1 - one\nnot ok 2 - two\nok 3 # skip why\nnot ok 4 - four # TODO why\nok\nokay\nnot ok\n",
            "f",
            &mut read,
        );
        let mut wanted = Outcomes::default();
        for (index, outcome) in ["passed", "failed", "skipped", "todo", "passed", "failed"].iter().enumerate() {
            wanted.note("f", &(index + 1).to_string(), outcome);
        }
        assert_eq!(read, wanted);
    }
}
