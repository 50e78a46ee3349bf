//! Installs a tree, and packs an archive of one.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::cargo::{cargo, done, printed};
use crate::foreign::Target;
use crate::root;

/// The version of every package.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
/// The shared object as it is built.
const OBJECT: &str = "libcrossfoot.so";
/// The soname of the shared object.
const SONAME: &str = "libcrossfoot.so.0";
/// The prefix of a relocatable tree in `crossfoot.pc`: relative to the folder of that file.
const ANYWHERE: &str = "${pcfiledir}/../..";

/// The source of a file of the tree.
enum Content {
    /// Copied from the release build.
    Built(&'static str),
    /// Copied from the sources.
    Source(&'static str),
    /// Copied from the sources, with the prefix and the version filled in.
    Filled(&'static str),
}

/// The place for which a tree is laid out.
pub struct Place<'a> {
    /// The prefix that pkg-config and the manual page name.
    pub prefix: &'a str,
    /// The folder of libraries below the prefix: `lib`, or a deeper one such as `lib/x86_64-linux-gnu`.
    pub libdir: &'a str,
    /// The objcopy that knows the CPU. Another one leaves the archive as it is, and succeeds.
    pub objcopy: &'a str,
}

impl Place<'_> {
    /// Returns where a file of [`TREE`] lies below the prefix.
    fn path(&self, path: &str) -> String {
        match path.strip_prefix("lib/") {
            Some(rest) => format!("{}/{rest}", self.libdir),
            None => path.to_owned(),
        }
    }

    /// Returns `text` with the placeholders of the sources filled in.
    fn fill(&self, text: &str, pointer_size: usize) -> String {
        let up = vec![".."; self.libdir.split('/').count()].join("/");
        let text = text.replace("@PREFIX@", self.prefix).replace("@VERSION@", VERSION);
        let text = text.replace("@LIBDIR@", self.libdir).replace("@UP@", &up);
        text.replace("@POINTER_SIZE@", &pointer_size.to_string())
    }
}

/// The tree: path, mode and source of each file. `packaging/install.sh` makes the same one without cargo.
const TREE: [(&str, u32, Content); 19] = [
    ("bin/crossfoot", 0o755, Content::Built("crossfoot")),
    ("lib/libcrossfoot.so.0", 0o755, Content::Built("libcrossfoot.so")),
    ("lib/libcrossfoot.a", 0o644, Content::Built("libcrossfoot.a")),
    ("lib/pkgconfig/crossfoot.pc", 0o644, Content::Filled("preload/crossfoot.pc.in")),
    ("lib/cmake/crossfoot/crossfoot-config.cmake", 0o644, Content::Filled("preload/crossfoot-config.cmake.in")),
    (
        "lib/cmake/crossfoot/crossfoot-config-version.cmake",
        0o644,
        Content::Filled("preload/crossfoot-config-version.cmake.in"),
    ),
    ("include/crossfoot.h", 0o644, Content::Source("preload/include/crossfoot.h")),
    ("include/crossfoot-heap.h", 0o644, Content::Source("preload/include/crossfoot-heap.h")),
    ("include/crossfoot-audit.h", 0o644, Content::Source("preload/include/crossfoot-audit.h")),
    ("include/crossfoot-metrics.h", 0o644, Content::Source("preload/include/crossfoot-metrics.h")),
    ("share/man/man3/crossfoot.3", 0o644, Content::Filled("preload/man/crossfoot.3")),
    ("share/doc/crossfoot/README.md", 0o644, Content::Source("README.md")),
    ("share/doc/crossfoot/CHANGELOG.md", 0o644, Content::Source("CHANGELOG.md")),
    ("share/doc/crossfoot/SECURITY.md", 0o644, Content::Source("SECURITY.md")),
    ("share/doc/crossfoot/docs/c-surface.md", 0o644, Content::Source("docs/c-surface.md")),
    ("share/doc/crossfoot/docs/guide.md", 0o644, Content::Source("docs/guide.md")),
    ("share/doc/crossfoot/docs/books.md", 0o644, Content::Source("docs/books.md")),
    ("share/doc/crossfoot/LICENSE-APACHE", 0o644, Content::Source("LICENSE-APACHE")),
    ("share/doc/crossfoot/LICENSE-MIT", 0o644, Content::Source("LICENSE-MIT")),
];

/// Builds the release and lays it out for `prefix`, below `destdir` if there is one.
pub fn install(prefix: &Path, destdir: Option<&Path>) -> Result<()> {
    ensure!(prefix.is_absolute(), "--prefix {}: no absolute path", prefix.display());
    let name = prefix.to_str().with_context(|| format!("--prefix {}: not UTF-8", prefix.display()))?;
    // pkg-config would cut such a path in two.
    ensure!(!name.contains(char::is_whitespace), "--prefix {name}: has a space");
    let tree = match destdir {
        Some(destdir) => destdir.join(prefix.strip_prefix("/")?),
        None => prefix.to_owned(),
    };
    lay_out(&build()?, &tree, &Place { prefix: name, libdir: "lib", objcopy: "objcopy" })
}

/// Builds the release, for another target only the C API, packs it into an archive, writes its checksum, and prints the
/// paths of both.
pub fn dist(target: Option<&str>) -> Result<()> {
    let (release, place, objcopy) = match target {
        None => (build()?, format!("{}-linux", std::env::consts::ARCH), "objcopy".to_owned()),
        Some(name) => {
            let target = Target::named(name)?;
            let release = target.build(&builds()?)?;
            if target.is_static() {
                // The shared object built for glibc needs no libc and runs with musl's, too.
                let (object, copy) = (build()?.join(OBJECT), release.join(OBJECT));
                fs::copy(&object, &copy).with_context(|| object.display().to_string())?;
            }
            (release, target.shown(), target.objcopy())
        }
    };
    let name = format!("crossfoot-{VERSION}-{place}");
    let folder = builds()?.join("dist");
    let tree = folder.join(&name);
    if tree.exists() {
        // Files of an earlier version would stay.
        fs::remove_dir_all(&tree).with_context(|| tree.display().to_string())?;
    }
    lay_out(&release, &tree, &Place { prefix: ANYWHERE, libdir: "lib", objcopy: &objcopy })?;
    pack(&folder, &name)
}

/// Packs the folder `name` in `folder` into `name.tar.gz` beside it, with its checksum in a file. Prints its path. The
/// archive is reproducible: the same files give the same bytes.
pub fn pack(folder: &Path, name: &str) -> Result<()> {
    let archive = format!("{name}.tar.gz");
    let mut tar = Command::new("tar");
    tar.args(["--sort=name", "--owner=0", "--group=0", "--numeric-owner", "--use-compress-program=gzip -n -9"]);
    // Rights as in the sources, whatever the umask is.
    tar.arg("--mode=u=rwX,go=rX");
    tar.arg(format!("--mtime=@{}", time_of_sources())).args(["--create", "--file", &archive, name]);
    tar.current_dir(folder);
    done(tar)?;
    let mut sum = Command::new("sha256sum");
    sum.arg(&archive).current_dir(folder);
    write(&folder.join(format!("{archive}.sha256")), &printed(sum)?, 0o644)?;
    println!("{}", folder.join(archive).display());
    Ok(())
}

/// Returns `SOURCE_DATE_EPOCH` if it is set, else the time of the last commit, in seconds. Commits that only write an
/// archive's checksum into `packaging/` do not count, so that they leave the archive as it is.
pub fn time_of_sources() -> String {
    std::env::var("SOURCE_DATE_EPOCH").unwrap_or_else(|_| {
        let arguments = ["log", "-1", "--format=%ct", "--", ".", ":!packaging/buildroot", ":!packaging/openwrt"];
        let commit = Command::new("git").args(arguments).current_dir(root()).output();
        let time = commit.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default();
        if time.is_empty() { "0".to_owned() } else { time }
    })
}

/// Returns the folder of builds, which this program is in.
fn builds() -> Result<PathBuf> {
    let this = std::env::current_exe().context("cannot find this program")?;
    Ok(this.ancestors().nth(2).context("this program was built by cargo")?.to_owned())
}

/// Builds the release. Returns its folder, which is beside the folder of this program.
pub fn build() -> Result<PathBuf> {
    let target = builds()?;
    let mut cargo = cargo(root(), &["build", "--release"]);
    cargo.env("CARGO_TARGET_DIR", &target);
    done(cargo)?;
    Ok(target.join("release"))
}

/// Makes the tree at `tree`, for `place`.
pub fn lay_out(release: &Path, tree: &Path, place: &Place<'_>) -> Result<()> {
    let object = release.join("libcrossfoot.so");
    let object = fs::read(&object).with_context(|| object.display().to_string())?;
    // The class of an ELF file: 1 for 32 bits, 2 for 64.
    let pointer_size = if object.get(4) == Some(&1) { 4 } else { 8 };
    for (path, mode, content) in &TREE {
        if matches!(content, Content::Built("crossfoot")) && !release.join("crossfoot").exists() {
            continue;
        }
        let read = |from: PathBuf| fs::read(&from).with_context(|| from.display().to_string());
        let bytes = match content {
            Content::Built(name) => read(release.join(name))?,
            Content::Source(name) => read(root().join(name))?,
            Content::Filled(name) => {
                let text = String::from_utf8(read(root().join(name))?).with_context(|| (*name).to_owned())?;
                place.fill(&text, pointer_size).into_bytes()
            }
        };
        write(&tree.join(place.path(path)), &bytes, *mode)?;
    }
    let command = release.join("crossfoot");
    if command.exists() {
        // The command prints its manual pages itself.
        if of_cpu(&command)? == of_cpu(&std::env::current_exe()?)? {
            manual(release, &tree.join("share/man/man1"))?;
        } else {
            eprintln!("xtask: {} is for another CPU: no manual pages of the command", command.display());
        }
    }
    weaken(&tree.join(place.path("lib/libcrossfoot.a")), place.objcopy)?;
    let link = tree.join(place.path("lib/libcrossfoot.so"));
    // The link may exist from the last installation.
    let _ = fs::remove_file(&link);
    symlink(SONAME, &link).with_context(|| link.display().to_string())?;
    eprintln!("xtask: installed in {}", tree.display());
    Ok(())
}

/// Returns the field of an ELF file that names its CPU.
fn of_cpu(file: &Path) -> Result<[u8; 2]> {
    let bytes = fs::read(file).with_context(|| file.display().to_string())?;
    let field = bytes.get(18..20).and_then(|field| field.try_into().ok());
    field.with_context(|| format!("{} is no ELF file", file.display()))
}

/// Writes the manual pages of the command, which generates them from its help.
fn manual(release: &Path, tree: &Path) -> Result<()> {
    // Another installation may be going on.
    let folder = release.join(format!("man.{}", std::process::id()));
    fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
    let mut command = Command::new(release.join("crossfoot"));
    command.arg("man").arg(&folder);
    done(command)?;
    for page in fs::read_dir(&folder)? {
        let page = page?;
        write(&tree.join(page.file_name()), &fs::read(page.path())?, 0o644)?;
    }
    fs::remove_dir_all(&folder).with_context(|| folder.display().to_string())
}

/// Makes the C++ operators weak in the archive, so that a program that replaces them can be linked with it. Stable Rust
/// cannot do this.
fn weaken(archive: &Path, program: &str) -> Result<()> {
    let mut objcopy = Command::new(program);
    objcopy.args(["--wildcard", "--weaken-symbol=_Zn[aw]*", "--weaken-symbol=_Zd[al]*"]).arg(archive);
    if objcopy.output().is_err() {
        eprintln!("xtask: {program} is not installed: programs that replace operator new need -Wl,-z,muldefs");
        return Ok(());
    }
    done(objcopy)
}

/// Writes a file under a temporary name and renames it: programs that use the old file keep it.
pub fn write(path: &Path, bytes: &[u8], mode: u32) -> Result<()> {
    let folder = path.parent().context("a file has a folder")?;
    let new = folder.join(format!(".new-{}", std::process::id()));
    let put = || {
        make_folders(folder)?;
        fs::write(&new, bytes)?;
        fs::set_permissions(&new, fs::Permissions::from_mode(mode))?;
        fs::rename(&new, path)
    };
    put().with_context(|| path.display().to_string())
}

/// Makes a folder and its missing parents, readable by all users whatever the umask is.
pub fn make_folders(folder: &Path) -> std::io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    if let Some(above) = folder.parent() {
        make_folders(above)?;
    }
    fs::create_dir(folder)?;
    fs::set_permissions(folder, fs::Permissions::from_mode(0o755))
}
