//! Thread-local storage: a copy of the program's `PT_TLS` segment for each thread.

use core::cell::Cell;
use core::ptr::null;

use super::cpu;

/// Keys of the auxiliary vector.
const AT_PHDR: usize = 3;
const AT_PHNUM: usize = 5;
const AT_PAGESZ: usize = 6;
/// The type of a segment of thread-local storage.
const PT_TLS: u32 = 7;

/// A program header of a 64-bit file.
#[cfg(target_pointer_width = "64")]
#[repr(C)]
struct Header {
    kind: u32,
    _flags: u32,
    _offset: usize,
    address: usize,
    _physical: usize,
    file: usize,
    memory: usize,
    align: usize,
}

/// A program header of a 32-bit file.
#[cfg(target_pointer_width = "32")]
#[repr(C)]
struct Header {
    kind: u32,
    _offset: usize,
    address: usize,
    _physical: usize,
    file: usize,
    memory: usize,
    _flags: u32,
    align: usize,
}

/// What a thread's storage is copied from, and the size of a physical page.
#[derive(Clone, Copy)]
pub struct Image {
    from: *const u8,
    file: usize,
    memory: usize,
    align: usize,
    pub page: usize,
}

/// The image. Written once, before there is a second thread.
pub struct Once(Cell<Image>);

// SAFETY: written once, before there is a second thread.
unsafe impl Sync for Once {}

impl Once {
    pub fn with<R>(&self, f: impl FnOnce(Image) -> R) -> R {
        f(self.0.get())
    }
}

pub static IMAGE: Once = Once(Cell::new(Image { from: null(), file: 0, memory: 0, align: 16, page: 4096 }));

/// The storage of the first thread: enough for the allocator's block and the little that a program adds.
#[repr(align(64))]
struct First(Cell<[u8; 4096]>);

// SAFETY: it is the first thread's alone.
unsafe impl Sync for First {}

static FIRST: First = First(Cell::new([0; 4096]));

impl Image {
    /// The bytes that a thread's storage takes at the most: the segment, alignment on both sides, the thread pointer's own.
    pub fn size(&self) -> usize {
        (self.memory + 3 * self.align + 64).next_multiple_of(64)
    }

    /// Lays out a thread's storage in zero bytes. Returns the thread pointer.
    ///
    /// # Safety
    /// `size` zero bytes at `at` are the caller's.
    pub unsafe fn lay_out(&self, at: *mut u8) -> usize {
        let (pointer, block) = cpu::layout(at.addr(), self.memory, self.align);
        // SAFETY: both lie in the caller's bytes, by `size`.
        unsafe {
            at.with_addr(block).copy_from_nonoverlapping(self.from, self.file);
            if cpu::POINTS_TO_ITSELF {
                at.with_addr(pointer).cast::<usize>().write(pointer);
            }
        }
        pointer
    }
}

/// Finds the image and gives the first thread its storage.
///
/// # Safety
/// `stack` is the stack as Linux hands it to a program: the number of arguments, arguments and a null, environment and a
/// null, the auxiliary vector.
pub unsafe fn start(stack: *const usize) {
    let mut image = IMAGE.0.get();
    // SAFETY: the layout is the caller's promise; the headers are mapped where the vector says.
    unsafe {
        let mut at = stack.add(1 + *stack + 1);
        while *at != 0 {
            at = at.add(1);
        }
        at = at.add(1);
        let (mut headers, mut count) = (null::<Header>(), 0);
        while *at != 0 {
            match *at {
                AT_PHDR => headers = core::ptr::with_exposed_provenance(*at.add(1)),
                AT_PHNUM => count = *at.add(1),
                AT_PAGESZ => image.page = *at.add(1),
                _ => {}
            }
            at = at.add(2);
        }
        for i in 0..count {
            let header = &*headers.add(i);
            if header.kind == PT_TLS {
                image.from = core::ptr::with_exposed_provenance(header.address);
                (image.file, image.memory, image.align) = (header.file, header.memory, header.align.max(16));
            }
        }
    }
    IMAGE.0.set(image);
    if image.size() > size_of::<First>() {
        super::exit(102);
    }
    // SAFETY: the bytes are the first thread's, which is this one.
    unsafe { cpu::set_thread_pointer(image.lay_out(FIRST.0.as_ptr().cast())) };
}
