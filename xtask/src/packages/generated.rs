//! What `packaging/` has from other files: the version, the licences' checksums, the crates of Cargo.lock, and the
//! checksum of a released archive.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use crate::cargo::printed;
use crate::install::VERSION;
use crate::packages::source;
use crate::root;

/// Buildroot's file of checksums.
const BUILDROOT_HASH: &str = "packaging/buildroot/package/crossfoot/crossfoot.hash";
/// The folder of Yocto's recipe.
const RECIPE: &str = "packaging/yocto/recipes-support/crossfoot";
/// The files of licences, as each system names them.
const LICENCES: [&str; 2] = ["LICENSE-MIT", "LICENSE-APACHE"];

/// Writes the generated parts of `packaging/`, or with `check` only fails if they are not current. With `release` it also
/// makes the archive of the sources and writes its checksum.
pub fn run(check: bool, release: bool) -> Result<()> {
    let archive = if release {
        source::dist()?;
        Some(checksum_of_archive()?)
    } else {
        None
    };
    let mut stale = Vec::new();
    for (path, text) in files(archive.as_deref())? {
        let old = fs::read_to_string(root().join(&path)).unwrap_or_default();
        if old == text {
            continue;
        }
        if check {
            stale.push(path.display().to_string());
        } else {
            fs::write(root().join(&path), text).with_context(|| path.display().to_string())?;
            eprintln!("xtask: wrote {}", path.display());
        }
    }
    let recipe = PathBuf::from(RECIPE).join(format!("crossfoot_{VERSION}.bb"));
    ensure!(root().join(&recipe).is_file(), "{} is missing: rename the recipe", recipe.display());
    ensure!(stale.is_empty(), "not current: {}: run cargo xtask packaging", stale.join(", "));
    Ok(())
}

/// Returns each file that is generated, in whole or in part, with the text that it should have.
fn files(archive: Option<&str>) -> Result<Vec<(PathBuf, String)>> {
    let makefile = "packaging/buildroot/package/crossfoot/crossfoot.mk";
    let buildroot = with_value(&read(makefile)?, "CROSSFOOT_VERSION = ", VERSION)?;
    let hashes = read(BUILDROOT_HASH)?;
    let openwrt = "packaging/openwrt/crossfoot/Makefile";
    let mut openwrt_text = with_value(&read(openwrt)?, "PKG_VERSION:=", VERSION)?;
    if let Some(sum) = archive {
        openwrt_text = with_value(&openwrt_text, "PKG_HASH:=", sum)?;
    }
    let recipe = format!("{RECIPE}/crossfoot_{VERSION}.bb");
    let mut recipe_text = read(&recipe)?;
    for name in LICENCES {
        let sum = checksum("md5sum", &root().join(name))?;
        recipe_text = with_value(&recipe_text, &format!("    file://{name};md5="), &format!("{sum} \\"))?;
    }
    Ok(vec![
        (makefile.into(), buildroot),
        (BUILDROOT_HASH.into(), hash_file(&hashes, archive)?),
        (openwrt.into(), openwrt_text),
        (recipe.into(), recipe_text),
        (PathBuf::from(RECIPE).join("crossfoot-crates.inc"), crates(&read("Cargo.lock")?)?),
    ])
}

/// Returns Buildroot's file of checksums. The line of an archive is kept, or written anew if `archive` has its checksum.
fn hash_file(old: &str, archive: Option<&str>) -> Result<String> {
    let name = format!("{}.tar.gz", source::name());
    let line = match archive {
        Some(sum) => Some(format!("sha256  {sum}  {name}")),
        None => old.lines().find(|line| line.ends_with(&name)).map(str::to_owned),
    };
    let mut text = "# Written by cargo xtask packaging, with --release for the archive\n".to_owned();
    if let Some(line) = line {
        text += &format!("{line}\n");
    }
    for name in LICENCES {
        text += &format!("sha256  {}  {name}\n", checksum("sha256sum", &root().join(name))?);
    }
    Ok(text)
}

/// Returns Yocto's list of the crates in a Cargo.lock. It has those of tests and Windows too: cargo resolves all of a
/// workspace before it builds a part, and finds no crate that was not fetched.
fn crates(lock: &str) -> Result<String> {
    let field = |package: &str, name: &str| -> Option<String> {
        let line = package.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(" = \""))?;
        Some(line.trim_end_matches('"').to_owned())
    };
    let (mut addresses, mut sums) = (String::new(), String::new());
    for package in lock.split("[[package]]").skip(1) {
        let Some(from) = field(package, "source") else { continue };
        let of = |name| field(package, name).with_context(|| format!("Cargo.lock: a package without {name}"));
        let (name, version) = (of("name")?, of("version")?);
        if !from.contains("crates.io") {
            bail!("Cargo.lock: {name} comes from {from}, not from crates.io");
        }
        addresses += &format!("    crate://crates.io/{name}/{version};name={name}-{version} \\\n");
        sums += &format!("SRC_URI[{name}-{version}.sha256sum] = \"{}\"\n", of("checksum")?);
    }
    Ok(format!("# Written by cargo xtask packaging from Cargo.lock\n\nSRC_URI += \" \\\n{addresses}\"\n\n{sums}"))
}

/// Replaces what follows `key` in the one line of `text` that begins with it.
fn with_value(text: &str, key: &str, value: &str) -> Result<String> {
    ensure!(text.lines().filter(|line| line.starts_with(key)).count() == 1, "not one line begins with '{key}'");
    let line = |line: &str| if line.starts_with(key) { format!("{key}{value}\n") } else { format!("{line}\n") };
    Ok(text.lines().map(line).collect())
}

/// Returns the checksum of the archive that [`source::dist`] made.
fn checksum_of_archive() -> Result<String> {
    let program = std::env::current_exe().context("cannot find this program")?;
    let target = program.ancestors().nth(2).context("this program was built by cargo")?;
    checksum("sha256sum", &target.join("dist").join(format!("{}.tar.gz", source::name())))
}

/// Returns the checksum of a file, by a program such as `sha256sum`.
fn checksum(program: &str, file: &Path) -> Result<String> {
    let mut command = Command::new(program);
    command.arg(file);
    let text = String::from_utf8(printed(command)?).context("a checksum is text")?;
    text.split_whitespace().next().map(str::to_owned).with_context(|| format!("{program} printed nothing"))
}

/// Reads a file of the sources.
fn read(path: &str) -> Result<String> {
    fs::read_to_string(root().join(path)).with_context(|| path.to_owned())
}
