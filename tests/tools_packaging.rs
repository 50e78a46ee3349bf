//! Packages: Debian's are built, looked at, installed below a folder and used; the makefiles of Buildroot and OpenWrt and
//! the recipe of Yocto run with files that stand for those systems (`tests/packaging/`).

mod common;

use std::ffi::OsStr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use common::{artifacts, assert_success, empty, installed, root, run, text, xtask};

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Reads a file of the sources.
fn source(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Runs `cargo xtask` with strings.
fn task(arguments: &[&str]) -> std::process::Output {
    xtask(&arguments.iter().map(OsStr::new).collect::<Vec<_>>())
}

/// Returns the files and links below `folder`, each with its rights, sorted.
fn tree(folder: &Path) -> Vec<String> {
    let output = run(Command::new("find").current_dir(folder).args([".", "!", "-type", "d", "-printf", "%M %P %l\n"]));
    assert_success(&output);
    let mut lines: Vec<String> = text(&output.stdout).lines().map(|line| line.trim_end().to_owned()).collect();
    lines.sort();
    lines
}

/// Compiles the user's program with what pkg-config says of the tree at `sysroot`, statically or not, and runs it.
fn use_sysroot(sysroot: &Path, libdir: &str) -> Option<()> {
    let (pkg_config, gcc) = (installed("pkg-config")?, installed("gcc")?);
    let folder = sysroot.join(libdir);
    for link in ["-static", "-fPIE"] {
        let mut flags = Command::new(&pkg_config);
        flags.args(["--cflags", "--libs", "crossfoot"]).env("PKG_CONFIG_SYSROOT_DIR", sysroot);
        let output = run(flags.env("PKG_CONFIG_LIBDIR", folder.join("pkgconfig")));
        assert_success(&output);
        let program = sysroot.join("program");
        let mut compile = Command::new(&gcc);
        compile.args(["-O1", "-Wall", "-fno-builtin", link, "-o"]).arg(&program);
        compile.arg(root().join("tests/install/main.c")).args(text(&output.stdout).split_whitespace());
        assert_success(&run(&mut compile));
        let mut command = Command::new("timeout");
        command.arg("60").arg(&program).env("LD_LIBRARY_PATH", &folder).env_remove("CROSSFOOT");
        let output = run(&mut command);
        assert_success(&output);
        assert_eq!(text(&output.stdout), format!("{VERSION} balanced\n"), "{link}");
    }
    Some(())
}

/// Runs a program on the allocator by the command of a tree.
fn use_command(command: &Path) {
    let mut run_true = Command::new("timeout");
    run_true.arg("60").arg(command).args(["run", "--check", "--", "sort", "/dev/null"]);
    assert_success(&run(run_true.env_remove("CROSSFOOT_LIB").env_remove("CROSSFOOT")));
}

/// Returns Debian's packages for this machine, or `None` without `dpkg-deb`.
fn debs() -> Option<&'static [PathBuf]> {
    static DEBS: OnceLock<Option<Vec<PathBuf>>> = OnceLock::new();
    let debs = DEBS.get_or_init(|| {
        installed("dpkg-deb")?;
        installed("readelf")?;
        let output = task(&["dist", "--deb"]);
        assert_success(&output);
        Some(text(&output.stdout).lines().map(PathBuf::from).collect())
    });
    debs.as_deref()
}

/// Returns what `dpkg-deb` says of a package.
fn dpkg_deb(question: &str, deb: &Path) -> String {
    let output = run(Command::new("dpkg-deb").arg(question).arg(deb));
    assert_success(&output);
    text(&output.stdout)
}

#[test]
fn debian_packages_are_installed_and_used() {
    let Some(debs) = debs() else { return };
    let names: Vec<&str> = debs.iter().filter_map(|deb| deb.file_name()?.to_str()?.split('_').next()).collect();
    assert_eq!(names, ["libcrossfoot0", "libcrossfoot-dev", "crossfoot"]);
    for deb in debs {
        let info = dpkg_deb("--field", deb);
        assert!(info.contains(&format!("Version: {VERSION}-1\nArchitecture: amd64\n")), "{info}");
        let contents = dpkg_deb("--contents", deb);
        assert!(contents.lines().all(|line| line.contains(" root/root ")), "{contents}");
        assert!(contents.contains("/copyright\n") && contents.contains("/changelog.Debian.gz\n"), "{contents}");
    }
    let command = dpkg_deb("--field", &debs[2]);
    assert!(command.contains(&format!("Depends: libcrossfoot0 (= {VERSION}-1), libc6 (>= 2.")), "{command}");
    let place = empty("deb");
    install_debs(debs, &place);
    let libdir = "usr/lib/x86_64-linux-gnu";
    let link = std::fs::read_link(place.join(libdir).join("libcrossfoot.so")).expect("the name for the linker");
    assert_eq!(link, Path::new("libcrossfoot.so.0"));
    // Everything that an installed tree has is in one of the packages.
    let tree = tree(&place.join("usr")).join("\n");
    for name in ["crossfoot-metrics.h", "crossfoot.3.gz", "crossfoot-run.1.gz", "libcrossfoot.a", "docs/guide.md"] {
        assert!(tree.contains(name), "{name} is in no package:\n{tree}");
    }
    let object = run(Command::new("readelf").args(["-SW"]).arg(place.join(libdir).join("libcrossfoot.so.0")));
    assert!(!text(&object.stdout).contains(".debug_"), "the object has what only debuggers read");
    use_sysroot(&place, libdir);
    use_command(&place.join("usr/bin/crossfoot"));
}

/// Installs packages below `place`, with `dpkg` as root and else by unpacking them.
fn install_debs(debs: &[PathBuf], place: &Path) {
    let user = run(Command::new("id").arg("-u"));
    if text(&user.stdout).trim() != "0" || installed("dpkg").is_none() {
        for deb in debs {
            assert_success(&run(Command::new("dpkg-deb").arg("--extract").arg(deb).arg(place)));
        }
        return;
    }
    for folder in ["info", "updates", "triggers"] {
        std::fs::create_dir_all(place.join("var/lib/dpkg").join(folder)).expect("the scratch folder can be written");
    }
    std::fs::write(place.join("var/lib/dpkg/status"), "").expect("the scratch folder can be written");
    let mut dpkg = Command::new("dpkg");
    dpkg.arg(format!("--root={}", place.display())).args(["--force-not-root", "--force-bad-path", "--log=/dev/null"]);
    // The libc and libgcc are not below this folder.
    dpkg.args(["--force-depends", "--install"]).args(debs);
    assert_success(&run(&mut dpkg));
    let mut verify = Command::new("dpkg");
    let output = run(verify.arg(format!("--root={}", place.display())).arg("--verify"));
    assert_success(&output);
    assert_eq!(text(&output.stdout), "", "files differ from the packages' checksums");
}

#[test]
fn lintian_finds_nothing_new_in_the_debian_packages() {
    let (Some(lintian), Some(debs)) = (installed("lintian"), debs()) else { return };
    let output = run(Command::new(lintian).arg("--allow-root").args(debs));
    // The object needs no other one. There is no request for a package at Debian, and no address of maintainers.
    let known = ["shared-library-lacks-prerequisites", "initial-upload-closes-no-bugs", "bogus-mail-host"];
    let new = |line: &&str| line.starts_with(['E', 'W']) && !known.iter().any(|tag| line.contains(tag));
    let new: Vec<String> = text(&output.stdout).lines().filter(new).map(str::to_owned).collect();
    assert_eq!(new, [""; 0]);
}

#[test]
fn debian_packages_of_another_cpu_take_a_build_or_are_refused() {
    let Some(gcc) = installed("aarch64-linux-gnu-gcc") else { return };
    if installed("dpkg-deb").is_none() {
        return;
    }
    let target = "aarch64-unknown-linux-gnu";
    let folder = empty("arm64");
    // Stand for a build: what matters here is the CPU of the files.
    let c = folder.join("object.c");
    std::fs::write(&c, "int crossfoot_balanced(void) { return 1; }\nvoid *_Znwm(void) { return 0; }\n")
        .expect("the scratch folder can be written");
    let object = folder.join("object.o");
    assert_success(&run(Command::new(&gcc).args(["-c", "-fPIC", "-o"]).arg(&object).arg(&c)));
    let shared = folder.join("libcrossfoot.so");
    assert_success(&run(Command::new(&gcc).args(["-shared", "-nostdlib", "-o"]).arg(&shared).arg(&object)));
    let archive = folder.join("libcrossfoot.a");
    assert_success(&run(Command::new("aarch64-linux-gnu-ar").arg("crs").arg(&archive).arg(&object)));
    let built = folder.to_str().expect("UTF-8");
    let output = task(&["dist", "--deb", "--target", target, "--built", built]);
    assert_success(&output);
    assert!(text(&output.stderr).contains("has no command: no package of it"), "{}", text(&output.stderr));
    let debs: Vec<PathBuf> = text(&output.stdout).lines().map(PathBuf::from).collect();
    assert_eq!(debs.len(), 2, "{debs:?}");
    for deb in &debs {
        assert!(dpkg_deb("--field", deb).contains("\nArchitecture: arm64\n"));
    }
    assert!(dpkg_deb("--contents", &debs[0]).contains("./usr/lib/aarch64-linux-gnu/libcrossfoot.so.0\n"));
    // Programs may replace C++'s operators.
    let place = empty("arm64-files");
    assert_success(&run(Command::new("dpkg-deb").arg("--extract").arg(&debs[1]).arg(&place)));
    let nm = Command::new("aarch64-linux-gnu-nm").arg(place.join("usr/lib/aarch64-linux-gnu/libcrossfoot.a")).output();
    assert!(text(&nm.expect("binutils").stdout).contains(" W _Znwm\n"), "C++'s operators are not weak");
    let refused = |target: &str, line: &str| {
        let output = task(&["dist", "--deb", "--target", target]);
        assert!(!output.status.success() && text(&output.stderr).contains(line), "{}", text(&output.stderr));
    };
    refused("s390x-unknown-linux-gnu", "Debian has no architecture for it");
    refused("riscv64gc-unknown-linux-gnu", "cannot build for riscv64gc-unknown-linux-gnu here");
}

#[test]
fn the_linker_script_exports_the_names_of_both_version_scripts_with_any_linker() {
    let (Some(_), Some(_)) = (installed("gcc"), installed("nm")) else { return };
    let folder = empty("cc");
    let write = |name: &str, text: &str| std::fs::write(folder.join(name), text).expect("the scratch folder");
    // As the compiler and preload/build.rs write them.
    write("list", "{\n  global:\n    malloc;\n\n  local:\n    *;\n};\n");
    write("shared.map", "{ global: dlopen; _exit; };\n");
    let hidden = "__attribute__((visibility(\"hidden\"), used))";
    let functions = ["crossfoot_dlopen", "crossfoot_exit", "crossfoot_memmove"];
    let functions: String =
        functions.iter().map(|name| format!("{hidden} int {name}(void) {{ return 1; }}\n")).collect();
    write("object.c", &format!("{functions}int malloc(void) {{ return 2; }}\n"));
    let mut link = Command::new(root().join("packaging/cc.sh"));
    link.env("CROSSFOOT_CC", "gcc -fuse-ld=bfd").current_dir(&folder).args(["-fno-builtin", "-w"]);
    link.args(["-Wl,--version-script=list", "object.c", "-shared", "-nostdlib", "-ffunction-sections"]);
    link.args(["-Wl,--gc-sections", "-Wl,-soname,name.so", "-o", "object.so"]);
    link.args(["-Wl,--defsym=dlopen=crossfoot_dlopen", "-Wl,--defsym=_exit=crossfoot_exit"]);
    link.args(["-Wl,--defsym=memmove=crossfoot_memmove", "-Wl,--version-script=shared.map"]);
    assert_success(&run(&mut link));
    let output = run(Command::new("nm").args(["-D", "--defined-only"]).arg(folder.join("object.so")));
    let text = text(&output.stdout);
    let mut names: Vec<&str> = text.lines().filter_map(|line| line.split(" T ").nth(1)).collect();
    names.sort_unstable();
    assert_eq!(names, ["_exit", "dlopen", "malloc"], "{text}");
}

/// Returns the folder of the release, as the packages' scripts find it.
fn release() -> &'static Path {
    artifacts().so.parent().expect("a folder")
}

#[test]
fn the_script_installs_the_tree_that_xtask_installs() {
    if installed("objcopy").is_none() {
        return;
    }
    let (ours, theirs) = (empty("script"), empty("xtask"));
    let mut script = Command::new(root().join("packaging/install.sh"));
    assert_success(&run(script.arg(release()).arg(&ours).arg("/usr")));
    assert_success(&xtask(
        &["install", "--prefix", "/usr", "--destdir"]
            .map(OsStr::new)
            .into_iter()
            .chain([theirs.as_os_str()])
            .collect::<Vec<_>>(),
    ));
    // The command prints its manual pages itself.
    let pages = |tree: &mut Vec<String>| tree.retain(|line| !line.contains("/man1/"));
    let (mut left, mut right) = (tree(&ours), tree(&theirs));
    pages(&mut left);
    pages(&mut right);
    assert_eq!(left, right);
    let mut diff = Command::new("diff");
    diff.args(["--recursive", "--brief", "--exclude=man1", "--exclude=libcrossfoot.a"]).arg(&ours).arg(&theirs);
    let output = run(&mut diff);
    assert_eq!(text(&output.stdout), "");
    use_sysroot(&ours, "usr/lib");
    use_command(&ours.join("usr/bin/crossfoot"));
    let output = run(Command::new(root().join("packaging/install.sh")).args(["/nowhere", "/nowhere", "/usr"]));
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("has neither libcrossfoot.so nor libcrossfoot.a"));
}

/// Makes a folder of sources with a build in it, as a package's build folder is. Returns it.
fn built_sources(name: &str, target: &str) -> PathBuf {
    let folder = empty(name);
    let release_folder = folder.join("target").join(target).join("release");
    std::fs::create_dir_all(&release_folder).expect("the scratch folder can be written");
    for file in ["crossfoot", "libcrossfoot.so", "libcrossfoot.a"] {
        std::os::unix::fs::symlink(release().join(file), release_folder.join(file)).expect("a new link");
    }
    let sources = ["packaging", "preload", "docs", "Cargo.toml", "LICENSE-MIT", "LICENSE-APACHE"];
    for name in sources.into_iter().chain(["README.md", "CHANGELOG.md", "SECURITY.md"]) {
        std::os::unix::fs::symlink(root().join(name), folder.join(name)).expect("a new link");
    }
    // The script finds the sources by its own path, which must not lead out of this folder.
    std::fs::remove_file(folder.join("packaging")).expect("the link is there");
    std::fs::create_dir(folder.join("packaging")).expect("a new folder");
    std::fs::copy(root().join("packaging/install.sh"), folder.join("packaging/install.sh")).expect("it is there");
    folder
}

/// Runs `make` and returns what it prints.
fn make(arguments: &[&str]) -> Option<String> {
    let output = run(Command::new(installed("make")?).args(["--no-print-directory", "--silent"]).args(arguments));
    assert_success(&output);
    Some(text(&output.stdout))
}

/// Asserts that lines are among those that a makefile printed.
fn has_lines(printed: &str, lines: &[&str]) {
    for line in lines {
        assert!(printed.lines().any(|printed| printed.trim_end() == *line), "no line {line}:\n{printed}");
    }
}

/// Asserts that the files which a package names as its licences are in the sources.
fn licences_exist(list: &str) {
    let names: Vec<&str> = list.split_whitespace().collect();
    assert_eq!(names.len(), 2, "{list}");
    assert!(names.iter().all(|name| root().join(name).is_file()), "{list}");
}

#[test]
fn buildroots_makefile_expands_and_installs() {
    let folder = built_sources("buildroot", "x86_64-unknown-linux-gnu");
    let package = format!("PACKAGE={}/packaging/buildroot/package/crossfoot/crossfoot.mk", root().display());
    let harness = root().join("tests/packaging/buildroot.mk");
    let harness = harness.to_str().expect("UTF-8");
    let Some(printed) = make(&["-f", harness, &package, "print"]) else { return };
    let archive = format!("crossfoot-{VERSION}-source.tar.gz");
    has_lines(
        &printed,
        &[
            "EVALUATED=cargo-package",
            &format!("VERSION={VERSION}"),
            &format!("SOURCE={archive}"),
            "SITE=file:///external/../../target/dist",
            &format!("UNCHECKED={archive}"),
            "INSTALL_STAGING=YES",
            "CARGO_BUILD_OPTS=--package crossfoot-preload --package crossfoot-cli",
            r#"CARGO_ENV=CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_LINKER="./packaging/cc.sh" CROSSFOOT_CC="gcc""#,
        ],
    );
    licences_exist(printed.lines().find_map(|line| line.strip_prefix("LICENSE_FILES=")).expect("a line"));
    // A released archive is checked, and musl needs another setting for a shared object.
    let other = ["BR2_PACKAGE_CROSSFOOT_SITE=\"https://example.org/\"", "BR2_TOOLCHAIN_USES_MUSL=y"];
    let printed = make(&["-f", harness, &package, other[0], other[1], "print"]).expect("make ran before");
    has_lines(&printed, &["SITE=https://example.org/", "UNCHECKED="]);
    assert!(printed.contains(" RUSTFLAGS=\"-C target-feature=-crt-static\"\n"), "{printed}");
    let (staging, target) = (empty("staging"), empty("target"));
    let build = format!("BUILD_DIR={}", folder.display());
    let places = [format!("STAGING_DIR={}", staging.display()), format!("TARGET_DIR={}", target.display())];
    for (stamp, place) in [("staging", &places[0]), ("target", &places[1])] {
        let stamp = format!("{}/.stamp_{stamp}_installed", folder.display());
        make(&["-f", harness, &package, &build, place, &stamp]);
    }
    assert_eq!(tree(&staging), tree(&target));
    use_sysroot(&staging, "usr/lib");
    use_command(&target.join("usr/bin/crossfoot"));
}

#[test]
fn buildroots_other_files_have_their_form() {
    let config = source("packaging/buildroot/package/crossfoot/Config.in");
    assert!(config.lines().all(|line| line.len() <= 80 && !line.starts_with(' ')), "Buildroot's check-package says so");
    let makefile = source("packaging/buildroot/package/crossfoot/crossfoot.mk");
    // Each own option that the makefile reads is one that can be set.
    for (at, _) in makefile.match_indices("BR2_PACKAGE_CROSSFOOT") {
        let name: String = makefile[at..].chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        assert!(config.contains(&format!("config {name}\n")), "{name} is in no Config.in");
    }
    let hashes = source("packaging/buildroot/package/crossfoot/crossfoot.hash");
    for line in hashes.lines().filter(|line| !line.starts_with('#')) {
        let parts: Vec<&str> = line.split("  ").collect();
        let hexadecimal = |sum: &str| sum.len() == 64 && sum.chars().all(|c| c.is_ascii_hexdigit());
        assert!(parts.len() == 3 && parts[0] == "sha256" && hexadecimal(parts[1]), "{line}");
        assert!(root().join(parts[2]).is_file() || parts[2].ends_with("-source.tar.gz"), "{line}");
    }
    assert!(source("packaging/buildroot/external.desc").starts_with("name: CROSSFOOT\n"));
    assert!(
        source("packaging/buildroot/Config.in").contains("$BR2_EXTERNAL_CROSSFOOT_PATH/package/crossfoot/Config.in")
    );
}

#[test]
fn openwrts_makefile_builds_and_installs() {
    let target = "x86_64-unknown-linux-musl";
    let folder = built_sources("openwrt", target);
    let package = root().join("packaging/openwrt/crossfoot");
    let top = format!("TOPDIR={}/tests/packaging/openwrt", root().display());
    let call = |arguments: &[&str]| {
        let build = format!("PKG_BUILD_DIR={}", folder.display());
        let first = ["-C", package.to_str().expect("UTF-8"), &top, &build];
        make(&first.iter().chain(arguments).copied().collect::<Vec<_>>())
    };
    let Some(printed) = call(&["print"]) else { return };
    has_lines(
        &printed,
        &[
            "NAME=crossfoot",
            &format!("VERSION={VERSION}"),
            &format!("SOURCE=crossfoot-{VERSION}-source.tar.gz"),
            &format!("SOURCE_URL=file://{}/target/dist", root().display()),
            "BUILD_DEPENDS=rust/host",
            "BUILT=libcrossfoot crossfoot",
        ],
    );
    licences_exist(printed.lines().find_map(|line| line.strip_prefix("LICENSE_FILES=")).expect("a line"));
    let fields = |name: &str| printed.lines().find(|line| line.starts_with(&format!("{name}="))).unwrap_or_default();
    assert!(fields("libcrossfoot").contains("DEPENDS:=@(aarch64||") && fields("crossfoot").contains("+libcrossfoot"));
    // A cargo that builds nothing: the build lies there already.
    let tools = empty("tools");
    let cargo = tools.join("cargo");
    std::fs::write(&cargo, "#!/bin/sh\n(echo \"$PWD $*\"; env) >\"$(dirname \"$0\")/said\"\n").expect("a new file");
    std::fs::set_permissions(&cargo, std::fs::Permissions::from_mode(0o755)).expect("it is this test's");
    call(&[&format!("CARGO_FOLDER={}", tools.display()), "compile"]);
    let said = std::fs::read_to_string(tools.join("said")).expect("cargo was called");
    assert!(said.starts_with(&format!("{} build --offline --locked --release --target {target} ", folder.display())));
    assert!(said.contains("--package crossfoot-preload --package crossfoot-cli"), "{said}");
    let linker = format!("CARGO_TARGET_X86_64_UNKNOWN_LINUX_MUSL_LINKER={}/packaging/cc.sh", folder.display());
    has_lines(&said, &[&linker, "CROSSFOOT_CC=gcc", "CARGO_PROFILE_RELEASE_PANIC=abort"]);
    let (dev, device) = (empty("dev"), empty("device"));
    call(&[&format!("ROOT={}", dev.display()), "dev"]);
    use_sysroot(&dev, "usr/lib");
    for package in ["install-libcrossfoot", "install-crossfoot"] {
        call(&[&format!("ROOT={}", device.display()), package]);
    }
    assert_eq!(
        tree(&device),
        [
            "-rwxr-xr-x usr/bin/crossfoot",
            "-rwxr-xr-x usr/lib/libcrossfoot.so.0",
            "lrwxrwxrwx usr/lib/libcrossfoot.so libcrossfoot.so.0",
        ]
    );
    use_command(&device.join("usr/bin/crossfoot"));
}

#[test]
fn yoctos_recipe_is_current_and_installs() {
    assert_success(&task(&["packaging", "--check"]));
    let folder = "packaging/yocto/recipes-support/crossfoot";
    // A recipe is of the version in its name.
    let recipe = source(&format!("{folder}/crossfoot_{VERSION}.bb"));
    for line in recipe.lines() {
        if let Some(file) = line.strip_prefix("require ") {
            assert!(root().join(folder).join(file).is_file(), "{line}");
        }
        assert!(!line.contains('\t') && line.len() <= 120, "{line}");
    }
    assert!(recipe.contains("\ninherit cargo\n") && recipe.contains("\nLICENSE = \"MIT | Apache-2.0\"\n"));
    let variable = "CROSSFOOT_CHECKOUT";
    assert!(recipe.contains(variable) && source("packaging/yocto/conf/layer.conf").contains(variable));
    // Its function for installing, with what bitbake would put in for the variables.
    let body = recipe.split("do_install() {\n").nth(1).and_then(|rest| rest.split("\n}\n").next()).expect("do_install");
    let (sources, place) = (built_sources("yocto", "x86_64-poky-linux-gnu"), empty("image"));
    let path = |path: &Path| path.to_str().expect("UTF-8").to_owned();
    let values = [
        ("${@os.path.relpath(d.getVar('libdir'), d.getVar('prefix'))}", "lib64".to_owned()),
        ("${OBJCOPY}", "objcopy".to_owned()),
        ("${S}", path(&sources)),
        ("${B}", path(&sources)),
        ("${CARGO_TARGET_SUBDIR}", "x86_64-poky-linux-gnu/release".to_owned()),
        ("${D}", path(&place)),
        ("${prefix}", "/usr".to_owned()),
    ];
    let script = values.iter().fold(body.to_owned(), |text, (name, value)| text.replace(name, value));
    assert!(!script.contains("${"), "{script}");
    if installed("objcopy").is_some() {
        assert_success(&run(Command::new("sh").args(["-e", "-u", "-c"]).arg(&script)));
        use_sysroot(&place, "usr/lib64");
        use_command(&place.join("usr/bin/crossfoot"));
    }
}

#[test]
fn the_source_archive_resolves_offline_and_yocto_has_its_crates() {
    let (Some(tar), Some(_)) = (installed("tar"), installed("git")) else { return };
    let output = task(&["dist", "--source"]);
    if !output.status.success() && text(&output.stderr).contains("failed to") {
        // Crates for other systems, which no build here needs, come from the registry.
        common::skipped("a registry of crates");
        return;
    }
    assert_success(&output);
    let archive = text(&output.stdout).trim().to_owned();
    let place = empty("source");
    assert_success(&run(Command::new(tar).args(["--extract", "--file", &archive]).current_dir(&place)));
    let sources = place.join(format!("crossfoot-{VERSION}-source"));
    let mut metadata = Command::new(env!("CARGO"));
    metadata.args(["metadata", "--frozen", "--format-version", "1"]).current_dir(&sources);
    // Nothing that was fetched before.
    metadata.env("CARGO_HOME", place.join("empty"));
    assert_success(&run(&mut metadata));
    // The same crates with the same checksums are in Yocto's list.
    let crates = source("packaging/yocto/recipes-support/crossfoot/crossfoot-crates.inc");
    let mut found = 0;
    for entry in std::fs::read_dir(sources.join("VENDOR")).expect("the folder of crates").flatten() {
        let name = entry.file_name().into_string().expect("UTF-8");
        let sums = std::fs::read_to_string(entry.path().join(".cargo-checksum.json")).expect("it is there");
        let sum = sums.rsplit("\"package\":\"").next().and_then(|rest| rest.split('"').next()).expect("a checksum");
        assert!(crates.contains(&format!("SRC_URI[{name}.sha256sum] = \"{sum}\"\n")), "{name} {sum}");
        let (crate_name, version) = name.rsplit_once('-').expect("a version");
        assert!(crates.contains(&format!("crate://crates.io/{crate_name}/{version};name={name} \\\n")), "{name}");
        found += 1;
    }
    assert_eq!(crates.matches("crate://").count(), found);
    assert!(!sources.join("packaging/buildroot").exists() && sources.join("packaging/install.sh").is_file());
}
