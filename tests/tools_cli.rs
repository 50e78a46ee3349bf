//! The command `crossfoot` from outside: what a run passes on, what it writes, what it refuses.

mod common;
#[path = "cli/refused.rs"]
mod refused;

use std::ffi::OsStr;
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use common::{artifacts, copy_program, installed, run, scratch, skipped, text, write_program};

/// SIGKILL and SIGTERM have these numbers on every Linux.
const SIGKILL: i32 = 9;
const SIGTERM: i32 = 15;

/// Returns the command with these arguments, in an environment without options.
fn crossfoot<I: AsRef<OsStr>>(arguments: impl IntoIterator<Item = I>) -> Command {
    let mut command = Command::new(&artifacts().cli);
    command.args(arguments);
    for variable in ["CROSSFOOT", "CROSSFOOT_LIB", "LD_PRELOAD"] {
        command.env_remove(variable);
    }
    command
}

/// Returns `crossfoot run -- ARGUMENTS…`.
fn run_on<I: AsRef<OsStr>>(arguments: impl IntoIterator<Item = I>) -> Command {
    let mut command = crossfoot(["run", "--"]);
    command.args(arguments);
    command
}

/// Makes an empty folder for a test.
fn folder(test: &str) -> PathBuf {
    let folder = scratch().join("cli").join(test);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    folder
}

/// Compiles a C program or shared object with gcc in `folder`. Returns `None` if gcc is missing or cannot compile it.
fn built(folder: &Path, name: &str, source: &str, flags: &[&str]) -> Option<PathBuf> {
    let (file, program) = (folder.join(name).with_extension("c"), folder.join(name));
    fs::write(&file, source).unwrap();
    let compiled = common::try_compile("gcc", program.to_str()?, |gcc| gcc.arg(file).args(flags))?;
    if compiled.is_err() {
        skipped(&format!("what 'gcc {}' needs", flags.join(" ")));
    }
    compiled.ok()
}

/// Returns a report, read as JSON.
fn report(path: &Path) -> serde_json::Value {
    let json = fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    serde_json::from_str(&json).unwrap_or_else(|e| panic!("{}: {e}: {json}", path.display()))
}

/// Returns the reports of descendants beside `path`.
fn descendants(path: &Path) -> Vec<PathBuf> {
    let prefix = format!("{}.", path.file_name().unwrap().to_str().unwrap());
    let beside = fs::read_dir(path.parent().unwrap()).unwrap().map(|entry| entry.unwrap().path());
    beside.filter(|file| file.file_name().unwrap().to_str().unwrap().starts_with(&prefix)).collect()
}

/// Asserts that a command ended with this status and this line, and printed nothing else.
#[track_caller]
fn assert_line(output: &Output, status: i32, line: &str) {
    assert_eq!(text(&output.stderr), format!("crossfoot: {line}\n"));
    assert_eq!(output.status.code(), Some(status));
    assert_eq!(text(&output.stdout), "");
}

#[test]
fn the_exit_status_passes_through() {
    for status in [0, 1, 2, 7, 70, 255] {
        let output = run(&mut run_on(["sh", "-c", &format!("echo out; echo err >&2; exit {status}")]));
        assert_eq!(output.status.code(), Some(status));
        assert_eq!((text(&output.stdout).as_str(), text(&output.stderr).as_str()), ("out\n", "err\n"));
    }
}

#[test]
fn signals_pass_through() {
    for (name, number) in [("TERM", SIGTERM), ("KILL", SIGKILL)] {
        let output = run(&mut run_on(["sh", "-c", &format!("kill -{name} $$")]));
        assert_eq!((output.status.signal(), output.status.code()), (Some(number), None));
    }
    // A signal from outside reaches the program, since the command became it by exec.
    let mut child = run_on(["sh", "-c", "echo $$; exec sleep 60"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(child.stdout.take().unwrap()), &mut line).unwrap();
    assert_eq!(line.trim(), child.id().to_string());
    child.kill().unwrap();
    assert_eq!(child.wait().unwrap().signal(), Some(SIGKILL));
}

#[test]
fn signal_dispositions_are_inherited() {
    let Some(grep) = installed("grep") else { return };
    let script = |prefix: &str| format!("{prefix} trap '' PIPE USR2; exec \"$@\"");
    let grep = grep.to_str().unwrap();
    let arguments = ["sh", "-c", &script(""), "sh", grep, "-E", "^Sig(Blk|Ign):", "/proc/self/status"];
    let plain = run(Command::new("sh").args(&arguments[1..4]).args(&arguments[4..]));
    let cli = artifacts().cli.to_str().unwrap();
    let ours = run(Command::new("sh").args(&arguments[1..4]).args([cli, "run", "--"]).args(&arguments[4..]));
    assert_eq!(text(&ours.stdout), text(&plain.stdout));
    assert!(text(&ours.stdout).contains("1800"), "{}", text(&ours.stdout));
    // Without the trap neither signal is ignored.
    let ours = run(&mut run_on(&arguments[4..]));
    let plain = run(Command::new(grep).args(&arguments[5..]));
    assert_eq!(text(&ours.stdout), text(&plain.stdout));
}

#[test]
fn the_report_is_of_the_program_and_balances() {
    let folder = folder("report");
    let source = r#"
        #include <stdlib.h>
        #include <unistd.h>
        int main(void) {
            for (int i = 0; i < 100000; i++) { void *volatile p = malloc(i % 1000 + 1); if (i % 3) free(p); }
            return chdir("/") == 0 ? 9 : 1;
        }"#;
    let Some(program) = built(&folder, "allocates", source, &[]) else { return };
    let mut command = crossfoot(["run", "--check", "--report", "R", "--format", "json", "--"]);
    let output = run(command.arg(&program).current_dir(&folder));
    assert_eq!(output.status.code(), Some(9), "{}", text(&output.stderr));
    assert_eq!(text(&output.stderr), "");
    let report = report(&folder.join("R"));
    assert_eq!(report["crossfoot"], "balanced");
    assert!(report["/gc/heap/allocs:objects"].as_u64() >= Some(100_000), "{report:#}");
    // Frees are counted later than allocations, a few hundred here.
    assert!(report["/gc/heap/frees:objects"].as_u64() >= Some(66_000), "{report:#}");
    assert_eq!(descendants(&folder.join("R")), [] as [PathBuf; 0]);
}

#[test]
fn a_report_of_an_earlier_run_does_not_stay() {
    let path = folder("stale").join("R");
    fs::write(&path, "stale").unwrap();
    let output = run(crossfoot(["run", "--report"]).arg(&path).args(["--", "sh", "-c", "kill -KILL $$"]));
    assert_eq!(output.status.signal(), Some(SIGKILL));
    let found = fs::read_to_string(&path).unwrap();
    assert!(found.contains("  process sh, ended by SIGKILL, ") && !found.starts_with("stale"), "{found}");
}

#[test]
fn the_report_is_of_what_the_program_becomes() {
    let folder = folder("becomes");
    let Some(perl) = installed("perl") else { return };
    let path = folder.join("R");
    let mut command = crossfoot(["run", "--format", "json", "--report"]);
    command.arg(&path).args(["--", "env", "X=1"]).arg(perl);
    let output = run(command.args(["-e", "@a = map { \"x$_\" } 1..100000; print $ENV{X}"]));
    assert_eq!(text(&output.stdout), "1");
    assert!(report(&path)["/gc/heap/allocs:objects"].as_u64() >= Some(100_000));
    assert_eq!(descendants(&path), [] as [PathBuf; 0]);
}

#[test]
fn descendants_have_reports_of_their_own() {
    let Some(perl) = installed("perl") else { return };
    let folder = folder("descendants");
    let path = folder.join("R");
    let mut command = crossfoot(["run", "--descendants", "--format", "json", "--report"]);
    // One becomes another program by exec, one does not; a third ends without exit, so without a report.
    let program = "$| = 1; print \"$$\\n\"; $a = fork // die; exec $^X, '-e', '1' if !$a; waitpid $a, 0; \
                   $b = fork // die; exit 3 if !$b; waitpid $b, 0; \
                   $c = fork // die; kill 'KILL', $$ if !$c; waitpid $c, 0; print \"$a\\n$b\\n$c\\n\"";
    let output = run(command.arg(&path).arg("--").arg(perl).args(["-e", program]));
    let out = text(&output.stdout);
    let pids: Vec<&str> = out.split_whitespace().collect();
    assert_eq!(pids.len(), 4, "{out}{}", text(&output.stderr));
    assert_eq!(report(&path)["crossfoot"], "balanced");
    let mut expected: Vec<PathBuf> = pids[1..3].iter().map(|pid| folder.join(format!("R.{pid}"))).collect();
    let mut beside = descendants(&path);
    expected.sort();
    beside.sort();
    assert_eq!(beside, expected);
    for file in beside {
        assert_eq!(report(&file)["crossfoot"], "balanced");
    }
}

#[test]
fn a_report_on_standard_error_is_readable() {
    let Some(perl) = installed("perl") else { return };
    for (name, format) in [("-", None), ("stderr", Some("--format=table"))] {
        let mut command = crossfoot(["run", "--report", name]);
        let output = run(command.args(format).arg("--").arg(&perl).args(["-e", "print 1"]));
        assert_eq!(text(&output.stdout), "1");
        let table = text(&output.stderr);
        assert!(table.contains("  /memory/classes/total:bytes\n"), "{table}");
        assert!(table.ends_with("balanced  crossfoot\n"), "{table}");
    }
}

#[test]
fn without_a_report_nothing_is_written() {
    let folder = folder("nothing");
    // Not a shell: dash ends by _exit, and would write no report anyway.
    let Some(perl) = installed("perl") else { return };
    let output = run(run_on([perl.as_os_str(), OsStr::new("-e"), OsStr::new("print 1")]).current_dir(&folder));
    assert_eq!((text(&output.stdout).as_str(), text(&output.stderr).as_str()), ("1", ""));
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 0);
}

#[test]
fn reports_that_cannot_be_written_are_refused_at_once() {
    let folder = folder("unwritable");
    let refused = |path: &Path, why: &str| {
        let output = run(crossfoot(["run", "--report"]).arg(path).args(["--", "echo", "ran"]));
        assert_line(&output, 2, &format!("cannot write a report to '{}': {why}", path.display()));
    };
    refused(&folder.join("a,b"), "its path has a comma, which separates options");
    refused(&folder.join("missing/R"), "No such file or directory (os error 2)");
    refused(&folder, "Is a directory (os error 21)");
    let long = Path::new("/").join("x".repeat(600));
    refused(&long, "its path is 601 bytes long, more than 512");
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 0);
}

#[test]
fn options_of_the_user_stay() {
    let so = artifacts().so.canonicalize().unwrap();
    let show = ["sh", "-c", "echo \"$LD_PRELOAD|$CROSSFOOT\""];
    let output = run(&mut run_on(show));
    assert_eq!(text(&output.stdout), format!("{}|\n", so.display()));
    let mut command = crossfoot(["run", "--check", "--"]);
    command.args(show).env("CROSSFOOT", "check:off,exit_format:json").env("LD_PRELOAD", "libm.so.6");
    // They are followed by the page that is handed over, by its descriptors.
    let page = ",stats_page:";
    let shown = text(&run(&mut command).stdout);
    let expected = format!("{}:libm.so.6|exit_format:json,check:on{page}", so.display());
    assert!(shown.starts_with(&expected), "{shown}");
    // The command run by itself adds nothing twice.
    let mut command = crossfoot(["run", "--check", "--"]);
    let output = run(command.arg(&artifacts().cli).args(["run", "--check", "--"]).args(show));
    let shown = text(&output.stdout);
    assert!(
        shown.starts_with(&format!("{}|check:on{page}", so.display())) && shown.matches(page).count() == 1,
        "{shown}"
    );
    // With stats_page:off by the user no page is made.
    let mut command = crossfoot(["run", "--check", "--"]);
    let shown = text(&run(command.args(show).env("CROSSFOOT", "stats_page:off")).stdout);
    assert_eq!(shown, format!("{}|stats_page:off,check:on\n", so.display()));
}

#[test]
fn wrong_options_are_reported_and_ignored() {
    let Some(perl) = installed("perl") else { return };
    let output = run(run_on([perl.as_os_str(), OsStr::new("-e"), OsStr::new("exit 3")]).env("CROSSFOOT", "chekc:on"));
    assert_line(&output, 3, "CROSSFOOT: no option is called 'chekc'");
    let long = format!("check:{}", "x".repeat(2000));
    let output = run(run_on(["sh", "-c", "echo ran"]).env("CROSSFOOT", long));
    let line = "the options for the program are 2006 bytes long, more than 1024: shorten CROSSFOOT or --report";
    assert_line(&output, 2, line);
}

#[test]
fn the_longest_options_are_read() {
    let Some(perl) = installed("perl") else { return };
    let options = format!("{}chekc:on", "check:off,".repeat(102).split_off(4));
    assert_eq!(options.len(), 1024);
    let output = run(run_on([perl.as_os_str(), OsStr::new("-e"), OsStr::new("1")]).env("CROSSFOOT", &options));
    assert_eq!(text(&output.stderr).lines().last(), Some("crossfoot: CROSSFOOT: no option is called 'chekc'"));
}

#[test]
fn the_shared_object_is_found_or_asked_for() {
    let folder = folder("lonely");
    let bin = folder.join("bin");
    fs::create_dir_all(&bin).unwrap();
    let lonely = bin.join("crossfoot");
    copy_program(&artifacts().cli, &lonely);
    let command = || {
        let mut command = Command::new(&lonely);
        command
            .args(["run", "--", "sh", "-c", "echo $LD_PRELOAD"])
            .env_remove("LD_PRELOAD")
            .env_remove("CROSSFOOT_LIB");
        command
    };
    let line = "no libcrossfoot.so beside this command or in ../lib: build it with 'cargo build --release' in the \
                workspace, or set CROSSFOOT_LIB to its path";
    assert_line(&run(&mut command()), 2, line);
    let line = "CROSSFOOT_LIB names '/nowhere/l.so', which is no file";
    assert_line(&run(command().env("CROSSFOOT_LIB", "/nowhere/l.so")), 2, line);
    let text_file = folder.join("l.so");
    fs::write(&text_file, "text").unwrap();
    let line = format!("'{}' is no shared object", text_file.canonicalize().unwrap().display());
    assert_line(&run(command().env("CROSSFOOT_LIB", &text_file)), 2, &line);
    let spaced = folder.join("a b.so");
    fs::copy(&artifacts().so, &spaced).unwrap();
    let output = run(command().env("CROSSFOOT_LIB", &spaced));
    assert!(text(&output.stderr).contains("LD_PRELOAD takes no path with a space"), "{}", text(&output.stderr));
    assert_eq!(output.status.code(), Some(2));

    let found = |place: &str| {
        let place = folder.join(place);
        fs::create_dir_all(place.parent().unwrap()).unwrap();
        fs::copy(&artifacts().so, &place).unwrap();
        assert_eq!(text(&run(&mut command()).stdout), format!("{}\n", place.canonicalize().unwrap().display()));
        fs::remove_file(place).unwrap();
    };
    found("bin/libcrossfoot.so");
    found("lib/libcrossfoot.so");
    // A program that cargo runs from its build folder.
    let deps = bin.join("deps");
    fs::create_dir_all(&deps).unwrap();
    copy_program(&artifacts().cli, deps.join("crossfoot"));
    fs::copy(&artifacts().so, bin.join("libcrossfoot.so")).unwrap();
    let mut in_deps = Command::new(deps.join("crossfoot"));
    in_deps.args(["run", "--", "sh", "-c", "exit 5"]).env_remove("CROSSFOOT_LIB");
    assert_eq!(run(&mut in_deps).status.code(), Some(5));
    fs::remove_file(bin.join("libcrossfoot.so")).unwrap();
    let named = folder.join("named.so");
    fs::copy(&artifacts().so, &named).unwrap();
    let output = run(command().env("CROSSFOOT_LIB", "named.so").current_dir(&folder));
    assert_eq!(text(&output.stdout), format!("{}\n", named.canonicalize().unwrap().display()));
}

#[test]
fn programs_that_cannot_be_executed_have_the_status_of_a_shell() {
    let folder = folder("not_executable");
    assert_line(&run(&mut run_on(["no-such-program"])), 127, "'no-such-program' is not in PATH");
    let line = "cannot run '/nowhere/program': there is no such file";
    assert_line(&run(&mut run_on(["/nowhere/program"])), 127, line);
    let file = folder.join("file");
    fs::write(&file, "exit 5\n").unwrap();
    let line = format!("cannot run '{}': it is not executable", file.display());
    assert_line(&run(&mut run_on([&file])), 126, &line);
    let line = format!("cannot run '{}': it is a directory", folder.display());
    assert_line(&run(&mut run_on([&folder])), 126, &line);
}

/// Writes an executable file with this text.
fn script(folder: &Path, name: &str, text: &str) -> PathBuf {
    let file = folder.join(name);
    write_program(&file, text);
    file
}

#[test]
fn scripts_are_followed_to_what_interprets_them() {
    let folder = folder("scripts");
    let plain = script(&folder, "plain", "#!/bin/sh\necho \"$0 $1\"; exit 5\n");
    let output = run(&mut run_on([plain.as_os_str(), OsStr::new("x y")]));
    assert_eq!((output.status.code(), text(&output.stdout)), (Some(5), format!("{} x y\n", plain.display())));
    let nested = script(&folder, "nested", &format!("#!{} -v\n", plain.display()));
    let output = run(&mut run_on([&nested]));
    assert_eq!((output.status.code(), text(&output.stdout)), (Some(5), format!("{} -v\n", plain.display())));
    let bare = script(&folder, "bare", "echo \"$1 $LD_PRELOAD\"; exit 6\n");
    let output = run(&mut run_on([bare.as_os_str(), OsStr::new("arg")]));
    let so = artifacts().so.canonicalize().unwrap();
    assert_eq!((output.status.code(), text(&output.stdout)), (Some(6), format!("arg {}\n", so.display())));
    let orphan = script(&folder, "orphan", "#!/nowhere/interpreter -x\n");
    let line = format!("cannot run '/nowhere/interpreter': there is no such file; '{}' asks for it", orphan.display());
    assert_line(&run(&mut run_on([&orphan])), 127, &line);
    let env = script(&folder, "env", "#!/usr/bin/env sh\nexit 4\n");
    assert_eq!(run(&mut run_on([&env])).status.code(), Some(4));

    let Some(program) = built(&folder, "static", "int main(void) { return 0; }", &["-static"]) else { return };
    let outer = script(&folder, "outer", &format!("#!{}\n", program.display()));
    let line = format!("cannot preload into '{}' (which runs '{}'): it is static", program.display(), outer.display());
    assert_line(&run(&mut run_on([&outer])), 2, &line);
}

#[test]
fn the_tables_are_printed() {
    let printed = |arguments: &[&str]| {
        let output = run(&mut crossfoot(arguments));
        assert_eq!((output.status.code(), text(&output.stderr).as_str()), (Some(0), ""));
        text(&output.stdout)
    };
    assert_eq!(printed(&["--version"]), format!("crossfoot {}\n", env!("CARGO_PKG_VERSION")));
    let options = printed(&["options"]);
    for row in crossfoot::options::TABLE {
        assert!(options.contains(row.name) && options.contains(row.help), "{options}");
    }
    let classes = printed(&["classes"]);
    assert_eq!(classes.lines().count(), 1 + crossfoot::size_class::CLASSES);
    assert_eq!(printed(&["locks"]), crossfoot::lock::table().to_string());
    assert_eq!(printed(&["locks", "--dot"]), crossfoot::lock::dot().to_string());
    assert!(printed(&["--help"]).contains("Usage: crossfoot"));
    assert!(
        printed(&["run", "--help"])
            .contains("crossfoot run [--report PATH] [--format table|json|openmetrics] [--descendants] [--check] -- ")
    );
}

#[test]
fn wrong_arguments_give_one_line() {
    for (arguments, line) in [
        (&[][..], "no command given (see crossfoot --help)"),
        (&["runn"], "unrecognized subcommand 'runn'; did you mean 'run'? (see crossfoot --help)"),
        (
            &["run", "--format", "xml", "--report", "R", "sh"],
            "invalid value 'xml' for '--format <FORMAT>' [possible values: table, json, openmetrics] (see crossfoot --help)",
        ),
        (
            &["run", "--format", "json", "sh"],
            "the following required arguments were not provided: --report <PATH> (see crossfoot --help)",
        ),
    ] {
        assert_line(&run(&mut crossfoot(arguments)), 2, line);
    }
}

#[test]
fn a_closed_pipe_ends_the_command_quietly() {
    let cli = artifacts().cli.to_str().unwrap();
    for (prefix, status) in [("", Err(13)), ("trap '' PIPE; ", Ok(141))] {
        // The reader closes the pipe before the command starts.
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = Command::new("sh");
        command.args(["-c", &format!("{prefix}exec {cli} classes")]).stdout(writer).stderr(Stdio::piped());
        let output = command.spawn().unwrap().wait_with_output().unwrap();
        assert_eq!(text(&output.stderr), "");
        let ended = output.status.code().ok_or(output.status.signal().unwrap_or_default());
        assert_eq!(ended, status);
    }
    if Path::new("/dev/full").exists() {
        let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let output = crossfoot(["classes"]).stdout(full).stderr(Stdio::piped()).spawn().unwrap();
        let output = output.wait_with_output().unwrap();
        assert_line(&output, 1, "cannot write: No space left on device (os error 28)");
    }
}
