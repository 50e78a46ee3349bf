//! PostgreSQL: a process for each connection, under load.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::process::{last_lines, start, succeed};
use super::yard::{Side, Yard, is_root, text_of};
use super::{Findings, Verdict};

/// No client takes a tenth of it.
const LIMIT: Duration = Duration::from_secs(600);
/// What both sides must answer in the same way.
const QUERIES: &str = include_str!("queries.sql");
/// What must hold after every number of transactions.
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
    // A connection makes a thousand blocks for its memory contexts.
    sides[1].reports(&mut findings, 100_000)?;
    Ok(Verdict::Ran(findings))
}

/// The folder of the newest server's programs: Debian has them outside of every `PATH`.
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
    /// One of its programs on this side. PostgreSQL refuses to run as root: then as nobody.
    fn command(&self, program: &str) -> Command {
        let mut command = self.side.command(self.programs.join(program));
        if self.root {
            command.uid(65534).gid(65534);
        }
        command.env("PGHOST", &self.side.folder).env("PGUSER", "postgres").env("PGDATABASE", "postgres");
        command
    }

    /// Runs one of its programs to its end. Returns what it printed.
    fn done(&self, program: &str, arguments: &[&str], findings: &mut Findings) -> Result<String> {
        let mut command = self.command(program);
        command.args(arguments);
        let base = self.side.folder.join(program);
        let out = succeed(command, &base, LIMIT)?;
        self.side.said(&text_of(&base.with_extension("err"))?, findings);
        Ok(out)
    }

    /// A cluster from its making to its end. Returns the processor time of the server and what it answered.
    fn run(&self, quick: bool, findings: &mut Findings) -> Result<(Duration, String)> {
        let initial = ["-D", "data", "-A", "trust", "-U", "postgres", "-E", "UTF8", "--locale=C", "--no-sync"];
        self.done("initdb", &initial, findings)?;
        let mut command = self.command("postgres");
        command.args(["-D", "data", "-c", "listen_addresses=", "-c", "fsync=off", "-c", "autovacuum_naptime=1s"]);
        command.arg("-k").arg(&self.side.folder);
        let server = start(command, &self.side.folder.join("server"))?;
        // Before this line nobody is answered, and a client that is refused fails.
        server.wait_until("ready", || server.errors().contains("ready to accept connections"))?;
        self.side.write("queries.sql", QUERIES)?;
        let answers = self.done("psql", &["-X", "-q", "-v", "ON_ERROR_STOP=1", "-f", "queries.sql"], findings)?;
        self.done("pgbench", &["-i", "-q", "-s", "2"], findings)?;
        // Numbers of transactions, not times: both sides do the same.
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
        // The launcher of replication ends so whenever the server does.
        let usual = "logical replication launcher";
        for line in log.lines().filter(|line| grave.iter().any(|word| line.contains(word)) && !line.contains(usual)) {
            findings.fail(format!("{}: {line}", self.side.name()));
        }
        Ok((ended.cpu, answers))
    }
}
