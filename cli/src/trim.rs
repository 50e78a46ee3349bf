//! `crossfoot trim`: makes a running process give free memory back to Linux.

use std::time::Duration;

use crate::args::Trim;
use crate::failure::Failure;
use crate::process::Target;
use crate::tables;

/// Asks the process, waits, and prints how many bytes were given back.
pub fn trim(trim: &Trim) -> Result<(), Failure> {
    let pid = trim.pid;
    let target = Target::find(pid).map_err(|refusal| refusal.failure(pid))?;
    let released = target
        .want_release(Duration::from_secs_f64(trim.wait))
        .map_err(|error| Failure::refused(format!("cannot ask process {pid}: {error}")))?;
    match released {
        Some(bytes) => tables::print(&format!("process {pid} gave {bytes} bytes back to the system\n")),
        None => Err(Failure {
            status: Failure::NOT_DONE,
            line: format!(
                "process {pid} has not taken it up within {} s: it will when one of its threads next allocates or \
                 frees more than a few objects",
                trim.wait
            ),
        }),
    }
}
