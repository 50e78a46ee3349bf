//! Guards on Linux, by markers and by protection. A copy of this test program runs each case: some must die, and a
//! system call filter is permanent.

use super::*;
use crossfoot::os::{Linux, Memory};

/// A case, and the signal that ends it. With `old`, the OS has no guard markers.
const CASES: [(&str, Option<i32>); 7] = [
    ("new touch", Some(11)),
    ("old touch", Some(11)),
    ("new again", None),
    ("old again", None),
    ("new neighbours", None),
    ("old neighbours", None),
    // A marker that cannot be removed is an error, and the guard stays.
    ("late touch", Some(11)),
];

#[test]
fn guards_on_linux() {
    for (case, signal) in CASES {
        let output = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "guard::guard_child", "--ignored", "--nocapture"])
            .env("CROSSFOOT_GUARD", case)
            .output()
            .unwrap();
        let died = std::os::unix::process::ExitStatusExt::signal(&output.status);
        assert_eq!(died, signal, "{case}: {}\n{}", output.status, String::from_utf8_lossy(&output.stderr));
        assert!(died.is_some() || output.status.success(), "{case}: {}", String::from_utf8_lossy(&output.stdout));
    }
}

/// Makes the OS refuse guard markers from now on, as before Linux 6.13.
fn forget_markers() {
    const MADVISE: u32 = libc::SYS_madvise as u32;
    let (load, equal, answer) = (0x20, 0x15, 0x06);
    let step = |code, k, jt, jf| libc::sock_filter { code, k, jt, jf };
    let mut filter = [
        step(load, 0, 0, 0),             // the call's number
        step(equal, MADVISE, 0, 4),      // another: allowed
        step(load, 16 + 2 * 8, 0, 0),    // the advice
        step(equal, 102, 1, 0),          // refused
        step(equal, 103, 0, 1),          // else allowed
        step(answer, 0x0005_0016, 0, 0), // EINVAL
        step(answer, 0x7fff_0000, 0, 0),
    ];
    let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_mut_ptr() };
    // SAFETY: the calls read the filter, which is there.
    unsafe {
        assert_eq!(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
        assert_eq!(libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program), 0);
    }
}

/// Returns how many mappings the process has in a range.
fn mappings(at: Addr, size: usize) -> usize {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let lines = maps.lines().filter(|line| {
        let (from, to) = line.split_once(' ').unwrap().0.split_once('-').unwrap();
        let [from, to] = [from, to].map(|text| usize::from_str_radix(text, 16).unwrap());
        from < at.0 + size && at.0 < to
    });
    lines.count()
}

/// Returns whether this Linux has guard markers.
fn knows_markers() -> bool {
    let at = Linux.alloc(PAGE).unwrap();
    // SAFETY: advice about a mapping of our own.
    unsafe { libc::madvise(at.ptr(), PAGE, 102) == 0 }
}

#[test]
#[ignore = "dies on purpose: run by guards_on_linux"]
fn guard_child() {
    let Ok(case) = std::env::var("CROSSFOOT_GUARD") else {
        return;
    };
    let (system, what) = case.split_once(' ').unwrap();
    let at = Linux.alloc(4 * PAGE).unwrap();
    write(at, 4 * PAGE, 7);
    if system == "old" {
        forget_markers();
    }
    let marked = knows_markers();
    assert!(system != "old" || !marked);
    call!(Linux, guard(at, PAGE)).unwrap();
    assert!(is_all(at.plus(PAGE), 3 * PAGE, 7), "only the range");
    assert_eq!(mappings(at, 2 * PAGE), if marked { 1 } else { 2 }, "a marker leaves the mapping whole");
    if system == "late" {
        forget_markers();
        assert_eq!(call!(Linux, unguard(at, PAGE)).is_err(), marked);
        if !marked {
            call!(Linux, guard(at, PAGE)).unwrap();
        }
    }
    match what {
        "touch" => assert!(is_all(at, 1, 0)),
        "again" => {
            for byte in 1..4 {
                call!(Linux, unguard(at, PAGE)).unwrap();
                write(at, PAGE, byte);
                assert!(is_all(at, PAGE, byte));
                call!(Linux, guard(at, PAGE)).unwrap();
            }
            call!(Linux, unguard(at, PAGE)).unwrap();
            assert_eq!(mappings(at, 2 * PAGE), 1);
        }
        _ => {
            // What is released beside a guard leaves it, and what is made Ready again too.
            call!(Linux, unused(at.plus(PAGE), PAGE)).unwrap();
            call!(Linux, guard(at.plus(2 * PAGE), PAGE)).unwrap();
            call!(Linux, unguard(at, PAGE)).unwrap();
            write(at, 2 * PAGE, 8);
            assert!(is_all(at, 2 * PAGE, 8) && is_all(at.plus(3 * PAGE), PAGE, 7));
        }
    }
}
