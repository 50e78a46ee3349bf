//! Builds and runs the test programs of `tests/targets` for other CPUs, natively or under an emulator, and prints what
//! came of it as a table.

mod measure;
mod toolchain;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use anyhow::{Context, Result, bail};
use clap::Args;

use measure::Figures;
use toolchain::Toolchain;

/// How long a build may take, in seconds.
const BUILD_LIMIT: u32 = 900;
/// How long a run may take, in seconds.
const RUN_LIMIT: u32 = 120;
/// The lines of docs/targets.md between which the table is.
const MARKS: [&str; 2] = ["<!-- table: cargo xtask targets --all -->", "<!-- end of table -->"];

/// What `cargo xtask targets` was asked for.
#[derive(Args)]
pub struct Wanted {
    /// Build and run all rows and write the table to docs/targets.md; without it, rows under an emulator are only checked.
    #[arg(long)]
    all: bool,
    /// Only rows whose name contains this.
    #[arg(long)]
    only: Option<String>,
}

/// A CPU.
struct Cpu {
    target: &'static str,
    linker: &'static str,
    has_32_bits: bool,
    /// The emulator; `None` where the program runs natively on x86-64.
    emulator: Option<&'static str>,
    /// Runs with other arguments of the emulator: what they are for, and the arguments.
    variants: &'static [(&'static str, &'static [&'static str])],
}

const CPUS: &[Cpu] = &[
    Cpu {
        target: "x86_64-unknown-linux-gnu",
        linker: "gcc",
        has_32_bits: false,
        emulator: None,
        variants: &[("", &[])],
    },
    Cpu {
        target: "i686-unknown-linux-gnu",
        linker: "i686-linux-gnu-gcc",
        has_32_bits: true,
        emulator: None,
        variants: &[("", &[])],
    },
    Cpu {
        target: "aarch64-unknown-linux-gnu",
        linker: "aarch64-linux-gnu-gcc",
        has_32_bits: false,
        emulator: Some("qemu-aarch64-static"),
        variants: &[
            ("", &[]),
            ("39-bit addresses", &["-R", "0x8000000000"]),
            ("42-bit addresses", &["-R", "0x40000000000"]),
            ("16 KiB pages", &["-p", "16384"]),
            ("64 KiB pages", &["-p", "65536"]),
        ],
    },
    Cpu {
        target: "riscv64gc-unknown-linux-gnu",
        linker: "riscv64-linux-gnu-gcc",
        has_32_bits: false,
        emulator: Some("qemu-riscv64-static"),
        variants: &[("", &[]), ("38-bit addresses (Sv39)", &["-R", "0x4000000000"])],
    },
    Cpu {
        target: "armv7-unknown-linux-gnueabihf",
        linker: "arm-linux-gnueabihf-gcc",
        has_32_bits: true,
        emulator: Some("qemu-arm-static"),
        variants: &[("", &[])],
    },
];

/// Variants of CPUs that must refuse to build, and the words that say why.
const REFUSED: &[(&str, &str)] = &[
    ("arm-unknown-linux-gnueabihf", "crossfoot supports ARMv7 and later"),
    ("i586-unknown-linux-gnu", "x86 without SSE2 is not supported"),
];

/// A line of the table.
struct Row {
    name: String,
    built: String,
    run: String,
    figures: Figures,
}

impl Row {
    fn new(name: String, built: &str, run: &str) -> Row {
        Row { name, built: built.to_string(), run: run.to_string(), figures: Figures::default() }
    }

    fn is_failure(&self) -> bool {
        [&self.built, &self.run].iter().any(|text| text.starts_with("failed"))
    }
}

/// Runs the task. It fails if a row does; what the machine lacks is no failure.
pub fn run(wanted: &Wanted) -> Result<()> {
    let mut rows = Vec::new();
    for cpu in CPUS {
        let name = format!("static-nolibc, {}", cpu.target);
        if wanted.only.as_ref().is_none_or(|part| name.contains(part)) {
            rows.extend(cpu_rows(cpu, &name, wanted.all)?);
        }
    }
    for &(target, why) in REFUSED.iter().filter(|_| wanted.all) {
        if wanted.only.as_ref().is_none_or(|part| target.contains(part)) {
            rows.push(refused_row(target, why)?);
        }
    }
    let table = table(&rows);
    print!("{table}");
    if wanted.all && wanted.only.is_none() {
        write(&table)?;
    }
    match rows.iter().find(|row| row.is_failure()) {
        Some(row) => bail!("{}: {} {}", row.name, row.built, row.run),
        None => Ok(()),
    }
}

fn cpu_rows(cpu: &Cpu, name: &str, all: bool) -> Result<Vec<Row>> {
    let lacks = |what: String| Ok(vec![Row::new(name.to_string(), &format!("not here: {what}"), "")]);
    let Some(toolchain) = Toolchain::find(cpu.target) else {
        return lacks("no core for this CPU and no rust-src".to_string());
    };
    let emulated_only_checked = cpu.emulator.is_some() && !all;
    if emulated_only_checked {
        let (output, seconds) = limited(BUILD_LIMIT, &mut toolchain.cargo("check", cpu.target, cpu.linker, &folder()))?;
        let built = if output.status.success() { format!("checked, {seconds} s") } else { failed(&output) };
        return Ok(vec![Row::new(name.to_string(), &built, "only with --all")]);
    }
    for program in [cpu.linker].into_iter().chain(cpu.emulator) {
        if !is_installed(program) {
            return lacks(format!("no {program}"));
        }
    }
    let (output, seconds) = limited(BUILD_LIMIT, &mut toolchain.cargo("build", cpu.target, cpu.linker, &folder()))?;
    if !output.status.success() {
        return Ok(vec![Row::new(name.to_string(), &failed(&output), "")]);
    }
    let program = toolchain::built(cpu.target).join("static-nolibc");
    let variants = cpu.variants.iter().map(|(what, arguments)| {
        let name = if what.is_empty() { name.to_string() } else { format!("{name}, {what}") };
        let start = || -> Vec<&str> { cpu.emulator.into_iter().chain(arguments.iter().copied()).collect() };
        let (output, run_seconds) = limited(RUN_LIMIT, command(&start(), &program).env_remove("CROSSFOOT"))?;
        let mut row = Row::new(name, &format!("{seconds} s"), &outcome(&output, run_seconds));
        row.figures = Figures::of(&start(), &program);
        Ok(row)
    });
    let mut rows = variants.collect::<Result<Vec<Row>>>()?;
    if cpu.has_32_bits {
        let start: Vec<&str> = cpu.emulator.into_iter().collect();
        let (output, run_seconds) = limited(RUN_LIMIT, command(&start, &program).arg("full").env_remove("CROSSFOOT"))?;
        let run = outcome(&output, run_seconds);
        rows.push(Row::new(format!("{name}, address space used up"), &format!("{seconds} s"), &run));
    }
    Ok(rows)
}

/// Builds the library for a variant of a CPU that it must refuse.
fn refused_row(target: &str, why: &str) -> Result<Row> {
    let name = format!("library, {target}");
    let Some(toolchain) = Toolchain::find(target) else {
        return Ok(Row::new(name, "not here: no core for this CPU and no rust-src", ""));
    };
    let mut cargo = toolchain.cargo("build", target, "gcc", crate::root());
    let (output, _) = limited(BUILD_LIMIT, cargo.args(["--package", "crossfoot", "--lib"]))?;
    let is_refused = !output.status.success() && String::from_utf8_lossy(&output.stderr).contains(why);
    let built = if is_refused { format!("refused: {why}") } else { format!("failed to refuse, {}", output.status) };
    Ok(Row::new(name, &built, ""))
}

/// Returns the words for what a run printed.
fn outcome(output: &Output, seconds: u64) -> String {
    let is_right = output.status.success() && output.stdout == b"balanced\n";
    if is_right { format!("balanced, {seconds} s") } else { failed(output) }
}

/// The folder of the program.
fn folder() -> PathBuf {
    crate::root().join("tests/targets/static-nolibc")
}

/// The command that runs `program`, under an emulator if `start` names one.
fn command(start: &[&str], program: &Path) -> Command {
    let mut words = start.iter().map(Path::new).chain([program]);
    let mut command = Command::new(words.next().unwrap_or(program));
    command.args(words);
    command
}

/// Runs a command that is killed after so many seconds. Returns what it printed, and how many seconds it took.
fn limited(seconds: u32, command: &mut Command) -> Result<(Output, u64)> {
    let mut timeout = Command::new("timeout");
    timeout.args(["--signal=KILL", &seconds.to_string()]).arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => timeout.env(name, value),
            None => timeout.env_remove(name),
        };
    }
    if let Some(folder) = command.get_current_dir() {
        timeout.current_dir(folder);
    }
    eprintln!("xtask: {}", crate::cargo::shown(&timeout));
    let start = std::time::Instant::now();
    let output = timeout.output().context("cannot start timeout")?;
    Ok((output, start.elapsed().as_secs()))
}

fn is_installed(program: &str) -> bool {
    Command::new(program).arg("--version").output().is_ok_and(|output| output.status.success())
}

/// Returns the words of a failure for a row: the exit status and the last line of the output.
fn failed(output: &Output) -> String {
    eprint!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let text = [&*output.stdout, &*output.stderr].map(|text| String::from_utf8_lossy(text).into_owned()).concat();
    let last = text.lines().rev().find(|line| !line.is_empty()).unwrap_or("").replace('|', "/");
    format!("failed, {}: {last}", output.status)
}

fn table(rows: &[Row]) -> String {
    let mut table = String::from(
        "| environment | built and linked | run | text, bytes | first object: Rss, KiB | VIRT, KiB | system calls |\n\
         |---|---|---|---|---|---|---|\n",
    );
    for row in rows {
        let Figures { text, rss, virt, calls } = &row.figures;
        table += &format!("| {} | {} | {} | {text} | {rss} | {virt} | {calls} |\n", row.name, row.built, row.run);
    }
    table
}

/// Writes the table to its document, with the date and the machine.
fn write(table: &str) -> Result<()> {
    let path = crate::root().join("docs/targets.md");
    let old = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    let [start, end] = MARKS;
    let (head, rest) = old.split_once(start).context("docs/targets.md: no mark before the table")?;
    let (_, tail) = rest.split_once(end).context("docs/targets.md: no mark behind the table")?;
    let date = Command::new("date").args(["+%Y-%m-%d"]).output().context("cannot start date")?;
    let date = String::from_utf8_lossy(&date.stdout).trim().to_string();
    let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let machine = format!("Measured on {date}, Linux {} on {processors} x86-64 CPUs.", measure::kernel());
    std::fs::write(&path, format!("{head}{start}\n{machine}\n\n{table}{end}{tail}")).context("docs/targets.md")
}
