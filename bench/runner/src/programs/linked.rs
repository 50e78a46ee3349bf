//! A program of Rust with the allocator linked in: the package `linked`, built once for each.

use super::{Program, scaled};
use crate::{options::Options, workspace::Workspace};
use anyhow::{Context, Result};
use std::collections::BTreeMap;

/// Allocators that a crate links in, as the package's features and binaries are named.
const BUILDS: &[&str] = &["crossfoot", "mimalloc3", "mimalloc2", "jemalloc", "snmalloc", "glibc", "rpmalloc"];

/// Programs that are compiled at 100 %.
const PROGRAMS: u32 = 5;

/// The compiler. An allocator without a build of its own is preloaded to the one with the C library's.
pub fn compiler(workspace: &Workspace, options: &Options) -> Result<Program> {
    let base = workspace.build_linked("glibc").context("with the C library's allocator")?;
    let wanted = options.wanted();
    let mut builds = BTreeMap::new();
    for name in BUILDS.iter().filter(|name| wanted.contains(name)) {
        let build = workspace.build_linked(name).map_err(|error| format!("{error:#}"));
        builds.insert((*name).to_owned(), build);
    }
    Ok(Program {
        binary: base,
        arguments: vec![scaled(PROGRAMS, options.percent())],
        trifle: vec!["1".into()],
        builds,
        ..Program::default()
    })
}
