//! Reads `MemStats` in each phase of a program: the use of its memory while it runs.
//!
//! ```sh
//! cargo run --release --example statistics
//! ```

use std::hint::black_box;

use crossfoot::mem_stats::MemStats;

#[global_allocator]
static A: crossfoot::Crossfoot = crossfoot::Crossfoot::new();

/// Prints a line with the bytes obtained from Linux, by their use.
fn line(phase: &str) {
    let mut stats = MemStats::new();
    let complete = crossfoot::process::mem_stats(&mut stats).is_some_and(|answer| answer.is_complete());
    let kib = |bytes: u64| bytes >> 10;
    let unused = stats.heap_inuse - stats.heap_alloc;
    let records = stats.sys - stats.heap_sys;
    println!(
        "{phase:<26}{:>9}{:>9}{:>9}{:>9}{:>9}{:>9}{:>10}{}",
        kib(stats.heap_alloc),
        kib(unused),
        kib(stats.heap_idle - stats.heap_released),
        kib(stats.heap_released),
        kib(records),
        kib(stats.sys),
        stats.heap_objects,
        if complete { "" } else { "  (stale)" }
    );
}

fn main() {
    println!("In KiB; objects, unused, free, released and records add up to the total.\n");
    println!(
        "{:<26}{:>9}{:>9}{:>9}{:>9}{:>9}{:>9}{:>10}",
        "phase", "objects", "unused", "free", "released", "records", "total", "objects"
    );
    line("at the start");
    let names: Vec<String> = (0..200_000).map(|n| format!("name number {n}")).collect();
    line("200,000 strings");
    let table = black_box(vec![1u8; 48 << 20]);
    line("and a table of 48 MiB");
    let few: Vec<String> = names.into_iter().enumerate().filter(|(i, _)| i % 100 == 0).map(|(_, name)| name).collect();
    line("every hundredth remains");
    drop(table);
    line("without the table");
    drop(few);
    line("nothing");

    let mut stats = MemStats::new();
    crossfoot::process::mem_stats(&mut stats);
    println!("\nsizes of which the most objects were allocated:");
    let mut sizes: Vec<_> = stats.by_size.iter().filter(|by| by.mallocs > 0).collect();
    sizes.sort_by_key(|by| std::cmp::Reverse(by.mallocs));
    for by in sizes.iter().take(3) {
        println!("{:>8} bytes: {} allocated, {} freed", by.size, by.mallocs, by.frees);
    }
    println!("the books {}", if A.crossfoot() { "balance" } else { "do not balance" });
}
