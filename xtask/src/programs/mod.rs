//! Runs whole programs with and without the preloaded allocator: their own test suites, and servers under load.
//!
//! Each family runs on both sides, with `check:on` on Crossfoot's side. It fails if the two sides differ, if a process
//! crashes, hangs or reports an error in its statistics, or if the reports show that the program did not allocate from
//! Crossfoot. Nothing fails because it was slow: times are printed, and those above three times the other side's are
//! named.

mod fetch;
mod glibc;
mod libstdcxx;
mod ltp;
mod nginx;
mod outcomes;
mod perl;
mod postgres;
mod process;
mod python;
mod redis;
mod stress;
mod yard;

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use clap::Args;

use crate::cargo::{cargo, done};
use crate::root;
use crate::soak;
use yard::Yard;

/// Arguments of `cargo xtask programs`.
#[derive(Args)]
pub struct Wanted {
    /// The families: glibc, libstdcxx, ltp, python, perl, redis, postgres, nginx, stress. All, if none is named.
    families: Vec<String>,
    /// Run a part of each, for CI; write nothing to docs/soak.md.
    #[arg(long)]
    quick: bool,
    /// First fetch the sources of test suites, by apt-get and git, into the target folder.
    #[arg(long)]
    fetch: bool,
}

/// A family of programs.
struct Family {
    name: &'static str,
    run: fn(&Yard, quick: bool) -> Result<Verdict>,
}

const FAMILIES: [Family; 9] = [
    Family { name: "glibc", run: glibc::run },
    Family { name: "libstdcxx", run: libstdcxx::run },
    Family { name: "ltp", run: ltp::run },
    Family { name: "python", run: python::run },
    Family { name: "perl", run: perl::run },
    Family { name: "redis", run: redis::run },
    Family { name: "postgres", run: postgres::run },
    Family { name: "nginx", run: nginx::run },
    Family { name: "stress", run: stress::run },
];

/// The result of a family.
enum Verdict {
    /// Something that the family needs is missing.
    Skipped(String),
    Ran(Findings),
}

/// The findings of a family.
#[derive(Default)]
struct Findings {
    /// Measurements, a line each.
    seen: Vec<String>,
    /// Errors, a line each.
    wrong: Vec<String>,
}

impl Findings {
    fn see(&mut self, line: impl Into<String>) {
        self.seen.push(line.into());
    }

    fn fail(&mut self, line: impl Into<String>) {
        self.wrong.push(line.into());
    }

    /// Notes the CPU times of both sides, and prints a line if Crossfoot's is three times the other.
    fn times(&mut self, what: &str, plain: Duration, ours: Duration) {
        let (plain, ours) = (plain.as_secs_f64(), ours.as_secs_f64());
        let slow = if plain >= 0.5 && ours > 3.0 * plain { ", SLOW" } else { "" };
        self.see(format!("{what}: {plain:.1} s of CPU without, {ours:.1} s on Crossfoot{slow}"));
    }
}

/// Runs the families and prints what they found. Writes the results of a full run to docs/soak.md, also if it failed.
pub fn run(wanted: &Wanted) -> Result<()> {
    for name in &wanted.families {
        ensure!(FAMILIES.iter().any(|family| family.name == name), "there is no family '{name}'");
    }
    done(cargo(root(), &["build", "--release", "--package", "crossfoot-preload"]))?;
    if wanted.fetch
        && let Err(error) = fetch::fetch()
    {
        eprintln!("skipped: cannot fetch sources: {error:#}");
    }
    let start = Instant::now();
    let (mut rows, mut failed) = (Vec::new(), Vec::new());
    for family in &FAMILIES {
        if !wanted.families.is_empty() && !wanted.families.iter().any(|name| name == family.name) {
            continue;
        }
        let (row, good) = one(family, wanted.quick)?;
        if let Some(row) = row {
            println!("{}: {} after {} s", family.name, row.result, row.took.as_secs());
            row.figures.iter().for_each(|line| println!("    {line}"));
            rows.push(row);
        }
        if !good {
            failed.push(family.name);
        }
    }
    let end = if failed.is_empty() { "all is well".to_owned() } else { format!("failed: {}", failed.join(" ")) };
    if !wanted.quick {
        let families: String = wanted.families.iter().map(|name| format!(" {name}")).collect();
        soak::record(&format!("cargo xtask programs{families}"), &rows)?;
    }
    println!("programs: {end} after {} s", start.elapsed().as_secs());
    if !failed.is_empty() {
        bail!("programs: {end}");
    }
    Ok(())
}

/// Runs one family. Returns the row of its result, if it was not skipped, and whether nothing was wrong.
fn one(family: &Family, quick: bool) -> Result<(Option<soak::Row>, bool)> {
    eprintln!("xtask: programs: {}", family.name);
    let start = Instant::now();
    let mut yard = Yard::new(family.name)?;
    let verdict = (family.run)(&yard, quick).with_context(|| family.name.to_owned());
    let mut findings = match verdict {
        Ok(Verdict::Skipped(missing)) => {
            eprintln!("skipped: {}: {missing}", family.name);
            return Ok((None, true));
        }
        Ok(Verdict::Ran(findings)) => findings,
        Err(error) => Findings { seen: Vec::new(), wrong: vec![format!("{error:#}")] },
    };
    let good = findings.wrong.is_empty();
    if !good {
        findings.wrong.push(format!("what the programs left is in {}", yard.keep().display()));
    }
    let mut figures = findings.seen;
    figures.extend(findings.wrong.iter().map(|line| format!("WRONG: {line}")));
    let (name, result) = (format!("programs/{}", family.name), if good { "all is well" } else { "FAILED" }.to_owned());
    Ok((Some(soak::Row { name, result, took: start.elapsed(), figures }), good))
}
