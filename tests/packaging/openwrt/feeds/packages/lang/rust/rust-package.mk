# Stands for the rules of OpenWrt's feed for Rust.

RUST_ARCH_DEPENDS := @(aarch64||arm||i386||i686||riscv64||x86_64)
RUSTC_TARGET_ARCH := x86_64-unknown-linux-musl
CARGO_PKG_VARS = PATH=$(CARGO_FOLDER):$$PATH
