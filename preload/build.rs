//! Gives the shared object its name.

fn main() {
    println!("cargo:rustc-cdylib-link-arg=-Wl,-soname,libcrossfoot.so.0");
    println!("cargo:rerun-if-changed=build.rs");
}
