//! What runs when the process exits by `exit`.

#[unsafe(link_section = ".text.startup")]
extern "C" fn fini() {
    kernel::global::at_exit_of_any();
}

/// The loader runs this after the program's own destructors.
#[used]
#[unsafe(link_section = ".fini_array")]
static FINI: extern "C" fn() = fini;
