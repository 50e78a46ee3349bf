//! Rung 7 of a free: misuse that is seen ends the process with one line.

use core::fmt::Display;

use crate::config::MIN_ALIGN;
use crate::heap::Heap;
use crate::os::Os;
use crate::report;
use crate::size_class::{Class, SMALL_MAX};
use crate::span::{Kind, Span};
use crate::units::{Addr, Pages};

/// The message for an object that was freed before.
pub(super) const FREED: &str = "already freed";

/// The caller's claim about an object that it frees.
pub(super) struct Claim {
    /// The public entry point, for messages.
    pub function: &'static str,
    /// The requested size and alignment, if the caller gives them.
    pub layout: Option<(usize, usize)>,
}

impl Claim {
    /// Aborts if the layout is not that of `p`, an object of `span`.
    pub fn check<O: Os>(&self, heap: &Heap<O>, span: &Span, p: *mut u8) {
        let Some((size, align)) = self.layout else { return };
        // A `realloc` that found no memory to shrink an object left it in a larger class.
        let larger = heap.has_larger() && size <= span.usable();
        let aligned = align <= MIN_ALIGN || p.addr().is_multiple_of(align);
        if aligned && (is_of(span, size, align) || larger) {
            return;
        }
        let has = span.usable();
        if align <= MIN_ALIGN {
            abort_misuse(self.function, p, format_args!("{size} bytes are not what was allocated: {has} bytes"));
        }
        let asked = format_args!("{size} bytes aligned to {align}");
        abort_misuse(self.function, p, format_args!("{asked} are not what was allocated: {has} bytes"));
    }
}

/// Returns the class of small objects of `size` bytes aligned to `align`. Returns `None` if such an object is large.
pub(super) fn small_class(size: usize, align: usize) -> Option<Class> {
    if align <= MIN_ALIGN && size <= SMALL_MAX { Some(Class::of(size)) } else { Class::of_aligned(size, align) }
}

/// Returns whether an object of `size` bytes aligned to `align` would be one of `span`.
pub(super) fn is_of(span: &Span, size: usize, align: usize) -> bool {
    match small_class(size, align) {
        Some(class) => span.kind() == Kind::Small && span.class() == class,
        None => span.kind() == Kind::Large && Pages::holding(size.max(1)) == Some(span.pages()),
    }
}

/// Returns the span of a live object. Aborts, with a line that says what `p` is instead, if it is none.
#[inline]
pub(super) fn checked_span<'a, O: Os>(heap: &'a Heap<O>, p: *mut u8, function: &'static str) -> &'a Span {
    let addr = Addr::of(p);
    let found = heap.span_of(addr.align_down(MIN_ALIGN)).filter(|span| !span.is_dummy());
    let Some(span) = found else {
        abort_misuse(function, p, "not an address of this allocator, or already freed");
    };
    match span.kind() {
        Kind::Small if !addr.is_aligned(MIN_ALIGN) => abort_misuse(function, p, "misaligned"),
        Kind::Small if !span.is_object(addr) => abort_misuse(function, p, "inside an object, not its start"),
        Kind::Large if addr != span.base() => abort_misuse(function, p, "inside an object, not its start"),
        Kind::Small if span.is_freed(addr) => abort_misuse(function, p, FREED),
        Kind::Small | Kind::Large => span,
        Kind::Dead => abort_misuse(function, p, FREED),
        Kind::Stack | Kind::WorkBuf | Kind::Bitmap => abort_misuse(function, p, "not an object"),
    }
}

/// Ends the process with a line that says what `p`, the argument of `function`, is.
#[cold]
pub(super) fn abort_misuse(function: &str, p: *mut u8, found: impl Display) -> ! {
    report::fatal(format_args!("crossfoot: {function}({:#x}): {found}", p.addr()))
}
