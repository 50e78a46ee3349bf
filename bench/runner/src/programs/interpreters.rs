//! Interpreters with scripts of daily life.

use super::{Program, ask, find_program, scaled, text};
use crate::{options::Options, workspace::Workspace};
use anyhow::Result;

/// The Python interpreter with its own small-object allocator switched off.
pub fn python(workspace: &Workspace, options: &Options) -> Result<Program> {
    // The name may be a wrapper script; what counts is what runs in the end.
    let wrapper = find_program("python3")?;
    let binary = ask(&wrapper, &["-c", "import sys, os; print(os.path.realpath(sys.executable))"])?;
    let script = workspace.root.join("runner/programs/words.py");
    Ok(Program {
        binary,
        arguments: vec!["-S".into(), text(&script), scaled(40, options.percent())],
        trifle: vec!["-S".into(), "-c".into(), "pass".into()],
        environment: &[("PYTHONMALLOC", "malloc"), ("PYTHONHASHSEED", "0")],
        ..Program::default()
    })
}

/// Perl with a script of hashes and strings.
pub fn perl(workspace: &Workspace, options: &Options) -> Result<Program> {
    let script = workspace.root.join("runner/programs/hashes.pl");
    Ok(Program {
        binary: find_program("perl")?,
        arguments: vec![text(&script), scaled(30, options.percent())],
        trifle: vec!["-e".into(), "1".into()],
        environment: &[("PERL_HASH_SEED", "0")],
        ..Program::default()
    })
}
