//! Uses an isolated heap for data that ends together, as of a request, a document or a plugin. The heap is dropped as a
//! whole.
//!
//! ```sh
//! cargo run --release --example isolated_heap
//! ```

use std::fs;
use std::ptr::null_mut;
use std::time::{Duration, Instant};

use crossfoot::Heap;
use crossfoot::mem_stats::MemStats;
use crossfoot::units::{GIB, KIB};

/// The number of nodes of the list.
const NODES: usize = 500_000;

/// A node of a list.
struct Node {
    next: *mut Node,
    number: usize,
}

/// Creates a list in `heap`. Returns its last node, which comes first.
fn list(heap: &Heap) -> *mut Node {
    let mut first: *mut Node = null_mut();
    for number in 0..NODES {
        let node = heap.allocate(size_of::<Node>()).cast::<Node>();
        assert!(!node.is_null(), "no memory");
        // SAFETY: a fresh object of a node's size, aligned to 16.
        unsafe { node.write(Node { next: first, number }) };
        first = node;
    }
    first
}

/// Returns the sum of a list's numbers.
fn sum(mut node: *mut Node) -> usize {
    let mut sum = 0;
    // SAFETY: the nodes live as long as their heap.
    while let Some(found) = unsafe { node.as_ref() } {
        sum += found.number;
        node = found.next;
    }
    sum
}

/// Frees a list node by node.
fn free(heap: &Heap, mut node: *mut Node) {
    while !node.is_null() {
        // SAFETY: each node is live, and not used after it is freed.
        unsafe {
            let next = (*node).next;
            heap.free(node.cast());
            node = next;
        }
    }
}

/// Returns the time that `act` takes.
fn timed(act: impl FnOnce()) -> Duration {
    let began = Instant::now();
    act();
    began.elapsed()
}

/// Returns a figure of `/proc/self/status`, in KiB.
fn status(name: &str) -> usize {
    let text = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let figure = |line: &str| line.strip_prefix(name)?.trim_matches([':', ' ', '\t', 'k', 'B']).parse().ok();
    text.lines().find_map(figure).unwrap_or(0)
}

fn main() -> Result<(), &'static str> {
    let new = || Heap::new().map_err(|_| "the system has no address space for a heap");

    let heap = new()?;
    let first = list(&heap);
    println!("a list of {NODES} nodes, the sum of its numbers: {}", sum(first));
    let mut stats = MemStats::new();
    heap.mem_stats(&mut stats);
    println!(
        "its heap: {} objects, {} KiB, {} KiB from the system",
        stats.mallocs,
        stats.heap_alloc >> 10,
        stats.sys >> 10
    );
    println!("dropping the heap took {:?}", timed(|| drop(heap)));
    let heap = new()?;
    let first = list(&heap);
    println!("freeing each node takes {:?}", timed(|| free(&heap, first)));
    drop(heap);

    let count = 1_000;
    let (size, resident, tables) = (status("VmSize"), status("VmRSS"), status("VmPTE"));
    let each = |before: usize, name| (status(name) - before) as f64 / count as f64;
    let heaps = (0..count).map(|_| new()).collect::<Result<Vec<_>, _>>()?;
    let gib = each(size, "VmSize") * KIB as f64 / GIB as f64;
    println!("of {count} empty heaps, each takes {gib:.2} GiB of address space,");
    println!("  {:.1} KiB of memory and {:.1} KiB of page tables", each(resident, "VmRSS"), each(tables, "VmPTE"));
    heaps.iter().for_each(|heap| assert!(!heap.allocate(100).is_null()));
    println!("  and {:.1} KiB and {:.1} KiB with one object", each(resident, "VmRSS"), each(tables, "VmPTE"));
    drop(heaps);
    println!("when they are dropped, {} KiB of address space remain of them", status("VmSize").saturating_sub(size));

    let rounds = 2_000;
    let time = timed(|| (0..rounds).for_each(|_| assert!(new().is_ok_and(|heap| !heap.allocate(100).is_null()))));
    println!("a heap is made, used once and dropped in {:?}", time / rounds);
    Ok(())
}
