//! The command `crossfoot`: runs programs on Crossfoot, reads the statistics of running processes, and prints the
//! allocator's tables.
//!
//! - `args` reads the command line, and `man` writes the manual pages from its texts. `failure` is how each command
//!   ends early: with one line and an exit status.
//! - `run` starts a program. `find` resolves its name to a file, `library` finds `libcrossfoot.so`, `refuse` checks by
//!   `elf` that preloading works, and `environment` builds the variables. With a report or a check, `parent` runs the
//!   program as a child, `hand_over` makes its stats page, and `aftermath` reports what the program did not.
//! - `stat`, `ps`, `trim` and `audit` read running processes. `process` finds a process's stats page, `page` maps it;
//!   `figures` and `summary` format its readings.
//! - `tables` prints the options, the size classes and the locks.

// Rust's runtime start-up changes what a program inherits: it ignores SIGPIPE and opens closed standard descriptors.
// `no_main` avoids that. So the program that `run` becomes inherits everything unchanged, and a closed pipe ends this
// command as it ends other tools.
#![cfg_attr(not(test), no_main)]

mod aftermath;
mod args;
mod audit;
mod elf;
mod environment;
mod failure;
mod figures;
mod find;
mod hand_over;
mod library;
mod man;
mod page;
mod parent;
mod proc_files;
mod process;
mod ps;
mod refuse;
mod run;
mod stat;
mod summary;
mod tables;
mod trim;

use args::Command;

/// The C entry point. The standard library finds the arguments by itself.
#[cfg(not(test))]
#[unsafe(no_mangle)]
extern "C" fn main(_argc: core::ffi::c_int, _argv: *const *const core::ffi::c_char) -> core::ffi::c_int {
    core::ffi::c_int::from(command())
}

/// Executes the command line. Returns the exit status.
#[cfg_attr(test, expect(dead_code, reason = "the test harness has its own entry point"))]
fn command() -> u8 {
    let done = args::parse(std::env::args_os()).and_then(|command| match command {
        Command::Run(run) => Err(run::run(&run)),
        Command::Stat(stat) => stat::stat(&stat),
        Command::Ps(arguments) => ps::ps(&arguments),
        Command::Trim(trim) => trim::trim(&trim),
        Command::Audit(audit) => audit::audit(&audit),
        Command::Options => tables::print(&tables::options()),
        Command::Classes => tables::print(&tables::classes()),
        Command::Locks { dot } => tables::print(&tables::locks(dot)),
        Command::Man(folder) => man::write(&folder),
        Command::Text(text) => tables::print(&text),
    });
    match done {
        Ok(()) => 0,
        Err(failure) => failure.report(),
    }
}
