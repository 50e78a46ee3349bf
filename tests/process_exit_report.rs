//! The report of an exiting process: its destination, whatever the program gave up and whatever the file is. The
//! program ends with its own status in every case.

mod common;

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use common::{artifacts, compile, installed, root, run, scratch, target, text};

/// Compiles `tests/exit_report/program.c`. Returns `None` without a compiler.
fn program() -> Option<PathBuf> {
    let source = root().join("tests/exit_report/program.c");
    compile("gcc", "exit-report-program", |gcc| gcc.args(["-O1", "-Wall", "-fno-builtin", "-pthread"]).arg(source))
}

/// Makes an empty folder for a test.
fn folder(test: &str) -> PathBuf {
    let folder = scratch().join("exit-report").join(test);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).expect("a folder");
    folder
}

/// Returns a command that runs the program on the shared object, with a time limit.
fn command(options: &str, words: &[&str]) -> Option<Command> {
    let mut command = Command::new("timeout");
    command.args(["--foreground", "--kill-after=5", "60", "env"]);
    command.arg(format!("LD_PRELOAD={}", artifacts().so.display())).arg(format!("CROSSFOOT={options}"));
    command.arg(program()?).args(words).stdin(Stdio::null());
    Some(command)
}

/// Runs the program with its report at `path`.
fn reporting(path: &Path, words: &[&str]) -> Option<Output> {
    Some(run(&mut command(&format!("exit_report:{}", path.display()), words)?))
}

/// Asserts that the program ended with its own status, and with this line or none.
#[track_caller]
fn assert_own_end(output: &Output, line: &str) {
    assert_eq!(text(&output.stderr), line, "{}", output.status);
    assert_eq!(output.status.code(), Some(7), "{}", output.status);
}

/// Asserts that there is a complete report at `path`, of a process that allocated this many objects.
#[track_caller]
fn assert_report(path: &Path, objects: u64) {
    let table = fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let row = |name: &str| {
        let line = table.lines().find(|line| line.ends_with(name)).unwrap_or_else(|| panic!("no {name}: {table}"));
        line.split_whitespace().next().expect("a number").parse::<u64>().expect("a number")
    };
    assert!(row("  /gc/heap/allocs:objects") >= objects, "{table}");
    assert!(table.ends_with("crossfoot\n") && !table.contains("/stale:objects"), "{table}");
}

/// Returns the line about a file that cannot be written.
fn cannot(path: &Path, why: &str) -> String {
    format!("crossfoot: exit_report: cannot write '{}': {why}\n", path.display())
}

#[test]
fn a_report_of_an_earlier_process_with_the_same_number_is_replaced() {
    let path = folder("number").join("R");
    let Some(output) = reporting(&path, &["stale", path.to_str().expect("text"), "allocate", "1000"]) else { return };
    assert_own_end(&output, "");
    assert_report(&path, 1000);
}

#[test]
fn a_file_without_an_end_is_written_and_not_read() {
    let zero = Path::new("/dev/zero");
    let Some(output) = reporting(zero, &["allocate", "10"]) else { return };
    assert_own_end(&output, "");
    let full = Path::new("/dev/full");
    let output = reporting(full, &["allocate", "10"]).expect("it was built");
    assert_own_end(&output, &cannot(full, "no space left on the device"));
    // Many programs close their streams to see whether everything arrived.
    let output = reporting(full, &["close-streams"]).expect("it was built");
    assert_own_end(&output, &cannot(full, "no space left on the device"));
}

#[test]
fn the_limit_on_the_size_of_files_gives_a_line() {
    let path = folder("size").join("R");
    let Some(output) = reporting(&path, &["file-size", "100", "allocate", "10"]) else { return };
    assert_own_end(&output, &cannot(&path, "the limit on the size of files (ulimit -f)"));
    assert_eq!(fs::read(&path).expect("it is there").len(), 100);
}

#[test]
fn a_full_disk_gives_a_line() {
    let Some(unshare) = installed("unshare") else { return };
    let folder = folder("full");
    let path = folder.join("R");
    let Some(inner) = command(&format!("exit_report:{}", path.display()), &["allocate", "10"]) else { return };
    let mut command = Command::new(unshare);
    let fill = "head -c 4096 /dev/zero > \"$1/filler\"";
    let script = format!("mount -t tmpfs -o size=4k none \"$1\" && {fill} || exit 98; shift; exec \"$@\"");
    command.args(["--mount", "--map-root-user", "sh", "-c", &script, "sh"]).arg(&folder);
    let output = run(command.arg(inner.get_program()).args(inner.get_args()));
    if output.status.code() != Some(7) && !text(&output.stderr).contains("crossfoot") {
        return common::skipped("a user namespace that may mount");
    }
    assert_own_end(&output, &cannot(&path, "no space left on the device"));
}

#[test]
fn paths_that_cannot_be_written_give_one_line() {
    let folder = folder("paths");
    let missing = folder.join("missing/R");
    let Some(output) = reporting(&missing, &["allocate", "10"]) else { return };
    assert_own_end(&output, &cannot(&missing, "no such directory"));
    let output = reporting(&folder, &[]).expect("it was built");
    assert_own_end(&output, &cannot(&folder, "it is a directory"));
    let socket = folder.join("socket");
    let _listener = std::os::unix::net::UnixListener::bind(&socket).expect("a short path");
    let output = reporting(&socket, &[]).expect("it was built");
    assert_own_end(&output, &cannot(&socket, "a socket, or a pipe that nobody reads"));
    let circle = folder.join("circle");
    std::os::unix::fs::symlink(&circle, &circle).expect("a link");
    let output = reporting(&circle, &[]).expect("it was built");
    assert_own_end(&output, &cannot(&circle, "too many symbolic links"));
    let (link, file) = (folder.join("link"), folder.join("file"));
    std::os::unix::fs::symlink(&file, &link).expect("a link");
    assert_own_end(&reporting(&link, &["allocate", "500"]).expect("it was built"), "");
    assert_report(&file, 500);
}

#[test]
fn a_pipe_gets_the_report_if_somebody_reads_it() {
    let Some(mkfifo) = installed("mkfifo") else { return };
    let path = folder("pipe").join("R");
    assert!(run(Command::new(mkfifo).arg(&path)).status.success());
    let Some(output) = reporting(&path, &["allocate", "10"]) else { return };
    assert_own_end(&output, &cannot(&path, "a socket, or a pipe that nobody reads"));
    let reader = Command::new("timeout").args(["60", "cat"]).arg(&path).stdout(Stdio::piped()).spawn().expect("cat");
    // Opening the pipe waits for the reader.
    drop(fs::OpenOptions::new().write(true).open(&path).expect("a reader comes"));
    let _ = reader.wait_with_output();
    let reader = Command::new("timeout").args(["60", "cat"]).arg(&path).stdout(Stdio::piped()).spawn().expect("cat");
    let held = fs::OpenOptions::new().write(true).open(&path).expect("a reader comes");
    assert_own_end(&reporting(&path, &["allocate", "300"]).expect("it was built"), "");
    drop(held);
    let read = reader.wait_with_output().expect("cat ends").stdout;
    let copy = path.with_extension("copy");
    fs::write(&copy, read).expect("a file");
    assert_report(&copy, 300);
}

#[test]
fn standard_streams_keep_what_was_printed() {
    let folder = folder("streams");
    for (path, stream) in [("/dev/stdout", 1), ("/dev/stderr", 2)] {
        let file = folder.join(format!("{stream}"));
        let open = || fs::OpenOptions::new().append(false).write(true).create(true).truncate(false).open(&file);
        let words: &[&str] = if stream == 1 { &["print", "printed", "allocate", "20"] } else { &["allocate", "20"] };
        let Some(mut command) = command(&format!("exit_report:{path}"), words) else { return };
        let mut before = open().expect("a file");
        std::io::Write::write_all(&mut before, b"before\n").expect("a file");
        match stream {
            1 => command.stdout(before),
            _ => command.stderr(before),
        };
        let status = command.status().expect("it can be started");
        assert_eq!(status.code(), Some(7));
        let all = fs::read_to_string(&file).expect("text");
        assert!(all.starts_with("before\n") && all.contains("  crossfoot\n"), "{all}");
        assert!(stream != 1 || all.contains("\nprinted\n"), "{all}");
    }
}

#[test]
fn a_reader_that_is_gone_does_not_end_the_program() {
    let Some(mut command) = command("exit_report:stderr,chekc:on", &["allocate", "10"]) else { return };
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let status = command.stderr(writer).status().expect("it can be started");
    assert_eq!((status.code(), status.signal()), (Some(7), None));
}

#[test]
fn what_the_program_gives_up_is_not_needed() {
    let folder = folder("given-up");
    let Some(mut command) = command("exit_report:R", &["allocate", "100", "chdir", "/"]) else { return };
    assert_own_end(&run(command.current_dir(&folder)), "");
    assert_report(&folder.join("R"), 100);
    let path = folder.join("closed");
    assert_own_end(&reporting(&path, &["allocate", "100", "close", "3"]).expect("it was built"), "");
    assert_report(&path, 100);
    // The file was unlinked: the report goes to a new file of that name.
    let path = folder.join("replaced");
    let words = ["allocate", "100", "unlink", path.to_str().expect("text")];
    assert_own_end(&reporting(&path, &words).expect("it was built"), "");
    assert_report(&path, 100);
}

#[test]
fn neither_the_root_nor_rights_are_needed() {
    use std::os::unix::fs::MetadataExt;
    if fs::metadata("/proc/self").is_ok_and(|own| own.uid() != 0) {
        return common::skipped("the right to change the root");
    }
    let folder = folder("root");
    let (path, closed) = (folder.join("R"), folder.join("closed"));
    fs::create_dir(&closed).expect("a folder");
    let words = ["allocate", "100", "chroot", closed.to_str().expect("text"), "setuid", "65534"];
    let Some(output) = reporting(&path, &words) else { return };
    assert_own_end(&output, "");
    assert_report(&path, 100);
}

#[test]
fn of_two_allocators_the_programs_own_reports() {
    let path = folder("two").join("R.json");
    let mut command = Command::new("timeout");
    command.args(["60", "env"]).arg(format!("LD_PRELOAD={}", artifacts().so.display()));
    command.arg(format!("CROSSFOOT=exit_format:json,exit_report:{}", path.display()));
    let output = run(command.arg(target("rust-global").join("rust-global")));
    assert!(output.status.success(), "{}", text(&output.stderr));
    let json = fs::read_to_string(&path).expect("a report");
    let report: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    // 8 threads, 15 rounds, 2,000 entries of a key and a value each.
    assert!(report["/gc/heap/allocs:objects"].as_u64() >= Some(8 * 15 * 2_000 * 2), "{report:#}");
}

#[test]
fn an_end_without_exit_handlers_is_reported() {
    let folder = folder("immediate");
    let ends: [(&str, &[&str]); 7] = [
        ("_exit", &["allocate", "700", "_exit", "7"]),
        ("_Exit", &["allocate", "700", "_Exit", "7"]),
        ("thread", &["allocate", "700", "thread", "7"]),
        ("quick_exit", &["allocate", "700", "at-quick-exit", "quick_exit", "7"]),
        // Children that share memory, or that the libc did not create, exit first and change nothing.
        ("vfork", &["allocate", "700", "vfork", "spawn", "_exit", "7"]),
        ("raw-fork", &["allocate", "700", "raw-fork", "_exit", "7"]),
        ("exit", &["allocate", "700", "vfork", "spawn", "exit", "7"]),
    ];
    for (name, words) in ends {
        let path = folder.join(name);
        let Some(output) = reporting(&path, words) else { return };
        assert_own_end(&output, "");
        assert_eq!(text(&output.stdout), if name == "quick_exit" { "quick\n" } else { "" });
        assert_report(&path, 700);
    }
    // A balance changes no status, and prints nothing if there are no other threads.
    for words in [["allocate", "9", "_exit", "7"], ["allocate", "9", "quick_exit", "7"]] {
        assert_own_end(&run(&mut command("check:on", &words).expect("it was built")), "");
    }
}

#[test]
fn a_child_that_ends_without_exit_handlers_has_its_own_report() {
    let path = folder("child").join("R");
    let words = ["allocate", "700", "fork", "_exit", "7"];
    // No process has this number.
    let options = format!("exit_report:{},exit_pid:2147483647", path.display());
    let Some(mut command) = command(&options, &words) else { return };
    assert_own_end(&run(&mut command), "");
    let beside = fs::read_dir(path.parent().expect("a folder")).expect("a folder");
    let reports: Vec<PathBuf> = beside.map(|entry| entry.expect("a file").path()).collect();
    assert_eq!(reports.len(), 2, "{reports:?}");
    reports.iter().for_each(|report| assert_report(report, 700));
}

#[test]
fn a_child_without_its_parents_threads_is_checked() {
    for words in [&["idle-threads", "fork", "exit", "7"][..], &["fork", "exit", "7"]] {
        let Some(mut command) = command("check:on", words) else { return };
        // The child ends by _exit, and has no other thread.
        assert_own_end(&run(&mut command), "");
    }
}

#[test]
fn an_end_in_a_handler_that_came_inside_the_allocator_waits_for_nothing() {
    let folder = folder("handler");
    for round in 0..20 {
        let path = folder.join(round.to_string());
        for options in [format!("exit_report:{}", path.display()), "check:on".into()] {
            let Some(mut command) = command(&options, &["handler", "7"]) else { return };
            let output = run(&mut command);
            assert_eq!(output.status.code(), Some(7), "{options}: {} {}", output.status, text(&output.stderr));
        }
    }
}

#[test]
fn a_report_in_a_handler_needs_little_of_its_stack() {
    let folder = folder("small-stack");
    for (inside, words) in [("objects", &[][..]), ("readings", &["readings"])] {
        for end in [&[][..], &["by-exit"]] {
            let words = [&["small-stack"], words, end, &["handler", "7"]].concat();
            let mut unchecked = 0;
            for round in 0..15 {
                let path = folder.join(format!("{inside}-{}-{round}", end.len()));
                let options = format!("exit_format:json,exit_report:{}", path.display());
                let Some(mut command) = command(&options, &words) else { return };
                assert_own_end(&run(&mut command), "");
                let json = fs::read_to_string(&path).expect("a report");
                let report: serde_json::Value = serde_json::from_str(&json).expect("JSON");
                let verdict = report["crossfoot"].as_str().unwrap_or_else(|| panic!("{words:?}: {report:#}"));
                let is_unchecked = verdict.starts_with("unchecked: the process exited inside the allocator");
                assert!(is_unchecked || verdict == "balanced", "{words:?}: {verdict}");
                unchecked += usize::from(is_unchecked);
            }
            assert!(unchecked > 0, "{words:?}: no handler came inside the allocator");
        }
    }
}

/// The libc frees the text of `dlerror` when it looks up a function. That lookup must not run on the system stack.
#[test]
fn an_error_of_the_loader_is_freed_where_that_can_be_done() {
    let folder = folder("dlerror");
    let Some(shared) = program() else { return };
    let archive = compile("gcc", "exit-report-archive", |gcc| {
        gcc.args(["-O1", "-fno-builtin", "-pthread"]).arg(root().join("tests/exit_report/program.c"));
        gcc.arg(&artifacts().a).arg("-lm")
    });
    let archive = archive.expect("a program was compiled before");
    for (name, program, preload) in [("shared", &shared, true), ("archive", &archive, false)] {
        // The program with the archive has no function of the name, which is an error of its own.
        for (i, words) in [&["dlerror", "allocate", "700"][..], &["allocate", "700"]].into_iter().enumerate() {
            let path = folder.join(format!("{name}-{i}"));
            let mut command = Command::new("timeout");
            command.args(["60", "env"]).arg(format!("CROSSFOOT=check:on,exit_report:{}", path.display()));
            if preload {
                command.arg(format!("LD_PRELOAD={}", artifacts().so.display()));
            }
            assert_own_end(&run(command.arg(program).args(words)), "");
            assert_report(&path, 700);
        }
    }
}

#[test]
fn options_hold_without_proc() {
    let Some(unshare) = installed("unshare") else { return };
    let path = folder("proc").join("R");
    let without = |inner: &Command| {
        let mut command = Command::new(&unshare);
        let script = "mount -t tmpfs none /proc || exit 98; exec \"$@\"";
        command.args(["--mount", "--map-root-user", "sh", "-c", script, "sh"]);
        run(command.arg(inner.get_program()).args(inner.get_args()))
    };
    let options = format!("exit_report:{},chekc:on", path.display());
    let Some(inner) = command(&options, &["allocate", "50"]) else { return };
    let output = without(&inner);
    if output.status.code() == Some(98) || text(&output.stderr).starts_with("unshare:") {
        return common::skipped("a user namespace that may mount");
    }
    assert_own_end(&output, "crossfoot: CROSSFOOT: no option is called 'chekc'\n");
    assert_report(&path, 50);
    // The command finds the shared object beside itself all the same.
    let mut inner = Command::new(&artifacts().cli);
    inner.args(["run", "--check", "--"]).arg(program().expect("it was built")).args(["allocate", "9"]);
    assert_own_end(&without(&inner), "");
}
