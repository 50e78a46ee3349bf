//! A database in memory.

use super::{Program, find_program, scaled};
use crate::{options::Options, workspace::Workspace};
use anyhow::Result;
use std::fs;

/// SQLite's shell with a database in memory.
pub fn sqlite(workspace: &Workspace, options: &Options) -> Result<Program> {
    let template = fs::read_to_string(workspace.root.join("runner/programs/tables.sql"))?;
    let script = workspace.inputs()?.join("tables.sql");
    fs::write(&script, template.replace("@ROWS@", &scaled(150_000, options.percent())))?;
    Ok(Program {
        binary: find_program("sqlite3")?,
        arguments: vec![":memory:".into(), format!(".read '{}'", script.display())],
        trifle: vec![":memory:".into(), "SELECT 1".into()],
        ..Program::default()
    })
}
