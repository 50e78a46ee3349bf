//! snmalloc with its default settings, as a shared object to preload.
//!
//! The crate gives every C name the prefix `sn_`; the linker makes the plain
//! names equal to those. Compiled without cmake, from one C++ file.

use snmalloc_sys as _;
