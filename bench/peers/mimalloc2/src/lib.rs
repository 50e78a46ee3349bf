//! mimalloc v2 with its default settings, as a shared object to preload.
//!
//! The crate compiles the C names itself (feature `override`); they only have
//! to be exported, which the build script sees to.

use libmimalloc_sys as _;
