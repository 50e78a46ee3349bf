//! Version control: a history is packed anew.

use super::{Program, find_program, text};
use crate::{options::Options, workspace::Workspace};
use anyhow::{Context, Result, ensure};
use std::{
    fs::{self, File},
    io::{BufWriter, Write},
    path::Path,
    process::{Command, Stdio},
};

/// Commits of the history at 100 %.
const COMMITS: u32 = 1_000;

/// Files of the tree, and how many of them a commit changes.
const FILES: u32 = 60;
const CHANGED: u32 = 4;

/// `git repack` of everything, with all deltas computed again, by two threads.
pub fn repack(workspace: &Workspace, options: &Options) -> Result<Program> {
    let binary = find_program("git")?;
    let repository = workspace.inputs()?.join("history.git");
    make(&binary, &repository, (COMMITS * options.percent() / 100).max(10))?;
    let mut words = vec!["-C".to_owned(), text(&repository)];
    // No waiting for the disk.
    words
        .extend(["-c", "core.fsync=none", "-c", "pack.threads=2", "repack", "-a", "-d", "-f", "-q"].map(str::to_owned));
    let program = Program {
        binary,
        arguments: words,
        trifle: vec!["--version".into()],
        environment: ENVIRONMENT,
        is_family: true,
        ..Program::default()
    };
    // All runs find what a run leaves.
    git(&program.binary, &program.arguments, Stdio::null())?;
    Ok(program)
}

/// The settings of nobody.
const ENVIRONMENT: &[(&str, &str)] = &[("GIT_CONFIG_NOSYSTEM", "1"), ("GIT_CONFIG_GLOBAL", "/dev/null")];

/// Runs git; its errors are errors.
fn git(binary: &Path, words: &[String], input: Stdio) -> Result<()> {
    let mut command = Command::new(binary);
    command.env_remove("GIT_DIR").envs(ENVIRONMENT.iter().copied());
    let output = command.args(words).stdin(input).output().context("git cannot be started")?;
    ensure!(output.status.success(), "git: {}", String::from_utf8_lossy(&output.stderr).trim());
    Ok(())
}

/// A new repository with so many commits.
fn make(binary: &Path, repository: &Path, commits: u32) -> Result<()> {
    if repository.exists() {
        fs::remove_dir_all(repository)?;
    }
    git(binary, &["init".into(), "-q".into(), "--bare".into(), text(repository)], Stdio::null())?;
    let stream = repository.join("history");
    write(&stream, commits).with_context(|| stream.display().to_string())?;
    let words = ["-C".into(), text(repository), "fast-import".into(), "--quiet".into()];
    git(binary, &words, File::open(&stream)?.into())?;
    fs::remove_file(&stream).map_err(Into::into)
}

/// Words of the files.
const WORDS: [&str; 12] =
    ["count", "index", "total", "offset", "left", "right", "value", "width", "limit", "start", "state", "score"];

/// Writes the history for `git fast-import`: text files of some hundred lines, a few lines of a few files changed in
/// each commit.
fn write(path: &Path, commits: u32) -> Result<()> {
    let mut out = BufWriter::new(File::create(path)?);
    let mut random = Random(7);
    let mut files: Vec<Vec<String>> = Vec::new();
    for _ in 0..FILES {
        let lines = 200 + random.below(400);
        files.push((0..lines).map(|_| random.line()).collect());
    }
    for commit in 0..commits {
        let all = 0..FILES;
        let changed: Vec<u32> =
            if commit == 0 { all.collect() } else { (0..CHANGED).map(|_| random.below(FILES)).collect() };
        let mut blobs = Vec::new();
        for (place, file) in changed.into_iter().enumerate() {
            let lines = &mut files[file as usize];
            for _ in 0..6 {
                let line = random.below(lines.len() as u32) as usize;
                lines[line] = random.line();
            }
            let mark = commit * FILES + place as u32 + 1;
            let content = lines.concat();
            write!(out, "blob\nmark :{mark}\ndata {}\n{content}\n", content.len())?;
            blobs.push(format!("M 100644 :{mark} part{}/file{file}.txt\n", file % 7));
        }
        let message = format!("Change number {commit}");
        let seconds = 1_700_000_000 + commit * 60;
        let committer = format!("Nobody <nobody@example.org> {seconds} +0000");
        write!(out, "commit refs/heads/main\ncommitter {committer}\ndata {}\n{message}\n", message.len())?;
        writeln!(out, "{}", blobs.concat())?;
    }
    out.flush().map_err(Into::into)
}

/// A linear congruence.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u32) -> u32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) % u64::from(bound)) as u32
    }

    fn line(&mut self) -> String {
        let mut word = || WORDS[self.below(WORDS.len() as u32) as usize];
        let (left, right, last) = (word(), word(), word());
        format!("    {left}_{right} = {last} + {};\n", self.below(10_000))
    }
}
