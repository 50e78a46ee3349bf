//! The archive of the sources, from which Buildroot and OpenWrt build without the network.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use crate::cargo::{cargo, done, printed};
use crate::install::{VERSION, pack};
use crate::root;

/// The folder of the crates in the archive. Buildroot does not fetch crates for an archive that has this folder.
const CRATES: &str = "VENDOR";
/// Lines of cargo's configuration that make it take all crates from there.
const REPLACED: &str =
    "\n[source.crates-io]\nreplace-with = \"vendored\"\n\n[source.vendored]\ndirectory = \"VENDOR\"\n";
/// What is left out: it names the archive's checksum.
const LEFT_OUT: [&str; 3] = ["packaging/buildroot", "packaging/openwrt", "packaging/yocto"];

/// Returns the name of the archive, without its ending.
pub fn name() -> String {
    format!("crossfoot-{VERSION}-source")
}

/// Packs the sources of the last commit and every crate of Cargo.lock into `target/dist`.
pub fn dist() -> Result<()> {
    let target = std::env::current_exe().context("cannot find this program")?;
    let folder = target.ancestors().nth(2).context("this program was built by cargo")?.join("dist");
    let tree = folder.join(name());
    if tree.exists() {
        fs::remove_dir_all(&tree).with_context(|| tree.display().to_string())?;
    }
    fs::create_dir_all(&tree).with_context(|| tree.display().to_string())?;
    committed(&tree)?;
    let mut vendor = cargo(&tree, &["vendor", "--locked", "--quiet", "--versioned-dirs", CRATES]);
    // The workspace that runs this may be built into another folder.
    vendor.env_remove("CARGO_TARGET_DIR");
    done(vendor)?;
    let path = tree.join(".cargo/config.toml");
    let own = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    fs::write(&path, own + REPLACED).with_context(|| path.display().to_string())?;
    pack(&folder, &name())
}

/// Copies the files of the last commit to `tree`.
fn committed(tree: &Path) -> Result<()> {
    let mut status = Command::new("git");
    status.args(["status", "--porcelain"]).current_dir(root());
    if !printed(status)?.is_empty() {
        eprintln!("xtask: uncommitted changes are not in the archive");
    }
    let archive = tree.with_extension("tar");
    let mut git = Command::new("git");
    git.args(["archive", "--format=tar", "--output"]).arg(&archive).arg("HEAD").current_dir(root());
    done(git)?;
    let mut tar = Command::new("tar");
    tar.arg("--extract").arg("--file").arg(&archive).current_dir(tree);
    done(tar)?;
    fs::remove_file(&archive).with_context(|| archive.display().to_string())?;
    for path in LEFT_OUT {
        let path = tree.join(path);
        if path.exists() {
            fs::remove_dir_all(&path).with_context(|| path.display().to_string())?;
        }
    }
    Ok(())
}
