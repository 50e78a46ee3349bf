//! Links without a libc and without start files: the program brings its own `_start`, and the linker script of `linker/`.

fn main() {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../linker/static.ld");
    let script_argument = format!("-Wl,-T,{script}");
    for argument in ["-nostartfiles", "-nostdlib", "-static", "-no-pie", &script_argument] {
        println!("cargo:rustc-link-arg-bins={argument}");
    }
    println!("cargo:rerun-if-changed={script}");
    println!("cargo:rerun-if-changed=build.rs");
}
