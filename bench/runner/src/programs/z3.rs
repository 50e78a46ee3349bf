//! A prover with generated problems.

use super::{Program, find_program, text};
use crate::{options::Options, workspace::Workspace};
use anyhow::Result;
use std::{
    fmt::{self, Write},
    fs,
};

/// How often the problems are posed at 100 %.
const ROUNDS: u32 = 4;

/// z3 on three kinds of problem: equations with quantifiers (an inverse in a group), arrays (swaps commute), and
/// differences (a job shop).
pub fn z3(workspace: &Workspace, options: &Options) -> Result<Program> {
    let file = workspace.inputs()?.join("problems.smt2");
    let mut problems = String::new();
    group(&mut problems, 5)?;
    arrays(&mut problems, 12)?;
    jobs(&mut problems, 12, 100)?;
    fs::write(&file, problems.repeat((ROUNDS * options.percent() / 100).max(1) as usize))?;
    Ok(Program {
        binary: find_program("z3")?,
        arguments: vec!["-smt2".into(), text(&file)],
        trifle: vec!["--version".into()],
        ..Program::default()
    })
}

/// In a group, the product of so many elements with the product of their inverses in reverse is one.
fn group(out: &mut String, elements: u32) -> fmt::Result {
    out.push_str("(declare-sort G 0)(declare-fun m (G G) G)(declare-fun i (G) G)(declare-const e G)\n");
    for pattern in ["(m (m x y) z)", "(m x (m y z))"] {
        writeln!(
            out,
            "(assert (forall ((x G) (y G) (z G)) (! (= (m (m x y) z) (m x (m y z))) :pattern ({pattern}))))"
        )?;
    }
    for (left, right, pattern) in [
        ("(m e x)", "x", "(m e x)"),
        ("(m x e)", "x", "(m x e)"),
        ("(m (i x) x)", "e", "(i x)"),
        ("(m x (i x))", "e", "(i x)"),
    ] {
        writeln!(out, "(assert (forall ((x G)) (! (= {left} {right}) :pattern ({pattern}))))")?;
    }
    let (mut product, mut inverse) = ("a0".to_owned(), "(i a0)".to_owned());
    for element in 0..elements {
        writeln!(out, "(declare-const a{element} G)")?;
        if element > 0 {
            product = format!("(m {product} a{element})");
            inverse = format!("(m (i a{element}) {inverse})");
        }
    }
    writeln!(out, "(assert (not (= (m {product} {inverse}) e)))\n(check-sat)\n(reset)")
}

/// Exchanging so many places of an array two by two gives the same whichever of the two is named first.
fn arrays(out: &mut String, places: u32) -> fmt::Result {
    let swap = |array: &str, one: u32, other: u32| {
        format!("(store (store {array} p{one} (select {array} p{other})) p{other} (select {array} p{one}))")
    };
    out.push_str("(declare-const a (Array Int Int))\n");
    for place in 0..places {
        writeln!(out, "(declare-const p{place} Int)")?;
    }
    let (mut left, mut right) = ("a".to_owned(), "a".to_owned());
    for place in (0..places - 1).step_by(2) {
        for (name, array, one, other) in [("x", &mut left, place, place + 1), ("y", &mut right, place + 1, place)] {
            writeln!(out, "(declare-const {name}{place} (Array Int Int))")?;
            writeln!(out, "(assert (= {name}{place} {}))", swap(array, one, other))?;
            *array = format!("{name}{place}");
        }
    }
    writeln!(out, "(assert (not (= {left} {right})))\n(check-sat)\n(reset)")
}

/// So many jobs with a step on each of as many machines, done within the time.
fn jobs(out: &mut String, count: u64, time: u64) -> fmt::Result {
    // Every job visits the machines in an order of its own, and takes 1 to 9 for each step.
    let machine = |job: u64, step: u64| (job * 5 + step * (1 + job % 2 * 4)) % count;
    let length = |job: u64, step: u64| 1 + (job * 7 + step * 11 + job * step) % 9;
    for job in 0..count {
        for step in 0..count {
            writeln!(out, "(declare-const t{job}_{step} Int)")?;
        }
        writeln!(out, "(assert (>= t{job}_0 0))")?;
        for step in 1..count {
            let before = step - 1;
            writeln!(out, "(assert (>= (- t{job}_{step} t{job}_{before}) {}))", length(job, before))?;
        }
        let last = count - 1;
        writeln!(out, "(assert (<= (+ t{job}_{last} {}) {time}))", length(job, last))?;
    }
    for (one, other) in (0..count).flat_map(|one| (0..one).map(move |other| (one, other))) {
        for (first, second) in (0..count).flat_map(|first| (0..count).map(move |second| (first, second))) {
            if machine(one, first) == machine(other, second) {
                let (left, right) = (format!("t{one}_{first}"), format!("t{other}_{second}"));
                let (before, after) = (length(other, second), length(one, first));
                writeln!(out, "(assert (or (>= (- {left} {right}) {before}) (>= (- {right} {left}) {after})))")?;
            }
        }
    }
    out.push_str("(check-sat)\n(reset)\n");
    Ok(())
}
