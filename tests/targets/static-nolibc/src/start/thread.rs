//! Threads by `clone`, joined by the futex that Linux wakes at a thread's exit.

use core::ptr::null_mut;
use core::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

use rustix::mm::{self, MapFlags, MprotectFlags, ProtFlags};
use rustix::thread::futex;

use super::{cpu, page_size, tls};

/// What a thread runs: it gets the lowest address of its stack.
pub type Body = fn(usize) -> bool;

/// `CLONE_*` of `linux/sched.h`: memory, files, signals and the process shared; thread pointer set; number written at the
/// start, and cleared at the exit.
const FLAGS: usize = 0x100 | 0x200 | 0x400 | 0x800 | 0x1_0000 | 0x4_0000 | 0x8_0000 | 0x10_0000 | 0x20_0000;

/// What a thread and its creator share, at the end of the thread's mapping.
#[repr(C, align(64))]
struct Shared {
    /// The thread's number; Linux clears it at the thread's exit.
    number: AtomicU32,
    result: AtomicUsize,
    body: Body,
    low: usize,
    /// The argument of `clone` for the thread pointer, if it is not the pointer itself.
    pointer: cpu::PointerArgument,
}

/// A thread that was created and must be joined.
pub struct Thread {
    shared: *mut Shared,
    mapping: usize,
    size: usize,
}

/// Runs on the new thread. What is thread-local goes back before the thread exits: the user calls nothing.
unsafe extern "C" fn run(shared: *mut Shared) -> ! {
    // SAFETY: the creator keeps it until the thread has exited.
    let shared = unsafe { &*shared };
    let result = (shared.body)(shared.low);
    crate::thread_exit();
    shared.result.store(usize::from(result), Ordering::Release);
    cpu::exit_thread()
}

impl Thread {
    /// Starts a thread with a stack of `stack` bytes above a guard page.
    pub fn spawn(stack: usize, body: Body) -> Option<Thread> {
        let page = page_size();
        let image = tls::IMAGE.with(|image| image);
        let behind = image.size() + size_of::<Shared>();
        let size = (page + stack + behind).next_multiple_of(page);
        // SAFETY: a new mapping disturbs nothing; its first page becomes the guard.
        let mapping = unsafe {
            let flags = MapFlags::PRIVATE | MapFlags::NORESERVE;
            let at = mm::mmap_anonymous(null_mut(), size, ProtFlags::READ | ProtFlags::WRITE, flags).ok()?;
            mm::mprotect(at, page, MprotectFlags::empty()).ok()?;
            at.cast::<u8>()
        };
        // From the end: what is shared, thread-local storage, the stack.
        let shared = mapping.wrapping_add(size - size_of::<Shared>()).cast::<Shared>();
        let storage = mapping.wrapping_add(size - behind);
        let low = storage.addr() - stack;
        // SAFETY: all lies in the mapping, which is new.
        let made = unsafe {
            let pointer = image.lay_out(storage);
            shared.write(Shared {
                number: AtomicU32::new(1),
                result: AtomicUsize::new(0),
                body,
                low,
                pointer: cpu::PointerArgument::new(pointer),
            });
            let number = (&raw mut (*shared).number).cast();
            cpu::clone(FLAGS, storage.addr() & !15, number, (*shared).pointer.argument(), run, shared)
        };
        let thread = Thread { shared, mapping: mapping.expose_provenance(), size };
        if made < 0 {
            thread.unmap();
            return None;
        }
        Some(thread)
    }

    /// Waits for the thread's end. Returns its result.
    pub fn join(self) -> bool {
        // SAFETY: it stays until it is unmapped below.
        let shared = unsafe { &*self.shared };
        loop {
            match shared.number.load(Ordering::Acquire) {
                0 => break,
                // Not a private futex: Linux wakes this one as a shared one.
                number => drop(futex::wait(&shared.number, futex::Flags::empty(), number, None)),
            }
        }
        let result = shared.result.load(Ordering::Acquire) == 1;
        self.unmap();
        result
    }

    fn unmap(&self) {
        // SAFETY: the thread has exited, and nothing else uses the mapping.
        let _ = unsafe { mm::munmap(core::ptr::with_exposed_provenance_mut(self.mapping), self.size) };
    }
}
