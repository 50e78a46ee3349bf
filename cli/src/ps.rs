//! `crossfoot ps`: which processes run on Crossfoot.

use std::collections::HashMap;
use std::ffi::CStr;
use std::fs;

use kernel::account::Total;

use crate::failure::{Failure, shown};
use crate::process::{self, Refusal, Target};
use crate::{stat, tables};

/// The longest entry of the system's table of users that is asked for, in bytes.
const ENTRY: usize = 4096;

/// Prints a line for each process on Crossfoot.
pub fn ps() -> Result<(), Failure> {
    let entries = fs::read_dir("/proc").map_err(|error| Failure::refused(format!("cannot read /proc: {error}")))?;
    let name = |entry: fs::DirEntry| entry.file_name().to_str()?.parse::<i32>().ok();
    let mut pids: Vec<i32> = entries.flatten().filter_map(name).collect();
    pids.sort_unstable();
    let (mut rows, mut names, mut others) = (Vec::new(), HashMap::new(), [0_usize; 3]);
    for pid in pids {
        match Target::find(pid) {
            Ok(target) => rows.push(row(&target, &mut names)),
            Err(Refusal::OtherUser | Refusal::Closed) => others[0] += 1,
            Err(Refusal::Version) => others[1] += 1,
            Err(Refusal::Unreadable(_) | Refusal::Inherited(_) | Refusal::NoPage(_)) => others[2] += 1,
            Err(Refusal::Gone | Refusal::NotOurs) => {}
        }
    }
    let heading = ["PID", "USER", "LIVE", "READY", "MAPPED", "AGE", "COMMAND"];
    tables::print(&tables::aligned(&heading, &rows, &[0, 2, 3, 4, 5]))?;
    let said = ["that could not be looked at", "on another version of Crossfoot", "whose stats page cannot be read"];
    for (n, what) in others.into_iter().zip(said).filter(|&(n, _)| n > 0) {
        eprintln!("crossfoot: {n} process{} {what}", if n == 1 { "" } else { "es" });
    }
    Ok(())
}

fn row(target: &Target, names: &mut HashMap<u32, String>) -> [String; 7] {
    let user = process::user(target.pid).map_or_else(String::new, |user| {
        names.entry(user).or_insert_with(|| name_of(user).unwrap_or_else(|| user.to_string())).clone()
    });
    let figures = match target.reading() {
        Some((reading, taken)) => {
            let books = &reading.snapshot;
            let seconds = stat::now().saturating_sub(taken.nanos) as f64 / 1e9;
            let (ready, mapped) = (books.total(Total::MappedReady), books.total(Total::TotalMapped));
            [books.live_bytes().to_string(), ready.to_string(), mapped.to_string(), format!("{seconds:.1}s")]
        }
        None => [const { String::new() }; 4].map(|_| "-".to_owned()),
    };
    let [live, ready, mapped, age] = figures;
    [target.pid.to_string(), user, live, ready, mapped, age, command(target.pid)]
}

/// A process's command line, in one line.
fn command(pid: i32) -> String {
    let bytes = fs::read(process::of(pid, "cmdline")).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes).trim_end_matches('\0').replace('\0', " ");
    if text.is_empty() {
        return format!("[{}]", process::status(pid, "Name").unwrap_or_default());
    }
    let quoted = shown(&text);
    quoted[1..quoted.len() - 1].to_owned()
}

/// A user's name.
fn name_of(user: u32) -> Option<String> {
    let mut buffer = [0; ENTRY];
    let mut found = std::ptr::null_mut();
    // SAFETY: room for the answer and its strings, which are read before either goes.
    unsafe {
        let mut entry: libc::passwd = std::mem::zeroed();
        libc::getpwuid_r(user, &raw mut entry, buffer.as_mut_ptr(), buffer.len(), &raw mut found);
        if found.is_null() { None } else { Some(CStr::from_ptr(entry.pw_name).to_string_lossy().into_owned()) }
    }
}
