//! Refuses programs that `libcrossfoot.so` cannot be preloaded into.

use std::ffi::{CString, OsStr};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::elf::{self, Facts};
use crate::failure::{Failure, shown};

/// Prefixes of the names of shared objects that replace `malloc`.
const ALLOCATORS: &[&str] = &[
    "libjemalloc",
    "libtcmalloc",
    "libmimalloc",
    "libsnmalloc",
    "libtbbmalloc_proxy",
    "libhoard",
    "librpmalloc",
    "libscudo",
    "libasan",
    "libhwasan",
    "liblsan",
    "libtsan",
    "libmsan",
];

/// Prefixes of the names of the loaders of glibc and musl, on all CPUs. musl's is its libc, by a second name.
const LOADERS: &[&str] = &["ld-linux", "ld64.so.", "ld.so.1", "ld-2.", "ld-musl-", "libc.musl-"];

/// The name that musl gives to its libc itself, which is its loader, too.
const MUSL: &[u8] = b"libc.so";

/// Refuses a program that the shared object at `library` cannot be preloaded into. `image` is the file that Linux
/// loads. `script` is the script that it interprets, if it is an interpreter.
pub fn check(image: &Path, script: Option<&Path>, library: &Path) -> Result<(), Failure> {
    let refused = |why: String| {
        let of = script.map(|script| format!(" (which runs {})", shown(script))).unwrap_or_default();
        Failure::refused(format!("cannot preload into {}{of}: {why}", shown(image)))
    };
    let ours = match elf::read(library) {
        Ok(Some(facts)) => facts,
        Ok(None) => return Err(Failure::refused(format!("{} is no shared object", shown(library)))),
        Err(error) => return Err(Failure::refused(format!("cannot read {}: {error}", shown(library)))),
    };
    // A file that may be executed and not read is let through. Linux reports a broken one.
    if let Ok(Some(facts)) = elf::read(image)
        && facts.loadable
        && let Some(why) = other_kind(&facts, &ours)
    {
        return Err(refused(why));
    }
    match gains_rights(image) {
        Some(how) => Err(refused(format!("{how}, so its loader ignores LD_PRELOAD"))),
        None => Ok(()),
    }
}

/// Returns why the two files do not fit together.
fn other_kind(program: &Facts, library: &Facts) -> Option<String> {
    if program.abi != library.abi {
        return Some(format!("it is a {} program, libcrossfoot.so is {}", program.abi, library.abi));
    }
    match &program.loader {
        // The program is the loader itself, which was called by its name. The program that it loads is not checked.
        None if program.soname.as_deref().is_some_and(|name| is_loader(name) || name == MUSL) => return None,
        None => return Some("it is static".into()),
        Some(loader) if !is_loader(loader) => {
            return Some(format!(
                "its libc is neither glibc nor musl, its loader is {}",
                shown(OsStr::from_bytes(loader))
            ));
        }
        Some(_) => {}
    }
    if program.defines_malloc {
        return Some("it brings its own malloc".into());
    }
    let brought = program.needed.iter().find(|name| ALLOCATORS.iter().any(|a| name.starts_with(a.as_bytes())));
    brought.map(|name| format!("it brings its own malloc, {}", shown(OsStr::from_bytes(name))))
}

/// Returns whether a file has the name of a loader of glibc or musl.
fn is_loader(path: &[u8]) -> bool {
    let name = path.rsplit(|&b| b == b'/').next().unwrap_or_default();
    LOADERS.iter().any(|loader| name.starts_with(loader.as_bytes()))
}

/// Returns how a program gets more rights than its caller when it is executed (`AT_SECURE`).
fn gains_rights(path: &Path) -> Option<&'static str> {
    let file = path.metadata().ok()?;
    let name = CString::new(path.as_os_str().as_bytes()).ok()?;
    // SAFETY: the calls only return numbers.
    let (user, group, as_user, as_group) =
        unsafe { (libc::getuid(), libc::getgid(), libc::geteuid(), libc::getegid()) };
    if as_user != user || as_group != group {
        return Some("its caller's real and effective user or group differ");
    }
    if no_new_rights(&name) {
        return None;
    }
    let set_group = libc::S_ISGID | libc::S_IXGRP;
    if file.mode() & libc::S_ISUID != 0 && file.uid() != user {
        return Some("it is setuid");
    }
    if file.mode() & set_group == set_group && file.gid() != group {
        return Some("it is setgid");
    }
    // SAFETY: the strings end with a null byte. Without a buffer, the call returns only the size.
    let capabilities =
        unsafe { libc::getxattr(name.as_ptr(), c"security.capability".as_ptr(), std::ptr::null_mut(), 0) };
    if capabilities > 0 && user != 0 { Some("it has file capabilities") } else { None }
}

/// Returns whether Linux gives no rights to executed files: for this process, or on the file's file system.
fn no_new_rights(path: &CString) -> bool {
    // SAFETY: the path ends with a null byte, and `system` is plain data that the call fills.
    unsafe {
        let mut system: libc::statvfs = std::mem::zeroed();
        libc::prctl(libc::PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1
            || (libc::statvfs(path.as_ptr(), &raw mut system) == 0 && system.f_flag & libc::ST_NOSUID != 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn this_program() -> Facts {
        elf::read(Path::new("/proc/self/exe")).unwrap().unwrap()
    }

    #[test]
    fn each_reason_has_its_words() {
        let ours = this_program();
        assert_eq!(other_kind(&ours, &ours), None);
        let fits = |change: &dyn Fn(&mut Facts)| {
            let mut program = this_program();
            change(&mut program);
            other_kind(&program, &ours).unwrap_or_default()
        };
        assert_eq!(fits(&|p| p.loader = None), "it is static");
        assert_eq!(fits(&|p| (p.loader, p.soname) = (None, Some(b"ld-linux-x86-64.so.2".to_vec()))), "");
        assert_eq!(
            fits(&|p| p.loader = Some(b"/system/bin/linker64".to_vec())),
            "its libc is neither glibc nor musl, its loader is '/system/bin/linker64'"
        );
        assert_eq!(fits(&|p| p.loader = Some(b"/lib/ld-musl-x86_64.so.1".to_vec())), "");
        assert_eq!(fits(&|p| (p.loader, p.soname) = (None, Some(b"libc.so".to_vec()))), "");
        assert_eq!(fits(&|p| p.loader = Some(b"/nix/store/x-glibc/lib/ld-linux-x86-64.so.2".to_vec())), "");
        assert_eq!(fits(&|p| p.defines_malloc = true), "it brings its own malloc");
        assert_eq!(
            fits(&|p| p.needed.push(b"libjemalloc.so.2".to_vec())),
            "it brings its own malloc, 'libjemalloc.so.2'"
        );
    }
}
