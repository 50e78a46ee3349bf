//! A server under the load of its own benchmark.

use super::{Program, find_program};
use crate::{measure, options::Options, workspace::Workspace};
use anyhow::{Context, Result, ensure};
use std::{
    env,
    io::{Read, Write},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process, thread,
    time::{Duration, Instant},
};

/// Requests of each command at 100 %.
const REQUESTS: u32 = 120_000;

/// Seconds until the server must answer.
const START: Duration = Duration::from_secs(10);

/// What is asked of the server: keys, commands and pipeline as in Redis's own page on its benchmark
/// (`-r 1000000 -n 2000000 -t get,set,lpush,lpop -P 16`), and then the call of mimalloc-bench, with fewer requests each.
const LOADS: [&[&str]; 2] =
    [&["-t", "get,set,lpush,lpop"], &["lpush", "a", "1", "2", "3", "4", "5", "lrange", "a", "1", "5"]];

/// Values that one request of the second load puts into its list: all words behind the key.
const PUSHED: u32 = 9;

/// The server in memory alone. Debian's is linked to jemalloc.
pub fn server(_workspace: &Workspace, options: &Options) -> Result<Program> {
    // The package of the tools holds the server too, under the name of another tool.
    let binary = find_program("redis-server").or_else(|_| find_program("redis-check-rdb"))?;
    let client = find_program("redis-benchmark")?;
    let socket = env::temp_dir().join(format!("crossfoot-bench-{}.socket", process::id()));
    let arguments = ["--port", "0", "--save", "", "--appendonly", "no", "--logfile", "/dev/null", "--unixsocket"];
    let arguments = arguments.iter().map(|word| (*word).to_owned()).chain([super::text(&socket)]).collect();
    let requests = (REQUESTS * options.percent() / 100).max(16);
    Ok(Program {
        binary,
        called: Some("redis-server"),
        arguments,
        trifle: vec!["--version".into()],
        own: Some("libjemalloc2"),
        load: Some(Box::new(move || load(&socket, &client, requests))),
        ..Program::default()
    })
}

/// Waits for the server, asks what is to be asked, and ends it.
fn load(socket: &PathBuf, client: &Path, requests: u32) -> Result<String> {
    let start = Instant::now();
    while ask(socket, "PING").is_err() {
        ensure!(start.elapsed() < START, "the server does not answer");
        thread::sleep(Duration::from_millis(1));
    }
    for words in LOADS {
        let mut command = measure::command(client, None);
        command.arg("-s").arg(socket).args(["-r", "1000000", "-q", "-P", "16", "-n", &requests.to_string()]);
        measure::run({
            command.args(words);
            command
        })
        .context("redis-benchmark")?;
    }
    let lengths = [ask(socket, "LLEN mylist")?, ask(socket, "LLEN a")?];
    let wanted = [":0".to_owned(), format!(":{}", PUSHED * requests)];
    ensure!(lengths == wanted, "the lists have lengths {lengths:?}, not {wanted:?}");
    // It closes the connection without an answer.
    ask(socket, "SHUTDOWN NOSAVE")?;
    Ok(lengths.concat())
}

/// One command to the server, and the first line of its answer; empty if it ends.
fn ask(socket: &PathBuf, command: &str) -> Result<String> {
    let mut stream = UnixStream::connect(socket).context("connecting to the server")?;
    stream.set_read_timeout(Some(START))?;
    stream.write_all(format!("{command}\r\n").as_bytes())?;
    let mut answer = [0; 256];
    let length = stream.read(&mut answer)?;
    let answer = String::from_utf8_lossy(&answer[..length]);
    Ok(answer.lines().next().unwrap_or_default().to_owned())
}
