//! Plugins that are difficult to open: with `RTLD_DEEPBIND`, in a namespace of their own, with an allocator of their
//! own that is closed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use super::common::{artifacts, run, scratch, text};
use super::compile;

/// Compiles `opener.so` into a folder of the test, and the plugin into a folder that only the opener's RUNPATH names.
fn opener(test: &str, plugin: bool) -> Option<PathBuf> {
    let shared = ["-shared", "-fPIC"];
    if plugin {
        compile("plugin.c", &format!("plugins-{test}/inner/plain.so"), &shared)?;
    }
    let flags = ["-shared", "-fPIC", "-DOPENER", "-Wl,-rpath,$ORIGIN/inner", "-Wl,--enable-new-dtags"];
    compile("plugin.c", &format!("plugins-{test}/opener.so"), &flags)
}

/// Runs the host, `preloaded` with the shared object or not.
fn host(test: &str, arguments: [&str; 2], preloaded: bool, options: &str) -> Option<Output> {
    let host = compile("plugin_host.c", &format!("{test}-host"), &[])?;
    let mut command = Command::new("timeout");
    command.args(["--kill-after=10", "60", "env"]).arg(format!("CROSSFOOT={options}"));
    if preloaded {
        command.arg(format!("LD_PRELOAD={}", artifacts().so.display()));
    }
    Some(run(command.arg(host).args(arguments)))
}

fn path(path: &Path) -> &str {
    path.to_str().expect("a path of ours")
}

fn assert_prints(output: &Output, line: &str) {
    let said = text(&output.stderr);
    assert!(output.status.success(), "{} {said}", output.status);
    assert_eq!(text(&output.stdout), line, "{said}");
}

#[test]
fn a_library_that_is_opened_with_deepbind_allocates_here() {
    let Some(opener) = opener("deep", true) else { return };
    for options in ["", "check:on"] {
        let Some(output) = host("deep", ["deep", path(&opener)], true, options) else { return };
        assert_prints(&output, "fine\n");
    }
    for (options, line) in [("", "ours\n"), ("deepbind:clear", "ours\n"), ("deepbind:keep", "its own\n")] {
        let Some(output) = host("deep", ["bound", path(&opener)], true, options) else { return };
        assert_prints(&output, line);
    }
}

#[test]
fn a_missing_library_is_an_error_of_the_loader() {
    let Some(opener) = opener("missing", false) else { return };
    let Some(output) = host("missing", ["missing", path(&opener)], true, "") else { return };
    assert_prints(&output, "not found\n");
}

#[test]
fn a_namespace_has_its_own_allocator() {
    let Some(plain) = compile("plugin.c", "namespace-plain.so", &["-shared", "-fPIC"]) else { return };
    let Some(output) = host("namespace", ["namespace", path(&plain)], true, "check:on") else { return };
    assert_prints(&output, "fine\n");
    // In a namespace without a libc, beside a program with another allocator and beside one with Crossfoot.
    for preloaded in [false, true] {
        let Some(output) = host("alone", ["alone", path(&artifacts().so)], preloaded, "") else { return };
        assert_prints(&output, "fine\n");
    }
}

#[test]
fn a_plugin_that_links_the_archive_may_be_closed() {
    let archive = path(&artifacts().a);
    let Some(plugin) = compile("plugin.c", "closed-plugin.so", &["-shared", "-fPIC", archive]) else { return };
    let Some(output) = host("closed", ["closed", path(&plugin)], false, "") else { return };
    assert_prints(&output, "fine\n");
}

/// The memory functions that compilers call, as in the shared object: on a CPU with AVX, if this is one, and without.
#[test]
fn functions_of_memory_are_right() {
    let source = fs::read_to_string(super::root().join("preload/src/mem/x86_64.s")).expect("a source of ours");
    for (name, known) in [("found", ".zero 1"), ("narrow", ".byte 1")] {
        // 1 stands for a CPU without AVX.
        let assembly = source.replace(".zero 1", known).replace(".bss.crossfoot_width,\"aw\",@nobits", ".data");
        assert!(assembly.contains(known));
        let file = scratch().join(format!("lives-mem-{name}.s"));
        let end = ".section .note.GNU-stack,\"\",@progbits\n";
        fs::write(&file, format!(".intel_syntax noprefix\n{assembly}{end}")).expect("it can be written");
        let Some(program) = compile("mem.c", &format!("mem-{name}"), &[path(&file)]) else { return };
        assert_prints(&run(Command::new("timeout").arg("60").arg(program)), "fine\n");
    }
}

/// The loader relocates the allocator before the libc if a library needs it and the program does not.
#[test]
fn a_library_may_be_linked_with_us_and_the_program_not() {
    let so = &artifacts().so;
    let link = scratch().join("lives-plugins-linked");
    let _ = fs::create_dir_all(&link);
    let _ = fs::copy(so, link.join("libcrossfoot.so.0")).expect("it was built");
    let flags = ["-shared", "-fPIC", "-DLIBRARY", path(so)];
    let Some(library) = compile("linked.c", "linked.so", &flags) else { return };
    let flags = [path(&library), "-Wl,--allow-shlib-undefined"];
    let Some(program) = compile("linked.c", "linked", &flags) else { return };
    let mut command = Command::new("timeout");
    let output = run(command.args(["60", "env"]).arg(format!("LD_LIBRARY_PATH={}", path(&link))).arg(program));
    assert_prints(&output, "fine\n");
    assert!(output.stderr.is_empty(), "{}", text(&output.stderr));
}

/// The library's resolver allocates while the loader relocates, before it has relocated the allocator.
#[test]
fn a_resolver_that_allocates_needs_lazy_binding() {
    let Some(library) = compile("ifunc.c", "ifunc.so", &["-shared", "-fPIC", "-Wl,-z,lazy"]) else { return };
    let flags = ["-DMAIN", path(&library), "-Wl,-z,lazy"];
    let Some(program) = compile("ifunc.c", "ifunc", &flags) else { return };
    let mut command = Command::new("timeout");
    command.args(["60", "env", "-u", "LD_BIND_NOW"]).arg(format!("LD_PRELOAD={}", artifacts().so.display()));
    assert_prints(&run(command.arg(program)), "one\n");
}
