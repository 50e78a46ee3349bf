//! Runs PostgreSQL, which has a process for each connection, under load.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::process::{last_lines, start, succeed};
use super::yard::{Side, Yard, is_root, text_of};
use super::{Findings, Verdict};

/// The limit of a client, more than ten times the longest seen.
const LIMIT: Duration = Duration::from_secs(600);
/// Queries whose answers must be equal on both sides.
const QUERIES: &str = include_str!("queries.sql");
/// A query that must return true after any number of transactions.
const SUMS: &str = "select (select sum(abalance) from pgbench_accounts) = (select sum(bbalance) from pgbench_branches) \
                    and (select sum(bbalance) from pgbench_branches) = (select sum(tbalance) from pgbench_tellers) \
                    and (select sum(tbalance) from pgbench_tellers) = (select sum(delta) from pgbench_history)";

pub fn run(yard: &Yard, quick: bool) -> Result<Verdict> {
    let Some(programs) = programs() else {
        return Ok(Verdict::Skipped("postgresql is not installed".to_owned()));
    };
    let mut findings = Findings::default();
    let sides = yard.sides("server")?;
    let mut ran = Vec::new();
    for side in &sides {
        let server = Server { side, programs: &programs, root: is_root()? };
        ran.push(server.run(quick, &mut findings)?);
    }
    let [(plain_cpu, plain), (cpu, ours)] = &ran[..] else { unreachable!("there are two sides") };
    findings.times("the server's processes, for the same requests", *plain_cpu, *cpu);
    for (plain, ours) in plain.lines().zip(ours.lines()).filter(|(plain, ours)| plain != ours).take(5) {
        findings.fail(format!("another answer: without '{plain}', on Crossfoot '{ours}'"));
    }
    if plain.len() != ours.len() || plain.lines().count() < 20 {
        findings.fail(format!("answers of {} bytes without, of {} on Crossfoot", plain.len(), ours.len()));
    }
    findings.see(format!("{} lines of answers are the same", ours.lines().count()));
    // A connection allocates a thousand blocks for its memory contexts.
    sides[1].reports(&mut findings, 100_000)?;
    Ok(Verdict::Ran(findings))
}

/// Returns the folder of the newest server's programs: Debian installs them outside of every `PATH`.
fn programs() -> Option<PathBuf> {
    let entries = std::fs::read_dir("/usr/lib/postgresql").ok()?;
    let folders = entries.filter_map(|entry| Some(entry.ok()?.path().join("bin")));
    let mut folders: Vec<PathBuf> = folders
        .filter(|folder| ["initdb", "postgres", "pgbench", "psql"].iter().all(|name| folder.join(name).is_file()))
        .collect();
    folders.sort();
    folders.pop()
}

struct Server<'a> {
    side: &'a Side,
    programs: &'a Path,
    root: bool,
}

impl Server<'_> {
    /// Returns a command for one of the server's programs on this side. PostgreSQL refuses to run as root, so root runs
    /// it as user `nobody`.
    fn command(&self, program: &str) -> Command {
        let mut command = self.side.command(self.programs.join(program));
        if self.root {
            command.uid(65534).gid(65534);
        }
        command.env("PGHOST", &self.side.folder).env("PGUSER", "postgres").env("PGDATABASE", "postgres");
        command
    }

    /// Runs one of the server's programs to its end. Returns its output.
    fn done(&self, program: &str, arguments: &[&str], findings: &mut Findings) -> Result<String> {
        let mut command = self.command(program);
        command.args(arguments);
        let base = self.side.folder.join(program);
        let out = succeed(command, &base, LIMIT)?;
        self.side.said(&text_of(&base.with_extension("err"))?, findings);
        Ok(out)
    }

    /// Creates a cluster, runs the load, and stops the server. Returns the CPU time of the server and its answers.
    fn run(&self, quick: bool, findings: &mut Findings) -> Result<(Duration, String)> {
        let initial = ["-D", "data", "-A", "trust", "-U", "postgres", "-E", "UTF8", "--locale=C", "--no-sync"];
        self.done("initdb", &initial, findings)?;
        let mut command = self.command("postgres");
        command.args(["-D", "data", "-c", "listen_addresses=", "-c", "fsync=off", "-c", "autovacuum_naptime=1s"]);
        command.arg("-k").arg(&self.side.folder);
        let server = start(command, &self.side.folder.join("server"))?;
        // Before this line the server refuses connections, and a client that is refused fails.
        server.wait_until("ready", || server.errors().contains("ready to accept connections"))?;
        self.side.write("queries.sql", QUERIES)?;
        let answers = self.done("psql", &["-X", "-q", "-v", "ON_ERROR_STOP=1", "-f", "queries.sql"], findings)?;
        self.done("pgbench", &["-i", "-q", "-s", "2"], findings)?;
        // The load is a number of transactions, not a time, so that both sides do the same.
        let (long, short) = if quick { ("500", "20") } else { ("4000", "150") };
        let seed = "--random-seed=1";
        for (arguments, count) in [
            (["-n", seed, "-M", "prepared"], long),
            (["-n", seed, "-M", "simple"], long),
            (["-n", seed, "-C", "-j2"], short),
        ] {
            let mut all = arguments.to_vec();
            all.extend(["-c", "8", "-t", count]);
            let out = self.done("pgbench", &all, findings)?;
            let wanted: u64 = 8 * count.parse::<u64>().context("a count")?;
            ensure!(out.contains(&format!("actually processed: {wanted}/{wanted}")), "{}: {out}", self.side.name());
            ensure!(out.contains("failed transactions: 0 "), "{}: {out}", self.side.name());
        }
        let sums = self.done("psql", &["-X", "-q", "-A", "-t", "-c", SUMS], findings)?;
        ensure!(sums == "t\n", "{}: the sums of pgbench differ: {sums}", self.side.name());
        server.signal("INT")?;
        let ended = server.wait(LIMIT)?;
        ensure!(ended.status.success(), "{}: {}\n{}", self.side.name(), ended.status, last_lines(&ended.err, 20));
        let log = ended.err + &ended.out;
        self.side.said(&log, findings);
        let grave = ["PANIC:", "exited with exit code", "terminated by signal", "was terminated"];
        // The logical replication launcher exits with this status whenever the server stops.
        let usual = "logical replication launcher";
        for line in log.lines().filter(|line| grave.iter().any(|word| line.contains(word)) && !line.contains(usual)) {
            findings.fail(format!("{}: {line}", self.side.name()));
        }
        Ok((ended.cpu, answers))
    }
}
