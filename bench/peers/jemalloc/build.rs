//! Exports the C allocation functions of jemalloc.

fn main() {
    peer_link::export(None, &["valloc", "pvalloc", "free_sized"]);
}
