//! Calls of cargo and of other programs.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};

/// Returns a command for the cargo that runs this program, in `folder`.
pub fn cargo(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(folder).args(arguments);
    command
}

/// Returns a command line as messages show it.
pub fn shown(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_name().unwrap_or_default();
    let words = std::iter::once(program).chain(command.get_args());
    words.map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
}

/// Runs a command to its end. Fails if the command does.
pub fn done(mut command: Command) -> Result<()> {
    let name = shown(&command);
    eprintln!("xtask: {name}");
    let status = command.status().with_context(|| format!("cannot start {name}"))?;
    ensure!(status.success(), "{name}: {status}");
    Ok(())
}

/// Runs a command to its end and returns what it prints. It must succeed.
pub fn printed(mut command: Command) -> Result<Vec<u8>> {
    let name = shown(&command);
    let output = command.output().with_context(|| format!("cannot start {name}"))?;
    ensure!(output.status.success(), "{name}: {}: {}", output.status, String::from_utf8_lossy(&output.stderr).trim());
    Ok(output.stdout)
}
