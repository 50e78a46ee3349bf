//! Exports the C allocation functions of mimalloc v3.

fn main() {
    peer_link::export(None, &["reallocarray", "valloc", "pvalloc", "cfree", "free_sized=mi_free_size"]);
}
