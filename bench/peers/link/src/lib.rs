//! What the build scripts of the peers have in common: the linker arguments
//! that make a Rust `cdylib` export the C allocation functions of the library
//! that is linked into it.
//!
//! rustc hides every symbol of a `cdylib` that is not a Rust export. Forwarding
//! functions written in Rust would get around that at the price of one jump per
//! call, and the comparison must not charge the peers for it. So the names are
//! exported as they are (a second version script), or, where the library knows
//! them under a prefix only, made equal to the prefixed ones by the linker.

use std::{env, fs, path::PathBuf};

/// The C names that a preloaded allocator must replace together, or else a
/// block of one allocator would reach `free` of another.
const REQUIRED: &[&str] = &[
    "malloc",
    "calloc",
    "realloc",
    "free",
    "posix_memalign",
    "aligned_alloc",
    "memalign",
    "malloc_usable_size",
];

/// Links `REQUIRED` and the names of `extra` as exports of the shared object.
///
/// With a `prefix`, `malloc` is made another name of `<prefix>malloc`, and so on.
///
/// # Panics
///
/// When not called from a build script, or if the script cannot be written.
pub fn export(prefix: Option<&str>, extra: &[&str]) {
    let names: Vec<&str> = REQUIRED.iter().chain(extra).copied().collect();
    let out = env::var_os("OUT_DIR").expect("cargo sets OUT_DIR for build scripts");
    let script = PathBuf::from(out).join("exports.map");
    fs::write(&script, format!("{{ global: {}; }};\n", names.join("; ")))
        .expect("the version script can be written");
    argument(&format!("--version-script={}", script.display()));
    for name in names {
        match prefix {
            Some(prefix) => {
                // Pulls the library's object out of its archive.
                argument(&format!("--undefined={prefix}{name}"));
                argument(&format!("--defsym={name}={prefix}{name}"));
            }
            None => argument(&format!("--undefined={name}")),
        }
    }
    println!("cargo::rerun-if-changed=build.rs");
}

/// Hands one argument to the linker of the shared object.
fn argument(text: &str) {
    println!("cargo::rustc-cdylib-link-arg=-Wl,{text}");
}
