//! Gives the shared object its name, and keeps it in the process.

fn main() {
    println!("cargo:rustc-cdylib-link-arg=-Wl,-soname,libcrossfoot.so.0");
    // The libc keeps addresses of this object, for ends of threads and for forks: `dlclose` must leave it where it is.
    println!("cargo:rustc-cdylib-link-arg=-Wl,-z,nodelete");
    println!("cargo:rerun-if-changed=build.rs");
}
