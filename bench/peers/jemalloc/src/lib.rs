//! jemalloc with its default settings, as a shared object to preload.
//!
//! The crate compiles the plain C names when asked; they only have to be
//! exported, which the build script sees to.

use tikv_jemalloc_sys as _;
