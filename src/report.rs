//! Printing and dying without allocating.
//!
//! Any room may call it when it finds what must not be. The face says where a line goes and
//! how the process ends ([`set_sink`]); without that a fatal error is an illegal instruction.
//!
//! Takes no lock, allocates nothing, needs about a kibibyte of stack.
//!
//! Invariant: a line is written whole, in one call, and ends with a newline.

use core::fmt::{self, Write};
use core::sync::atomic::{AtomicPtr, Ordering};

/// Longest line in bytes; what is longer is cut.
const LINE: usize = 512;

/// What a home does with a line of text.
pub type Sink = fn(&[u8]);
/// How a home ends the process after a fatal line.
pub type Death = fn() -> !;

static SINK: AtomicPtr<()> = AtomicPtr::new(core::ptr::null_mut());
static DEATH: AtomicPtr<()> = AtomicPtr::new(core::ptr::null_mut());

/// Hands in how this home prints and dies. The faces call it before anything can go wrong.
pub fn set_sink(sink: Sink, death: Death) {
    SINK.store(sink as *mut (), Ordering::Release);
    DEATH.store(death as *mut (), Ordering::Release);
}

/// A fixed piece of text under construction; what does not fit is dropped.
pub struct Line {
    text: heapless::String<LINE>,
}

impl Line {
    /// An empty line.
    pub const fn new() -> Line {
        Line { text: heapless::String::new() }
    }

    /// The bytes so far.
    pub fn bytes(&self) -> &[u8] {
        self.text.as_bytes()
    }
}

impl Default for Line {
    fn default() -> Self {
        Line::new()
    }
}

impl Write for Line {
    fn write_str(&mut self, s: &str) -> fmt::Result {
        for c in s.chars() {
            // Room for the newline is kept, so that a cut line is still a line.
            if self.text.len() + c.len_utf8() < LINE || c == '\n' {
                let _ = self.text.push(c);
            }
        }
        Ok(())
    }
}

/// Prints one line.
pub fn line(what: fmt::Arguments<'_>) {
    let mut line = Line::new();
    let _ = line.write_fmt(what);
    let _ = line.write_str("\n");
    let sink = SINK.load(Ordering::Acquire);
    if !sink.is_null() {
        // SAFETY: the only stores to SINK are null and a `Sink`.
        let sink: Sink = unsafe { core::mem::transmute(sink) };
        sink(line.bytes());
    }
}

/// Prints one line and ends the process; in test builds it panics with the line.
#[cold]
#[inline(never)]
pub fn fatal(what: fmt::Arguments<'_>) -> ! {
    #[cfg(feature = "testing")]
    panic!("{what}");
    #[cfg(not(feature = "testing"))]
    {
        line(what);
        let death = DEATH.load(Ordering::Acquire);
        if !death.is_null() {
            // SAFETY: the only stores to DEATH are null and a `Death`.
            let death: Death = unsafe { core::mem::transmute(death) };
            death()
        }
        crate::arch::trap()
    }
}
