//! Readers of the stats page: what other processes see of a process on Crossfoot, and what remains of it.

#[path = "stats_readers/asking.rs"]
mod asking;
#[path = "stats_readers/attached.rs"]
mod attached;
mod common;
#[path = "stats_readers/running.rs"]
mod running;

use std::fs;
use std::io::Write as _;
use std::process::Command;
use std::time::{Duration, Instant};

use asking::{Other, TIMEOUT, crossfoot, figure, is_root, refused, signal, stat, until};
use attached::{Attached, pages};
use common::{artifacts, installed, root, run, scratch, skipped, text};
use crossfoot::stats::Failures;
use crossfoot::stats_page::layout::{self, MappingKind};
use crossfoot::stats_page::view;
use running::Running;

#[test]
fn a_working_process_is_read() {
    // One moves spans, the other only refills.
    for what in ["churn2", "pairs"] {
        let Some(mut process) = Running::doing(&[what, "ready", "sleep"]) else { return };
        assert_eq!(process.says(), "ready");
        let objects = |figures: &serde_json::Value| figure(figures, "/gc/heap/allocs:objects");
        let first = objects(&stat(process.pid()));
        until("it allocates on", || objects(&stat(process.pid())) > first + 100_000);
        let figures = stat(process.pid());
        assert!(figure(&figures, "/stats/age:nanoseconds") < 120_000_000_000, "{figures:#}");
        assert_eq!(figure(&figures, "/memory/classes/metadata/ledger:bytes"), layout::SIZE as i64 + 4096);
    }
}

#[test]
fn a_sleeping_process_without_descriptors_is_read() {
    let Some(mut process) = Running::doing(&["objects", "large", "wait", "one-large", "close", "sleep"]) else {
        return;
    };
    assert_eq!(process.says(), "closed");
    let folder = format!("/proc/{}/fd", process.pid());
    until("it closes its descriptors", || fs::read_dir(&folder).is_ok_and(|files| files.count() == 0));
    let figures = stat(process.pid());
    assert_eq!(figure(&figures, "/heap/large/allocs:objects"), 17);
    assert!(figure(&figures, "/memory/classes/heap/objects:bytes") >= 68 << 20, "{figures:#}");
    std::thread::sleep(Duration::from_millis(50));
    let later = stat(process.pid());
    assert!(figure(&later, "/stats/age:nanoseconds") > 50_000_000, "a process that sleeps has an old reading");
    assert_eq!(figure(&later, "/gc/heap/allocs:bytes"), figure(&figures, "/gc/heap/allocs:bytes"));
}

#[test]
fn after_a_fork_both_processes_are_read() {
    let Some(mut process) = Running::doing(&["threads", "objects", "fork", "sleep"]) else { return };
    let child = Other(process.number("child"));
    let has_one = || crossfoot(&["stat", &child.0.to_string()]).status.success();
    until("the child has a page of its own", has_one);
    let objects = |pid| figure(&stat(pid), "/gc/heap/allocs:objects");
    until("the child allocates", || objects(child.0) > objects(process.pid()) + 10_000);
    let (own, inherited) = (pages(process.pid()), pages(child.0));
    assert_eq!((own.len(), inherited.len()), (1, 1));
    assert_ne!(own, inherited);
    let maps = fs::read_to_string(format!("/proc/{}/maps", child.0)).expect("it is there");
    assert_eq!(maps.lines().filter(|line| line.contains("/memfd:crossfoot-")).count(), 2, "{maps}");
    process.kill();
    assert!(figure(&stat(child.0), "/memory/classes/metadata/ledger:bytes") > 0);
}

#[test]
fn after_a_raw_fork_no_process_writes_to_the_other_s_page() {
    let Some(mut process) = Running::doing(&["objects", "raw-fork", "sleep"]) else { return };
    let first = process.says();
    let (said, other) = (process.says(), first.starts_with("child"));
    let child = Other((if other { &first } else { &said })["child ".len()..].parse().expect("a number"));
    let page = pages(process.pid());
    let line = refused(child.0);
    assert!(line.contains(&format!("has the stats page of process {} still", process.pid())), "{line}");
    let before = stat(process.pid());
    signal(child.0, libc::SIGCONT);
    assert_eq!(process.says(), "allocated");
    let objects = |figures: &serde_json::Value| figure(figures, "/gc/heap/allocs:objects");
    assert!(objects(&stat(child.0)) > objects(&before) + 10_000);
    let after = stat(process.pid());
    assert_eq!((objects(&after), pages(process.pid())), (objects(&before), page));
}

#[test]
fn a_child_in_the_parent_s_memory_takes_no_page() {
    let Some(mut process) = Running::doing(&["objects", "vfork", "vfork", "objects", "ready", "sleep"]) else { return };
    assert_eq!(process.says(), "ready");
    assert_eq!(pages(process.pid()).len(), 1);
    stat(process.pid());
}

#[test]
fn a_killed_or_replaced_process_leaves_no_page() {
    let Some(mut process) = Running::doing(&["churn1", "ready", "sleep"]) else { return };
    assert_eq!(process.says(), "ready");
    until("it has a page", || pages(process.pid()).len() == 1);
    // What was mapped before stays readable.
    let page = Attached::of(process.pid());
    until("it writes a reading", || page.reading().is_some());
    process.kill();
    assert!(page.reading().is_some_and(|(reading, _)| reading.pid == process.pid() as u64));
    assert_eq!(refused(process.pid()), format!("crossfoot: no process {}", process.pid()));

    let Some(mut process) = Running::doing(&["objects", "ready", "line", "exec"]) else { return };
    assert_eq!(process.says(), "ready");
    assert_eq!(pages(process.pid()).len(), 1);
    process.child.stdin.as_mut().expect("piped").write_all(b"\n").expect("it reads");
    until("the page is gone", || pages(process.pid()).is_empty());
    let line = refused(process.pid());
    assert!(line.ends_with("does not run on Crossfoot, or has not allocated yet"), "{line}");
}

#[test]
fn unreadable_processes_are_refused_in_a_line() {
    let mut plain = Command::new("sleep");
    plain.arg("60").env_remove("LD_PRELOAD");
    let plain = Running::start(plain);
    let line = refused(plain.pid());
    assert!(line.ends_with("does not run on Crossfoot, or has not allocated yet"), "{line}");
    assert_eq!(refused(i32::MAX), format!("crossfoot: no process {}", i32::MAX));
    for arguments in [&["stat"][..], &["stat", "0"], &["stat", "x"], &["stat", "1", "--watch", "0"], &["ps", "1"]] {
        let output = crossfoot(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert_eq!(text(&output.stderr).lines().count(), 1, "{arguments:?}");
    }
}

#[test]
fn another_user_s_process_is_refused_in_a_line() {
    let (Some(setpriv), true) = (installed("setpriv"), is_root("another user's process")) else { return };
    let Some(mut process) = Running::doing(&["objects", "ready", "sleep"]) else { return };
    assert_eq!(process.says(), "ready");
    // The other user cannot read the build folder.
    let command = std::env::temp_dir().join(format!("crossfoot-other-user-{}", std::process::id()));
    common::copy_program(&artifacts().cli, &command);
    let pid = process.pid().to_string();
    let others = ["--reuid", "65534", "--regid", "65534", "--clear-groups"];
    let output = run(Command::new(&setpriv).args(others).arg(&command).args(["stat", &pid]));
    let listed = run(Command::new(setpriv).args(others).arg(&command).arg("ps"));
    fs::remove_file(command).expect("it was copied");
    let line = format!("crossfoot: permission denied: process {pid} belongs to another user\n");
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(2), line));
    assert!(listed.status.success() && !text(&listed.stdout).lines().any(|line| line.trim().starts_with(&pid)));
    assert!(text(&listed.stderr).contains("could not be looked at"), "{}", text(&listed.stderr));
}

#[test]
fn stat_traces_stops_and_signals_no_process() {
    let Some(strace) = installed("strace") else { return };
    let Some(mut process) = Running::doing(&["objects", "ready", "sleep"]) else { return };
    assert_eq!(process.says(), "ready");
    let log = scratch().join("ledger.calls");
    let mut traced = Command::new(strace);
    traced.args(["-f", "-qq", "-o"]).arg(&log).arg(&artifacts().cli).args(["stat", &process.pid().to_string()]);
    if !run(&mut traced).status.success() {
        return skipped("a system on which strace may trace");
    }
    let log = fs::read_to_string(log).expect("strace wrote its log");
    assert!(log.contains(&format!("/proc/{}/fd/1", process.pid())), "{log}");
    assert!(log.contains("MAP_SHARED"), "{log}");
    for call in ["ptrace(", "process_vm_", "kill(", "pidfd_", "/mem\"", "process_madvise("] {
        assert!(!log.contains(call), "{call} in {log}");
    }
}

#[test]
fn ps_lists_the_processes_on_crossfoot() {
    let Some(mut process) = Running::doing(&["objects", "ready", "sleep"]) else { return };
    let mut plain = Command::new("sleep");
    plain.arg("60").env_remove("LD_PRELOAD");
    let plain = Running::start(plain);
    assert_eq!(process.says(), "ready");
    let output = crossfoot(&["ps"]);
    assert!(output.status.success());
    let table = text(&output.stdout);
    let mut lines = table.lines();
    let heading: Vec<&str> = lines.next().expect("a heading").split_whitespace().collect();
    assert_eq!(heading, ["PID", "USER", "RSS", "TOTAL", "LIVE", "RELEASED", "AGE", "COMMAND"]);
    let line = lines.find(|line| line.trim_start().starts_with(&format!("{} ", process.pid()))).expect("it is listed");
    assert!(line.contains(" MiB ") && line.contains("ledger-program"), "with units: {line}");
    // Processes of other tests start and exit; a sleeping one has the same row in each order.
    for (sort, column, ascending) in [("rss", 2, false), ("total", 3, false), ("live", 4, false), ("pid", 0, true)] {
        let output = crossfoot(&["ps", "--bytes", "--sort", sort]);
        let table = text(&output.stdout);
        let rows: Vec<Vec<&str>> = table.lines().skip(1).map(|line| line.split_whitespace().collect()).collect();
        let values: Vec<i64> = rows.iter().map(|row| row[column].parse().unwrap_or(i64::MIN)).collect();
        let is_sorted = if ascending { values.is_sorted() } else { values.is_sorted_by(|a, b| a >= b) };
        assert!(is_sorted, "by {sort}:\n{table}");
        assert!(!rows.iter().any(|row| row[0] == plain.pid().to_string()), "{table}");
        let row = rows.iter().find(|row| row[0] == process.pid().to_string()).expect("it is listed");
        let [rss, total, live, released] = [2, 3, 4, 5].map(|i| row[i].parse::<i64>().expect("a number"));
        assert!(rss > 0 && 0 < live && live + released <= total, "{row:?}");
    }
}

#[test]
fn stat_says_in_ten_lines_where_the_bytes_are() {
    let Some(mut process) = Running::doing(&["objects", "large", "ready", "sleep"]) else { return };
    assert_eq!(process.says(), "ready");
    let pid = process.pid().to_string();
    let table = |arguments: &[&str]| {
        let output = crossfoot(&[&["stat", &pid], arguments].concat());
        assert!(output.status.success(), "{}", text(&output.stderr));
        text(&output.stdout)
    };
    let (raw, figures) = (table(&["--bytes"]), stat(process.pid()));
    let value = |line: &str| line.split_whitespace().next().expect("a value").to_owned();
    let values: Vec<i64> = raw.lines().take(9).map(|line| value(line).parse().expect("a number")).collect();
    assert_eq!((raw.lines().count(), values.len()), (10, 9), "{raw}");
    assert_eq!(values[..7].iter().sum::<i64>(), values[7], "{raw}");
    assert_eq!(values[7], figure(&figures, "/memory/classes/total:bytes"), "{raw}");
    assert_eq!(values[0] + values[1], figure(&figures, "/memory/classes/heap/objects:bytes"), "{raw}");
    assert_eq!(values[4], figure(&figures, "/memory/classes/heap/released:bytes"), "{raw}");
    assert!(values.iter().all(|&bytes| bytes >= 0) && values[8] > 0, "{raw}");
    assert!(raw.lines().last().is_some_and(|line| line.trim_start().starts_with("balanced  crossfoot")), "{raw}");
    let shown = table(&[]);
    assert!(shown.lines().count() == 10 && shown.contains(" MiB  live objects"), "{shown}");
    // Every metric, as it was.
    let all = table(&["--all"]);
    assert!(all.lines().count() > 30 && all.contains("  /memory/classes/total:bytes"), "{all}");
}

#[test]
fn watching_ends_with_the_process() {
    let Some(mut process) = Running::doing(&["objects", "ready", "line"]) else { return };
    assert_eq!(process.says(), "ready");
    let mut command = Command::new(&artifacts().cli);
    let mut watching = Running::start({
        command.args(["stat", &process.pid().to_string(), "--watch", "0.05"]);
        command
    });
    let mut seen = 0;
    while seen < 3 {
        seen += usize::from(watching.says().contains("  crossfoot"));
    }
    drop(process.child.stdin.take());
    process.child.wait().expect("it ends");
    while !watching.says().is_empty() {}
    assert!(watching.child.wait().expect("it ends").success());
}

#[test]
fn free_memory_is_given_back_where_a_reader_asks() {
    let what = ["large", "free-large", "objects", "trickle", "ready", "sleep"];
    let Some(mut process) = Running::doing(&what) else { return };
    assert_eq!(process.says(), "ready");
    let released = |pid| figure(&stat(pid), "/memory/classes/heap/released:bytes");
    let page = Attached::of(process.pid());
    let before = released(process.pid());
    page.ask(layout::RELEASE_WANTED_AT);
    until("it obeys", || page.word(layout::RELEASE_ANSWERED_AT) == 1);
    until("memory went back", || released(process.pid()) > before + (20 << 20));
}

#[test]
fn the_list_names_every_mapping_of_the_allocator() {
    let Some(mut process) = Running::doing(&["large", "threads", "objects", "ready", "sleep"]) else { return };
    assert_eq!(process.says(), "ready");
    let (list, unlisted) = Attached::of(process.pid()).mappings();
    assert_eq!(unlisted, 0);
    let maps = fs::read_to_string(format!("/proc/{}/maps", process.pid())).expect("it is there");
    let number = |text| u64::from_str_radix(text, 16).expect("a number");
    let maps = maps.lines().map(|line| line.split(' ').next().expect("a range").split_once('-').expect("a range"));
    let maps: Vec<(u64, u64)> = maps.map(|(start, end)| (number(start), number(end))).collect();
    for mapping in &list {
        let covered: u64 = maps.iter().map(|&(s, e)| e.min(mapping.end).saturating_sub(s.max(mapping.start))).sum();
        assert_eq!(covered, mapping.end - mapping.start, "{mapping:x?} is not all mapped");
    }
    for what in [
        MappingKind::Heap,
        MappingKind::Spans,
        MappingKind::Caches,
        MappingKind::Tables,
        MappingKind::PageMap,
        MappingKind::StatsPage,
    ] {
        assert!(list.iter().any(|mapping| mapping.what == what as u64), "nothing for {what:?} in {list:x?}");
    }
    let heap = list.iter().find(|mapping| mapping.what == MappingKind::Heap as u64).expect("a heap");
    // Its base is random, at an arena boundary.
    assert!(heap.start.is_multiple_of(64 << 20) && heap.end - heap.start >= 64 << 20, "{heap:x?}");
}

#[test]
fn isolated_heaps_are_listed() {
    let new = || crossfoot::Heap::new().expect("address space");
    // One before the process's own heap has started, one after.
    let first = new();
    let object = crossfoot::process::allocate(100);
    let second = new();
    let page = Attached::of(std::process::id() as i32);
    let is_listed = |(base, size): (crossfoot::units::Addr, usize)| {
        let holds = |m: &view::Mapping| m.start <= base.0 as u64 && m.end >= (base.0 + size) as u64;
        page.mappings().0.iter().any(|mapping| mapping.what == MappingKind::Isolated as u64 && holds(mapping))
    };
    for heap in [first, second] {
        let range = heap.range();
        assert!(is_listed(range));
        drop(heap);
        assert!(!is_listed(range));
    }
    // SAFETY: allocated above.
    unsafe { crossfoot::process::free(object) };
    crossfoot::process::retire_cache();
}

/// Reads from outside, as fast as possible, beside threads that allocate.
#[test]
fn every_reading_beside_eight_threads_balances() {
    let Some(mut process) = Running::doing(&["churn8", "ready", "sleep"]) else { return };
    assert_eq!(process.says(), "ready");
    let soaking = std::env::var_os("CROSSFOOT_SOAK").is_some();
    let (time, since) = (Duration::from_secs(if soaking { 60 } else { 2 }), Instant::now());
    until("it has a page", || pages(process.pid()).len() == 1);
    let page = Attached::of(process.pid());
    let (mut read, mut last, mut different) = (0_u64, 0, 0_u64);
    // Longer if the threads got no CPU time on a busy machine.
    while since.elapsed() < time || different <= 10 && since.elapsed() < TIMEOUT {
        let Some((reading, taken)) = page.reading() else { continue };
        let mut failures = Failures::default();
        reading.snapshot.check(&mut failures);
        assert!(failures.is_empty(), "reading {}: {:?}", taken.number, failures.iter().next());
        assert_eq!(reading.pid, process.pid() as u64);
        read += 1;
        different += u64::from(taken.number != last);
        assert!(taken.number >= last, "readings go back");
        last = taken.number;
    }
    assert!(different > 10, "{different} readings in {time:?}");
    let [spent, count] = [layout::SPENT_AT, layout::SPENT_READINGS_AT].map(|at| page.word(at));
    let passed = crossfoot::arch::ticks() - page.word(layout::MADE_TICKS_AT);
    // The clock advances while a thread waits for its CPU in the middle of a reading, so only a long run is meaningful.
    assert!(!soaking || spent * 1_000 < passed * 8, "readings took {spent} ticks of the eight threads' {passed} each");
    println!(
        "{read} readings of a ledger page beside 8 threads balance, {different} of them different, in {time:?}; \
         {count} were written in {spent} ticks of the threads' {passed} each"
    );
}

const BEGIN: &str =
    "<!-- generated from src/stats_page/layout.rs; CROSSFOOT_BLESS=1 cargo test --test process_stats_readers -->\n";
const END: &str = "<!-- end of the generated part -->\n";

#[test]
fn the_document_shows_the_layout() {
    let path = root().join("docs/stats-page.md");
    let text = fs::read_to_string(&path).expect("docs/stats-page.md");
    let (head, rest) =
        text.split_once(BEGIN).expect("docs/stats-page.md lost the line where the generated part begins");
    let (shown, tail) = rest.split_once(END).expect("docs/stats-page.md lost the line where the generated part ends");
    let mut fresh = format!(
        "Version {}, {} bytes. Offsets in bytes.\n\n| offset | bytes | word | meaning |\n|---:|---:|---|---|\n",
        layout::VERSION,
        layout::SIZE
    );
    let rows = |table: &[(&str, usize, usize, &str)]| -> String {
        let row = |&(name, at, len, help): &(&str, usize, usize, &str)| {
            format!("| {} | {} | `{}` | {help} |\n", at * 8, len * 8, name.trim_end_matches("_AT").to_lowercase())
        };
        table.iter().map(row).collect()
    };
    fresh += &rows(layout::TABLE);
    fresh += &format!(
        "\nA copy has {} bytes: at {} the time of its snapshot, at {} the number of the program that wrote it, at {} the reading.\n\n\
         Control words, in a file of their own:\n\n| offset | bytes | word | meaning |\n|---:|---:|---|---|\n{}\n\
         | number | mapping |\n|---:|---|\n",
        layout::COPY * 8,
        layout::TAKEN * 8,
        layout::IMAGE * 8,
        layout::READING * 8,
        rows(layout::CONTROL_TABLE)
    );
    for what in MappingKind::ALL {
        fresh += &format!("| {} | {} |\n", what as u64, what.name());
    }
    if std::env::var_os("CROSSFOOT_BLESS").is_some_and(|value| value == "1") {
        fs::write(path, format!("{head}{BEGIN}{fresh}{END}{tail}")).expect("docs/stats-page.md");
    } else {
        assert!(shown == fresh, "docs/stats-page.md shows another layout; CROSSFOOT_BLESS=1 writes it anew:\n{fresh}");
    }
}
