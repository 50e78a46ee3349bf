//! Runs stress-ng's loads on the allocator and on memory system calls.

use std::time::Duration;

use anyhow::Result;

use super::process::{finish, last_lines};
use super::yard::{Yard, installed};
use super::{Findings, Verdict};

/// A load on both sides: its name, its arguments, and the factor between the rounds of a full and of a quick run.
const LOADS: [(&str, &[&str], u64); 3] = [
    ("malloc", &["--malloc", "2", "--malloc-ops", "20000"], 20),
    (
        "malloc, threads and touched",
        &["--malloc", "1", "--malloc-pthreads", "4", "--malloc-touch", "--malloc-ops", "5000"],
        20,
    ),
    ("mremap", &["--mremap", "1", "--mremap-bytes", "64M", "--mremap-ops", "20"], 10),
];
/// The limit of a load, much longer than the longest seen.
const LIMIT: Duration = Duration::from_secs(600);

pub fn run(yard: &Yard, quick: bool) -> Result<Verdict> {
    let Some(stress) = installed("stress-ng") else {
        return Ok(Verdict::Skipped("stress-ng is not installed".to_owned()));
    };
    let mut findings = Findings::default();
    let sides = yard.sides("loads")?;
    for (name, arguments, more) in LOADS {
        let mut times = [Duration::ZERO; 2];
        for (side, time) in sides.iter().zip(&mut times) {
            let mut command = side.command(&stress);
            // The first error ends the load. A failed allocation is no error.
            command.args(["--verify", "--abort", "--temp-path"]).arg(&side.folder).args(scaled(arguments, quick, more));
            let ended = finish(command, &side.fresh("load"), LIMIT)?;
            *time = ended.cpu;
            side.said(&ended.err, &mut findings);
            side.said(&ended.out, &mut findings);
            if !ended.status.success() {
                findings.fail(format!("{name}, {}: {}: {}", side.name(), ended.status, last_lines(&ended.err, 3)));
            }
        }
        findings.times(name, times[0], times[1]);
    }
    // Worker processes that end by `_exit` write a report only if Crossfoot sees that call. The processes that start
    // them make a hundred allocations each.
    sides[1].reports(&mut findings, 100 * LOADS.len() as u64)?;
    Ok(Verdict::Ran(findings))
}

/// Returns the arguments, with more rounds unless the run is quick.
fn scaled(arguments: &[&str], quick: bool, more: u64) -> Vec<String> {
    let mut scaled: Vec<String> = arguments.iter().map(|&word| word.to_owned()).collect();
    if let Some(rounds) = scaled.last_mut().filter(|_| !quick) {
        *rounds = rounds.parse::<u64>().map_or_else(|_| rounds.clone(), |rounds| (rounds * more).to_string());
    }
    scaled
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_run_has_more_rounds() {
        for (_, arguments, more) in LOADS {
            let (quick, full) = (scaled(arguments, true, more), scaled(arguments, false, more));
            assert_eq!(quick, arguments);
            let rounds = |words: &[String]| words.last().and_then(|word| word.parse::<u64>().ok());
            assert_eq!(rounds(&full), rounds(&quick).map(|rounds| rounds * more));
        }
    }
}
