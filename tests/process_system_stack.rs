//! System stacks in real processes: what runs on them, how little of a thread's own stack is needed, what is refused
//! there, unwinding through the switch, and the switch of every CPU. The programs are in `tests/targets/system-stack`,
//! `tests/system_stack` and `tests/switch`.

mod common;

use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use common::{artifacts, checked_target, compile, installed, root, run, scratch, skipped, target, text, try_compile};

/// Returns the program as users ship it, and as they debug it.
fn homes() -> [(&'static str, PathBuf); 2] {
    [("shipped", target("system-stack")), ("checked", checked_target("system-stack"))]
        .map(|(build, folder)| (build, folder.join("system-stack")))
}

/// Runs one case of the program.
fn case(program: &Path, case: &str, options: &str) -> Output {
    let mut command = Command::new("timeout");
    command.args(["--foreground", "60", "env"]).arg(format!("CROSSFOOT={options}"));
    run(command.arg(program).arg(case))
}

#[test]
fn every_case_is_right() {
    let cases =
        ["unwind", "nested", "without-a-cache", "kept", "isolated", "taken", "handler", "handler-aside", "fork"];
    for (build, program) in homes() {
        for name in cases {
            // A handler that reads inside a reading ends with a line.
            let options = if name.starts_with("handler") { "" } else { "check:on,double_check:on" };
            for options in ["", options] {
                let output = case(&program, name, options);
                let said = (text(&output.stdout), text(&output.stderr));
                assert_eq!(said, ("right\n".into(), String::new()), "{build} {name} [{options}]: {}", output.status);
            }
        }
        let output = case(&program, "overflow", "");
        assert_eq!(output.status.signal(), Some(11), "{build}: the guard faults");
    }
}

#[test]
fn a_quarter_of_the_stack_is_left() {
    for (build, program) in homes() {
        let report = scratch().join("system-stack.report");
        for options in ["", "check:on,double_check:on"] {
            let options = format!("exit_report:{},exit_format:json,{options}", report.display());
            let output = case(&program, "high-water", &options);
            let said = text(&output.stdout);
            let words: Vec<usize> = said.split_whitespace().filter_map(|word| word.parse().ok()).collect();
            let [used, size] = words[..] else { panic!("{build}: {output:?}") };
            eprintln!("{build} [{options}]: {said}");
            assert!(used > 8 << 10, "{build}: {used} bytes used: it was not painted");
            assert!(used <= size / 4 * 3, "{build}: {used} bytes of {size} are used");
        }
    }
}

#[test]
fn allocation_on_the_system_stack_ends_with_a_line() {
    // The case, the function that the line names, and which of the printed addresses.
    let cases = [
        ("malloc", "malloc", None),
        ("malloc-large", "malloc", None),
        ("calloc", "malloc", None),
        ("memalign", "malloc", None),
        ("rust", "malloc", None),
        ("free", "free", Some(0)),
        ("free-large", "free", Some(1)),
        ("free-sized", "free_sized", Some(0)),
        ("dealloc", "dealloc", Some(0)),
        ("realloc", "realloc", Some(0)),
        ("stack", "stack::take", None),
        ("drop-stack", "stack", Some(2)),
    ];
    for (build, program) in homes() {
        for (name, function, address) in cases {
            for options in ["", "check:on"] {
                if build == "shipped" && options.is_empty() {
                    continue; // Nothing is promised.
                }
                let output = case(&program, name, options);
                let said = text(&output.stdout);
                let function = match address.and_then(|i: usize| said.split_whitespace().nth(i)) {
                    Some(address) => format!("{function}({address})"),
                    None => function.to_owned(),
                };
                let line = format!("crossfoot: {function}: called on the system stack\n");
                assert_eq!(text(&output.stderr), line, "{build} {name} [{options}]");
                assert_eq!(output.status.signal(), Some(6), "{build} {name} [{options}]");
            }
        }
    }
}

#[test]
fn the_smallest_thread_reads_everything() {
    let program = compile("gcc", "system-stack-small", |gcc| {
        gcc.args(["-O1", "-Wall", "-Wno-deprecated-declarations", "-pthread", "-fno-builtin-malloc", "-Wl,-z,now"]);
        gcc.arg(root().join("tests/system_stack/small.c")).arg(&artifacts().so)
    });
    let Some(program) = program else { return };
    for options in ["", "check:on,double_check:on"] {
        let report = scratch().join("system-stack-small.report");
        let _ = std::fs::remove_file(&report);
        let options = format!("exit_report:{},{options}", report.display());
        let mut command = Command::new("timeout");
        command.args(["--foreground", "60", "env", "LD_BIND_NOW=1"]).arg(format!("CROSSFOOT={options}"));
        command.arg(format!("LD_PRELOAD={}", artifacts().so.display()));
        let output = run(command.arg(&program));
        assert!(output.status.success(), "[{options}]: {} {}", output.status, text(&output.stderr));
        let said = text(&output.stdout);
        let words: Vec<usize> = said.split_whitespace().filter_map(|word| word.parse().ok()).collect();
        let [size, left] = words[..] else { panic!("{said}") };
        assert!((1..=size / 4).contains(&left), "{left} bytes of {size} were left");
        let report = std::fs::read_to_string(&report).expect("the last thread's exit wrote it");
        assert!(report.contains("            balanced  crossfoot\n"), "{report}");
    }
}

/// A CPU: its switch, the compiler, additional flags, and the emulator.
type Cpu = (&'static str, &'static str, &'static [&'static str], Option<&'static str>);

const CPUS: [Cpu; 6] = [
    ("x86_64", "gcc", &[], None),
    ("i686", "i686-linux-gnu-gcc", &[], Some("qemu-i386-static")),
    ("aarch64", "aarch64-linux-gnu-gcc", &[], Some("qemu-aarch64-static")),
    ("armv7", "arm-linux-gnueabihf-gcc", &["-marm"], Some("qemu-arm-static")),
    ("armv7", "arm-linux-gnueabihf-gcc", &["-mthumb"], Some("qemu-arm-static")),
    ("riscv64", "riscv64-linux-gnu-gcc", &[], Some("qemu-riscv64-static")),
];

#[test]
fn the_switch_of_every_cpu() {
    for (cpu, compiler, flags, emulator) in CPUS {
        let folder = root().join("tests/switch");
        let body = root().join(format!("src/arch/switch/{cpu}.s"));
        let compiled = try_compile(compiler, &format!("switch-{cpu}{}", flags.concat()), |gcc| {
            gcc.args(["-O2", "-static", "-Wall", "-Wextra", "-Werror", "-fomit-frame-pointer", "-funwind-tables"]);
            gcc.args(flags).arg(format!("-DBODY=\"{}\"", body.display()));
            gcc.args(["name.S", "switch.c"].map(|name| folder.join(name)))
        });
        let program = match compiled {
            None => continue,
            Some(Ok(program)) => program,
            Some(Err(messages)) if messages.contains("cannot find -lc") => {
                skipped(&format!("the libc for {cpu}"));
                continue;
            }
            Some(Err(messages)) => panic!("{cpu}: {messages}"),
        };
        let mut command = Command::new("timeout");
        command.args(["--foreground", "60"]);
        if let Some(emulator) = emulator {
            let Some(emulator) = installed(emulator) else { continue };
            command.arg(emulator);
        }
        let output = run(command.arg(&program));
        let said = text(&output.stdout);
        assert!(output.status.success(), "{cpu} {flags:?}: {}\n{said}", output.status);
        assert!(said.lines().all(|line| line.starts_with("right ")), "{cpu} {flags:?}: {said}");
        assert_eq!(said.lines().count(), 9, "{cpu} {flags:?}: {said}");
    }
}
