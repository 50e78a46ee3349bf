//! Eight threads in a ring: each builds maps, hands them to the next, and takes apart what the one before it
//! built. Prints what it counted, what the allocator counted, and whether the books balance.

use std::collections::HashMap;
use std::process::ExitCode;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use crossfoot::metrics::Sample;
use crossfoot::process::metrics;

#[global_allocator]
static A: crossfoot::Crossfoot = crossfoot::Crossfoot::new();

const THREADS: usize = 8;
const ROUNDS: usize = 15;
const ENTRIES: usize = 2_000;

type Map = HashMap<String, Vec<u64>>;

/// A map of `ENTRIES` keys; each key and each value is an allocation of its own.
fn build(thread: usize, round: usize) -> Map {
    let entry = |i: usize| (format!("{thread}-{round}-{i}"), (0..=(i % 40) as u64).collect());
    (0..ENTRIES).map(entry).collect()
}

/// Takes a map apart and returns how many allocations it held, or none if something in it is wrong.
fn take_apart(map: Map, thread: usize, round: usize) -> Option<usize> {
    let mut objects = 0;
    for (key, value) in map {
        let i: usize = key.strip_prefix(&format!("{thread}-{round}-"))?.parse().ok()?;
        let whole = value.len() == i % 40 + 1 && value.iter().copied().eq(0..=(i % 40) as u64);
        objects += if whole { 2 } else { return None };
    }
    Some(objects)
}

/// One thread of the ring. Some maps die in the hands of a helper that ends at once.
fn work(thread: usize, next: &SyncSender<Map>, previous: &Receiver<Map>) -> Option<usize> {
    let before = (thread + THREADS - 1) % THREADS;
    let mut objects = 0;
    for round in 0..ROUNDS {
        next.send(build(thread, round)).ok()?;
        let map = previous.recv().ok()?;
        objects += if round % 5 == 4 {
            std::thread::spawn(move || take_apart(map, before, round)).join().ok()??
        } else {
            take_apart(map, before, round)?
        };
    }
    Some(objects)
}

fn ring() -> Option<usize> {
    let (senders, mut receivers): (Vec<_>, Vec<_>) = (0..THREADS).map(|_| sync_channel(2)).unzip();
    // Thread t sends into channel t and receives from the one before it.
    receivers.rotate_right(1);
    let start = |(thread, (next, previous)): (usize, (SyncSender<Map>, Receiver<Map>))| {
        std::thread::spawn(move || work(thread, &next, &previous))
    };
    let threads: Vec<_> = senders.into_iter().zip(receivers).enumerate().map(start).collect();
    threads.into_iter().map(|thread| thread.join().ok()?).sum()
}

/// How many objects the allocator says it handed out.
fn allocations() -> Option<i64> {
    let mut samples = [Sample::new("/gc/heap/allocs:objects")];
    metrics::read(&mut samples)?;
    i64::try_from(samples[0].value().number()?).ok()
}

fn main() -> ExitCode {
    let Some(objects) = ring() else {
        println!("damaged");
        return ExitCode::FAILURE;
    };
    println!("objects {objects}");
    println!("allocations {}", allocations().unwrap_or(-1));
    println!("{}", if A.crossfoot() { "balanced" } else { "unbalanced" });
    ExitCode::SUCCESS
}
