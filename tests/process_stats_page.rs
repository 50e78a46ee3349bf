//! The files of the stats page: who may read and write them, their lifetime, pages that are handed over, and control
//! words.

#[path = "stats_readers/asking.rs"]
mod asking;
#[path = "stats_readers/attached.rs"]
mod attached;
mod common;
#[path = "stats_readers/running.rs"]
mod running;

/// The command's module for handing a page over, and what it needs.
#[allow(dead_code, reason = "a part of the command")]
#[path = "../cli/src/failure.rs"]
mod failure;
#[allow(dead_code, reason = "a part of the command")]
#[path = "../cli/src/hand_over.rs"]
mod hand_over;
#[allow(dead_code, reason = "a part of the command")]
#[path = "../cli/src/page.rs"]
mod page;
#[path = "../cli/src/proc_files.rs"]
mod proc_files;
#[allow(dead_code, reason = "a part of the command")]
#[path = "../cli/src/process.rs"]
mod process;

extern crate crossfoot as allocator;

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::Command;

use asking::{Other, TIMEOUT, crossfoot, figure, is_root, refused, stat, until};
use attached::{Attached, descriptors, pages};
use common::{artifacts, installed, run, skipped, text};
use crossfoot::stats_page::layout;
use hand_over::HandOver;
use running::{Running, carrier};

/// Returns how many mappings a process has.
fn mappings(pid: i32) -> usize {
    fs::read_to_string(format!("/proc/{pid}/maps")).unwrap_or_default().lines().count()
}

/// Returns the errno of a libc call if its result is negative.
fn error_of(answer: i64) -> Option<i32> {
    (answer < 0).then(|| io::Error::last_os_error().raw_os_error().unwrap_or(0))
}

/// Returns whether Linux seals files against later writers.
fn knows_the_seal() -> bool {
    // SAFETY: a descriptor of this function's own.
    unsafe {
        let fd = libc::memfd_create(c"own".as_ptr(), libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING);
        let sealed = libc::fcntl(fd, libc::F_ADD_SEALS, libc::F_SEAL_FUTURE_WRITE) == 0;
        libc::close(fd);
        sealed
    }
}

#[test]
fn others_cannot_write_to_the_page_or_make_it_smaller() {
    let Some(mut process) = Running::carrying("", &["objects", "ready", "sleep"]) else { return };
    assert_eq!(process.says(), "ready");
    for (name, is_page) in [("crossfoot-stats", true), ("crossfoot-control", false)] {
        let path = descriptors(process.pid(), name).pop().expect("it has one");
        let number: i32 = path.file_name().and_then(|name| name.to_str()?.parse().ok()).expect("a number");
        assert!(number >= 100, "{number} may be in the program's way");
        let file = OpenOptions::new().read(true).write(true).open(&path).expect("it may be opened");
        let size = file.metadata().expect("it is open").len();
        let fd = file.as_raw_fd();
        for other in [0, 1, size - 1, size + 4096] {
            // SAFETY: it changes nothing where it fails.
            let answer = unsafe { libc::ftruncate(fd, other as libc::off_t) };
            assert_eq!(error_of(answer.into()), Some(libc::EPERM), "{name} to {other} bytes");
        }
        // SAFETY: a new mapping, which ends with this process.
        let at = unsafe {
            let rights = libc::PROT_READ | libc::PROT_WRITE;
            libc::mmap(std::ptr::null_mut(), size as usize, rights, libc::MAP_SHARED, fd, 0)
        };
        if !is_page {
            assert_ne!(at, libc::MAP_FAILED, "control words may be written");
            continue;
        }
        if at != libc::MAP_FAILED && !knows_the_seal() {
            return skipped("a system that seals files against later writers (Linux 5.1)");
        }
        assert_eq!(at, libc::MAP_FAILED, "the page can be mapped for writing");
        // SAFETY: a byte of this frame.
        let wrote = unsafe { libc::pwrite(fd, (&raw const *b"x").cast(), 1, 32) };
        assert_eq!(error_of(wrote as i64), Some(libc::EPERM));
    }
    let flags = fs::read_to_string(format!("/proc/{}/fdinfo/100", process.pid())).expect("the usual number");
    assert!(flags.contains("02000000") || flags.contains("02100002"), "closed by exec: {flags}");
}

/// Processes of one user may trace each other, except those that forbid it.
#[test]
fn an_untraceable_process_shows_nothing() {
    let (Some(setpriv), true) = (installed("setpriv"), is_root("processes of another user")) else { return };
    let Some(carrier) = carrier() else { return };
    // The other user cannot read the build folder.
    let folder = std::env::temp_dir().join(format!("crossfoot-stats-page-{}", std::process::id()));
    fs::create_dir_all(&folder).expect("it can be made");
    let copy = |from: &std::path::Path, name: &str| {
        let to = folder.join(name);
        common::copy_program(from, &to);
        to
    };
    let (program, so) = (copy(&carrier, "program"), copy(&artifacts().so, "libcrossfoot.so"));
    let command = copy(&artifacts().cli, "crossfoot");
    let other_user = |what: &std::path::Path| {
        let mut start = Command::new(&setpriv);
        start.args(["--reuid", "65534", "--regid", "65534", "--clear-groups"]).arg(what);
        start
    };
    for (dumpable, status) in [(true, 0), (false, 2)] {
        let mut start = other_user(&program);
        start.args(["objects", if dumpable { "objects" } else { "undumpable" }, "objects", "ready", "sleep"]);
        start.env_clear().env("LD_PRELOAD", &so);
        let mut process = Running::start(start);
        assert_eq!(process.says(), "ready");
        let pid = process.pid().to_string();
        // Nor by the number of shared memory.
        let segments = fs::read_to_string("/proc/sysvipc/shm").unwrap_or_default();
        assert!(!segments.lines().any(|line| line.split_whitespace().nth(4) == Some(&pid)), "{segments}");
        for verb in ["stat", "trim"] {
            let output = run(other_user(&command).args([verb, &pid]));
            if verb == "stat" || !dumpable {
                assert_eq!(output.status.code(), Some(status), "{verb}: {}", text(&output.stderr));
            }
            assert_eq!(text(&output.stderr).contains("does not let itself be read"), !dumpable, "{verb}");
        }
        let listed = run(other_user(&command).arg("ps"));
        let is_listed = text(&listed.stdout).lines().any(|line| line.trim_start().starts_with(&format!("{pid} ")));
        assert_eq!(is_listed, dumpable, "{}", text(&listed.stdout));
    }
    fs::remove_dir_all(folder).expect("it was made");
}

#[test]
fn arbitrary_control_words_cost_the_process_nothing() {
    let Some(mut process) = Running::carrying("", &["large", "objects", "ready", "work"]) else { return };
    assert_eq!(process.says(), "ready");
    let page = Attached::of(process.pid());
    // On a busy machine `stat` gets the last reading. It may have begun before the large objects existed; the next one
    // is newer.
    let ready = page.word(layout::COMPLETE_AT);
    until("it writes readings", || page.word(layout::COMPLETE_AT) > ready + 1);
    let before =
        (mappings(process.pid()), pages(process.pid()), figure(&stat(process.pid()), "/memory/classes/total:bytes"));
    let (mut seed, since) = (1_u64, std::time::Instant::now());
    let answered = page.word(layout::REFRESH_ANSWERED_AT);
    let mut releases = page.word(layout::RELEASE_ANSWERED_AT);
    let mut obeyed = 0_u64;
    while obeyed < 3 || page.word(layout::REFRESH_ANSWERED_AT) == answered || since.elapsed().as_millis() < 1_000 {
        assert!(since.elapsed() < TIMEOUT, "nothing is obeyed");
        for word in page.control() {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let value = [seed, u64::MAX - (seed >> 50), seed >> 33, 0][(seed >> 40) as usize % 4];
            word.store(value, std::sync::atomic::Ordering::Relaxed);
        }
        let now = page.word(layout::RELEASE_ANSWERED_AT);
        obeyed += u64::from(now != releases);
        releases = now;
        std::thread::sleep(std::time::Duration::from_micros(50));
    }
    // At most every tenth of a second, however often it is requested; a few may be pending.
    let most = since.elapsed().as_millis() as u64 / 100 + 2;
    assert!(obeyed <= most, "{obeyed} releases, at most {most}");
    let after =
        (mappings(process.pid()), pages(process.pid()), figure(&stat(process.pid()), "/memory/classes/total:bytes"));
    assert_eq!(before.1, after.1, "the page is the one that it was");
    assert!(after.0 <= before.0 + 4 && after.2 <= before.2, "{before:?}, then {after:?}");
}

#[test]
fn a_child_has_only_its_own_stats_files() {
    let Some(mut process) = Running::carrying("", &["objects", "open", "fork-open", "ready", "sleep"]) else { return };
    let own = process.number("open");
    assert_eq!(process.number("open"), own, "the parent's are closed in the child, which has two of its own");
    assert_eq!(process.says(), "ready");

    // The program has closed them, and reuses their numbers: no child closes those.
    let what = ["objects", "reuse", "open", "fork-open", "open", "ready", "sleep"];
    let Some(mut process) = Running::carrying("", &what) else { return };
    let own = process.number("open");
    assert!(own >= 120);
    assert_eq!(process.number("open"), own + 2, "nothing of the program's is closed");
    assert_eq!(process.number("open"), own);
    assert_eq!(process.says(), "ready");
    assert!(pages(process.pid()).is_empty());
    // Found by the mapping, and read if this process may trace it.
    let output = crossfoot(&["stat", &process.pid().to_string()]);
    let line = text(&output.stderr);
    assert!(output.status.success() || line.contains("the program has closed its descriptor"), "{line}");
}

#[test]
fn without_a_stats_page_the_program_runs_and_readers_get_the_reason() {
    for (options, what, why) in [
        ("stats_page:off", "objects", "it was started with the option stats_page:off"),
        ("", "refused-memfd", "a filter of system calls refused it one (memfd_create)"),
        ("", "few-files", "it may have 8 files open (ulimit -n)"),
        ("", "small-files", "its files may have 1024 bytes (ulimit -f)"),
        ("", "full", "or had no descriptor or memory left for one"),
    ] {
        let Some(mut process) = Running::carrying(options, &[what, "objects", "large", "ready", "sleep"]) else {
            return;
        };
        assert_eq!(process.says(), "ready", "{what}");
        assert!(pages(process.pid()).is_empty(), "{what}");
        let line = refused(process.pid());
        assert!(line.contains("runs on Crossfoot and has no stats page: ") && line.ends_with(why), "{what}: {line}");
        let trimmed = crossfoot(&["trim", &process.pid().to_string()]);
        assert_eq!(trimmed.status.code(), Some(2), "{}", text(&trimmed.stderr));
    }
    // A low limit of descriptors, but enough for lower numbers.
    let Some(mut process) = Running::carrying("", &["some-files", "objects", "ready", "sleep"]) else { return };
    assert_eq!(process.says(), "ready");
    assert!(figure(&stat(process.pid()), "/heap/spans:spans") > 0);
}

#[test]
fn trim_prints_the_released_bytes_or_that_no_thread_came() {
    let Some(mut process) = Running::carrying("", &["large", "objects", "ready", "work"]) else { return };
    assert_eq!(process.says(), "ready");
    let pid = process.pid().to_string();
    let output = crossfoot(&["trim", &pid, "--wait", "20"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let line = text(&output.stdout);
    let bytes =
        line.strip_prefix(&format!("process {pid} gave ")).and_then(|rest| rest.split(' ').next()?.parse().ok());
    assert!(bytes.is_some_and(|bytes: u64| bytes >= 16 << 20), "{line}");

    let Some(mut process) = Running::carrying("", &["large", "objects", "ready", "sleep"]) else { return };
    assert_eq!(process.says(), "ready");
    let output = crossfoot(&["trim", &process.pid().to_string(), "--wait", "0.2"]);
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    assert!(text(&output.stderr).contains("has not taken it up within 0.2 s"), "{}", text(&output.stderr));
}

/// Starts the program with a page that this process made.
fn start_with(page: &HandOver, what: &[&str]) -> Option<Running> {
    let (name, value) = page.option();
    let mut command = Command::new(carrier()?);
    command.args(what).env_clear().env("LD_PRELOAD", &artifacts().so).env("CROSSFOOT", format!("{name}:{value}"));
    let page: *const HandOver = page;
    let page = page.expose_provenance();
    // SAFETY: the page is there until the process has started, and nothing is allocated.
    unsafe {
        command.pre_exec(move || {
            (*std::ptr::with_exposed_provenance::<HandOver>(page)).claim();
            Ok(())
        })
    };
    Some(Running::start(command))
}

#[test]
fn a_page_that_was_handed_over_outlives_its_process() {
    let page = HandOver::new().expect("memory");
    let Some(mut process) = start_with(&page, &["first", "killed"]) else { return };
    let status = process.child.wait().expect("it ends");
    assert_eq!(status.signal(), Some(libc::SIGKILL));
    let (reading, taken) = page.reading().expect("a reading, from the first allocation on");
    assert_eq!((page.images(), taken.image, reading.pid), (1, 1, u64::from(process.child.id())));
    assert_eq!(page.ending(), 0, "it wrote no report and checked nothing");
    let mut failures = crossfoot::stats::Failures::default();
    reading.snapshot.check(&mut failures);
    assert!(failures.is_empty());

    // The page survives exec.
    let page = HandOver::new().expect("memory");
    let what = ["objects", "exec", "large", "exec", "first", "ready", "sleep"];
    let Some(mut process) = start_with(&page, &what) else { return };
    assert_eq!(process.says(), "ready");
    let (reading, taken) = page.reading().expect("a reading");
    assert_eq!((page.images(), taken.image, reading.pid), (3, 3, process.pid() as u64));
    assert_eq!(pages(process.pid()).len(), 1);
    let listed = Attached::of(process.pid()).mappings().0;
    let heaps = listed.iter().filter(|m| m.what == layout::MappingKind::Heap as u64).count();
    assert_eq!(heaps, 1, "the list is this image's: {listed:x?}");
    stat(process.pid());
}

#[test]
fn children_get_no_part_of_a_page_that_was_handed_over() {
    for way in ["fork", "spawn"] {
        let page = HandOver::new().expect("memory");
        let Some(mut process) = start_with(&page, &["objects", way, "ready", "sleep"]) else { return };
        let mut said: Vec<String> = Vec::new();
        let wanted = if way == "spawn" { 4 } else { 2 };
        while said.len() < wanted {
            said.push(process.says());
        }
        let number = |word: &str| said.iter().find_map(|line| line.strip_prefix(word)?.trim().parse::<i32>().ok());
        let child = Other(number("child").expect("it says its child"));
        let (own, its) = (pages(process.pid()), pages(child.0));
        assert_eq!((own.len(), its.len()), (1, 1), "{way}");
        assert_ne!(own, its, "{way}");
        assert_eq!(page.reading().map(|(reading, _)| reading.pid), Some(process.pid() as u64), "{way}");
        stat(child.0);
        // SAFETY: a signal to a child of the process that this test started.
        unsafe { libc::kill(child.0, libc::SIGKILL) };
    }
}

#[test]
fn a_descriptor_that_is_something_else_is_left_alone() {
    // Standard output and a file: the process makes a page of its own, and has what it was started with.
    let file = File::open("/dev/null").expect("it is there");
    let options = format!("stats_page:1/{}", file.as_raw_fd());
    let Some(mut process) = Running::carrying(&options, &["objects", "ready", "sleep"]) else { return };
    assert_eq!(process.says(), "ready");
    assert_eq!(pages(process.pid()).len(), 1);
    stat(process.pid());
}
