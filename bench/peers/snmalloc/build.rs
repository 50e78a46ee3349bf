//! Exports the C allocation functions of snmalloc.

fn main() {
    peer_link::export(Some("sn_"), &["reallocarray", "cfree", "free_sized"]);
}
