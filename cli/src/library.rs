//! Finds `libcrossfoot.so`.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::failure::{Failure, shown};

/// The file name of the shared object.
const NAME: &str = "libcrossfoot.so";
/// The environment variable that gives its path.
pub const VARIABLE: &str = "CROSSFOOT_LIB";
/// Characters that a path in `LD_PRELOAD` must not have: the loader separates entries at them, or replaces what
/// follows.
const NOT_IN_PRELOAD: &[u8] = b" :$";

/// Returns the path of the shared object: `variable` if it is set, else the one near the command at `exe`. The path is
/// absolute and fit for `LD_PRELOAD`.
pub fn find(variable: Option<&OsStr>, exe: Option<&Path>) -> Result<PathBuf, Failure> {
    let path = match variable.filter(|v| !v.is_empty()) {
        Some(given) => {
            let path = Path::new(given);
            if !path.is_file() {
                return Err(Failure::refused(format!("{VARIABLE} names {}, which is no file", shown(given))));
            }
            path.to_owned()
        }
        None if exe.is_none() => {
            return Err(Failure::refused(format!(
                "cannot find out where this command lies, as /proc is not mounted: set {VARIABLE} to the path of {NAME}"
            )));
        }
        None => near(exe).ok_or_else(|| {
            Failure::refused(format!(
                "no {NAME} beside this command or in ../lib: build it with 'cargo build --release' in the \
                 workspace, or set {VARIABLE} to its path"
            ))
        })?,
    };
    let path = path
        .canonicalize()
        .map_err(|error| Failure::refused(format!("cannot find {}: {error}", shown(path.as_os_str()))))?;
    if path.as_os_str().as_bytes().iter().any(|b| NOT_IN_PRELOAD.contains(b)) {
        return Err(Failure::refused(format!(
            "cannot preload {}: LD_PRELOAD takes no path with a space, a colon or a dollar sign; move it or set \
             {VARIABLE}",
            shown(path.as_os_str())
        )));
    }
    Ok(path)
}

/// Returns the path of this command. Returns `None` if neither `/proc` nor `AT_EXECFN`, the name that was executed,
/// leads to it.
pub fn own_path() -> Option<PathBuf> {
    std::env::current_exe().ok().or_else(|| {
        // SAFETY: the call returns 0, or the address of a C string that lives as long as the process.
        let name = unsafe { libc::getauxval(libc::AT_EXECFN) as *const libc::c_char };
        if name.is_null() {
            return None;
        }
        // SAFETY: as above.
        let name = unsafe { std::ffi::CStr::from_ptr(name) };
        Path::new(OsStr::from_bytes(name.to_bytes())).canonicalize().ok()
    })
}

/// Returns the shared object beside the command, in `../lib`, or beside the folder `deps` that the command is in.
fn near(exe: Option<&Path>) -> Option<PathBuf> {
    let folder = exe?.parent()?;
    let built = if folder.ends_with("deps") { folder.parent() } else { None };
    let offsets =
        [Some(folder.join(NAME)), folder.parent().map(|up| up.join("lib").join(NAME)), built.map(|b| b.join(NAME))];
    offsets.into_iter().flatten().find(|path| path.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_say_what_to_do() {
        let failure = find(None, Some(Path::new("/nowhere/bin/crossfoot"))).unwrap_err();
        assert_eq!(failure.status, 2);
        assert!(failure.line.contains("cargo build --release") && failure.line.contains(VARIABLE), "{failure:?}");
        let failure = find(Some(OsStr::new("/nowhere/l.so")), None).unwrap_err();
        assert_eq!(failure.line, "CROSSFOOT_LIB names '/nowhere/l.so', which is no file");
        let failure = find(None, None).unwrap_err();
        assert!(failure.line.contains("/proc is not mounted") && failure.line.contains(VARIABLE), "{failure:?}");
    }
}
