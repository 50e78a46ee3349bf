//! The directory of the bench, and what cargo builds in it.

use anyhow::{Context, Result, bail};
use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

/// Where things are.
pub struct Workspace {
    /// The directory that holds the bench's `Cargo.toml`.
    pub root: PathBuf,
    /// Where release builds end up.
    pub release: PathBuf,
}

impl Workspace {
    /// The workspace that this program was built from.
    pub fn find() -> Result<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"))
            .parent()
            .context("the runner's directory has no parent")?
            .to_path_buf();
        let target = match env::var_os("CARGO_TARGET_DIR") {
            Some(path) => env::current_dir()?.join(path),
            None => root.join("target"),
        };
        let release = target.join("release");
        Ok(Workspace { root, release })
    }

    /// Builds one package in release mode.
    pub fn build(&self, package: &str) -> Result<()> {
        self.cargo(package, &[])
    }

    /// Builds the compiler of the package `linked` with this allocator; gives the binary.
    pub fn build_linked(&self, allocator: &str) -> Result<PathBuf> {
        let binary = format!("linked-{allocator}");
        self.cargo("linked", &["--features", allocator, "--bin", &binary])?;
        Ok(self.release.join(binary))
    }

    /// Runs cargo inside the workspace, so that `.cargo/config.toml` applies; the error holds the compiler's last
    /// words.
    fn cargo(&self, package: &str, more: &[&str]) -> Result<()> {
        eprintln!("building {}", more.last().unwrap_or(&package));
        let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let output = Command::new(cargo)
            .args(["build", "--quiet", "--release", "--locked", "--package", package])
            .args(more)
            .current_dir(&self.root)
            .output()
            .context("cargo cannot be started")?;
        if !output.status.success() {
            let text = String::from_utf8_lossy(&output.stderr);
            let said = text.lines().rfind(|line| line.starts_with("error"));
            bail!("{package} does not build: {}", said.unwrap_or("no error given"));
        }
        Ok(())
    }

    /// The binary that runs the patterns.
    pub fn patterns(&self) -> PathBuf {
        self.release.join("patterns")
    }

    /// A directory for generated inputs of whole programs.
    pub fn inputs(&self) -> Result<PathBuf> {
        let path = self.release.join("inputs");
        fs::create_dir_all(&path).with_context(|| format!("making {}", path.display()))?;
        Ok(path)
    }

    /// The version of a package in the bench's `Cargo.lock`.
    pub fn locked_version(&self, package: &str) -> Option<String> {
        let lock = fs::read_to_string(self.root.join("Cargo.lock")).ok()?;
        let mut lines = lock.lines();
        lines.find(|line| *line == format!("name = \"{package}\""))?;
        let version = lines.next()?.strip_prefix("version = \"")?;
        Some(version.trim_end_matches('"').to_owned())
    }
}
