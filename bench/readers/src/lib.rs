//! What it costs to read an allocator's statistics: the parts that its two programs share.
//!
//! `readers-malloc` measures allocators behind the C functions, `readers-crossfoot` Crossfoot, whose books a Rust
//! program reads; the Go program in `go/` does the same with Go's runtime. Each makes one [`session::Session`] and
//! prints it as JSON; the runner starts them, and makes the table.
//!
//! A [`crew::Crew`] is the threads whose statistics are read; [`timing`] times the reads; [`cost`] is the other
//! question, what a reader costs those threads; [`statistics`] are medians, and intervals of ratios.

pub mod cost;
pub mod crew;
pub mod method;
pub mod session;
pub mod statistics;
pub mod timing;
