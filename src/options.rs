//! The table of options, and its parser.
//!
//! At start-up the environment variable `CROSSFOOT="name:value,…"` is parsed once. The command `crossfoot`
//! prints the table. An unknown option or a value out of range is reported by one line and ignored.
//!
//! It takes no lock and allocates nothing. It needs about two kibibytes of stack.
//!
//! Invariant: an option that was not set, or was set wrongly, has its default.

/// The form of the exit report.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Format {
    /// A table for people.
    #[default]
    Table,
    /// One JSON object.
    Json,
    /// OpenMetrics text.
    OpenMetrics,
}

impl Format {
    /// Every format with its name.
    pub const ALL: [(&'static str, Format); 3] =
        [("table", Format::Table), ("json", Format::Json), ("openmetrics", Format::OpenMetrics)];
}

/// The target of the exit report. The path is stored in place: options are read before memory can be
/// allocated.
#[allow(clippy::large_enum_variant, reason = "there is one of these, and nothing to box with")]
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum Report {
    /// No report.
    #[default]
    Off,
    /// Standard error.
    Stderr,
    /// A file with this path.
    Path(heapless::Vec<u8, PATH>),
}

/// Whether the process has a stats page, which other processes read.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum StatsPageOption {
    /// The process creates one.
    #[default]
    On,
    /// The process has none.
    Off,
    /// The process was started with one: descriptors of the page and of its control words. If they are no
    /// such files, or belong to another process, the process creates one.
    HandedOver([i32; 2]),
}

impl StatsPageOption {
    /// Encodes the option as a word.
    pub const fn to_word(self) -> u64 {
        match self {
            StatsPageOption::On => 0,
            StatsPageOption::Off => 1,
            StatsPageOption::HandedOver([page, control]) => ((page as u64) << 32) | (control as u64) << 1 | 1 << 63,
        }
    }

    /// Decodes the option from a word.
    pub const fn from_word(word: u64) -> StatsPageOption {
        match word {
            0 => StatsPageOption::On,
            1 => StatsPageOption::Off,
            _ => StatsPageOption::HandedOver([(word << 1 >> 33) as i32, (word as u32 >> 1) as i32]),
        }
    }
}

/// The maximum length in bytes of the environment variable's value.
pub const LONGEST: usize = 1024;

/// The maximum length in bytes of a report's path.
pub const PATH: usize = 512;

/// The values of all options.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// `check`
    pub check: bool,
    /// `double_check`
    pub double_check: bool,
    /// `exit_report`
    pub exit_report: Report,
    /// `exit_format`
    pub exit_format: Format,
    /// `exit_pid`; 0 means none
    pub exit_pid: i32,
    /// `exit_only`
    pub exit_only: bool,
    /// `deepbind:keep`
    pub keep_deepbind: bool,
    /// `stats_page`
    pub stats_page: StatsPageOption,
    /// `membarrier:off`
    pub no_membarrier: bool,
    /// `huge_pages:off`
    pub no_huge_pages: bool,
    /// `heap_base`; 0 means random
    pub heap_base: usize,
}

/// A row of the table.
pub struct Row {
    /// The option's name.
    pub name: &'static str,
    /// The default, in the form in which it is written.
    pub default: &'static str,
    /// The values that may be written.
    pub range: &'static str,
    /// The effect, in a sentence.
    pub help: &'static str,
    /// Sets the option from a value. Returns false if the value is not in the range.
    set: fn(&mut Options, &[u8]) -> bool,
}

/// Every option.
pub const TABLE: &[Row] = &[
    Row {
        name: "check",
        default: "off",
        range: "on|off",
        help: "Validate every free, and check every identity of the books when the process exits; exit status 70 if one fails.",
        set: |o, v| switch(v).map(|on| o.check = on).is_some(),
    },
    Row {
        name: "double_check",
        default: "off",
        range: "on|off",
        help: "Check every identity whenever the program reads statistics, and print those that fail.",
        set: |o, v| switch(v).map(|on| o.double_check = on).is_some(),
    },
    Row {
        name: "exit_report",
        default: "off",
        range: "off|stderr|PATH",
        help: "Write the metrics when the process exits, but not on a signal.",
        set: |o, v| report(v).map(|r| o.exit_report = r).is_some(),
    },
    Row {
        name: "exit_format",
        default: "table",
        range: "table|json|openmetrics",
        help: "The form of the exit report.",
        set: |o, v| format(v).map(|f| o.exit_format = f).is_some(),
    },
    Row {
        name: "exit_pid",
        default: "0",
        range: "0..=2147483647",
        help: "The process that writes its report to PATH itself; the others write to PATH.PID. 0: all write to PATH.",
        set: |o, v| number(v).map(|n| o.exit_pid = n).is_some(),
    },
    Row {
        name: "exit_only",
        default: "off",
        range: "on|off",
        help: "Only the process that exit_pid names writes a report.",
        set: |o, v| switch(v).map(|on| o.exit_only = on).is_some(),
    },
    Row {
        name: "deepbind",
        default: "clear",
        range: "clear|keep",
        help: "Clear RTLD_DEEPBIND in calls of dlopen, so that the library allocates with Crossfoot; keep: leave the flag.",
        set: |o, v| deepbind(v).map(|keep| o.keep_deepbind = keep).is_some(),
    },
    Row {
        name: "stats_page",
        default: "on",
        range: "on|off|PAGE/CONTROL",
        help: "Have a stats page, which crossfoot stat reads; PAGE/CONTROL: descriptors that crossfoot run made.",
        set: |o, v| stats_page(v).map(|page| o.stats_page = page).is_some(),
    },
    Row {
        name: "membarrier",
        default: "on",
        range: "on|off",
        help: "Call membarrier when statistics are read and at a fork; off: use fences in the slow paths.",
        set: |o, v| switch(v).map(|on| o.no_membarrier = !on).is_some(),
    },
    Row {
        name: "huge_pages",
        default: "on",
        range: "on|off",
        help: "Ask for huge pages if mincore shows that earlier memory was touched; off, or membarrier:off: call neither madvise for them nor mincore.",
        set: |o, v| switch(v).map(|on| o.no_huge_pages = !on).is_some(),
    },
    Row {
        name: "heap_base",
        default: "random",
        range: "random|0x1000000000..=0x100000000000",
        help: "Where the heap begins: an address in hexadecimal, a multiple of 64 MiB. random: at one of 3,072 addresses between 64 and 256 GiB.",
        set: |o, v| heap_base(v).map(|base| o.heap_base = base).is_some(),
    },
];

fn heap_base(v: &[u8]) -> Option<usize> {
    if v == b"random" {
        return Some(0);
    }
    let digits = core::str::from_utf8(v.strip_prefix(b"0x")?).ok()?;
    let base = u64::from_str_radix(digits, 16).ok()?;
    usize::try_from(base).ok().filter(|_| (1 << 36..=1 << 44).contains(&base) && base.is_multiple_of(64 << 20))
}

fn switch(v: &[u8]) -> Option<bool> {
    match v {
        b"on" => Some(true),
        b"off" => Some(false),
        _ => None,
    }
}

fn deepbind(v: &[u8]) -> Option<bool> {
    match v {
        b"clear" => Some(false),
        b"keep" => Some(true),
        _ => None,
    }
}

fn report(v: &[u8]) -> Option<Report> {
    match v {
        b"" => None,
        b"off" => Some(Report::Off),
        b"stderr" => Some(Report::Stderr),
        path => heapless::Vec::from_slice(path).ok().map(Report::Path),
    }
}

fn format(v: &[u8]) -> Option<Format> {
    Format::ALL.iter().find(|(name, _)| name.as_bytes() == v).map(|&(_, format)| format)
}

fn stats_page(v: &[u8]) -> Option<StatsPageOption> {
    if let Some(on) = switch(v) {
        return Some(if on { StatsPageOption::On } else { StatsPageOption::Off });
    }
    let slash = v.iter().position(|&b| b == b'/')?;
    let (page, control) = v.split_at(slash);
    let is_descriptor = |&n: &i32| n < 1 << 30;
    let page = number(page).filter(is_descriptor)?;
    Some(StatsPageOption::HandedOver([page, number(control.get(1..)?).filter(is_descriptor)?]))
}

fn number(v: &[u8]) -> Option<i32> {
    core::str::from_utf8(v).ok()?.parse().ok().filter(|&n| n >= 0)
}

/// An error in a part of the variable.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OptionError<'a> {
    /// No option has this name.
    Unknown(&'a [u8]),
    /// The value is not in the option's range.
    Value(&'static Row, &'a [u8]),
}

impl PartialEq for Row {
    fn eq(&self, other: &Row) -> bool {
        self.name == other.name
    }
}

impl Eq for Row {}

impl core::fmt::Debug for Row {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(self.name)
    }
}

impl core::fmt::Display for OptionError<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            OptionError::Unknown(name) => {
                write!(f, "crossfoot: CROSSFOOT: no option is called '{}'", name.escape_ascii())
            }
            OptionError::Value(row, v) => {
                write!(f, "crossfoot: CROSSFOOT: {} takes {}, not '{}'", row.name, row.range, v.escape_ascii())
            }
        }
    }
}

impl Options {
    /// Returns whether the process `pid` writes a report when it exits.
    pub fn reports(&self, pid: i32) -> bool {
        self.exit_report != Report::Off && (!self.exit_only || [0, pid].contains(&self.exit_pid))
    }

    /// Parses `name:value,…`. Calls `wrong` for each part that it ignores.
    pub fn parse(text: &[u8], mut wrong: impl FnMut(OptionError<'_>)) -> Options {
        let mut options = Options::default();
        for piece in text.split(|&b| b == b',').filter(|piece| !piece.is_empty()) {
            let colon = piece.iter().position(|&b| b == b':').unwrap_or(piece.len());
            let (name, rest) = piece.split_at(colon);
            let value = rest.get(1..).unwrap_or_default();
            match TABLE.iter().find(|row| row.name.as_bytes() == name) {
                None => wrong(OptionError::Unknown(name)),
                Some(row) => {
                    if !(row.set)(&mut options, value) {
                        wrong(OptionError::Value(row, value));
                    }
                }
            }
        }
        options
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::{String, ToString};
    use std::vec::Vec;

    fn parse(text: &str) -> (Options, Vec<String>) {
        let mut wrong = Vec::new();
        let options = Options::parse(text.as_bytes(), |w| wrong.push(w.to_string()));
        (options, wrong)
    }

    #[test]
    fn values_are_taken() {
        let (o, wrong) = parse("check:on,exit_report:/tmp/a:b,exit_format:json,exit_pid:17");
        assert!(wrong.is_empty(), "{wrong:?}");
        assert!(o.check && o.exit_format == Format::Json && o.exit_pid == 17);
        assert_eq!(o.exit_report, Report::Path(heapless::Vec::from_slice(b"/tmp/a:b").unwrap()));
    }

    #[test]
    fn a_handed_over_page_has_two_descriptors() {
        let (o, wrong) = parse("stats_page:100/101,membarrier:off");
        assert!(wrong.is_empty() && o.no_membarrier, "{wrong:?}");
        assert_eq!(o.stats_page, StatsPageOption::HandedOver([100, 101]));
        for page in
            [StatsPageOption::On, StatsPageOption::Off, o.stats_page, StatsPageOption::HandedOver([(1 << 30) - 1, 0])]
        {
            assert_eq!(StatsPageOption::from_word(page.to_word()), page);
        }
        for text in ["stats_page:100", "stats_page:/1", "stats_page:1/", "stats_page:-1/2", "stats_page:1/2/3"] {
            assert_eq!(parse(text).1.len(), 1, "{text}");
        }
    }

    #[test]
    fn defaults_match_the_table() {
        for row in TABLE {
            let mut o = Options::default();
            assert!((row.set)(&mut o, row.default.as_bytes()), "{}", row.name);
            assert_eq!(std::format!("{o:?}"), std::format!("{:?}", Options::default()));
        }
    }

    #[test]
    fn wrong_parts_are_reported_and_ignored() {
        let (o, wrong) = parse("chekc:on,,check:maybe,exit_report:,exit_pid:-1,exit_format:json");
        assert_eq!(
            wrong,
            [
                "crossfoot: CROSSFOOT: no option is called 'chekc'",
                "crossfoot: CROSSFOOT: check takes on|off, not 'maybe'",
                "crossfoot: CROSSFOOT: exit_report takes off|stderr|PATH, not ''",
                "crossfoot: CROSSFOOT: exit_pid takes 0..=2147483647, not '-1'",
            ]
        );
        assert!(!o.check && o.exit_format == Format::Json);
    }
}
