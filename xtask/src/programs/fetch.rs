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
    let entries = fs::read_dir(folder()).ok()?;
    let trees = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let mut trees: Vec<PathBuf> = trees.filter(|path| path.join("t/op").is_dir()).collect();
    trees.sort();
    trees.pop()
}

/// Gets Perl's source package, if it is not here: of the release that is installed, from the archives that apt
/// knows, with lists of its own, so that the machine's stay as they are.
pub fn fetch() -> Result<()> {
    if perl_source().is_some() {
        return Ok(());
    }
    let folder = folder();
    make_folder(&folder, 0o755)?;
    fs::create_dir_all(folder.join("lists/partial"))?;
    fs::create_dir(folder.join("parts"))?;
    write_archives(&folder.join("parts"))?;
    let log = folder.join("apt");
    let mut update = apt("apt-get", &folder);
    update.arg("update");
    // An archive that has no sources fails, and the others serve.
    finish(update, &log, LIMIT)?;
    let mut version = neutral("perl");
    version.args(["-e", "printf '%vd', $^V"]);
    let version = succeed(version, &log, LIMIT)?;
    let mut list = apt("apt-cache", &folder);
    list.args(["showsrc", "perl"]);
    let list = succeed(list, &log, LIMIT)?;
    let versions = list.lines().filter_map(|line| line.strip_prefix("Version: "));
    // An archive can list what it has not got any more.
    for package in versions.filter(|package| package.starts_with(&format!("{version}-"))) {
        let mut get = apt("apt-get", &folder);
        get.args(["source", "--download-only", &format!("perl={package}")]);
        if finish(get, &log, LIMIT)?.status.success() {
            return unpack(&folder, &format!("perl_{version}.orig.tar.xz"));
        }
    }
    bail!("apt-get source finds no perl {version}")
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

fn unpack(folder: &Path, archive: &str) -> Result<()> {
    ensure!(folder.join(archive).is_file(), "apt-get source left no {archive}");
    let mut tar = neutral("tar");
    tar.current_dir(folder).args(["--no-same-owner", "-xf", archive]);
    succeed(tar, &folder.join("tar"), LIMIT)?;
    perl_source().map(|_| ()).context("the archive holds no t/op")
}
