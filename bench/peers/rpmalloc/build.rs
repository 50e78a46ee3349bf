//! Exports the C allocation functions of rpmalloc.

fn main() {
    peer_link::export(None, &["reallocarray", "valloc", "pvalloc", "cfree"]);
}
