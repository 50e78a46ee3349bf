SUMMARY = "Memory allocator that accounts for every byte it has from Linux"
DESCRIPTION = "The shared object libcrossfoot.so to preload or link, the archive libcrossfoot.a, \
and the command crossfoot, which prints what memory of a process is used for."
SECTION = "libs"
LICENSE = "MIT | Apache-2.0"
LIC_FILES_CHKSUM = " \
    file://LICENSE-MIT;md5=5e700e098b51e19b820a25fee7a56573 \
    file://LICENSE-APACHE;md5=3b83ef96387f14655fc854ddc3c6bd57 \
"

# The last commit of the source tree that has this layer. A distribution sets both to those of a release.
CROSSFOOT_SOURCE ?= "git://${CROSSFOOT_CHECKOUT};protocol=file;nobranch=1;destsuffix=${BP}"
SRC_URI = "${CROSSFOOT_SOURCE}"
SRCREV ?= "${AUTOREV}"
require crossfoot-crates.inc

inherit cargo

COMPATIBLE_HOST = "x86_64.*-linux.*"

CARGO_BUILD_FLAGS += "--package crossfoot-preload --package crossfoot-cli"
# GNU's ld does not take what the shared object is linked with, so a script calls it.
CARGO_RUST_TARGET_CCLD = "${S}/packaging/cc.sh"
export CROSSFOOT_CC = "${RUST_TARGET_CCLD}"
# Rust links musl statically by default, and makes no shared object then.
RUSTFLAGS:append:libc-musl = " -C target-feature=-crt-static"

do_install() {
    OBJCOPY="${OBJCOPY}" ${S}/packaging/install.sh ${B}/target/${CARGO_TARGET_SUBDIR} ${D} ${prefix} \
        ${@os.path.relpath(d.getVar('libdir'), d.getVar('prefix'))}
}

# The object alone, for programs that preload it or are linked with it. It has the name for the linker too, which
# LD_PRELOAD and the command use.
PACKAGE_BEFORE_PN = "libcrossfoot"
FILES_SOLIBSDEV = ""
FILES:libcrossfoot = "${libdir}/libcrossfoot.so*"
INSANE_SKIP:libcrossfoot = "dev-so"
INSANE_SKIP:${PN} = "dev-so"
FILES:${PN} += "${libdir}/crossfoot"
RDEPENDS:${PN} = "libcrossfoot"
