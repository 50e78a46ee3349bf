//! What a libc does for a static program: the first instruction, thread-local storage, threads, the functions that
//! the compiler calls.
//!
//! One file per CPU has the assembly and where thread-local storage lies beside the thread pointer.

#[cfg_attr(target_arch = "x86_64", path = "x86_64.rs")]
#[cfg_attr(target_arch = "aarch64", path = "aarch64.rs")]
#[cfg_attr(target_arch = "riscv64", path = "riscv64.rs")]
#[cfg_attr(target_arch = "arm", path = "armv7.rs")]
#[cfg_attr(target_arch = "x86", path = "i686.rs")]
mod cpu;
mod memory;
mod thread;
mod tls;

use core::ffi::CStr;

pub use cpu::exit;
pub use thread::Thread;

/// The size of a physical page.
fn page_size() -> usize {
    tls::IMAGE.with(|image| image.page)
}

/// Writes to standard output.
pub fn say(text: &[u8]) {
    // SAFETY: standard output is only written to.
    let _ = rustix::io::write(unsafe { rustix::stdio::stdout() }, text);
}

/// The program behind `_start`, which passes the initial stack pointer.
unsafe extern "C" fn start(stack: *const usize) -> ! {
    // SAFETY: the stack is as Linux hands it over: the number of arguments, then the arguments. Nothing has used
    // thread-local storage yet.
    let argument = unsafe {
        tls::start(stack);
        (*stack > 1).then(|| CStr::from_ptr(core::ptr::with_exposed_provenance(*stack.add(2))))
    };
    exit(crate::program(argument.map(CStr::to_bytes)))
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    say(b"panicked\n");
    exit(101)
}

/// The prebuilt `core` refers to it; nothing unwinds here.
#[unsafe(no_mangle)]
extern "C" fn rust_eh_personality() {}
