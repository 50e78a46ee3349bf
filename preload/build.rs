//! Gives the shared object its name, and says when it begins and that it does not end.

fn main() {
    println!("cargo:rustc-cdylib-link-arg=-Wl,-soname,libcrossfoot.so.0");
    // The libc keeps addresses of this object, for ends of threads and for forks: `dlclose` must leave it where it is.
    println!("cargo:rustc-cdylib-link-arg=-Wl,-z,nodelete");
    // What runs at start registers for forks before any other object does: handlers of the others may then allocate,
    // because they run before this one's take the locks, and after they let go.
    println!("cargo:rustc-cdylib-link-arg=-Wl,-z,initfirst");
    // The compiler's start files would register things that nothing here has: constructors, exception tables, a profile.
    println!("cargo:rustc-cdylib-link-arg=-nostartfiles");
    // What runs in every process stands apart from what most never run, and so do errors: a page of the file that is
    // wanted brings its neighbours along.
    println!("cargo:rustc-cdylib-link-arg=-Wl,-z,keep-text-section-prefix");
    println!("cargo:rerun-if-changed=build.rs");
}
