//! Reads Crossfoot's books, in a program whose memory all comes from Crossfoot.

use anyhow::{Context, Result, ensure};
use clap::{Parser, Subcommand};
use crossfoot::mem_stats::MemStats;
use crossfoot::process;
use crossfoot::stats::{Answer, Snapshot, Totals};
use readers::cost::{self, Cost, Deed, Plan};
use readers::session::{self, Method, Session, Task, measure};
use std::{hint::black_box, io};

#[global_allocator]
static ALLOCATOR: crossfoot::Crossfoot = crossfoot::Crossfoot::new();

/// Measures what it costs to read Crossfoot's books.
#[derive(Debug, Parser)]
struct Options {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// How long a read takes.
    Table {
        #[command(flatten)]
        task: Task,
    },
    /// What a reader costs two threads that allocate.
    Cost {
        #[command(flatten)]
        plan: Plan,
    },
}

fn main() -> Result<()> {
    match Options::parse().action {
        Action::Table { task } => session::print(&table(&task)?),
        Action::Cost { plan } => session::print(&cost(&plan)?),
    }
}

/// What a reader costs two threads, and of what that is made up: that somebody wakes, and that the other processors
/// are reached.
fn cost(plan: &Plan) -> Result<Cost> {
    let mut snapshot = Box::new(Snapshot::new());
    let mut totals = Totals::new();
    let mut deeds = vec![
        Deed::new("read", move || complete(process::read(&mut snapshot))),
        Deed::new("read_totals", move || complete(process::read_totals(&mut totals))),
        Deed::new("wakes only", || true),
    ];
    if register_fence().is_ok() {
        deeds.push(Deed::new(FENCE, || membarrier(libc::MEMBARRIER_CMD_PRIVATE_EXPEDITED).is_ok()));
    }
    let cost = cost::run(plan, deeds)?;
    ensure!(ALLOCATOR.crossfoot(), "the books do not balance");
    Ok(cost)
}

fn complete(answer: Option<Answer>) -> bool {
    answer.is_some_and(Answer::is_complete)
}

fn table(task: &Task) -> Result<Session> {
    let mut snapshot = Box::new(Snapshot::new());
    let mut last = Box::new(Snapshot::new());
    let mut stats = Box::new(MemStats::new());
    let mut totals = Totals::new();
    ensure!(complete(process::read_totals(&mut totals)), "no totals");
    let mut methods = vec![
        Method::new("read_totals", move || complete(black_box(process::read_totals(&mut totals)))),
        Method::new("read", move || complete(black_box(process::read(&mut snapshot)))),
        Method::new("mem_stats", move || complete(black_box(process::mem_stats(&mut stats)))),
        // Never complete: what it gives is what somebody else read last.
        Method::new("last", move || matches!(black_box(process::last(&mut last)), Some(Answer::Stale { .. }))),
    ];
    let fence = register_fence();
    if fence.is_ok() {
        methods.push(Method::new(FENCE, || membarrier(libc::MEMBARRIER_CMD_PRIVATE_EXPEDITED).is_ok()));
    }
    // What `last` gives must be there before its first turn.
    let settle = || {
        process::read(&mut Box::new(Snapshot::new()));
    };
    let mut session = measure(task, env!("CARGO_PKG_VERSION").to_owned(), &mut methods, settle);
    if let Err(error) = fence {
        session.lacks(FENCE, format!("{error:#}"));
    }
    ensure!(ALLOCATOR.crossfoot(), "the books do not balance");
    Ok(session)
}

/// The system call in which a read reaches the other threads, alone.
const FENCE: &str = "membarrier alone";

fn register_fence() -> Result<()> {
    membarrier(libc::MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED).context("the system has no expedited membarrier")
}

fn membarrier(command: libc::c_int) -> io::Result<()> {
    // SAFETY: the call takes three numbers and touches no memory.
    match unsafe { libc::syscall(libc::SYS_membarrier, command, 0, 0) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
