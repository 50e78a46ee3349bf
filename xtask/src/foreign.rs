//! The C API built for other targets: other CPUs, and musl.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::cargo::done;
use crate::root;

/// Debian's compiler. Of those on Debian it alone comes with the sources of `core`, which is built for the target.
const CARGO: &str = "/usr/bin/cargo";
const RUSTC: &str = "/usr/bin/rustc";
const SOURCES: &str = "/usr/lib/rustlib/src/rust/library/core/Cargo.toml";

/// A target, and the C compiler that links for it.
pub struct Target {
    name: &'static str,
    linker: &'static str,
}

const TARGETS: [Target; 5] = [
    Target { name: "x86_64-unknown-linux-musl", linker: "musl-gcc" },
    Target { name: "aarch64-unknown-linux-gnu", linker: "aarch64-linux-gnu-gcc" },
    Target { name: "riscv64gc-unknown-linux-gnu", linker: "riscv64-linux-gnu-gcc" },
    Target { name: "armv7-unknown-linux-gnueabihf", linker: "arm-linux-gnueabihf-gcc" },
    Target { name: "i686-unknown-linux-gnu", linker: "i686-linux-gnu-gcc" },
];

impl Target {
    /// Returns the target with this name.
    pub fn named(name: &str) -> Result<&'static Target> {
        TARGETS.iter().find(|target| target.name == name).with_context(|| {
            let known: Vec<&str> = TARGETS.iter().map(|target| target.name).collect();
            format!("--target {name}: not known; there are {}", known.join(", "))
        })
    }

    /// Returns the name for an archive: CPU, system and libc.
    pub fn shown(&self) -> String {
        self.name.replace("-unknown", "")
    }

    /// Returns the name of the target's objcopy.
    pub fn objcopy(&self) -> String {
        let prefix = self.linker.strip_suffix("gcc").filter(|_| !self.is_static());
        format!("{}objcopy", prefix.unwrap_or(""))
    }

    /// Returns whether the compiler makes no shared object for the target.
    pub fn is_static(&self) -> bool {
        self.name.ends_with("-musl")
    }

    /// Builds the C API in a folder below `folder`, which outlives the call, so that `core` is built once. Returns the
    /// folder of the release.
    pub fn build(&self, folder: &Path) -> Result<PathBuf> {
        for (needed, package) in [(CARGO, "cargo-web"), (RUSTC, "rustc-web"), (SOURCES, "rust-web-src")] {
            ensure!(Path::new(needed).exists(), "{needed} is missing: install {package}");
        }
        let folder = folder.join("other-targets");
        let mut cargo = Command::new(CARGO);
        // A released compiler takes `-Z` only with this variable.
        cargo.current_dir(root()).env("RUSTC", RUSTC).env("RUSTC_BOOTSTRAP", "1").env("CARGO_TARGET_DIR", &folder);
        cargo.args(["build", "--release", "--locked", "--package", "crossfoot-preload", "--target", self.name]);
        cargo.args(["-Zbuild-std=core,alloc", "-Zbuild-std-features=compiler-builtins-mem", "--config"]);
        cargo.arg(format!("target.{}.linker='{}'", self.name, self.linker));
        done(cargo)?;
        Ok(folder.join(self.name).join("release"))
    }
}
