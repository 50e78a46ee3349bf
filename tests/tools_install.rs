//! An installed tree, as a user gets it: the flags of pkg-config, the header, the libraries, the command, the manual
//! page, and the packed archive.

mod common;

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use common::{assert_success, empty, installed, root, run, text, xtask};

/// Returns the answer of pkg-config for the tree at `tree`, or `None` if it is not installed.
fn pkg_config(tree: &Path, question: &str) -> Option<String> {
    let mut command = Command::new(installed("pkg-config")?);
    command.env("PKG_CONFIG_PATH", tree.join("lib/pkgconfig")).args([question, "crossfoot"]);
    let output = run(&mut command);
    assert_success(&output);
    Some(text(&output.stdout).trim().to_owned())
}

/// Compiles a user's program with the flags of the tree, and runs it in every supported way.
fn use_tree(tree: &Path) -> Option<()> {
    let gcc = installed("gcc")?;
    let flags = pkg_config(tree, "--cflags")?;
    let libraries = pkg_config(tree, "--libs")?;
    assert_eq!(pkg_config(tree, "--modversion")?, env!("CARGO_PKG_VERSION"));
    let program = tree.join("program");
    let mut compile = Command::new(gcc);
    // The compiler knows `malloc` and `free`, and would not call them.
    compile.args(["-O1", "-Wall", "-Wextra", "-fno-builtin", "-o"]).arg(&program);
    compile.args(flags.split_whitespace()).arg(root().join("tests/install/main.c"));
    let (mut fixed, mut shared) = (Command::new(compile.get_program()), compile);
    fixed.arg("-static").args(shared.get_args()).args(libraries.split_whitespace());
    shared.args(libraries.split_whitespace());
    let line = format!("{} balanced\n", env!("CARGO_PKG_VERSION"));
    let check = |command: &mut Command| {
        let output = run(command.env_remove("CROSSFOOT"));
        assert_success(&output);
        assert_eq!(text(&output.stdout), line, "{command:?}");
    };
    assert_success(&run(&mut fixed));
    check(Command::new("timeout").arg("60").arg(&program));
    assert_success(&run(&mut shared));
    check(Command::new("timeout").arg("60").arg(&program).env("LD_LIBRARY_PATH", tree.join("lib")));
    // A program that replaces some C++ operators is linked with the archive like any other.
    if let (Some(compiler), Some(_)) = (installed("g++"), installed("objcopy")) {
        let mut compile = Command::new(compiler);
        let source = root().join("tests/targets/cxx/replaced.cc");
        compile.args(["-std=c++17", "-O1", "-fno-builtin", "-Wno-sized-deallocation", "-o"]).arg(&program).arg(source);
        assert_success(&run(compile.arg(tree.join("lib/libcrossfoot.a"))));
        let output = run(Command::new("timeout").arg("60").arg(&program).env_remove("CROSSFOOT"));
        assert_eq!(text(&output.stdout), "made 5, freed 5, null\n");
    }
    assert_success(&run(&mut shared));
    // The command finds the library of its own tree.
    let crossfoot = tree.join("bin/crossfoot");
    let mut command = Command::new("timeout");
    command.arg("60").arg(crossfoot).args(["run", "--check", "--"]).arg(&program);
    check(command.env_remove("CROSSFOOT_LIB").env("LD_LIBRARY_PATH", tree.join("lib")));
    Some(())
}

/// Asserts that the manual pages exist, with the options of the command and the allocator, and that groff accepts them.
fn manual_pages(tree: &Path) {
    let folder = tree.join("share/man/man1");
    let read = |name: &str| std::fs::read_to_string(folder.join(name)).expect("the page is there");
    let page = read("crossfoot.1");
    for row in crossfoot::options::TABLE {
        let name = row.name.replace('_', "\\_");
        assert!(page.contains(row.name) || page.contains(&name), "{} is not in crossfoot(1)", row.name);
    }
    let help = text(&run(Command::new(tree.join("bin/crossfoot")).arg("--help")).stdout);
    let verbs = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let verbs: Vec<&str> = verbs.map_while(|line| line.split_whitespace().next()).collect();
    assert!(verbs.contains(&"run") && verbs.contains(&"stat"), "{help}");
    for verb in verbs {
        assert!(page.contains(&format!("crossfoot\\-{verb}(1)")), "{verb} is not in crossfoot(1)");
        let page = read(&format!("crossfoot-{verb}.1"));
        assert!(page.contains(".SH DESCRIPTION") && page.contains("crossfoot(1)"), "{page}");
        let Some(groff) = installed("groff") else { continue };
        let file = folder.join(format!("crossfoot-{verb}.1"));
        let output = run(Command::new(groff).args(["-man", "-ww", "-z"]).arg(file));
        assert!(output.status.success() && output.stderr.is_empty(), "{verb}: {}", text(&output.stderr));
    }
}

/// Builds the user's program with CMake's `find_package`, with the shared object and with the archive.
fn use_cmake(tree: &Path) {
    let Some(cmake) = installed("cmake") else { return };
    for (target, version, serves) in [("crossfoot", "0.1", true), ("static", "0.1.0", true), ("static", "0.2", false)] {
        let folder = empty("cmake");
        let source = root().join("tests/install/main.c");
        let project = format!(
            "cmake_minimum_required(VERSION 3.13)\nproject(user C)\nfind_package(crossfoot {version} REQUIRED)\n\
             add_executable(program {})\ntarget_compile_options(program PRIVATE -fno-builtin)\n\
             target_link_libraries(program PRIVATE crossfoot::{target})\n",
            source.display()
        );
        std::fs::write(folder.join("CMakeLists.txt"), project).expect("the scratch folder can be written");
        let build = folder.join("build");
        let mut configure = Command::new(&cmake);
        configure.arg("-S").arg(&folder).arg("-B").arg(&build);
        let output = run(configure.arg(format!("-DCMAKE_PREFIX_PATH={}", tree.display())));
        assert_eq!(output.status.success(), serves, "{}{}", text(&output.stdout), text(&output.stderr));
        if serves {
            assert_success(&run(Command::new(&cmake).arg("--build").arg(&build)));
            let output = run(Command::new("timeout").arg("60").arg(build.join("program")).env_remove("CROSSFOOT"));
            assert_success(&output);
            assert_eq!(text(&output.stdout), concat!(env!("CARGO_PKG_VERSION"), " balanced\n"));
        }
    }
}

#[test]
fn an_installed_tree_serves_programs_that_are_built_with_it() {
    let tree = empty("installed");
    assert_success(&xtask(
        &["install", "--prefix"].map(OsStr::new).into_iter().chain([tree.as_os_str()]).collect::<Vec<_>>(),
    ));
    let link = std::fs::read_link(tree.join("lib/libcrossfoot.so")).expect("the name for the linker is a link");
    assert_eq!(link, Path::new("libcrossfoot.so.0"));
    let page = std::fs::read_to_string(tree.join("share/man/man3/crossfoot.3")).expect("the page is there");
    assert!(page.contains(concat!("Crossfoot ", env!("CARGO_PKG_VERSION"))) && !page.contains('@'));
    manual_pages(&tree);
    use_tree(&tree);
    use_cmake(&tree);
    // With DESTDIR, as packagers use it, the tree is below a folder and names its final place.
    let root = empty("packaged");
    let arguments = ["install", "--prefix", "/usr/local", "--destdir"].map(OsStr::new);
    assert_success(&xtask(&arguments.into_iter().chain([root.as_os_str()]).collect::<Vec<_>>()));
    let described = std::fs::read_to_string(root.join("usr/local/lib/pkgconfig/crossfoot.pc")).expect("it is there");
    assert!(described.starts_with("prefix=/usr/local\n") && !described.contains('@'), "{described}");
    let refused = xtask(&["install", "--prefix", "a/relative/path"].map(OsStr::new));
    assert!(!refused.status.success() && text(&refused.stderr).contains("no absolute path"));
}

#[test]
fn the_archive_serves_wherever_it_is_unpacked() {
    let (Some(tar), Some(sums)) = (installed("tar"), installed("sha256sum")) else { return };
    let output = xtask(&[OsStr::new("dist")]);
    assert_success(&output);
    let archive = PathBuf::from(text(&output.stdout).trim());
    let name = archive.file_name().and_then(OsStr::to_str).expect("a name").to_owned();
    let folder = archive.parent().expect("a folder");
    assert_success(&run(Command::new(sums)
        .args(["--check", "--strict"])
        .arg(format!("{name}.sha256"))
        .current_dir(folder)));
    let place = empty("unpacked");
    assert_success(&run(Command::new(tar).args(["--extract", "--file"]).arg(&archive).current_dir(&place)));
    use_tree(&place.join(name.strip_suffix(".tar.gz").expect("the archive's name")));
}

/// Returns the text of all headers.
fn headers() -> String {
    let read = |name| std::fs::read_to_string(root().join("preload/include").join(name)).expect("the header is there");
    read("crossfoot.h") + &read("crossfoot-audit.h") + &read("crossfoot-heap.h") + &read("crossfoot-metrics.h")
}

/// Compiles text with the header, in one language. Returns the compiler's messages.
fn compile(compiler: &str, arguments: &[&str], source: &str) -> Option<String> {
    let compiler = installed(compiler)?;
    let path = empty(&format!("header{}", arguments.join(""))).join("source");
    std::fs::write(&path, source).expect("the scratch folder can be written");
    let mut command = Command::new(compiler);
    command.args(["-fsyntax-only", "-Wall", "-Wextra", "-pedantic"]).args(arguments).arg("-I");
    Some(text(&run(command.arg(root().join("preload/include")).arg(&path)).stderr))
}

#[test]
fn the_header_is_c_and_cxx_and_declares_what_no_other_header_does() {
    let header = headers();
    let exports = std::fs::read_to_string(root().join("linker/exports.txt")).expect("the list is there");
    // The functions that the C library declares, and those that are not called by name.
    let known = |name: &str| {
        name.starts_with('_')
            || name == "cfree"
            || {
                let source = format!(
                    "#include <dlfcn.h>\n#include <stdlib.h>\n#include <malloc.h>\nvoid *f(void) {{ return (void *){name}; }}\n"
                );
                let says = compile("gcc", &["-xc", "-std=gnu11", "-Wno-pedantic"], &source);
                says.is_none_or(|says| !says.contains("undeclared"))
            }
    };
    let names = exports.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    for name in names.filter(|name| !header.contains(&format!("{name}("))) {
        assert!(known(name), "no header declares {name}");
    }
    let source = "#include <stdlib.h>\n#include <malloc.h>\n#include <crossfoot.h>\n#include <crossfoot.h>\n\
                  int main(void) { return crossfoot_balanced() == MALLOCX_ALIGN(8); }\n";
    for (compiler, language, standard) in [
        ("gcc", "-xc", "-std=gnu90"),
        ("gcc", "-xc", "-std=c11"),
        ("gcc", "-xc", "-std=c2x"),
        ("g++", "-xc++", "-std=c++98"),
        ("g++", "-xc++", "-std=c++17"),
    ] {
        if let Some(says) = compile(compiler, &[language, standard], source) {
            assert_eq!(says, "", "{compiler} {standard}");
        }
    }
}

#[test]
fn the_manual_page_is_sound() {
    let Some(groff) = installed("groff") else { return };
    let page = root().join("preload/man/crossfoot.3");
    let output = run(Command::new(groff).args(["-man", "-ww", "-z", "-Tutf8"]).arg(&page));
    assert_success(&output);
    assert_eq!(text(&output.stderr), "");
    let page = std::fs::read_to_string(page).expect("the page is there");
    let header = headers();
    // Each function of the headers is in the synopsis.
    let ends = ["NOEXCEPT;", ");"];
    let functions =
        header.lines().filter(|line| !line.starts_with([' ', '#', '/']) && ends.iter().any(|end| line.ends_with(end)));
    let names: Vec<&str> = functions.map(|line| line.split('(').next().unwrap_or(line)).collect();
    assert!(names.len() > 24, "{names:?}");
    for name in names {
        assert!(page.contains(&format!("{name}(")), "the page has no {name}");
    }
}
