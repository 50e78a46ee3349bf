//! Packages: an archive of the sources with all crates ([`source`]), packages for Debian ([`deb`]), and what is generated
//! in `packaging/` for Buildroot, Yocto and OpenWrt ([`generated`]).

pub mod deb;
mod debian;
pub mod generated;
pub mod source;
