//! `crossfoot trim`: has a process that runs give free memory back to the system.

use std::time::Duration;

use crate::args::Trim;
use crate::failure::Failure;
use crate::process::Target;
use crate::tables;

/// Asks the process, waits, and prints what came of it.
pub fn trim(trim: &Trim) -> Result<(), Failure> {
    let pid = trim.pid;
    let target = Target::find(pid).map_err(|refusal| refusal.failure(pid))?;
    let released = target
        .want_release(Duration::from_secs_f64(trim.wait))
        .map_err(|error| Failure::refused(format!("process {pid} cannot be asked: {error}")))?;
    match released {
        Some(bytes) => tables::print(&format!("process {pid} gave {bytes} bytes back to the system\n")),
        None => Err(Failure {
            status: Failure::NOT_DONE,
            line: format!(
                "process {pid} has not taken it up within {} s: it does when one of its threads allocates or frees enough",
                trim.wait
            ),
        }),
    }
}
