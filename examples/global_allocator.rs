//! Uses Crossfoot as the allocator of a whole program. This takes two lines. Then the statistics can be read and
//! checked at any time.
//!
//! ```sh
//! cargo run --release --example global_allocator
//! CROSSFOOT=exit_report:stderr cargo run --release --example global_allocator
//! ```

use std::collections::BTreeMap;
use std::thread;

use crossfoot::mem_stats::MemStats;

#[global_allocator]
static A: crossfoot::Crossfoot = crossfoot::Crossfoot::new();

/// Returns the texts of the numbers of a range, reversed and quoted, by their length.
fn lengths(numbers: std::ops::Range<u32>) -> BTreeMap<usize, Vec<String>> {
    let mut lengths: BTreeMap<usize, Vec<String>> = BTreeMap::new();
    for number in numbers {
        let text = format!("{:?}", number.to_string().chars().rev().collect::<String>());
        lengths.entry(text.len()).or_default().push(text);
    }
    lengths
}

fn main() {
    // Four threads allocate strings. The main thread frees them.
    let threads: Vec<_> = (0..4u32).map(|n| thread::spawn(move || lengths(n * 50_000..(n + 1) * 50_000))).collect();
    let made: Vec<_> = threads.into_iter().map(|thread| thread.join().expect("no thread panics")).collect();
    let strings: usize = made.iter().flat_map(BTreeMap::values).map(Vec::len).sum();

    let mut stats = MemStats::new();
    crossfoot::process::mem_stats(&mut stats);
    println!("{strings} strings are alive, {} objects in all, {} KiB", stats.heap_objects, stats.heap_alloc >> 10);
    drop(made);
    crossfoot::process::mem_stats(&mut stats);
    println!("{} objects were allocated, {} freed so far", stats.mallocs, stats.frees);
    println!("the books {}", if A.crossfoot() { "balance" } else { "do not balance" });
}
