//! The command `crossfoot`: runs programs on Crossfoot, looks at those that run, and prints its tables.
//!
//! The rooms: `args` reads the command line; `run` puts a run together from `find` (which file is
//! executed), `library` (where `libcrossfoot.so` is), `elf` and `refuse` (whether preloading works
//! there), `environment` (what the program is told) and `parent` (what passes between it and a shell); `hand_over`
//! makes a page for the process to come, and `aftermath` says what it leaves there; `stat`, `ps` and `trim` look at
//! processes that run, which `process` finds, whose pages `page` opens, and `figures` writes; `tables` prints; `man`
//! writes the manual pages. `failure` is what ends each of them early: one line and an exit status.

// Rust's own start-up changes what a program inherits: it ignores SIGPIPE and opens closed standard
// descriptors. Without it the program that `run` becomes inherits everything as it was, and a closed
// pipe ends the command as it ends every other tool.
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
mod process;
mod ps;
mod refuse;
mod run;
mod stat;
mod summary;
mod tables;
mod trim;

use args::Command;

/// The C entry point; the standard library finds the arguments by itself.
#[cfg(not(test))]
#[unsafe(no_mangle)]
extern "C" fn main(_argc: core::ffi::c_int, _argv: *const *const core::ffi::c_char) -> core::ffi::c_int {
    core::ffi::c_int::from(command())
}

/// Does what the command line says; the exit status.
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
