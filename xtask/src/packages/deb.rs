//! Packages for Debian, by `dpkg-deb` from a staged tree: the shared object, what a compiler needs, and the command.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::debian::{PACKAGES, Package, changelog, control, copyright, version};
use crate::cargo::{done, printed};
use crate::install::{self, Place};

/// A machine: Rust's name of the target, Debian's name of the architecture, the folder of its libraries, and the prefix of
/// its binutils.
pub struct Machine {
    /// Rust's name of the target.
    target: &'static str,
    /// Debian's name of the architecture.
    pub architecture: &'static str,
    /// The folder of libraries below `/usr/lib`.
    multiarch: &'static str,
    /// The prefix of its binutils.
    tools: &'static str,
}

/// The machines for which there are packages. [`Machine::of`] refuses others.
const MACHINES: [Machine; 5] = [
    machine("x86_64-unknown-linux-gnu", "amd64", "x86_64-linux-gnu", "x86_64-linux-gnu-"),
    machine("aarch64-unknown-linux-gnu", "arm64", "aarch64-linux-gnu", "aarch64-linux-gnu-"),
    machine("armv7-unknown-linux-gnueabihf", "armhf", "arm-linux-gnueabihf", "arm-linux-gnueabihf-"),
    machine("i686-unknown-linux-gnu", "i386", "i386-linux-gnu", "i686-linux-gnu-"),
    machine("riscv64gc-unknown-linux-gnu", "riscv64", "riscv64-linux-gnu", "riscv64-linux-gnu-"),
];

/// The target of this program.
const HOST: &str = if cfg!(target_arch = "aarch64") { "aarch64-unknown-linux-gnu" } else { "x86_64-unknown-linux-gnu" };

const fn machine(
    target: &'static str,
    architecture: &'static str,
    multiarch: &'static str,
    tools: &'static str,
) -> Machine {
    Machine { target, architecture, multiarch, tools }
}

impl Machine {
    /// Returns the machine of a target, by default of this program's.
    fn of(target: Option<&str>) -> Result<&'static Self> {
        let target = target.unwrap_or(HOST);
        MACHINES.iter().find(|machine| machine.target == target).with_context(|| {
            let known: Vec<&str> = MACHINES.iter().map(|machine| machine.target).collect();
            format!("{target}: Debian has no architecture for it; there are packages for {}", known.join(", "))
        })
    }

    /// Returns the name of one of binutils for this machine.
    fn tool(&self, name: &str) -> String {
        if self.target == HOST { name.to_owned() } else { format!("{}{name}", self.tools) }
    }
}

/// Makes the packages in `target/dist` and prints their paths. `built` is a folder with a build for `target`; without it
/// the release is built here.
pub fn dist(target: Option<&str>, built: Option<&Path>) -> Result<()> {
    let machine = Machine::of(target)?;
    let release = match built {
        Some(folder) => folder.to_owned(),
        None if machine.target == HOST => install::build()?,
        None => bail!(
            "cannot build for {} here: build it, and give the folder with libcrossfoot.so and libcrossfoot.a as --built",
            machine.target
        ),
    };
    let program = std::env::current_exe().context("cannot find this program")?;
    let folder = program.ancestors().nth(2).context("this program was built by cargo")?.join("dist");
    let staged = folder.join(format!("deb-{}", machine.architecture));
    if staged.exists() {
        fs::remove_dir_all(&staged).with_context(|| staged.display().to_string())?;
    }
    let tree = staged.join("tree");
    let libdir = format!("lib/{}", machine.multiarch);
    install::lay_out(
        &release,
        &tree.join("usr"),
        &Place { prefix: "/usr", libdir: &libdir, objcopy: &machine.tool("objcopy") },
    )?;
    prepare(&tree.join("usr"), machine, &libdir)?;
    for package in &PACKAGES {
        let root = staged.join(package.name);
        share_out(&tree, &root, package)?;
        if package.command && !root.join("usr/bin/crossfoot").is_symlink() {
            eprintln!("xtask: {} has no command: no package of it", release.display());
            continue;
        }
        println!("{}", build(&root, &folder, package, machine)?.display());
    }
    Ok(())
}

/// Changes an installed tree to what Debian wants: without what only debuggers read, with compressed manual pages, and
/// with the command in a folder where it finds the shared object.
fn prepare(usr: &Path, machine: &Machine, libdir: &str) -> Result<()> {
    let strip = |file: &Path, what: &str| {
        let mut strip = Command::new(machine.tool("strip"));
        strip.args([what, "--remove-section=.comment", "--enable-deterministic-archives"]).arg(file);
        done(strip)
    };
    let object = usr.join(libdir).join("libcrossfoot.so.0");
    strip(&object, "--strip-unneeded")?;
    // Objects are not executed, so Debian does not mark them.
    set_mode(&object, 0o644)?;
    strip(&usr.join(libdir).join("libcrossfoot.a"), "--strip-debug")?;
    let command = usr.join("bin/crossfoot");
    if command.exists() {
        strip(&command, "--strip-unneeded")?;
        // It looks for the object beside itself or in ../lib, and the object is in a folder of its CPU.
        let own = usr.join("lib/crossfoot");
        fs::create_dir_all(&own)?;
        fs::rename(&command, own.join("crossfoot"))?;
        symlink(format!("../{}/libcrossfoot.so.0", machine.multiarch), own.join("libcrossfoot.so"))?;
        symlink("../lib/crossfoot/crossfoot", &command)?;
    }
    for section in ["man1", "man3"] {
        let folder = usr.join("share/man").join(section);
        let Ok(pages) = fs::read_dir(&folder) else { continue };
        for page in pages {
            compress(&page?.path())?;
        }
    }
    let documents = usr.join("share/doc/crossfoot");
    fs::rename(documents.join("CHANGELOG.md"), documents.join("changelog"))?;
    compress(&documents.join("changelog"))?;
    // The file `copyright` has what they say.
    for name in ["LICENSE-MIT", "LICENSE-APACHE"] {
        fs::remove_file(documents.join(name))?;
    }
    Ok(())
}

/// Moves the files of a package from the whole tree to `root`.
fn share_out(tree: &Path, root: &Path, package: &Package) -> Result<()> {
    for path in files(tree, tree)? {
        let name = path.to_str().with_context(|| path.display().to_string())?;
        if (package.has)(name) {
            let to = root.join(&path);
            make_folders(to.parent().context("a file has a folder")?)?;
            fs::rename(tree.join(&path), &to).with_context(|| to.display().to_string())?;
        }
    }
    Ok(())
}

/// Makes the package of what lies in `root`. Returns its path.
fn build(root: &Path, folder: &Path, package: &Package, machine: &Machine) -> Result<PathBuf> {
    let documents = root.join("usr/share/doc").join(package.name);
    make_folders(&documents)?;
    write(&documents.join("copyright"), &copyright()?)?;
    write(&documents.join("changelog.Debian"), &changelog(&date()?))?;
    compress(&documents.join("changelog.Debian"))?;
    let mut sums = String::new();
    let mut size = 0;
    for path in files(root, root)? {
        let file = root.join(&path);
        size += fs::symlink_metadata(&file)?.len().div_ceil(1024);
        if !file.is_symlink() {
            let mut sum = Command::new("md5sum");
            sum.arg(&path).current_dir(root);
            sums += &String::from_utf8_lossy(&printed(sum)?);
        }
    }
    let needs =
        if package.command { needs(&root.join("usr/lib/crossfoot/crossfoot"), machine)? } else { String::new() };
    let debian = root.join("DEBIAN");
    make_folders(&debian)?;
    write(&debian.join("md5sums"), &sums)?;
    write(&debian.join("control"), &control(package, machine.architecture, size, &needs))?;
    if package.name == "libcrossfoot0" {
        write(&debian.join("shlibs"), &format!("libcrossfoot 0 libcrossfoot0 (>= {})\n", install::VERSION))?;
        write(&debian.join("triggers"), "activate-noawait ldconfig\n")?;
    }
    let path = folder.join(format!("{}_{}_{}.deb", package.name, version(), machine.architecture));
    let mut dpkg = Command::new("dpkg-deb");
    dpkg.args(["--root-owner-group", "-Zxz", "--build"]).arg(root).arg(&path);
    // It writes a line to standard output, which is for the paths.
    dpkg.env("SOURCE_DATE_EPOCH", install::time_of_sources());
    printed(dpkg)?;
    Ok(path)
}

/// Returns what Debian's packages a program needs besides ours, from the versions of symbols that it asks for.
fn needs(program: &Path, machine: &Machine) -> Result<String> {
    let mut readelf = Command::new(machine.tool("readelf"));
    readelf.args(["--wide", "--dynamic", "--version-info"]).arg(program);
    let text = String::from_utf8_lossy(&printed(readelf)?).into_owned();
    let parts = |name: &str| -> Option<(u32, u32)> {
        let (major, minor) = name.split_once('.')?;
        Some((major.parse().ok()?, minor.split('.').next()?.parse().ok()?))
    };
    let versions = text.split_whitespace().filter_map(|word| parts(word.strip_prefix("GLIBC_")?));
    let (major, minor) = versions.max().with_context(|| format!("{} asks for no glibc", program.display()))?;
    let mut needs = format!(", libc6 (>= {major}.{minor})");
    if text.contains("[libgcc_s.so.1]") {
        needs += ", libgcc-s1 (>= 4.2)";
    }
    Ok(needs)
}

/// Returns the time of the sources as a change log has it.
fn date() -> Result<String> {
    let mut date = Command::new("date");
    date.args(["--utc", "--rfc-email", "--date"]).arg(format!("@{}", install::time_of_sources())).env("LC_ALL", "C");
    Ok(String::from_utf8_lossy(&printed(date)?).trim().to_owned())
}

/// Returns the files and links below `folder`, sorted, relative to `tree`.
fn files(tree: &Path, folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        if path.is_dir() && !path.is_symlink() {
            found.extend(files(tree, &path)?);
        } else {
            found.push(path.strip_prefix(tree)?.to_owned());
        }
    }
    found.sort();
    Ok(found)
}

/// Compresses a file to `FILE.gz`, the same bytes each time.
fn compress(file: &Path) -> Result<()> {
    let mut gzip = Command::new("gzip");
    gzip.args(["-n", "-9", "--force"]).arg(file);
    printed(gzip).map(drop)
}

/// Makes a folder and those above it, which anyone may read.
fn make_folders(folder: &Path) -> Result<()> {
    install::make_folders(folder).with_context(|| folder.display().to_string())
}

fn write(path: &Path, text: &str) -> Result<()> {
    install::write(path, text.as_bytes(), 0o644)
}

fn set_mode(path: &Path, mode: u32) -> Result<()> {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).with_context(|| path.display().to_string())
}
