//! `crossfoot ps`: lists the processes that run on Crossfoot.

use std::collections::HashMap;
use std::ffi::CStr;
use std::fs;

use crossfoot::stats::Account;

use crate::args::{Column, Ps};
use crate::failure::{Failure, shown};
use crate::proc_files;
use crate::process::{self, Refusal, Target};
use crate::{stat, summary, tables};

/// The size of the buffer for an entry of the user database.
const ENTRY: usize = 4096;

/// Prints a line for each process on Crossfoot.
pub fn ps(arguments: &Ps) -> Result<(), Failure> {
    let entries = fs::read_dir("/proc").map_err(|error| Failure::refused(format!("cannot read /proc: {error}")))?;
    let name = |entry: fs::DirEntry| entry.file_name().to_str()?.parse::<i32>().ok();
    let (mut found, mut others) = (Vec::new(), [0_usize; 3]);
    for pid in entries.flatten().filter_map(name) {
        match Target::find(pid) {
            Ok(target) => found.push(Found::of(&target)),
            Err(Refusal::OtherUser | Refusal::Closed) => others[0] += 1,
            Err(Refusal::Version) => others[1] += 1,
            Err(Refusal::Unreadable(_) | Refusal::Inherited(_) | Refusal::NoPage(_)) => others[2] += 1,
            Err(Refusal::Gone | Refusal::NotOurs) => {}
        }
    }
    found.sort_by_key(|found| (found.key(arguments.sort), found.pid));
    let mut names = HashMap::new();
    let rows: Vec<_> = found.iter().map(|found| found.row(&mut names, arguments.bytes)).collect();
    let heading = ["PID", "USER", "RSS", "TOTAL", "LIVE", "RELEASED", "AGE", "COMMAND"];
    tables::print(&tables::aligned(&heading, &rows, &[0, 2, 3, 4, 5, 6]))?;
    let reasons =
        ["could not be looked at, for want of rights", "another version of Crossfoot", "no readable stats page"];
    for (n, reason) in others.into_iter().zip(reasons).filter(|&(n, _)| n > 0) {
        eprintln!("crossfoot: {n} process{} not listed: {reason}", if n == 1 { "" } else { "es" });
    }
    Ok(())
}

/// A process with its figures. They are `None` if it has no reading yet, or has ended meanwhile.
struct Found {
    pid: i32,
    rss: Option<i64>,
    /// The bytes in total, live and released, and the age of the reading in nanoseconds.
    figures: Option<[i64; 4]>,
}

impl Found {
    /// Reads the figures of a process.
    fn of(target: &Target) -> Found {
        let figures = target.reading().map(|(reading, taken)| {
            let (books, age) = (&reading.snapshot, stat::now().saturating_sub(taken.nanos));
            [summary::total(books), summary::live(books), books.account(Account::HeapReleased), age as i64]
        });
        Found { pid: target.pid, rss: summary::resident(target.pid), figures }
    }

    /// Returns the key for sorting. It negates the column, so that the largest comes first. An unknown value comes
    /// last.
    fn key(&self, column: Column) -> i64 {
        let figure = |i: usize| self.figures.map(|figures| figures[i]);
        let value = match column {
            Column::Pid => Some(-i64::from(self.pid)),
            Column::Rss => self.rss,
            Column::Total => figure(0),
            Column::Live => figure(1),
            Column::Released => figure(2),
            Column::Age => figure(3),
        };
        value.map_or(i64::MAX, |value| -value)
    }

    /// Returns the row of the table. `names` caches the names of users.
    fn row(&self, names: &mut HashMap<u32, String>, raw: bool) -> [String; 8] {
        // A process that has ended meanwhile has no user. The column is filled all the same, for scripts that count
        // columns.
        let user = process::user(self.pid).map_or_else(
            || "-".to_owned(),
            |user| names.entry(user).or_insert_with(|| name_of(user).unwrap_or_else(|| user.to_string())).clone(),
        );
        let shown = |bytes: Option<i64>| bytes.map_or_else(|| "-".to_owned(), |bytes| summary::bytes(bytes, raw));
        let figure = |i: usize| shown(self.figures.map(|figures| figures[i]));
        let age = self.figures.map_or_else(|| "-".to_owned(), |figures| format!("{:.1} s", figures[3] as f64 / 1e9));
        [self.pid.to_string(), user, shown(self.rss), figure(0), figure(1), figure(2), age, command(self.pid)]
    }
}

/// Returns a process's command line on one line.
fn command(pid: i32) -> String {
    let bytes = fs::read(proc_files::of(process::readable(pid), "cmdline")).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes).trim_end_matches('\0').replace('\0', " ");
    if text.is_empty() {
        return format!("[{}]", process::status(pid, "Name").unwrap_or_default());
    }
    let quoted = shown(&text);
    quoted[1..quoted.len() - 1].to_owned()
}

/// Returns a user's name.
fn name_of(user: u32) -> Option<String> {
    let mut buffer = [0; ENTRY];
    let mut found = std::ptr::null_mut();
    // SAFETY: the buffers have the given sizes. The strings of the entry are copied before the buffer is dropped.
    unsafe {
        let mut entry: libc::passwd = std::mem::zeroed();
        libc::getpwuid_r(user, &raw mut entry, buffer.as_mut_ptr(), buffer.len(), &raw mut found);
        if found.is_null() { None } else { Some(CStr::from_ptr(entry.pw_name).to_string_lossy().into_owned()) }
    }
}
