//! Gives collections an allocator, on stable Rust, by the crates `allocator-api2` and `hashbrown`.
//!
//! ```sh
//! cargo run --release --features allocator-api2 --example allocator_api
//! ```

use allocator_api2::vec::Vec;
use crossfoot::mem_stats::MemStats;
use crossfoot::{Crossfoot, Heap};
use hashbrown::{DefaultHashBuilder, HashMap};

/// A map with its table in a heap.
type Map<'h, K, V> = HashMap<K, V, DefaultHashBuilder, &'h Heap>;

fn main() -> Result<(), &'static str> {
    let text = "a ledger has debits and credits and a balance and each debit has a credit and each sum a second sum";
    let heap = Heap::new().map_err(|_| "the system has no address space for a heap")?;

    // The borrow checker ensures that the map does not outlive its heap.
    let mut positions: Map<'_, &str, Vec<usize, &Heap>> = HashMap::new_in(&heap);
    for (position, word) in text.split(' ').enumerate() {
        positions.entry(word).or_insert_with(|| Vec::new_in(&heap)).push(position);
    }
    let most = positions.iter().max_by_key(|(word, positions)| (positions.len(), *word)).ok_or("no words")?;
    println!("'{}' is at {:?}", most.0, most.1.as_slice());

    let mut stats = MemStats::new();
    heap.mem_stats(&mut stats);
    println!("{} words, in {} objects of the heap", positions.len(), stats.heap_objects);

    // Uses the process's allocator for one collection, without making it the global one.
    let mut squares = Vec::new_in(Crossfoot);
    squares.extend((1..=10u64).map(|n| n * n));
    println!("{squares:?}, in the heap: {}", heap.contains(squares.as_ptr()));

    drop(positions);
    heap.mem_stats(&mut stats);
    println!("objects of the heap at the end: {}", stats.heap_objects);
    Ok(())
}
