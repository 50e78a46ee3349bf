//! The C face: `malloc` and its family, for `LD_PRELOAD` and for linking.

#![no_std]

mod exit;
mod names;

#[cfg(panic = "unwind")]
extern crate std;

/// A panic is a bug of the allocator: say where, and end the process.
#[cfg(panic = "abort")]
#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    kernel::report::fatal(format_args!("crossfoot: {info}"))
}

// The prebuilt `core` refers to the personality; nothing unwinds through this object.
#[cfg(panic = "abort")]
core::arch::global_asm!(
    ".pushsection .text.rust_eh_personality,\"ax\",@progbits",
    ".weak rust_eh_personality",
    ".hidden rust_eh_personality",
    "rust_eh_personality: ud2",
    ".popsection"
);
