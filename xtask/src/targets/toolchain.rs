//! The compiler that builds for a CPU: with a prebuilt `core`, or one that builds `core` from its sources.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Where Debian's `rustc-web` and `rust-web-src` are.
const DEBIAN: [&str; 2] = ["/usr/bin/cargo", "/usr/bin/rustc"];

/// A cargo, its compiler, and whether `core` is built from sources.
pub struct Toolchain {
    cargo: PathBuf,
    rustc: PathBuf,
    builds_core: bool,
}

impl Toolchain {
    /// Returns a toolchain for `target`, preferably one with a prebuilt `core`.
    pub fn find(target: &str) -> Option<Toolchain> {
        let own = std::env::var_os("CARGO").map_or_else(|| PathBuf::from("cargo"), PathBuf::from);
        let all = [(own.clone(), own.with_file_name("rustc")), (DEBIAN[0].into(), DEBIAN[1].into())];
        let with = |builds_core: bool| {
            let needed = if builds_core { "src/rust/library/core/Cargo.toml".into() } else { format!("{target}/lib") };
            let mut found = all.iter().filter(|(_, rustc)| library(rustc).is_some_and(|at| at.join(&needed).exists()));
            let (cargo, rustc) = found.next()?.clone();
            Some(Toolchain { cargo, rustc, builds_core })
        };
        with(false).or_else(|| with(true))
    }

    /// Returns the command `cargo WHAT` for the workspace in `folder`.
    pub fn cargo(&self, what: &str, target: &str, linker: &str, folder: &Path) -> Command {
        let mut command = Command::new(&self.cargo);
        command.current_dir(folder).env("RUSTC", &self.rustc).env("CARGO_TARGET_DIR", builds());
        // The size is that of a program whose build removes what it does not call.
        command.env("CARGO_PROFILE_RELEASE_LTO", "thin");
        command.args([what, "--release", "--locked", "--target", target]);
        command.arg("--config").arg(format!("target.{target}.linker='{linker}'"));
        if self.builds_core {
            // The flag is one of nightly compilers, which others accept by this variable.
            command.env("RUSTC_BOOTSTRAP", "1").arg("-Zbuild-std=core,alloc");
        }
        command
    }
}

/// Returns the folder of a compiler's libraries.
fn library(rustc: &Path) -> Option<PathBuf> {
    let output = Command::new(rustc).args(["--print", "sysroot"]).output().ok()?;
    Some(Path::new(std::str::from_utf8(&output.stdout).ok()?.trim()).join("lib/rustlib"))
}

/// The folder of what is built here. It outlives the run, so `core` is built once.
fn builds() -> PathBuf {
    crate::root().join("target/other-targets")
}

/// Returns the folder of the programs built for `target`.
pub fn built(target: &str) -> PathBuf {
    builds().join(target).join("release")
}
