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

    /// Builds one package in release mode; the error holds the compiler's last
    /// words. Runs inside the workspace, so that `.cargo/config.toml` applies.
    pub fn build(&self, package: &str) -> Result<()> {
        eprintln!("building {package}");
        let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let output = Command::new(cargo)
            .args(["build", "--quiet", "--release", "--locked", "--package", package])
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
