//! What the figures were measured on.

use serde::{Deserialize, Serialize};
use std::{fs, thread};

/// The machine and its kernel, as `/proc` describes them.
#[derive(Debug, Deserialize, Serialize)]
pub struct Machine {
    /// The processor's model.
    pub processor: String,
    /// Processors that this process may use.
    pub processors: usize,
    /// Memory in KiB.
    pub memory_kib: u64,
    /// The kernel's release.
    pub kernel: String,
    /// The setting of transparent huge pages, which decides many peaks.
    pub huge_pages: String,
    /// The load average over one minute at the time of reading.
    pub load: f64,
}

impl Machine {
    /// Reads the description.
    pub fn read() -> Self {
        let text = |path| fs::read_to_string(path).unwrap_or_default();
        let after = |text: &str, key: &str| {
            let line = text.lines().find(|line| line.starts_with(key));
            let value = line.and_then(|line| line.split_once(':')).map(|(_, value)| value.trim());
            value.unwrap_or("unknown").to_owned()
        };
        let load = text("/proc/loadavg");
        let load = load.split_whitespace().next().and_then(|number| number.parse().ok());
        let memory = after(&text("/proc/meminfo"), "MemTotal");
        let memory = memory.split_whitespace().next().and_then(|number| number.parse().ok());
        Machine {
            processor: after(&text("/proc/cpuinfo"), "model name"),
            processors: thread::available_parallelism().map_or(1, usize::from),
            memory_kib: memory.unwrap_or(0),
            kernel: text("/proc/sys/kernel/osrelease").trim().to_owned(),
            load: load.unwrap_or(0.0),
            huge_pages: text("/sys/kernel/mm/transparent_hugepage/enabled").trim().to_owned(),
        }
    }
}
