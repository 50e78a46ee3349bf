//! An audit as a table and as JSON.

use core::fmt::{self, Write};

use super::{Amount, Audit, Cause};

/// Returns the lines about memory that is not the allocator's, in their order.
fn outside(audit: &Audit) -> [(&'static str, u64, &'static str); 5] {
    let o = &audit.outside;
    [
        ("files", o.files, "programs, libraries and other files"),
        ("brk", o.brk, "memory of another allocator"),
        ("stack", o.stack, "the stack of the first thread"),
        ("anonymous", o.anonymous, "mappings without a file: thread stacks, other allocators"),
        ("other", o.other, "shared memory, and mappings of Linux itself"),
    ]
}

/// Returns the lines about the process, in their order. The value is `None` if it is not known.
fn process(audit: &Audit) -> [(&'static str, Option<u64>, &'static str); 8] {
    let o = &audit.outside;
    [
        ("resident", Some(o.process), "the process's Rss"),
        ("proportional", Some(o.proportional), "Pss: each page divided by the number of processes that map it"),
        ("huge-pages", Some(o.huge), "in huge pages without a file"),
        ("lazily-freed", Some(o.lazily_freed), "resident until Linux needs the memory"),
        ("swapped", Some(o.swapped), "in swap"),
        ("mappings", Some(o.mappings), "number of mappings"),
        ("cgroup/current", audit.group.current, "charged to the control group"),
        ("cgroup/limit", audit.group.limit, "the lowest limit of the group and its ancestors"),
    ]
}

/// Writes the audit of process `pid` as a table.
pub fn write_table(out: &mut impl Write, pid: u64, audit: &Audit) -> fmt::Result {
    writeln!(out, "process {pid}: resident memory by cause, in bytes\n")?;
    writeln!(out, "{:>18} {:>18}  cause", "resident", "of")?;
    for cause in Cause::ALL {
        let Amount { bytes, resident } = audit.causes.get(cause);
        if bytes != 0 || resident != 0 {
            writeln!(out, "{resident:>18} {bytes:>18}  {} ({})", cause.name(), cause.help())?;
        }
    }
    writeln!(out, "{:>18} {:>18}  all causes", audit.causes.resident(), "")?;
    writeln!(out, "{:>18} {:>18}  Crossfoot's mappings, Rss from /proc/PID/smaps", audit.resident, "")?;
    writeln!(out, "{:>18} {:>18}  unexplained\n", audit.unexplained, "")?;
    for (name, bytes, help) in outside(audit) {
        writeln!(out, "{bytes:>18} {:>18}  not Crossfoot's: {name} ({help})", "")?;
    }
    out.write_char('\n')?;
    for (name, value, help) in process(audit) {
        if let Some(value) = value {
            writeln!(out, "{value:>18} {:>18}  {name} ({help})", "")?;
        }
    }
    out.write_char('\n')?;
    for c in &audit.comparisons {
        let verdict = if c.account_bytes == c.walked { "equal" } else { "DIFFERENT" };
        writeln!(
            out,
            "{:>18} {:>18}  account {} and the walk over every page: {verdict}",
            c.account_bytes,
            c.walked,
            c.account.name()
        )?;
    }
    if !audit.tells_zeros {
        writeln!(
            out,
            "\nThis version of Linux does not distinguish zero pages: unexplained is negative by their size."
        )?;
    }
    match audit.moved {
        0 => writeln!(out, "\nThe process did not move during the audit (passes: {}).", audit.passes),
        moved => {
            let Audit { movements, passes, .. } = audit;
            let line = "The process moved by at least";
            writeln!(out, "\n{line} {moved} bytes in {movements} movements during the audit (passes: {passes}).")
        }
    }
}

/// Writes the audit of process `pid` as one JSON object. Numbers are bytes, except `mappings`, `movements`, `looks` and
/// `process`.
pub fn write_json(out: &mut impl Write, pid: u64, audit: &Audit) -> fmt::Result {
    writeln!(out, "{{\n  \"process\": {pid},\n  \"causes\": {{")?;
    for (i, cause) in Cause::ALL.into_iter().enumerate() {
        let (Amount { bytes, resident }, comma) = (audit.causes.get(cause), comma(i, Cause::ALL.len()));
        writeln!(out, "    \"{}\": {{\"resident\": {resident}, \"of\": {bytes}}}{comma}", cause.name())?;
    }
    writeln!(out, "  }},\n  \"explained\": {},", audit.causes.resident())?;
    writeln!(out, "  \"resident\": {},\n  \"unexplained\": {},", audit.resident, audit.unexplained)?;
    out.write_str("  \"outside\": {\n")?;
    let lines = outside(audit);
    for (i, (name, bytes, _)) in lines.into_iter().enumerate() {
        writeln!(out, "    \"{name}\": {bytes}{}", comma(i, lines.len()))?;
    }
    out.write_str("  },\n  \"system\": {\n")?;
    let known = || process(audit).into_iter().filter_map(|(name, value, _)| Some((name, value?)));
    for (i, (name, value)) in known().enumerate() {
        writeln!(out, "    \"{name}\": {value}{}", comma(i, known().count()))?;
    }
    out.write_str("  },\n  \"accounts\": {\n")?;
    for (i, c) in audit.comparisons.iter().enumerate() {
        let comma = comma(i, audit.comparisons.len());
        writeln!(
            out,
            "    \"{}\": {{\"account\": {}, \"walked\": {}}}{comma}",
            c.account.name(),
            c.account_bytes,
            c.walked
        )?;
    }
    writeln!(out, "  }},\n  \"moved\": {},\n  \"movements\": {},", audit.moved, audit.movements)?;
    writeln!(out, "  \"looks\": {}\n}}", audit.passes)
}

fn comma(i: usize, of: usize) -> &'static str {
    if i + 1 < of { "," } else { "" }
}
