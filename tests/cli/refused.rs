//! Programs that cannot be preloaded: each is refused, with the reason.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::common::{artifacts, copy_program, installed, run, skipped, text, write_program};
use super::{assert_line, built, folder, run_on};

/// Asserts that preloading into `program` is refused with these words.
#[track_caller]
fn assert_refused(program: &Path, why: &str) {
    let line = format!("cannot preload into '{}': {why}", program.display());
    assert_line(&run(&mut run_on([program])), 2, &line);
}

#[test]
fn static_programs_are_refused() {
    let folder = folder("static");
    for flag in ["-static", "-static-pie"] {
        if let Some(program) = built(&folder, flag, "int main(void) { return 0; }", &[flag]) {
            assert_refused(&program, "it is static");
        }
    }
}

#[test]
fn programs_of_another_machine_or_libc_are_refused() {
    let folder = folder("other");
    let program = folder.join("machine");
    let mut bytes = fs::read("/bin/sh").unwrap();
    // The low byte of `e_machine`: from now on it is a program for S/390.
    bytes[if cfg!(target_endian = "little") { 18 } else { 19 }] = 22;
    write_program(&program, &bytes);
    let output = run(&mut run_on([&program]));
    assert_eq!(output.status.code(), Some(2));
    let line = text(&output.stderr);
    assert!(line.contains("S/390 program, libcrossfoot.so is "), "{line}");
    assert_eq!(line.lines().count(), 1);

    let flag = "-Wl,--dynamic-linker=/system/bin/linker64";
    if let Some(program) = built(&folder, "libc", "int main(void) { return 0; }", &[flag]) {
        assert_refused(&program, "its libc is neither glibc nor musl, its loader is '/system/bin/linker64'");
    }
    if let Some(program) = built(&folder, "class", "int main(void) { return 0; }", &["-m32"]) {
        assert_refused(&program, "it is a 32-bit i386 program, libcrossfoot.so is 64-bit x86-64");
    }
}

#[test]
fn programs_that_gain_rights_are_refused() {
    let folder = folder("rights");
    let root = fs::metadata("/proc/self").unwrap().uid() == 0;
    // Only root can make another user's program; other users look for one of root's.
    let found = ["/usr/bin/passwd", "/usr/bin/su"]
        .map(PathBuf::from)
        .into_iter()
        .find(|program| fs::metadata(program).is_ok_and(|file| file.uid() == 0 && file.mode() & 0o4000 != 0));
    if !root {
        match found {
            Some(program) => assert_refused(&program, "it is setuid, so its loader ignores LD_PRELOAD"),
            None => skipped("a setuid program"),
        }
        return;
    }
    let Some(id) = installed("id") else { return };
    let program = folder.join("copy");
    copy_program(id, &program);
    for (owner, mode, flag, how) in [((65534, 0), 0o4755, "-u", "setuid"), ((0, 65534), 0o2755, "-g", "setgid")] {
        std::os::unix::fs::chown(&program, Some(owner.0), Some(owner.1)).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(mode)).unwrap();
        if text(&run(Command::new(&program).arg(flag)).stdout) != "65534\n" {
            skipped("a file system or a process that takes setuid files for what they are");
            return;
        }
        assert_refused(&program, &format!("it is {how}, so its loader ignores LD_PRELOAD"));
        // With no-new-privs the bits have no effect, and the program runs on Crossfoot.
        if let Some(setpriv) = installed("setpriv") {
            let mut command = Command::new(setpriv);
            command.arg("--no-new-privs").arg(&artifacts().cli).args(["run", "--"]).arg(&program);
            let output = run(command.arg(flag).env_remove("CROSSFOOT_LIB"));
            assert_eq!(text(&output.stdout), "0\n", "{}", text(&output.stderr));
        }
    }
    // A setuid program of the caller gains nothing.
    std::os::unix::fs::chown(&program, Some(0), Some(0)).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o6755)).unwrap();
    let output = run(run_on([&program]).arg("-u"));
    assert_eq!(text(&output.stdout), "0\n", "{}", text(&output.stderr));
}

#[test]
fn programs_with_a_malloc_of_their_own_are_refused() {
    let folder = folder("malloc");
    let source = "void *malloc(unsigned long n) { (void)n; return 0; }\nint main(void) { return 0; }";
    let Some(program) = built(&folder, "own", source, &[]) else { return };
    assert_refused(&program, "it brings its own malloc");
    let flags = ["-shared", "-Wl,-soname,libjemalloc.so.2"];
    let Some(library) = built(&folder, "library", "int mallocx(void) { return 0; }", &flags) else { return };
    let source = "int mallocx(void);\nint main(void) { return mallocx(); }";
    let Some(program) = built(&folder, "linked", source, &[library.to_str().unwrap()]) else { return };
    assert_refused(&program, "it brings its own malloc, 'libjemalloc.so.2'");
    // A program that calls malloc, or takes its address, does not define it.
    let source = "#include <stdlib.h>\nvoid *(*volatile f)(size_t) = malloc;\nint main(void) { return f(1) == 0; }";
    for (name, flags) in [("caller", &["-no-pie"][..]), ("caller-pie", &["-pie", "-fPIE"])] {
        let Some(program) = built(&folder, name, source, flags) else { return };
        assert_eq!(run(&mut run_on([&program])).status.code(), Some(0));
    }
}
