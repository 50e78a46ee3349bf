//! Fetches sources of tests that no binary package contains. Only on request.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use super::libstdcxx;
use super::process::{finish, succeed};
use super::yard::{make_folder, neutral, target};

/// The limit of a download, more than ten times the longest seen.
const LIMIT: Duration = Duration::from_secs(900);

/// The repository of LTP, and the release that is run.
const LTP_REPOSITORY: &str = "https://github.com/linux-test-project/ltp";
const LTP_RELEASE: &str = "20260529";

/// Returns the folder of fetched sources.
fn folder() -> PathBuf {
    target().join("programs")
}

/// Returns Perl's source tree, if it was fetched.
pub fn perl_source() -> Option<PathBuf> {
    source("t/op")
}

/// Returns glibc's source tree, if it was fetched.
pub fn glibc_source() -> Option<PathBuf> {
    source("malloc/dynarray.h")
}

/// Returns the folder of libstdc++'s test suite in GCC's source tree, if it was fetched.
pub fn libstdcxx_source() -> Option<PathBuf> {
    source("libstdc++-v3/testsuite/ext/pool_allocator").map(|tree| tree.join("libstdc++-v3/testsuite"))
}

/// Returns the source tree of the Linux Test Project, if it was fetched.
pub fn ltp_source() -> Option<PathBuf> {
    source("testcases/kernel/mem/mtest07")
}

/// Returns the last source tree, by name, that contains `part`.
fn source(holds: &str) -> Option<PathBuf> {
    let entries = fs::read_dir(folder()).ok()?;
    let trees = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let mut trees: Vec<PathBuf> = trees.filter(|path| path.join(holds).exists()).collect();
    trees.sort();
    trees.pop()
}

/// A source tree that a family needs.
struct Source {
    name: &'static str,
    /// Returns its folder, if it was fetched.
    found: fn() -> Option<PathBuf>,
    /// Fetches it into [`folder`].
    fetch: fn() -> Result<()>,
}

const SOURCES: [Source; 4] = [
    Source { name: "perl", found: perl_source, fetch: fetch_perl },
    Source { name: "glibc", found: glibc_source, fetch: fetch_glibc },
    Source { name: "gcc", found: libstdcxx_source, fetch: fetch_gcc },
    Source { name: "ltp", found: ltp_source, fetch: fetch_ltp },
];

/// Fetches the missing source trees. Prints the reason for each that cannot be fetched: its family is skipped.
///
/// Debian's source packages have the versions of the installed binary packages. They come from the archives that apt is
/// configured for, with package lists of their own, so that the lists of the OS stay as they are.
pub fn fetch() -> Result<()> {
    if SOURCES.iter().all(|source| (source.found)().is_some()) {
        return Ok(());
    }
    let folder = folder();
    // A tree that was fetched before stays.
    fs::create_dir_all(folder.join("lists/partial"))?;
    make_folder(&folder.join("parts"), 0o755)?;
    write_archives(&folder.join("parts"))?;
    let mut update = apt("apt-get", &folder);
    update.arg("update");
    // An archive without sources fails, and the other archives are enough.
    finish(update, &folder.join("apt"), LIMIT)?;
    for source in SOURCES.iter().filter(|source| (source.found)().is_none()) {
        let fetched = (source.fetch)().and_then(|()| (source.found)().context("the archive holds no tests"));
        if let Err(error) = fetched {
            eprintln!("skipped: cannot fetch the sources of {}: {error:#}", source.name);
        }
    }
    Ok(())
}

fn fetch_perl() -> Result<()> {
    let mut version = neutral("perl");
    version.args(["-e", "printf '%vd', $^V"]);
    let version = succeed(version, &folder().join("apt"), LIMIT)?;
    package("perl", &version)?;
    unpack(&format!("perl_{version}.orig.tar.xz"), &[])
}

fn fetch_glibc() -> Result<()> {
    let release = installed_release("libc6")?;
    package("glibc", &release)?;
    let parts = ["malloc", "support", "include", "sysdeps/generic", "test-skeleton.c"]
        .map(|part| format!("glibc-{release}/{part}"));
    unpack(&format!("glibc_{release}.orig.tar.xz"), &parts)
}

/// Debian's source archive of GCC contains the archive of GCC.
fn fetch_gcc() -> Result<()> {
    let release = installed_release("libstdc++6")?;
    let name = format!("gcc-{}", release.split('.').next().unwrap_or(""));
    package(&name, &release)?;
    let inner = format!("{name}-{release}/gcc-{release}-dfsg.tar.xz");
    unpack(&format!("{name}_{release}.orig.tar.gz"), std::slice::from_ref(&inner))?;
    let parts = libstdcxx::FOLDERS.iter().chain(&["util"]);
    let parts: Vec<String> = parts.map(|part| format!("gcc-{release}/libstdc++-v3/testsuite/{part}")).collect();
    unpack(&inner, &parts)?;
    fs::remove_file(folder().join(inner)).context("the inner archive")
}

/// Clones the repository of LTP at a release: Debian has no package of it.
fn fetch_ltp() -> Result<()> {
    let mut clone = neutral("git");
    clone.args(["clone", "--quiet", "--depth=1", "--branch", LTP_RELEASE, LTP_REPOSITORY]);
    clone.arg(folder().join(format!("ltp-{LTP_RELEASE}"))).env("GIT_TERMINAL_PROMPT", "0");
    succeed(clone, &folder().join("git"), LIMIT).map(|_| ())
}

/// Returns the upstream version of an installed package, without Debian's revision.
fn installed_release(package: &str) -> Result<String> {
    let mut version = neutral("dpkg-query");
    version.args(["-W", "-f", "${Version}", package]);
    let version = succeed(version, &folder().join("apt"), LIMIT)?;
    Ok(version.split('-').next().unwrap_or("").to_owned())
}

/// Downloads a source package in a version.
fn package(name: &str, version: &str) -> Result<()> {
    let folder = folder();
    let log = folder.join("apt");
    let mut list = apt("apt-cache", &folder);
    list.args(["showsrc", name]);
    let list = succeed(list, &log, LIMIT)?;
    let versions = list.lines().filter_map(|line| line.strip_prefix("Version: "));
    // An archive can list a file that it no longer has.
    for package in versions.filter(|package| package.starts_with(&format!("{version}-"))) {
        let mut get = apt("apt-get", &folder);
        get.args(["source", "--download-only", &format!("{name}={package}")]);
        if finish(get, &log, LIMIT)?.status.success() {
            return Ok(());
        }
    }
    bail!("apt-get source finds no {name} {version}")
}

/// Returns a command of apt that knows source archives only.
fn apt(program: &str, folder: &Path) -> Command {
    let mut command = neutral(program);
    let option = |name: &str, value: &Path| format!("{name}={}", value.display());
    command.current_dir(folder).args(["-o", "Dir::Etc::SourceList=/dev/null"]);
    command.args(["-o", &option("Dir::Etc::SourceParts", &folder.join("parts"))]);
    command.args(["-o", &option("Dir::State::Lists", &folder.join("lists"))]);
    command.args(["-o", "Dir::Cache::srcpkgcache=", "-o", "Dir::Cache::pkgcache="]);
    command
}

/// Writes this machine's lists of archives as lists of source archives.
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

/// Unpacks the named parts of an archive, or all of it.
fn unpack(archive: &str, parts: &[String]) -> Result<()> {
    let folder = folder();
    ensure!(folder.join(archive).is_file(), "apt-get source left no {archive}");
    let mut tar = neutral("tar");
    tar.current_dir(&folder).args(["--no-same-owner", "-xf", archive]).args(parts);
    succeed(tar, &folder.join("tar"), LIMIT).map(|_| ())
}
