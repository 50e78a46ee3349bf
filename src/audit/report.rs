//! An audit in words, and as JSON.

use core::fmt::{self, Write};

use super::{Amount, Audit, Cause};

/// The lines about what is not the allocator's, in their order.
fn outside(audit: &Audit) -> [(&'static str, u64, &'static str); 5] {
    let o = &audit.outside;
    [
        ("files", o.files, "programs, libraries and other files"),
        ("brk", o.brk, "what brk gave: another allocator's"),
        ("stack", o.stack, "the stack of the first thread"),
        ("anonymous", o.anonymous, "mappings without a file: stacks of threads, other allocators"),
        ("other", o.other, "shared memory, and what the kernel maps"),
    ]
}

/// The lines about the process, in their order; `None`: there is nothing to say.
fn process(audit: &Audit) -> [(&'static str, Option<u64>, &'static str); 8] {
    let o = &audit.outside;
    [
        ("resident", Some(o.process), "the process's Rss"),
        ("proportional", Some(o.proportional), "each page by how many processes have it"),
        ("huge-pages", Some(o.huge), "of huge pages that have no file"),
        ("lazily-freed", Some(o.lazily_freed), "in memory until the system wants it"),
        ("swapped", Some(o.swapped), "in swap"),
        ("mappings", Some(o.mappings), "how many there are"),
        ("cgroup/current", audit.group.current, "charged to the control group"),
        ("cgroup/limit", audit.group.limit, "the tightest limit of the group and those above it"),
    ]
}

/// Writes the audit of process `pid` as a table.
pub fn write_table(out: &mut impl Write, pid: u64, audit: &Audit) -> fmt::Result {
    writeln!(out, "process {pid}: what is in memory, in bytes\n")?;
    writeln!(out, "{:>18} {:>18}  cause", "resident", "of")?;
    for cause in Cause::ALL {
        let Amount { bytes, resident } = audit.causes.get(cause);
        if bytes != 0 || resident != 0 {
            writeln!(out, "{resident:>18} {bytes:>18}  {} ({})", cause.name(), cause.help())?;
        }
    }
    writeln!(out, "{:>18} {:>18}  all causes", audit.causes.resident(), "")?;
    writeln!(out, "{:>18} {:>18}  Crossfoot's mappings, says the system", audit.resident, "")?;
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
        let verdict = if c.account_bytes == c.walked { "as walked" } else { "WALKED OTHERWISE" };
        writeln!(
            out,
            "{:>18} {:>18}  {} and the walk over every page: {verdict}",
            c.account_bytes,
            c.walked,
            c.account.name()
        )?;
    }
    if !audit.tells_zeros {
        writeln!(out, "\nThis kernel does not tell pages of zeros from others: unexplained is below 0 by them.")?;
    }
    match audit.moved {
        0 => writeln!(out, "\nThe process kept still while it was looked at (looks: {}).", audit.passes),
        moved => {
            let Audit { movements, passes, .. } = audit;
            let line = "The process moved by at least";
            writeln!(out, "\n{line} {moved} bytes in {movements} movements while it was looked at (looks: {passes}).")
        }
    }
}

/// Writes the audit of process `pid` as one JSON object. Numbers are bytes, but for `mappings`,
/// `movements`, `looks` and `process`.
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
