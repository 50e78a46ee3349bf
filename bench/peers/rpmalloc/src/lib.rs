//! rpmalloc with its default settings, as a shared object to preload.
//!
//! The crate compiles the C names itself (feature `preload`); they only have to
//! be exported, which the build script sees to.

use rpmalloc_sys as _;
