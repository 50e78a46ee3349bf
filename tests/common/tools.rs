//! Running `cargo xtask` in a test.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::{Command, Output};

use super::{artifacts, builds, root, run, scratch, text};

/// Fails the test if a command did not succeed, with what it printed.
pub fn assert_success(output: &Output) {
    assert!(output.status.success(), "{}\n{}{}", output.status, text(&output.stdout), text(&output.stderr));
}

/// Runs `cargo xtask`, built in the folder of the release that other tests use.
pub fn xtask(arguments: &[&OsStr]) -> Output {
    artifacts();
    let mut cargo = Command::new(env!("CARGO"));
    cargo.current_dir(root()).args(["run", "--quiet", "--package", "xtask"]);
    cargo.arg("--target-dir").arg(builds().join("release-build")).arg("--").args(arguments);
    // The same flags as for the release, which would be rebuilt otherwise.
    for variable in ["CARGO_ENCODED_RUSTFLAGS", "CARGO_BUILD_RUSTFLAGS", "CROSSFOOT", "LD_PRELOAD"] {
        cargo.env_remove(variable);
    }
    run(cargo.env("RUSTFLAGS", ""))
}

/// Makes an empty folder in the scratch folder.
pub fn empty(name: &str) -> PathBuf {
    let folder = scratch().join(name);
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).expect("the scratch folder can be written");
    folder
}
