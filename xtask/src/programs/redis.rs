//! Runs Redis under load, with a fork that saves at the same time.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::process::{Running, last_lines, start, succeed};
use super::yard::{Side, Yard, installed, neutral};
use super::{Findings, Verdict};

/// The limit of a client command, and of all benchmarks of one size.
const LIMIT: Duration = Duration::from_secs(300);
/// Sizes of values in bytes, one of a small class and one of a large object, each with the benchmark's tests and the
/// number of rows they print. Ranges of large values would transfer gigabytes.
const LOADS: [(&str, &str, usize); 2] = [("300", EVERY, 20), ("50000", "set,get,lpush,rpop,hset,sadd", 6)];
/// The number of different keys that the benchmark uses.
const KEYS: &str = "2000";
/// Every test of the benchmark.
const EVERY: &str = "ping,set,get,incr,lpush,rpush,lpop,rpop,sadd,hset,spop,zadd,zpopmin,lrange,mset";

/// The result of one side.
struct Ran {
    cpu: Duration,
    /// Lines that must be equal on both sides.
    answers: Vec<String>,
}

pub fn run(yard: &Yard, quick: bool) -> Result<Verdict> {
    let programs = ["redis-benchmark", "redis-cli"].map(installed);
    // Debian's package of the tools contains the server too, under the name of another tool.
    let server = installed("redis-server").or_else(|| installed("redis-check-rdb"));
    let ([Some(_), Some(_)], Some(server)) = (programs, server) else {
        return Ok(Verdict::Skipped("redis-tools is not installed".to_owned()));
    };
    let mut findings = Findings::default();
    let sides = yard.sides("server")?;
    let mut ran = Vec::new();
    for side in &sides {
        ran.push(one(side, &server, quick, &mut findings)?);
    }
    let [plain, ours] = &ran[..] else { unreachable!("there are two sides") };
    findings.times("the server", plain.cpu, ours.cpu);
    if plain.answers != ours.answers {
        let differ = plain.answers.iter().zip(&ours.answers).find(|(plain, ours)| plain != ours);
        findings.fail(format!("other answers, {} and {}: {differ:?}", plain.answers.len(), ours.answers.len()));
    }
    // Each request allocates at least a client's command or a reply. Each key and each value is an object.
    let reports = sides[1].reports(&mut findings, 200_000)?;
    if let Some(bytes) = reports.busiest("/memory/classes/heap/objects:bytes") {
        findings.see(format!("the server's objects at exit, after FLUSHALL: {bytes} bytes"));
        if bytes > 8 << 20 {
            findings.fail(format!("the server's objects at exit, after FLUSHALL: {bytes} bytes"));
        }
    }
    Ok(Verdict::Ran(findings))
}

fn one(side: &Side, server: &std::path::Path, quick: bool, findings: &mut Findings) -> Result<Ran> {
    use std::os::unix::process::CommandExt;
    let mut command = side.command(server);
    command.arg0("redis-server").args(["--port", "0", "--unixsocket", "socket", "--save", ""]);
    if !quick {
        // I/O threads spin, and two CPUs have no room for that.
        command.args(["--io-threads", "2"]);
    }
    command.args(["--enable-debug-command", "local", "--lazyfree-lazy-user-flush", "no"]);
    let server = start(command, &side.folder.join("server"))?;
    server.wait_until("answering", || ask(side, &["PING"]).is_ok_and(|answer| answer == "PONG"))?;
    let (before, _) = used(side)?;
    let requests = if quick { "5000" } else { "40000" };
    for (size, tests, wanted) in LOADS {
        let requests = if size.len() > 3 { "1000" } else { requests };
        let mut load = neutral("redis-benchmark");
        load.current_dir(&side.folder)
            .args(["-s", "socket", "--csv", "-r", KEYS, "-n", requests, "-d", size, "-t", tests]);
        let load = start(load, &side.folder.join(format!("benchmark-{size}")))?;
        while load.is_running()? {
            save(side, &server)?;
            std::thread::sleep(Duration::from_secs(1));
        }
        let ended = load.wait(LIMIT)?;
        ensure!(ended.status.success(), "redis-benchmark: {}\n{}", ended.status, last_lines(&ended.err, 10));
        let errors: Vec<&str> = ended.out.lines().filter(|line| line.to_lowercase().contains("error")).collect();
        let rows = ended.out.lines().filter(|line| line.starts_with('"')).count() - 1;
        if !errors.is_empty() || rows != wanted {
            findings.fail(format!("{}: {rows} of {wanted} tests, errors: {errors:?}", side.name()));
        }
    }
    let saves = ask(side, &["INFO", "persistence"])?
        .lines()
        .filter_map(|line| line.strip_prefix("rdb_saves:"))
        .collect::<String>();
    findings.see(format!("{}: {} saves in a forked child under load", side.name(), saves.trim()));
    let answers = answers(side, quick)?;
    let (full, full_resident) = used(side)?;
    ask(side, &["FLUSHALL", "SYNC"])?;
    let (flushed, resident) = used(side)?;
    let name = side.name();
    findings.see(format!("{name}: Redis counts {before} bytes at first, {full} full, {flushed} after FLUSHALL"));
    findings.see(format!("{name}: resident are {full_resident} bytes full, {resident} after FLUSHALL"));
    // Buffers of clients and tables of commands remain.
    if flushed > before + (4 << 20) {
        findings.fail(format!("{}: {flushed} bytes used after FLUSHALL, {before} at first", side.name()));
    }
    let _ = ask(side, &["SHUTDOWN", "NOSAVE"]);
    let ended = server.wait(Duration::from_secs(60))?;
    ensure!(ended.status.success(), "{}: the server: {}\n{}", side.name(), ended.status, last_lines(&ended.out, 40));
    side.said(&(ended.out + &ended.err), findings);
    Ok(Ran { cpu: ended.cpu, answers })
}

/// Saves in a forked child and waits for it.
fn save(side: &Side, server: &Running) -> Result<()> {
    ask(side, &["BGSAVE"])?;
    server.wait_until("done saving", || {
        ask(side, &["INFO", "persistence"]).is_ok_and(|info| info.contains("rdb_bgsave_in_progress:0"))
    })?;
    let info = ask(side, &["INFO", "persistence"])?;
    ensure!(info.contains("rdb_last_bgsave_status:ok"), "{}: BGSAVE failed:\n{info}", side.name());
    Ok(())
}

/// Fills the database with the same content in each run, and reads it in several ways, one of them after a save and a
/// load.
fn answers(side: &Side, quick: bool) -> Result<Vec<String>> {
    let count = if quick { "20000" } else { "200000" };
    let mut answers = Vec::new();
    let sort = "local t = {} for i = 1, 20000 do t[i] = ('%05d'):format((i * 7919) % 20011) end table.sort(t) \
                return redis.sha1hex(table.concat(t, ','))";
    let lists = "for i = 1, 20000 do redis.call('RPUSH', 'l:' .. i % 50, ('x'):rep(i % 700)) \
                 redis.call('ZADD', 'z', (i * 31) % 997, i) redis.call('HSET', 'h:' .. i % 90, i, ('y'):rep(i % 90)) \
                 redis.call('SADD', 's', i) redis.call('APPEND', 'a', i) redis.call('XADD', 'x', i .. '-1', 'f', i) \
                 end return redis.call('DBSIZE')";
    let commands: [&[&str]; 10] = [
        &["FLUSHALL", "SYNC"],
        &["DEBUG", "POPULATE", count, "key", "200"],
        &["EVAL", sort, "0"],
        &["EVAL", lists, "0"],
        &["DBSIZE"],
        &["DEBUG", "DIGEST"],
        &["DEBUG", "RELOAD"],
        &["DEBUG", "DIGEST"],
        &["SORT", "s", "LIMIT", "0", "3", "DESC"],
        &["ZRANGE", "z", "100", "120"],
    ];
    for command in commands {
        answers.push(format!("{}: {}", command[0], ask(side, command)?));
    }
    Ok(answers)
}

/// Returns the memory that Redis counts as used, and its resident memory.
fn used(side: &Side) -> Result<(u64, u64)> {
    let info = ask(side, &["INFO", "memory"])?;
    let number = |name: &str| {
        let value = info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        value.and_then(|value| value.trim().parse::<u64>().ok()).with_context(|| format!("INFO without {name}"))
    };
    Ok((number("used_memory")?, number("used_memory_rss")?))
}

/// Sends one command to the server. An error answer is an error.
fn ask(side: &Side, arguments: &[&str]) -> Result<String> {
    let start = Instant::now();
    let mut client = neutral("redis-cli");
    client.current_dir(&side.folder).args(["-e", "-s", "socket"]).args(arguments);
    let answer = succeed(client, &side.folder.join("client"), LIMIT)?;
    ensure!(start.elapsed() < LIMIT, "{arguments:?} took {} s", start.elapsed().as_secs());
    Ok(answer.trim().to_owned())
}
