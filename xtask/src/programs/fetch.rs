//! Sources of tests that no binary package holds. Fetched only on request.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use super::libstdcxx;
use super::process::{finish, succeed};
use super::yard::{make_folder, neutral, target};

/// No download takes a tenth of it.
const LIMIT: Duration = Duration::from_secs(900);

/// LTP's repository, and the release that is run.
const LTP_REPOSITORY: &str = "https://github.com/linux-test-project/ltp";
const LTP_RELEASE: &str = "20260529";

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

/// The part of GCC's source tree that holds the test suite of libstdc++, if it was fetched.
pub fn libstdcxx_source() -> Option<PathBuf> {
    source("libstdc++-v3/testsuite/ext/pool_allocator").map(|tree| tree.join("libstdc++-v3/testsuite"))
}

/// The source tree of the Linux Test Project, if it was fetched.
pub fn ltp_source() -> Option<PathBuf> {
    source("testcases/kernel/mem/mtest07")
}

/// The last source tree in the folder that holds this.
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
    /// Where it is, if it was fetched.
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

/// Fetches the source trees that are not here, and prints for each that cannot be had why it is skipped.
///
/// Debian's packages come in the versions that are installed, from the archives that apt knows, with package lists of
/// their own, so that the lists of the OS stay as they are.
pub fn fetch() -> Result<()> {
    if SOURCES.iter().all(|source| (source.found)().is_some()) {
        return Ok(());
    }
    let folder = folder();
    // A tree that is here stays.
    fs::create_dir_all(folder.join("lists/partial"))?;
    make_folder(&folder.join("parts"), 0o755)?;
    write_archives(&folder.join("parts"))?;
    let mut update = apt("apt-get", &folder);
    update.arg("update");
    // An archive that has no sources fails, and the others serve.
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

/// Debian's archive of GCC is an archive of archives.
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

/// Debian has no package of LTP, so its repository is cloned at a release.
fn fetch_ltp() -> Result<()> {
    let mut clone = neutral("git");
    clone.args(["clone", "--quiet", "--depth=1", "--branch", LTP_RELEASE, LTP_REPOSITORY]);
    clone.arg(folder().join(format!("ltp-{LTP_RELEASE}"))).env("GIT_TERMINAL_PROMPT", "0");
    succeed(clone, &folder().join("git"), LIMIT).map(|_| ())
}

/// The release of an installed package, without what Debian adds to the version.
fn installed_release(package: &str) -> Result<String> {
    let mut version = neutral("dpkg-query");
    version.args(["-W", "-f", "${Version}", package]);
    let version = succeed(version, &folder().join("apt"), LIMIT)?;
    Ok(version.split('-').next().unwrap_or("").to_owned())
}

/// Downloads a source package of this version.
fn package(name: &str, version: &str) -> Result<()> {
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
            return Ok(());
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

/// Unpacks these parts of an archive in the folder, or all of it.
fn unpack(archive: &str, parts: &[String]) -> Result<()> {
    let folder = folder();
    ensure!(folder.join(archive).is_file(), "apt-get source left no {archive}");
    let mut tar = neutral("tar");
    tar.current_dir(&folder).args(["--no-same-owner", "-xf", archive]).args(parts);
    succeed(tar, &folder.join("tar"), LIMIT).map(|_| ())
}
