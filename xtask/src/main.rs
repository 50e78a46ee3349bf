//! Tasks that need more than one call of cargo: `cargo xtask --help`.

mod cargo;
mod foreign;
mod install;
mod packages;
mod programs;
mod sanitize;
mod scaling;
mod soak;
mod targets;

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};

use cargo::{cargo, done};

/// Tasks that need more than one call of cargo.
#[derive(Parser)]
#[command(name = "cargo xtask")]
struct Line {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Compare the instructions of the fast path with tests/golden/fast_path.txt.
    Golden {
        /// Write the file anew from what was measured.
        #[arg(long)]
        bless: bool,
    },
    /// Format, lints, documentation and tests of everything but the bench: what a change must pass.
    Check,
    /// Build the release and run the bench; what follows goes to its runner, see bench/README.md.
    Bench {
        /// Arguments of the runner.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Check the protocols' source files in every order of loads and stores, and each weakening of them: model/.
    Model,
    /// Run the long tests and write their results to docs/soak.md.
    Soak,
    /// Count the lines and locks that up to 256 threads share, on paper, by the real code: docs/scaling.md.
    Scaling(scaling::Wanted),
    /// Run the tests of the core under the address and the thread sanitizer, and write the results to docs/soak.md.
    Sanitize,
    /// Build the release and install it: the command, both libraries, the header, the manual page, for pkg-config.
    Install {
        /// Where the tree is to be, for instance /usr/local.
        #[arg(long)]
        prefix: PathBuf,
        /// A folder that stands for the root, for packagers.
        #[arg(long)]
        destdir: Option<PathBuf>,
    },
    /// Build the release and pack such a tree, for any place, into target/dist.
    Dist(Dist),
    /// Write the version, the licences' checksums and the list of crates in packaging/ anew.
    Packaging {
        /// Write nothing; fail if something is not current.
        #[arg(long)]
        check: bool,
        /// Make the archive of the sources, and write its checksum.
        #[arg(long, conflicts_with = "check")]
        release: bool,
    },
    /// Run whole programs' own tests, and servers under load, with and without the preloaded allocator.
    Programs(programs::Wanted),
    /// Build and run the test program without a libc for all CPUs, natively or emulated, and print a table: docs/targets.md.
    Targets(targets::Wanted),
    /// Install the Debian packages that the tests and the bench use.
    InstallDeps,
}

/// What to pack.
#[derive(clap::Args)]
struct Dist {
    /// Make packages for Debian instead, with dpkg-deb.
    #[arg(long, conflicts_with = "source")]
    deb: bool,
    /// Pack the sources of the last commit and all crates instead: Buildroot and OpenWrt build it.
    #[arg(long)]
    source: bool,
    /// The target, as Rust calls it; this machine by default. For another one the tree has no command.
    #[arg(long, conflicts_with = "source")]
    target: Option<String>,
    /// A folder with a build for that target; without it the release is built.
    #[arg(long, requires = "deb")]
    built: Option<PathBuf>,
}

/// Returns the root of the project.
fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."))
}

fn main() -> Result<()> {
    match Line::parse().task {
        Task::Golden { bless } => golden(bless),
        Task::Check => check(),
        Task::Bench { arguments } => bench(&arguments),
        Task::Model => model(),
        Task::Soak => soak::run(),
        Task::Scaling(wanted) => scaling::run(&wanted),
        Task::Sanitize => sanitize::run(),
        Task::Install { prefix, destdir } => install::install(&prefix, destdir.as_deref()),
        Task::Dist(dist) if dist.source => packages::source::dist(),
        Task::Dist(dist) if dist.deb => packages::deb::dist(dist.target.as_deref(), dist.built.as_deref()),
        Task::Dist(dist) => install::dist(dist.target.as_deref()),
        Task::Packaging { check, release } => packages::generated::run(check, release),
        Task::Programs(wanted) => programs::run(&wanted),
        Task::Targets(wanted) => targets::run(&wanted),
        Task::InstallDeps => install_deps(),
    }
}

fn golden(bless: bool) -> Result<()> {
    let mut test = cargo(root(), &["test", "--package", "crossfoot", "--test", "process_golden"]);
    if bless {
        test.env("CROSSFOOT_BLESS", "1");
    }
    done(test)
}

fn check() -> Result<()> {
    done(cargo(root(), &["fmt", "--all", "--check"]))?;
    done(cargo(root(), &["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]))?;
    for target in workspaces()? {
        done(cargo(&target, &["fmt", "--check"]))?;
        done(homely(cargo(&target, &["clippy", "--", "-D", "warnings"])))?;
    }
    let mut documentation = cargo(root(), &["doc", "--workspace", "--no-deps"]);
    documentation.env("RUSTDOCFLAGS", "-Dwarnings");
    done(documentation)?;
    done(cargo(root(), &["test", "--workspace"]))
}

/// Returns the folders of `tests/targets` that are workspaces of their own.
fn workspaces() -> Result<Vec<PathBuf>> {
    let folder = root().join("tests/targets");
    let entries = std::fs::read_dir(&folder).with_context(|| folder.display().to_string())?;
    let mut targets: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    targets.retain(|target| target.join("Cargo.toml").is_file());
    targets.sort();
    Ok(targets)
}

/// All targets share one build folder, outside their sources.
fn homely(mut command: Command) -> Command {
    command.env("CARGO_TARGET_DIR", root().join("target/targets"));
    command
}

fn bench(arguments: &[String]) -> Result<()> {
    done(cargo(root(), &["build", "--release"]))?;
    let mut runner =
        cargo(root(), &["run", "--release", "--manifest-path", "bench/Cargo.toml", "--package", "runner", "--"]);
    runner.args(arguments);
    done(runner)
}

/// Runs in the folder of the model, whose build script selects loom's atomics.
fn model() -> Result<()> {
    done(cargo(&root().join("model"), &["test", "--release"]))
}

fn install_deps() -> Result<()> {
    let packages = include_str!("../packages.txt").lines().filter(|line| !line.starts_with('#'));
    let user = Command::new("id").arg("-u").output().context("cannot start id")?;
    let root_user = user.stdout.trim_ascii() == b"0";
    let apt = |arguments: &[&str]| {
        let mut command = Command::new(if root_user { "apt-get" } else { "sudo" });
        if !root_user {
            command.arg("apt-get");
        }
        command.args(arguments);
        command
    };
    done(apt(&["update"]))?;
    let mut install = apt(&["install", "--yes", "--no-install-recommends"]);
    install.args(packages);
    done(install)
}
