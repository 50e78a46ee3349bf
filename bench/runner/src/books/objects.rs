//! The two objects: built from the same tree in the same way, but for one `cfg`.

use crate::{allocators::absolute, workspace::Workspace};
use anyhow::{Context, Result, ensure};
use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

/// What leaves the books out.
const OFF: &str = "--cfg crossfoot_books_off";

/// The paths of both objects: those that are given, and built ones for those that are not.
pub fn both(on: Option<&Path>, off: Option<&Path>, workspace: &Workspace) -> Result<(PathBuf, PathBuf)> {
    let on = match on {
        Some(path) => absolute(path)?,
        None => build(workspace, "target/books-on", "")?,
    };
    let off = match off {
        Some(path) => absolute(path)?,
        None => build(workspace, "target/books-off", OFF)?,
    };
    ensure!(on != off, "both objects are {}", on.display());
    Ok((on, off))
}

/// Builds the C face at the root of the project, in a target directory of its own.
fn build(workspace: &Workspace, target: &str, flags: &str) -> Result<PathBuf> {
    eprintln!("building {target} with RUSTFLAGS=\"{flags}\"");
    let project = workspace.root.parent().context("the bench has no parent")?;
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["build", "--quiet", "--release", "--locked", "--package", "crossfoot-preload", "--target-dir", target])
        .env("RUSTFLAGS", flags)
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .current_dir(project)
        .output()
        .context("cargo cannot be started")?;
    let complaint = String::from_utf8_lossy(&output.stderr);
    let said = complaint.lines().rfind(|line| line.starts_with("error")).unwrap_or("no error given");
    ensure!(output.status.success(), "{target} does not build: {said}");
    absolute(&project.join(target).join("release/libcrossfoot.so"))
}
