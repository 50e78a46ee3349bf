//! Loss of content, and faults.

use super::*;
use crossfoot::units::MIB;

#[test]
fn content_is_lost_on_every_way_out_of_ready_and_only_there() {
    let sim = Sim::new();
    let base = sim.place().base;
    bring(&sim, base, 4 * PAGE, State::Ready);
    assert!(is_all(base, 4 * PAGE, 0));
    write(base, 4 * PAGE, 7);
    call!(sim, used(base, 4 * PAGE)).unwrap();
    assert!(is_all(base, 4 * PAGE, 7), "used over Ready keeps the content");

    call!(sim, unused(base, PAGE)).unwrap();
    call!(sim, used(base, 2 * PAGE)).unwrap();
    assert!(is_all(base, PAGE, 0) && is_all(base.plus(PAGE), 3 * PAGE, 7));

    call!(sim, fault(base.plus(PAGE), PAGE)).unwrap();
    call!(sim, map(base.plus(PAGE), PAGE)).unwrap();
    call!(sim, used(base.plus(PAGE), PAGE)).unwrap();
    assert!(is_all(base, 2 * PAGE, 0) && is_all(base.plus(2 * PAGE), 2 * PAGE, 7));

    call!(sim, free(base.plus(2 * PAGE), PAGE)).unwrap();
    bring(&sim, base.plus(2 * PAGE), PAGE, State::Ready);
    assert!(is_all(base, 3 * PAGE, 0) && is_all(base.plus(3 * PAGE), PAGE, 7));
}

#[test]
fn addresses_that_come_back_read_as_zero() {
    let sim = Sim::new().window(64 * MIB).extra(MIB);
    // The reservation of the host is whole 64 MiB, so that many rounds use the area up.
    for _ in 0..200 {
        let at = sim.alloc(MIB).unwrap();
        assert!(is_all(at, MIB, 0));
        write(at, MIB, 0xff);
        call!(sim, free(at, MIB)).unwrap();
    }
    assert_eq!(sim.ready_bytes(), 0);
}

#[test]
fn moved_pages_leave_zero_behind() {
    let sim = Sim::new();
    let base = sim.place().base;
    bring(&sim, base, 8 * PAGE, State::Ready);
    write(base, 2 * PAGE, 1);
    write(base.plus(2 * PAGE), 6 * PAGE, 2);
    call!(sim, move_pages(base, base.plus(4 * PAGE), 2 * PAGE)).unwrap();
    assert!(is_all(base, 2 * PAGE, 0));
    assert!(is_all(base.plus(2 * PAGE), 2 * PAGE, 2));
    assert!(is_all(base.plus(4 * PAGE), 2 * PAGE, 1));
    assert!(is_all(base.plus(6 * PAGE), 2 * PAGE, 2));
    write(base, 2 * PAGE, 3);

    let line = line_of(|| call!(sim, move_pages(base, base.plus(PAGE), 2 * PAGE)));
    assert!(line.contains("found a target that overlaps"), "{line}");
    call!(sim, unused(base.plus(7 * PAGE), PAGE)).unwrap();
    let line = line_of(|| call!(sim, move_pages(base, base.plus(6 * PAGE), 2 * PAGE)));
    assert!(line.starts_with("sim: move_pages of ") && line.contains("found Prepared"), "{line}");
    let line = line_of(|| call!(sim, move_pages(base.plus(6 * PAGE), base, 2 * PAGE)));
    assert!(line.starts_with("sim: move_pages of ") && line.contains("found Prepared"), "{line}");
    assert!(is_all(base, 2 * PAGE, 3));
}

#[test]
fn sparse_memory_reads_as_zero_and_stands_outside_the_accounts() {
    const SIZE: usize = 32 * MIB;
    let sim = Sim::new();
    let at = sim.sparse(SIZE).unwrap();
    assert!(is_all(at.plus(SIZE - PAGE), PAGE, 0));
    // Any part: rounded outward.
    call!(sim, sparse_ready(at.plus(PAGE + 8), PAGE)).unwrap();
    write(at.plus(PAGE), 2 * PAGE, 9);
    assert_eq!(sim.bytes_in(State::SparseReady), 2 * PAGE);
    call!(sim, sparse_ready(at, 4 * PAGE)).unwrap();
    assert!(is_all(at, PAGE, 0) && is_all(at.plus(PAGE), 2 * PAGE, 9));
    assert_eq!((sim.sparse_bytes(), sim.ready_bytes()), (SIZE, 0));
    let line = line_of(|| call!(sim, sparse_ready(at.plus(SIZE - 8), 9)));
    assert!(line.contains("found None"), "{line}");
    let line = line_of(|| call!(sim, sparse_ready(at, usize::MAX - at.0 - 8)));
    assert!(line.starts_with("sim: sparse_ready of "), "{line}");
    call!(sim, free(at, SIZE)).unwrap();
    assert_eq!(sim.sparse_bytes(), 0);
}

/// Accesses that must fault: a copy of this test program makes each of them.
const TOUCHES: [&str; 10] =
    ["guarded", "none", "reserved", "prepared", "released", "faulted", "freed", "gap", "sparse-write", "window-end"];

#[test]
fn a_touch_of_what_is_not_ready_is_a_fault() {
    for case in TOUCHES {
        let status = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "content::touch_child", "--ignored", "--nocapture"])
            .env("CROSSFOOT_TOUCH", case)
            .stdout(std::process::Stdio::null())
            .status()
            .unwrap();
        let signal = std::os::unix::process::ExitStatusExt::signal(&status);
        assert_eq!(signal, Some(11), "{case}: {status}");
    }
}

#[test]
#[ignore = "dies on purpose: run by a_touch_of_what_is_not_ready_is_a_fault"]
fn touch_child() {
    let Ok(case) = std::env::var("CROSSFOOT_TOUCH") else {
        return;
    };
    let sim = Sim::new();
    let window = sim.place();
    let base = window.base;
    bring(&sim, base, PAGE, State::Reserved);
    bring(&sim, base.plus(PAGE), PAGE, State::Prepared);
    bring(&sim, base.plus(2 * PAGE), 4 * PAGE, State::Ready);
    let block = sim.alloc(PAGE).unwrap();
    let sparse = sim.sparse(PAGE).unwrap();
    // Everything accessible is accessed first, so that only the last access can fault.
    write(base.plus(2 * PAGE), 4 * PAGE, 1);
    write(block, PAGE, 1);
    assert!(is_all(sparse, PAGE, 0));
    call!(sim, unused(base.plus(3 * PAGE), PAGE)).unwrap();
    call!(sim, fault(base.plus(4 * PAGE), PAGE)).unwrap();
    call!(sim, free(base.plus(5 * PAGE), PAGE)).unwrap();
    call!(sim, guard(base.plus(2 * PAGE), PAGE)).unwrap();
    let at = match case.as_str() {
        "guarded" => base.plus(2 * PAGE),
        "none" => base.plus(6 * PAGE),
        "reserved" => base,
        "prepared" => base.plus(PAGE),
        "released" => base.plus(3 * PAGE),
        "faulted" => base.plus(4 * PAGE),
        "freed" => base.plus(5 * PAGE),
        "gap" => block.plus(PAGE),
        "sparse-write" => {
            write(sparse, 1, 1);
            return;
        }
        "window-end" => base.plus(window.size),
        _ => return,
    };
    assert!(is_all(at, 1, 0));
}

#[test]
fn touch_asks_without_touching() {
    let sim = Sim::new();
    let base = sim.place().base;
    bring(&sim, base, 2 * PAGE, State::Ready);
    sim.touch(base, 2 * PAGE);
    let line = line_of(|| sim.touch(base.plus(8), 2 * PAGE));
    assert!(line.starts_with("sim: touch of ") && line.contains("found None"), "{line}");
}
