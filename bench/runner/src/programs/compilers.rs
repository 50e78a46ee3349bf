//! Compilers with generated files.

use super::{Program, ask, find_program, text};
use crate::{measure, options::Options, workspace::Workspace};
use anyhow::{Context, Result, ensure};
use std::{fmt::Write, fs, path::Path};

/// The C compiler on a generated file.
pub fn gcc(workspace: &Workspace, options: &Options) -> Result<Program> {
    let source = workspace.inputs()?.join("generated.c");
    fs::write(&source, c_source((300 * options.percent() / 100).max(1)))?;
    compiler("cc1", &source, &["-quiet", "-O1", "-o", "/dev/null"])
}

/// The C++ compiler's front end on a generated file full of templates, which
/// was preprocessed before.
pub fn gpp(workspace: &Workspace, options: &Options) -> Result<Program> {
    let source = workspace.inputs()?.join("generated.cc");
    fs::write(&source, cpp_source((20 * options.percent() / 100).max(1)))?;
    let preprocessed = source.with_extension("ii");
    let mut driver = measure::command(&find_program("g++")?, None);
    driver.args(["-E", "-o"]).args([&preprocessed, &source]);
    measure::run(driver).context("preprocessing")?;
    compiler("cc1plus", &preprocessed, &["-quiet", "-fpreprocessed", "-fsyntax-only"])
}

/// A compiler proper, without driver, assembler and linker.
fn compiler(name: &str, source: &Path, options: &[&str]) -> Result<Program> {
    let binary = ask(&find_program("gcc")?, &[&format!("-print-prog-name={name}")])?;
    ensure!(binary.is_file(), "gcc has no {name}");
    let options = options.iter().map(|option| (*option).to_owned());
    Ok(Program {
        binary,
        arguments: options.clone().chain([text(source)]).collect(),
        trifle: options.chain(["/dev/null".to_owned()]).collect(),
        ..Program::default()
    })
}

/// A C++ file that makes the compiler write this many kinds of containers.
fn cpp_source(kinds: u32) -> String {
    let mut source = String::from("#include <map>\n#include <string>\n#include <vector>\n");
    for number in 0..kinds {
        let _infallible = write!(
            source,
            "struct k{number} {{ int v; bool operator<(const k{number} &o) const {{ return v < o.v; }} }};\n\
             int g{number}(std::map<k{number}, std::vector<std::string>> &m, int n) {{\n\
             m[k{number}{{n}}].push_back(std::to_string(n));\n\
             int sum = 0; for (auto &e : m) for (auto &s : e.second) sum += s.size() + e.first.v;\n\
             m.erase(k{number}{{sum}}); return sum; }}\n",
        );
    }
    source
}

/// A C file with this many functions.
fn c_source(functions: u32) -> String {
    let mut source = String::new();
    for number in 0..functions {
        let _infallible = write!(
            source,
            "struct s{number} {{ int a[{size}]; struct s{number} *next; }};\n\
             int f{number}(struct s{number} *s, int n) {{\n\
             int sum = {number};\n\
             for (; s; s = s->next) for (int i = 0; i < {size}; i++) {{\n\
             switch (s->a[i] & 7) {{ case 0: sum += n * i; break; case 1: sum ^= s->a[i] >> 2;\n\
             case 2: sum -= i; break; case 5: sum *= 3; break; default: s->a[i] = sum + n; }} }}\n\
             return sum; }}\n",
            size = number % 13 + 3,
        );
    }
    source
}
