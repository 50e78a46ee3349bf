//! The texts of Debian's packages.

use std::fmt::Write;

use anyhow::{Context, Result};

use crate::install::VERSION;
use crate::root;

/// A package.
pub struct Package {
    /// Its name.
    pub name: &'static str,
    /// Its section of the archive.
    section: &'static str,
    /// Whether packages of several architectures may be installed at once.
    same: bool,
    /// Whether it is the package of the command.
    pub command: bool,
    /// Whether a path of the tree belongs to it.
    pub has: fn(&str) -> bool,
    /// What it does, in a line.
    summary: &'static str,
    /// What it does, in more lines.
    text: &'static str,
}

/// The packages. A path belongs to the first that has it.
pub const PACKAGES: [Package; 3] = [
    Package {
        name: "libcrossfoot0",
        section: "libs",
        same: true,
        command: false,
        has: |path| path.ends_with("/libcrossfoot.so.0"),
        summary: "memory allocator that accounts for every byte",
        text: "This package has the shared object, to be preloaded or linked.",
    },
    Package {
        name: "libcrossfoot-dev",
        section: "libdevel",
        same: true,
        command: false,
        has: |path| {
            path.starts_with("usr/include/")
                || path.starts_with("usr/share/man/man3/")
                || (path.starts_with("usr/lib/") && !path.starts_with("usr/lib/crossfoot/"))
        },
        summary: "memory allocator that accounts for every byte (development files)",
        text: "This package has the headers, the archive to link statically, and files for\npkg-config and CMake.",
    },
    Package {
        name: "crossfoot",
        section: "devel",
        same: false,
        command: true,
        has: |path| path.starts_with("usr/"),
        summary: "command that shows what memory of a process is used for",
        text: "This package has the command: it runs programs on the allocator, prints where\nthe bytes of a running \
               process are, and compares every sum with every other.",
    },
];

/// Returns the version of the packages.
pub fn version() -> String {
    format!("{VERSION}-1")
}

/// Returns the name and address that packages name: those of Debian's own variables, if they are set.
fn maintainer() -> String {
    let of = |name, default: &str| std::env::var(name).unwrap_or_else(|_| default.to_owned());
    format!("{} <{}>", of("DEBFULLNAME", "The Crossfoot developers"), of("DEBEMAIL", "crossfoot@localhost"))
}

/// Returns the file `control`. `size` is in KiB, `needs` begins with a comma.
pub fn control(package: &Package, architecture: &str, size: u64, needs: &str) -> String {
    let mut text = format!("Package: {}\nSource: crossfoot\nVersion: {}\n", package.name, version());
    let _ = writeln!(text, "Architecture: {architecture}\nMaintainer: {}\nInstalled-Size: {size}", maintainer());
    if package.name != "libcrossfoot0" {
        let _ = writeln!(text, "Depends: libcrossfoot0 (= {}){needs}", version());
    }
    let _ = writeln!(text, "Section: {}\nPriority: optional", package.section);
    if package.same {
        text += "Multi-Arch: same\n";
    }
    let _ = writeln!(text, "Description: {}", package.summary);
    text += " Crossfoot is a memory allocator for Linux that accounts for every byte it gets\n \
             from the system, always. Its statistics add up, and can be read at any time.\n";
    for line in std::iter::once("").chain(package.text.lines()) {
        let _ = writeln!(text, " {}", if line.is_empty() { "." } else { line });
    }
    text
}

/// Returns the change log of the packages.
pub fn changelog(date: &str) -> String {
    format!(
        "crossfoot ({}) unstable; urgency=medium\n\n  * See changelog.gz in the package crossfoot.\n\n -- {}  {date}\n",
        version(),
        maintainer()
    )
}

/// Returns the file `copyright`, with the text of the one licence that Debian has no copy of.
pub fn copyright() -> Result<String> {
    let licence = std::fs::read_to_string(root().join("LICENSE-MIT")).context("LICENSE-MIT")?;
    let holder = licence.lines().find(|line| line.starts_with("Copyright")).context("LICENSE-MIT names no holder")?;
    let mut text =
        "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\nUpstream-Name: Crossfoot\n\n"
            .to_owned();
    let _ = write!(
        text,
        "Files: *\nCopyright: {}\nLicense: Expat or Apache-2.0\n\nLicense: Expat\n",
        holder.trim_start_matches("Copyright (c) ")
    );
    let body = licence.lines().skip_while(|line| !line.starts_with("Permission"));
    for line in body {
        let _ = writeln!(text, " {}", if line.is_empty() { "." } else { line });
    }
    text += "\nLicense: Apache-2.0\n On Debian systems the text is in /usr/share/common-licenses/Apache-2.0.\n";
    Ok(text)
}
