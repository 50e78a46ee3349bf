//! Sets the linker's options for the shared object: its name, its start and end, and the symbols that only it defines.

/// C library names that only the shared object defines, with the function for each. A program that links the archive
/// keeps its libc's functions.
const ONLY_SHARED: [(&str, &str); 9] = [
    ("dlopen", "crossfoot_dlopen"),
    ("_exit", "crossfoot_exit"),
    ("_Exit", "crossfoot_exit"),
    ("memcpy", "crossfoot_memmove"),
    ("memmove", "crossfoot_memmove"),
    ("memset", "crossfoot_memset"),
    ("memcmp", "crossfoot_memcmp"),
    ("bcmp", "crossfoot_memcmp"),
    ("strlen", "crossfoot_strlen"),
];

fn main() {
    println!("cargo:rustc-cdylib-link-arg=-Wl,-soname,libcrossfoot.so.0");
    // The libc keeps addresses of this object, for thread exits and forks. So `dlclose` must not unmap it.
    println!("cargo:rustc-cdylib-link-arg=-Wl,-z,nodelete");
    // Initialises this object first, so that its fork handlers are registered before those of other objects. Those may
    // then allocate: at a fork they run before this object's handlers take the locks, and after these have released
    // them.
    println!("cargo:rustc-cdylib-link-arg=-Wl,-z,initfirst");
    // Without the compiler's start files, which register things that this object does not have: constructors, exception
    // tables, a profile.
    println!("cargo:rustc-cdylib-link-arg=-nostartfiles");
    // Keeps code that every process runs apart from code that few run, and from error paths: reading a page of the file
    // also reads its neighbours.
    println!("cargo:rustc-cdylib-link-arg=-Wl,-z,keep-text-section-prefix");
    // The functions are assembly for x86-64.
    if std::env::var("CARGO_CFG_TARGET_ARCH").as_deref() == Ok("x86_64") {
        only_shared();
    }
    println!("cargo:rerun-if-changed=build.rs");
}

/// Exports the names of [`ONLY_SHARED`].
fn only_shared() {
    for (name, ours) in ONLY_SHARED {
        println!("cargo:rustc-cdylib-link-arg=-Wl,--defsym={name}={ours}");
    }
    // The compiler's own version script exports only `no_mangle` functions and hides the rest. Of the linkers only lld
    // takes a second script. This compiler links with lld on x86-64 Linux.
    let out = std::env::var("OUT_DIR").expect("cargo sets it");
    let list = format!("{out}/shared.map");
    std::fs::write(&list, "{ global: dlopen; _exit; _Exit; };\n").expect("the folder of the output can be written");
    println!("cargo:rustc-cdylib-link-arg=-Wl,--version-script={list}");
}
