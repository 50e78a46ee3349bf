//! Exports the C allocation functions of rpmalloc.

fn main() {
    // Its `pthread_create` sees to it that a thread's memory is given back when the thread ends.
    peer_link::export(None, &["reallocarray", "valloc", "pvalloc", "cfree", "pthread_create"]);
}
