//! Prints a line, or a line and then ends the process, without allocating.
//!
//! Any module may call it when it detects an error. The front end installs two functions by [`set_sink`]: one
//! prints, one ends the process. Without them a fatal error executes an illegal instruction.
//!
//! It takes no lock, allocates nothing and needs about a kibibyte of stack.
//!
//! Invariant: a line is written by one call and ends with a newline.

use core::fmt::{self, Write};
use core::sync::atomic::{AtomicPtr, Ordering};

/// The maximum length of a line in bytes. Longer lines are cut.
const LINE: usize = 512;

/// Prints a line of text.
pub type Sink = fn(&[u8]);
/// Ends the process after a fatal line.
pub type Death = fn() -> !;

static SINK: AtomicPtr<()> = AtomicPtr::new(core::ptr::null_mut());
static DEATH: AtomicPtr<()> = AtomicPtr::new(core::ptr::null_mut());

/// Installs how lines are printed and how the process ends. Front ends call it before anything can fail.
pub fn set_sink(sink: Sink, death: Death) {
    SINK.store(sink as *mut (), Ordering::Release);
    DEATH.store(death as *mut (), Ordering::Release);
}

/// A line under construction. Text beyond 512 bytes is dropped.
pub struct Line {
    text: heapless::String<LINE>,
}

impl Line {
    /// Returns an empty line.
    pub const fn new() -> Line {
        Line { text: heapless::String::new() }
    }

    /// Returns the bytes so far.
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
            // One byte is kept for the newline, so that a cut line still ends with one.
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
