//! Gives the shared object its name, says when it begins and that it does not end, and names what it alone has.

/// The names of the C library's that only the shared object has, and what each is there: a program that links the
/// archive keeps its libc's.
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
    for (name, ours) in ONLY_SHARED {
        println!("cargo:rustc-cdylib-link-arg=-Wl,--defsym={name}={ours}");
    }
    // The compiler's own list exports what is written here as `no_mangle`, and hides all else. Only lld takes a second
    // list, which is what this compiler links with on x86-64 Linux.
    let out = std::env::var("OUT_DIR").expect("cargo sets it");
    let list = format!("{out}/shared.map");
    std::fs::write(&list, "{ global: dlopen; _exit; _Exit; };\n").expect("the folder of the output can be written");
    println!("cargo:rustc-cdylib-link-arg=-Wl,--version-script={list}");
    println!("cargo:rerun-if-changed=build.rs");
}
