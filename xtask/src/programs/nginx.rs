//! Runs nginx under load, with reloads at the same time.

use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::process::{Running, last_lines, start};
use super::yard::{Side, Yard, installed, is_root, text_of};
use super::{Findings, Verdict};

/// The limit of an answer, more than ten times the longest seen.
const LIMIT: Duration = Duration::from_secs(120);
/// Clients that run in parallel.
const CLIENTS: usize = 6;
/// Requests of each client in a round.
const REQUESTS: usize = 7;
/// Requests through one connection.
const BURST: usize = 20;
/// The header of a request for a compressed answer.
const GZIP: &str = "Accept-Encoding: gzip\r\n";

pub fn run(yard: &Yard, quick: bool) -> Result<Verdict> {
    let Some(nginx) = installed("nginx") else {
        return Ok(Verdict::Skipped("nginx is not installed".to_owned()));
    };
    let mut findings = Findings::default();
    let sides = yard.sides("server")?;
    let (plain, plain_packed) = one(&sides[0], &nginx, quick, &mut findings)?;
    let (ours, packed) = one(&sides[1], &nginx, quick, &mut findings)?;
    findings.times("the server's processes, for the same requests", plain, ours);
    if packed != plain_packed {
        findings.fail("a compressed page differs from that without Crossfoot");
    }
    // nginx allocates a pool for each request and each connection.
    sides[1].reports(&mut findings, 20_000)?;
    Ok(Verdict::Ran(findings))
}

/// Returns lines of words that spell digits, with many lengths, so that gzip has work.
fn page(lines: u32) -> String {
    (0..lines).fold(String::new(), |mut text, line| {
        let _ = writeln!(text, "{line} {} {}", line.wrapping_mul(2_654_435_761), "abc".repeat(line as usize % 9));
        text
    })
}

fn one(side: &Side, nginx: &Path, quick: bool, findings: &mut Findings) -> Result<(Duration, Vec<u8>)> {
    // A port that is free now. On a test machine no other process takes it within the second.
    let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let pages = [("small", page(1)), ("middle", page(200)), ("large", page(20_000))];
    for (name, text) in &pages {
        side.write(name, text)?;
    }
    side.write("nginx.conf", &configuration(side, port)?)?;
    let mut command = side.command(nginx);
    command.arg("-p").arg(&side.folder).args(["-c", "nginx.conf", "-e", "error.log"]);
    let server = start(command, &side.folder.join("server"))?;
    server.wait_until("answering", || get(port, "/small", "").is_ok_and(|body| body == pages[0].1.as_bytes()))?;
    let packed = get(port, "/proxied/large", GZIP)?;
    ensure!(packed.starts_with(&[0x1f, 0x8b]), "{}: gzip is off", side.name());
    let clients = Clients { port, side, pages: &pages, packed: &packed, rounds: if quick { 100 } else { 800 } };
    let reloads = clients.run(&server)?;
    server.signal("QUIT")?;
    let ended = server.wait(LIMIT)?;
    ensure!(ended.status.success(), "{}: nginx: {}\n{}", side.name(), ended.status, last_lines(&ended.err, 20));
    let log = text_of(&side.folder.join("error.log"))?;
    let exited = log.lines().filter(|line| line.contains("exited with code 0")).count();
    let grave = ["[alert]", "[emerg]", "[crit]", "on signal", "exited with code"];
    for line in log.lines().filter(|line| !line.contains("exited with code 0")) {
        if grave.iter().any(|word| line.contains(word)) {
            findings.fail(format!("{}: {line}", side.name()));
        }
    }
    side.said(&(log + &ended.out + &ended.err), findings);
    let requests = CLIENTS * clients.rounds * REQUESTS;
    let name = side.name();
    findings.see(format!("{name}: {requests} requests, {reloads} reloads meanwhile, {exited} workers ended well"));
    if exited < 2 * reloads {
        findings.fail(format!("{name}: {exited} workers ended well after {reloads} reloads"));
    }
    Ok((ended.cpu, packed))
}

/// Clients that all make the same requests and compare every answer.
struct Clients<'a> {
    port: u16,
    side: &'a Side,
    pages: &'a [(&'a str, String)],
    /// The compressed form of the large page.
    packed: &'a [u8],
    rounds: usize,
}

impl Clients<'_> {
    /// Runs the clients while the server reloads twice a second. Returns the number of reloads.
    fn run(&self, server: &Running) -> Result<usize> {
        for _ in 0..self.rounds {
            self.burst()?;
        }
        std::thread::scope(|scope| {
            let clients: Vec<_> = (0..CLIENTS).map(|_| scope.spawn(|| self.client())).collect();
            let mut reloads = 0;
            while reloads < 3 || clients.iter().any(|client| !client.is_finished()) {
                server.signal("HUP")?;
                reloads += 1;
                std::thread::sleep(Duration::from_millis(500));
            }
            clients.into_iter().try_for_each(|client| client.join().expect("clients do not panic"))?;
            Ok(reloads)
        })
    }

    /// Runs one client: a connection for each request, some to a page behind the proxy, some compressed.
    fn client(&self) -> Result<()> {
        for _ in 0..self.rounds {
            for (name, text) in self.pages {
                for folder in ["/", "/proxied/"] {
                    let path = format!("{folder}{name}");
                    let body = get(self.port, &path, "")?;
                    ensure!(body == text.as_bytes(), "{}: another answer for {path}", self.side.name());
                }
            }
            let body = get(self.port, "/proxied/large", GZIP)?;
            ensure!(body == self.packed, "{}: another answer, compressed", self.side.name());
        }
        Ok(())
    }

    /// Makes many requests through one connection. A server that reloads closes a connection in the middle.
    fn burst(&self) -> Result<()> {
        let request = "GET /proxied/middle HTTP/1.1\r\nHost: localhost\r\n";
        let text = format!("{}{request}Connection: close\r\n\r\n", format!("{request}\r\n").repeat(BURST - 1));
        let answer = String::from_utf8(exchange(self.port, &text)?)?;
        let count = answer.matches(&self.pages[1].1).count();
        ensure!(count == BURST, "{}: {count} of {BURST} answers through one connection", self.side.name());
        Ok(())
    }
}

fn configuration(side: &Side, port: u16) -> Result<String> {
    // As root, nginx changes the user of its workers. As another user it cannot, and prints a warning.
    let user = if is_root()? { "user nobody nogroup;" } else { "" };
    let folder = side.folder.display();
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|kind| format!("{kind}_temp_path {folder}/{kind};\n"))
        .concat();
    Ok(format!(
        "{user} daemon off; worker_processes 2; pid {folder}/pid; error_log {folder}/error.log notice;\n\
         events {{ worker_connections 512; }}\n\
         http {{ access_log off; default_type text/plain; keepalive_requests 100;\n\
         gzip on; gzip_types *; gzip_min_length 10; gzip_proxied any; gzip_http_version 1.0; \n{temporary}\
         server {{ listen 127.0.0.1:{port}; root {folder};\n\
         location /proxied/ {{ proxy_pass http://127.0.0.1:{port}/; proxy_buffers 4 8k; }} }} }}\n"
    ))
}

/// Requests a page with these header lines. Returns the answer.
fn get(port: u16, path: &str, lines: &str) -> Result<Vec<u8>> {
    let answer = exchange(port, &format!("GET {path} HTTP/1.0\r\n{lines}\r\n"))?;
    let head = answer.windows(4).position(|window| window == b"\r\n\r\n").context("an answer without a head")?;
    ensure!(answer.starts_with(b"HTTP/1.1 200"), "{path}: {}", String::from_utf8_lossy(&answer[..head]));
    Ok(answer[head + 4..].to_vec())
}

/// Sends a text and reads until the server closes the connection.
fn exchange(port: u16, text: &str) -> Result<Vec<u8>> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(LIMIT))?;
    stream.write_all(text.as_bytes())?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    Ok(answer)
}
