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
const REQUIRED: &[&str] =
    &["malloc", "calloc", "realloc", "free", "posix_memalign", "aligned_alloc", "memalign", "malloc_usable_size"];

/// Links `REQUIRED` and the names of `extra` as exports of the shared object.
///
/// With a `prefix`, `malloc` is made another name of `<prefix>malloc`, and so on. An extra `name=symbol` is made another
/// name of that symbol.
///
/// # Panics
///
/// When not called from a build script, or if the script cannot be written.
pub fn export(prefix: Option<&str>, extra: &[&str]) {
    let prefixed = |name: &&str| (name.to_string(), format!("{}{name}", prefix.unwrap_or("")));
    let names = REQUIRED.iter().chain(extra).map(|name| match name.split_once('=') {
        Some((name, symbol)) => (name.to_owned(), symbol.to_owned()),
        None => prefixed(name),
    });
    let names: Vec<(String, String)> = names.collect();
    let out = env::var_os("OUT_DIR").expect("cargo sets OUT_DIR for build scripts");
    let script = PathBuf::from(out).join("exports.map");
    let exported: Vec<&str> = names.iter().map(|(name, _)| name.as_str()).collect();
    fs::write(&script, format!("{{ global: {}; }};\n", exported.join("; ")))
        .expect("the version script can be written");
    argument(&format!("--version-script={}", script.display()));
    for (name, symbol) in names {
        // Pulls the library's object out of its archive.
        argument(&format!("--undefined={symbol}"));
        if name != symbol {
            argument(&format!("--defsym={name}={symbol}"));
        }
    }
    println!("cargo::rerun-if-changed=build.rs");
}

/// Hands one argument to the linker of the shared object.
fn argument(text: &str) {
    println!("cargo::rustc-cdylib-link-arg=-Wl,{text}");
}
