//! Source packages, for tests that no binary package holds. Only on request.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use super::process::{finish, succeed};
use super::yard::{make_folder, neutral, target};

/// No download takes a tenth of it.
const LIMIT: Duration = Duration::from_secs(900);

/// Where sources are.
fn folder() -> PathBuf {
    target().join("programs")
}

/// Perl's source tree, if it was fetched.
pub fn perl_source() -> Option<PathBuf> {
    source("t/op")
}

/// glibc's source tree, if it was fetched.
pub fn glibc_source() -> Option<PathBuf> {
    source("malloc/dynarray.h")
}

/// The last source tree in the folder that holds this.
fn source(holds: &str) -> Option<PathBuf> {
    let entries = fs::read_dir(folder()).ok()?;
    let trees = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let mut trees: Vec<PathBuf> = trees.filter(|path| path.join(holds).exists()).collect();
    trees.sort();
    trees.pop()
}

/// Gets the source packages of Perl and of glibc, if they are not here: of the releases that are installed, from the
/// archives that apt knows, with lists of its own, so that the machine's stay as they are.
pub fn fetch() -> Result<()> {
    if perl_source().is_some() && glibc_source().is_some() {
        return Ok(());
    }
    let folder = folder();
    // A tree that is here stays.
    fs::create_dir_all(folder.join("lists/partial"))?;
    make_folder(&folder.join("parts"), 0o755)?;
    write_archives(&folder.join("parts"))?;
    let log = folder.join("apt");
    let mut update = apt("apt-get", &folder);
    update.arg("update");
    // An archive that has no sources fails, and the others serve.
    finish(update, &log, LIMIT)?;
    if perl_source().is_none() {
        let mut version = neutral("perl");
        version.args(["-e", "printf '%vd', $^V"]);
        package("perl", &succeed(version, &log, LIMIT)?, &[])?;
        perl_source().context("the archive holds no t/op")?;
    }
    if glibc_source().is_none() {
        let mut version = neutral("dpkg-query");
        version.args(["-W", "-f", "${Version}", "libc6"]);
        let version = succeed(version, &log, LIMIT)?;
        let release = version.split('-').next().unwrap_or("");
        let parts = ["malloc", "support", "include", "sysdeps/generic", "test-skeleton.c"]
            .map(|part| format!("glibc-{release}/{part}"));
        package("glibc", release, &parts)?;
        glibc_source().context("the archive holds no malloc")?;
    }
    Ok(())
}

/// Gets a source package of this version, and unpacks these parts of it, or all.
fn package(name: &str, version: &str, parts: &[String]) -> Result<()> {
    let folder = folder();
    let log = folder.join("apt");
    let mut list = apt("apt-cache", &folder);
    list.args(["showsrc", name]);
    let list = succeed(list, &log, LIMIT)?;
    let versions = list.lines().filter_map(|line| line.strip_prefix("Version: "));
    // An archive can list what it has not got any more.
    for package in versions.filter(|package| package.starts_with(&format!("{version}-"))) {
        let mut get = apt("apt-get", &folder);
        get.args(["source", "--download-only", &format!("{name}={package}")]);
        if finish(get, &log, LIMIT)?.status.success() {
            return unpack(&folder, &format!("{name}_{version}.orig.tar.xz"), parts);
        }
    }
    bail!("apt-get source finds no {name} {version}")
}

/// A program of apt's that knows source archives only.
fn apt(program: &str, folder: &Path) -> Command {
    let mut command = neutral(program);
    let option = |name: &str, value: &Path| format!("{name}={}", value.display());
    command.current_dir(folder).args(["-o", "Dir::Etc::SourceList=/dev/null"]);
    command.args(["-o", &option("Dir::Etc::SourceParts", &folder.join("parts"))]);
    command.args(["-o", &option("Dir::State::Lists", &folder.join("lists"))]);
    command.args(["-o", "Dir::Cache::srcpkgcache=", "-o", "Dir::Cache::pkgcache="]);
    command
}

/// Writes the machine's lists of archives anew, as archives of sources.
fn write_archives(parts: &Path) -> Result<()> {
    let etc = Path::new("/etc/apt");
    let mut files = vec![etc.join("sources.list")];
    let entries = fs::read_dir(etc.join("sources.list.d"));
    files.extend(entries.into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path())));
    for file in files {
        let Ok(text) = fs::read_to_string(&file) else { continue };
        let name = file.file_name().unwrap_or_default();
        let line = |line: &str| match line.strip_prefix("deb ") {
            Some(archive) => format!("deb-src {archive}\n"),
            None if line.starts_with("Types:") => "Types: deb-src\n".to_owned(),
            None => format!("{line}\n"),
        };
        fs::write(parts.join(name), text.lines().map(line).collect::<String>())?;
    }
    Ok(())
}

fn unpack(folder: &Path, archive: &str, parts: &[String]) -> Result<()> {
    ensure!(folder.join(archive).is_file(), "apt-get source left no {archive}");
    let mut tar = neutral("tar");
    tar.current_dir(folder).args(["--no-same-owner", "-xf", archive]).args(parts);
    succeed(tar, &folder.join("tar"), LIMIT).map(|_| ())
}
