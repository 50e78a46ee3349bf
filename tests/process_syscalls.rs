//! Compares docs/syscalls.md with the system calls of processes on Crossfoot: by strace, and by a filter that kills at
//! any other system call.

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::Command;

use common::rows::{self, Failure};
use common::{artifacts, installed, root, run, scratch, skipped};

/// The numbers of the calls that the document may name, and of those that a program needs for itself.
const NUMBERS: [(&str, libc::c_long); 58] = [
    ("access", libc::SYS_access),
    ("arch_prctl", libc::SYS_arch_prctl),
    ("brk", libc::SYS_brk),
    ("clock_gettime", libc::SYS_clock_gettime),
    ("clone", libc::SYS_clone),
    ("clone3", libc::SYS_clone3),
    ("close", libc::SYS_close),
    ("execve", libc::SYS_execve),
    ("exit", libc::SYS_exit),
    ("exit_group", libc::SYS_exit_group),
    ("fcntl", libc::SYS_fcntl),
    ("fstat", libc::SYS_fstat),
    ("ftruncate", libc::SYS_ftruncate),
    ("futex", libc::SYS_futex),
    ("getcwd", libc::SYS_getcwd),
    ("getpid", libc::SYS_getpid),
    ("getrandom", libc::SYS_getrandom),
    ("gettid", libc::SYS_gettid),
    ("ioctl", libc::SYS_ioctl),
    ("kcmp", libc::SYS_kcmp),
    ("kill", libc::SYS_kill),
    ("lseek", libc::SYS_lseek),
    ("madvise", libc::SYS_madvise),
    ("membarrier", libc::SYS_membarrier),
    ("memfd_create", libc::SYS_memfd_create),
    ("mincore", libc::SYS_mincore),
    ("mmap", libc::SYS_mmap),
    ("mprotect", libc::SYS_mprotect),
    ("mremap", libc::SYS_mremap),
    ("munmap", libc::SYS_munmap),
    ("newfstatat", libc::SYS_newfstatat),
    ("openat", libc::SYS_openat),
    ("poll", libc::SYS_poll),
    ("pread64", libc::SYS_pread64),
    ("prlimit64", libc::SYS_prlimit64),
    ("read", libc::SYS_read),
    ("readlink", libc::SYS_readlink),
    ("rseq", libc::SYS_rseq),
    ("rt_sigaction", libc::SYS_rt_sigaction),
    ("rt_sigpending", libc::SYS_rt_sigpending),
    ("rt_sigprocmask", libc::SYS_rt_sigprocmask),
    ("rt_sigreturn", libc::SYS_rt_sigreturn),
    ("rt_sigtimedwait", libc::SYS_rt_sigtimedwait),
    ("sched_getaffinity", libc::SYS_sched_getaffinity),
    ("sched_yield", libc::SYS_sched_yield),
    ("set_robust_list", libc::SYS_set_robust_list),
    ("set_tid_address", libc::SYS_set_tid_address),
    ("statfs", libc::SYS_statfs),
    ("statx", libc::SYS_statx),
    ("tgkill", libc::SYS_tgkill),
    ("uname", libc::SYS_uname),
    ("vfork", libc::SYS_vfork),
    ("wait4", libc::SYS_wait4),
    ("waitid", libc::SYS_waitid),
    ("write", libc::SYS_write),
    ("writev", libc::SYS_writev),
    ("prctl", libc::SYS_prctl),
    ("seccomp", libc::SYS_seccomp),
];

/// The phases of the program in order, as the document calls them, each with the system calls of the program itself and
/// its libc.
const PHASES: [(&str, &str); 8] = [
    ("start, with options", ""),
    ("first allocation", ""),
    ("allocating and freeing", ""),
    ("giving memory back", ""),
    (
        "threads",
        "clone3 clone futex rseq set_robust_list rt_sigaction rt_sigprocmask exit mmap mprotect munmap madvise",
    ),
    ("fork", "clone set_robust_list wait4 exit_group"),
    ("reading statistics", ""),
    ("exit, with a report or a check", "exit_group"),
];

/// The system calls of the loader and the libc at the start of a program.
const LOADER: &str = "execve brk mmap openat read newfstatat close access pread64 arch_prctl set_tid_address set_robust_list \
                      rseq mprotect prlimit64 munmap getrandom fstat readlink futex madvise lseek uname";

type Calls = BTreeSet<String>;

/// A row of the document: the calls made always, with the page or membarrier, and seldom.
type Row = [Calls; 3];

fn names(words: &str) -> Calls {
    words.split_whitespace().map(str::to_owned).collect()
}

/// Returns the document's table, by the name of a phase.
fn document() -> BTreeMap<String, Row> {
    let text = fs::read_to_string(root().join("docs/syscalls.md")).expect("docs/syscalls.md");
    let rows = text.lines().filter(|line| line.starts_with("| ")).map(|line| {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        assert_eq!(cells.len(), 4, "{line}");
        (cells[0].to_owned(), [1, 2, 3].map(|i| names(&cells[i].replace('`', ""))))
    });
    let table: BTreeMap<String, Row> = rows.filter(|(phase, _)| phase != "phase").collect();
    assert!(PHASES.iter().all(|(phase, _)| table.contains_key(*phase)) && table.len() == PHASES.len() + 1);
    table
}

fn program() -> Option<PathBuf> {
    let source = root().join("tests/syscalls/program.c");
    common::compile("gcc", "syscalls", |gcc| gcc.args(["-O1", "-pthread", "-fno-builtin"]).arg(source))
}

/// Returns the system calls of each phase, or `None` if strace may not trace.
fn traced(options: Option<&str>) -> Option<Vec<Calls>> {
    let (tracer, program) = (installed("strace")?, program()?);
    let log = scratch().join(format!("syscalls-{}.calls", options.unwrap_or("plain").replace(['/', ':', ','], "-")));
    let mut command = Command::new("timeout");
    command.arg("60").arg(tracer).args(["-f", "-qq", "-e", "signal=none", "-o"]).arg(&log).env_clear();
    command.env("PATH", "/usr/bin:/bin");
    if let Some(options) = options {
        command.arg("-E").arg(format!("LD_PRELOAD={}", artifacts().so.display()));
        if !options.is_empty() {
            command.arg("-E").arg(format!("CROSSFOOT={options}"));
        }
    }
    if !run(command.arg(program)).status.success() {
        skipped("a system on which strace may trace");
        return None;
    }
    let log = fs::read_to_string(log).expect("strace wrote its log");
    let parts = |line| str::split_once(str::trim_start(line), ' ').expect("a process and what it called");
    // The program is the first process. Its threads and its child are in its phase until they name another.
    let program = log.lines().next().map_or("", |line| parts(line).0);
    let mut phase_of = BTreeMap::from([(program, 0)]);
    let mut phases = vec![Calls::new(); PHASES.len()];
    for (process, call) in log.lines().map(parts) {
        let call = call.trim_start();
        if let Some(number) = call.strip_prefix("close(-1") {
            phase_of.insert(process, number[..3].parse().expect("a phase"));
        } else if let Some((name, _)) = call.split_once('(')
            && !call.starts_with('<')
        {
            let phase: usize = *phase_of.get(process).unwrap_or(&phase_of[program]);
            phases[phase].insert(name.to_owned());
        }
    }
    assert_eq!(phase_of[program], PHASES.len() - 1, "every phase was there");
    Some(phases)
}

#[test]
fn each_phase_makes_the_calls_that_the_document_names() {
    let table = document();
    let Some(plain) = traced(None) else { return };
    let few = "stats_page:off,membarrier:off";
    let runs = vec!["", few, "exit_report:stderr", "check:on", "check:on,stats_page:off,membarrier:off"];
    let runs = rows::selected(runs, |options, only| *options == only);
    let mut failures = Vec::new();
    let mut seen_always = vec![Calls::new(); PHASES.len()];
    let mut seen_with = vec![Calls::new(); PHASES.len()];
    for options in runs {
        let Some(phases) = traced(Some(options)) else { return };
        for (i, (phase, own)) in PHASES.iter().enumerate() {
            let [always, with, seldom] = &table[*phase];
            let mut known: Calls = always.union(seldom).cloned().collect();
            known.extend(names(own));
            if i == 0 {
                known.extend(plain[0].iter().cloned());
            }
            if *phase == "fork" && ["check:on", "exit_report"].iter().any(|option| options.contains(option)) {
                // The child exits in this phase.
                known.extend(table[PHASES[PHASES.len() - 1].0].iter().flatten().cloned());
            }
            if !options.contains(few) {
                known.extend(with.iter().cloned());
                seen_with[i].extend(phases[i].iter().cloned());
            }
            seen_always[i].extend(phases[i].iter().cloned());
            let unknown: Vec<&String> = phases[i].difference(&known).collect();
            let found = format!("'{options}', {phase}: docs/syscalls.md does not name {unknown:?}");
            failures.extend((!unknown.is_empty()).then(|| Failure { row: options.to_owned(), found }));
        }
    }
    rows::assert_none(&failures);
    if rows::only().is_some() {
        return;
    }
    for (i, (phase, _)) in PHASES.iter().enumerate() {
        let [always, with, _] = &table[*phase];
        let missing: Vec<&String> = always.difference(&seen_always[i]).chain(with.difference(&seen_with[i])).collect();
        assert!(missing.is_empty(), "{phase}: docs/syscalls.md names {missing:?}, which nobody called");
    }
}

/// Runs the program with a filter that kills at every other call. Returns the signal that killed it, if any.
fn filtered(how: &str, options: &str, allowed: &Calls) -> Option<Option<i32>> {
    let numbers = allowed.iter().map(|name| {
        let known = NUMBERS.iter().find(|(known, _)| known == name);
        known.unwrap_or_else(|| panic!("no number for {name}")).1.to_string()
    });
    let mut command = Command::new("timeout");
    command.arg("30").arg(program()?).arg(how).args(numbers).env_clear();
    command.env("LD_PRELOAD", &artifacts().so).env("CROSSFOOT", options);
    let status = run(&mut command).status;
    match status.code() {
        Some(0) => Some(None),
        Some(9) => {
            skipped("a system on which filters of system calls may be installed");
            None
        }
        // `timeout` returns the signal of its child as a status, or dies of it too.
        Some(code) if code > 128 => Some(Some(code - 128)),
        _ => Some(Some(status.signal().unwrap_or_else(|| panic!("{how} {options}: {status:?}")))),
    }
}

#[test]
fn a_program_survives_a_filter_of_the_documented_calls() {
    let table = document();
    let few = "stats_page:off,membarrier:off";
    let always = |phases: &[&str]| -> Calls {
        let calls = phases.iter().flat_map(|phase| table[*phase][0].iter().cloned());
        // The program's own.
        calls.chain(names("close exit_group")).collect()
    };
    let working = ["first allocation", "allocating and freeing", "giving memory back", "reading statistics"];
    // With one thread, no seldom call occurs, except the unmapping of a superfluous piece.
    let calls: Calls = always(&working).into_iter().chain(names("munmap")).collect();
    for how in ["filter", "alone"] {
        let Some(ended) = filtered(how, few, &calls) else { return };
        assert_eq!(ended, None, "{how} with {few}: killed");
        // The filter works.
        let Some(ended) = filtered(how, "stats_page:on", &calls) else { return };
        assert_eq!(ended, Some(libc::SIGSYS), "{how} without the options");
    }
    // A filter that was installed before exec.
    let calls: Calls =
        always(&[&["start, with options"][..], &working[..]].concat()).into_iter().chain(names(LOADER)).collect();
    let Some(ended) = filtered("before", few, &calls) else { return };
    assert_eq!(ended, None, "before exec with {few}: killed");
    let Some(ended) = filtered("before", "stats_page:off", &calls) else { return };
    assert_eq!(ended, Some(libc::SIGSYS), "before exec with membarrier");
}
