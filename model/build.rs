//! Builds this crate with `--cfg loom`, which is what `src/sync.rs` looks at.
//!
//! Not by flags for the compiler: those would reach the dependencies too, some of which know the same name.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-check-cfg=cfg(loom)");
    println!("cargo::rustc-cfg=loom");
}
