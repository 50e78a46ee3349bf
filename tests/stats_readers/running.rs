//! Processes that these tests start.

#![allow(dead_code, reason = "each test binary uses a part of this")]

use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};

use crate::common::{artifacts, compile, root};

/// Compiles a program of these tests.
fn compiled(name: &str) -> Option<PathBuf> {
    let source = root().join(format!("tests/stats_readers/{name}.c"));
    compile("gcc", &format!("ledger-{name}"), |gcc| gcc.args(["-O1", "-pthread", "-fno-builtin-malloc"]).arg(source))
}

/// Returns the program that does what its arguments say.
pub fn program() -> Option<PathBuf> {
    compiled("program")
}

/// Returns the program that changes the files of its page.
pub fn carrier() -> Option<PathBuf> {
    compiled("carrier")
}

/// A process. Dropping it kills it.
pub struct Running {
    /// The process.
    pub child: Child,
    says: BufReader<ChildStdout>,
}

impl Running {
    /// Starts a command, whose output is read line by line.
    pub fn start(mut command: Command) -> Running {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit());
        let mut child = command.spawn().expect("it can be started");
        let says = BufReader::new(child.stdout.take().expect("it is piped"));
        Running { child, says }
    }

    /// Starts the program on Crossfoot with these arguments.
    pub fn doing(what: &[&str]) -> Option<Running> {
        let mut command = Command::new(program()?);
        command.args(what).env_clear().env("LD_PRELOAD", &artifacts().so);
        Some(Running::start(command))
    }

    /// Starts the other program on Crossfoot with these options and arguments.
    pub fn carrying(options: &str, what: &[&str]) -> Option<Running> {
        let mut command = Command::new(carrier()?);
        command.args(what).env_clear().env("LD_PRELOAD", &artifacts().so).env("CROSSFOOT", options);
        Some(Running::start(command))
    }

    /// Returns its pid.
    pub fn pid(&self) -> i32 {
        self.child.id() as i32
    }

    /// Returns the next line that it prints, without the line end.
    pub fn says(&mut self) -> String {
        let mut line = String::new();
        self.says.read_line(&mut line).expect("it prints");
        line.trim_end().to_owned()
    }

    /// Returns the number after a word in its next line.
    pub fn number(&mut self, word: &str) -> i32 {
        let line = self.says();
        let number = line.strip_prefix(word).unwrap_or_else(|| panic!("'{line}' instead of '{word} …'"));
        number.trim().parse().expect("a number")
    }

    /// Kills it and waits for it.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill();
    }
}
