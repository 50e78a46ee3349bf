//! The allocators: built or found, and tried before they are measured.

use crate::{measure, options::Options, workspace::Workspace};
use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};
use std::{
    ffi::{CStr, c_void},
    fs, mem,
    path::{Path, PathBuf},
    process::Command,
};

/// Crossfoot's shared object in the directory of the project.
const CROSSFOOT: &str = "target/release/libcrossfoot.so";

/// Directories in which distributions keep shared objects.
const LIBRARIES: &[&str] =
    &["/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib64", "/usr/lib", "/usr/local/lib"];

/// File names of gperftools' allocator without its profilers.
const TCMALLOC: &[&str] = &["libtcmalloc_minimal.so.4", "libtcmalloc_minimal.so"];

/// One allocator of the comparison.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Allocator {
    /// The name in tables and on the command line.
    pub name: String,
    /// Its version, as far as it is known.
    pub version: String,
    /// The shared object that is preloaded; none for the C library's own.
    #[serde(skip)]
    pub object: Option<PathBuf>,
    /// Why it is not measured, if so.
    pub missing: Option<String>,
}

/// Builds or finds every allocator that is wanted and tries it. One that cannot
/// be had is kept, with the reason, so that the tables can say so.
pub fn gather(workspace: &Workspace, options: &Options) -> Result<Vec<Allocator>> {
    let mut found = Vec::new();
    for name in options.wanted() {
        let object = locate(workspace, options, name);
        found.push(admit(workspace, name, object));
    }
    for (name, path) in &options.object {
        ensure!(found.iter().all(|other| other.name != *name), "two allocators named {name}");
        let object = absolute(path).map(Some);
        found.push(admit(workspace, name, object));
    }
    for allocator in &found {
        if let Some(reason) = &allocator.missing {
            eprintln!("missing: {}: {reason}", allocator.name);
        }
    }
    ensure!(found.iter().any(|one| one.missing.is_none()), "no allocator can be measured");
    Ok(found)
}

/// The entry of the table for an allocator, tried if there is an object to try.
pub fn admit(workspace: &Workspace, name: &str, object: Result<Option<PathBuf>>) -> Allocator {
    let tried = object.and_then(|object| {
        prove(workspace, object.as_deref())?;
        Ok(object)
    });
    let (object, missing) = match tried {
        Ok(object) => (object, None),
        Err(error) => (None, Some(format!("{error:#}"))),
    };
    let version = version(workspace, name, object.as_deref());
    let version = version.unwrap_or_else(|| "unknown".to_owned());
    Allocator { name: name.to_owned(), version, object, missing }
}

/// The shared object of a known allocator, built if it is a peer of ours.
fn locate(workspace: &Workspace, options: &Options, name: &str) -> Result<Option<PathBuf>> {
    match name {
        "glibc" => Ok(None),
        "crossfoot" => match &options.crossfoot {
            Some(path) => absolute(path).map(Some),
            None => {
                let project = workspace.root.parent().context("the bench has no parent")?;
                let usual = absolute(&project.join(CROSSFOOT)).ok();
                Ok(Some(usual.with_context(|| format!("{CROSSFOOT} is not built"))?))
            }
        },
        "tcmalloc" => {
            let path = installed(TCMALLOC);
            Ok(Some(path.context("libtcmalloc_minimal is not installed")?))
        }
        peer => {
            workspace.build(&format!("peer-{peer}"))?;
            absolute(&workspace.release.join(format!("libpeer_{peer}.so"))).map(Some)
        }
    }
}

/// A shared object that the distribution installed, by its possible names.
pub fn installed(files: &[&str]) -> Option<PathBuf> {
    let mut places = LIBRARIES.iter().flat_map(|directory| files.iter().map(|file| Path::new(directory).join(file)));
    places.find(|path| path.exists())
}

/// The path without links and dots, as the dynamic linker will report it.
pub fn absolute(path: &Path) -> Result<PathBuf> {
    fs::canonicalize(path).with_context(|| format!("{}", path.display()))
}

/// Makes sure that a process with this object really gets all its C functions
/// from it, and that a first, short pattern runs.
fn prove(workspace: &Workspace, object: Option<&Path>) -> Result<()> {
    let mut probe = measure::command(&workspace.patterns(), object);
    probe.arg("probe");
    let (_, output) = measure::run(probe).context("the probe fails")?;
    for line in output.lines() {
        let (function, provider) = line.split_once('\t').context("the probe is garbled")?;
        let provider = fs::canonicalize(provider).unwrap_or_else(|_| provider.into());
        match object {
            Some(object) if provider == fs::canonicalize(object)? => {}
            None if provider.to_string_lossy().contains("libc.so") => {}
            _ => bail!("not active: {function} comes from {}", provider.display()),
        }
    }
    let mut trial = measure::command(&workspace.patterns(), object);
    trial.args(["run", "short-lived", "2", "1"]);
    measure::run(trial).context("the first pattern fails").map(drop)
}

/// What is known about the version of an allocator.
fn version(workspace: &Workspace, name: &str, object: Option<&Path>) -> Option<String> {
    let package = match name {
        "glibc" => return Some(libc_version()),
        "crossfoot" => return crossfoot_version(workspace),
        "mimalloc2" | "mimalloc3" => "libmimalloc-sys",
        "jemalloc" => "tikv-jemalloc-sys",
        "snmalloc" => "snmalloc-sys",
        "rpmalloc" => "rpmalloc-sys",
        // The file's own name has the version, the one that programs look for has not.
        "tcmalloc" => return Some(absolute(object?).ok()?.file_name()?.to_string_lossy().into_owned()),
        _ => return Some(object?.file_name()?.to_string_lossy().into_owned()),
    };
    let locked = workspace.locked_version(package)?;
    let own = object.filter(|_| package == "libmimalloc-sys").and_then(mimalloc_version);
    let own = own.map_or(String::new(), |version| format!("{version}, "));
    Some(format!("{own}{package} {locked}"))
}

/// What mimalloc calls itself: the crate holds two versions, and neither is the
/// crate's.
fn mimalloc_version(object: &Path) -> Option<String> {
    let mut command = measure::command(Path::new("/bin/true"), Some(object));
    let output = command.env("MIMALLOC_VERBOSE", "1").output().ok()?;
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    let is_version = |word: &&str| {
        let digits = word.strip_prefix('v').unwrap_or("");
        digits.contains('.') && digits.chars().all(|c| c == '.' || c.is_ascii_digit())
    };
    text.split_whitespace().find(is_version).map(str::to_owned)
}

/// The path of the C library of this process, and so of every program that is measured.
pub fn c_library() -> Result<PathBuf> {
    // SAFETY: all-zero is a valid value of this plain C structure.
    let mut found: libc::Dl_info = unsafe { mem::zeroed() };
    // SAFETY: the out pointer is valid for the call; any address may be asked for.
    let known = unsafe { libc::dladdr(libc::gnu_get_libc_version as *const c_void, &raw mut found) };
    ensure!(known != 0 && !found.dli_fname.is_null(), "the C library is not found");
    // SAFETY: dladdr stored the path of a loaded object, a C string.
    let path = unsafe { CStr::from_ptr(found.dli_fname) };
    Ok(PathBuf::from(path.to_string_lossy().into_owned()))
}

/// The version of the C library of this process.
fn libc_version() -> String {
    // SAFETY: the function takes nothing and gives a static C string.
    let version = unsafe { CStr::from_ptr(libc::gnu_get_libc_version()) };
    version.to_string_lossy().into_owned()
}

/// The commit of the project's tree. The shared object may be older.
pub fn crossfoot_version(workspace: &Workspace) -> Option<String> {
    let output = Command::new("git")
        .args(["--no-optional-locks", "describe", "--always", "--dirty"])
        .current_dir(&workspace.root)
        .output()
        .ok()?;
    let commit = String::from_utf8(output.stdout).ok()?;
    let commit = commit.trim();
    (output.status.success() && !commit.is_empty()).then(|| format!("tree at {commit}"))
}
