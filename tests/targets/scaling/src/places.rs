//! Names for addresses of the kernel's memory, and for places in its code.

use std::ops::Range;

use crossfoot::cache::Cache;
use crossfoot::span::Span;
use object::{Object, ObjectSymbol};

use crate::machine::{self, Purpose};
use crate::model::model;
use crate::world::World;

/// Where what lies, the narrower before the wider.
pub struct Places {
    named: Vec<(Range<usize>, &'static str)>,
    caches: Vec<Cached>,
    spans: Vec<Range<usize>>,
}

/// A cache, its writer, and the client around that.
struct Cached {
    whole: Range<usize>,
    writer: Range<usize>,
    client: Range<usize>,
}

fn range<T>(part: &T) -> Range<usize> {
    let start = std::ptr::from_ref(part).addr();
    start..start + size_of::<T>()
}

impl Places {
    /// The places of a kernel after a run.
    pub fn of(world: &World) -> Places {
        let allocator = world.allocator;
        let (heap, central, caches) = (allocator.heap(), allocator.central(), allocator.caches());
        let shared = caches.with_shared(range::<Cache>);
        let mut named = vec![
            (range(heap.accounts()), "accounts"),
            (range(heap.stats()), "statistics, shared part"),
            (shared, "shared cache"),
            (range(heap), "page heap"),
            (range(central), "central lists"),
            (range(caches), "pool of caches"),
            (range(allocator), "allocator"),
        ];
        let ranges = machine::ranges();
        for (range, purpose) in &ranges {
            match purpose {
                Purpose::Map => named.push((range.clone(), "page map")),
                Purpose::Tables => named.push((range.clone(), "page bitmaps")),
                Purpose::Alloc => {}
            }
        }
        let place = world.sim.place();
        named.push((place.base.0..place.base.0 + place.size, "free objects"));
        let mut all = Vec::new();
        caches.each(|cache| {
            all.push(Cached { whole: range(cache), writer: range(cache.writer()), client: range(cache.client()) });
        });
        let holds = |range: &Range<usize>| world.records.range(range.clone()).next().is_some();
        let spans = ranges.into_iter().map(|(range, _)| range).filter(holds).collect();
        Places { named, caches: all, spans }
    }

    /// What lies at an address.
    pub fn name(&self, address: usize) -> &'static str {
        if let Some(cache) = self.caches.iter().find(|cache| cache.whole.contains(&address)) {
            // The only words of a cache that are exchanged.
            let line = address & !63;
            if (line..line + 64).step_by(8).any(|word| model().words.contains_key(&word)) {
                return "inbox";
            }
            return match () {
                () if cache.writer.contains(&address) => "a cache's writer",
                () if cache.client.contains(&address) => "a cache's local pages",
                () => "a cache's free lists",
            };
        }
        if self.spans.iter().any(|range| range.contains(&address)) {
            let second = address % size_of::<Span>() >= size_of::<Span>() / 2;
            return if second { "span record, owner's line" } else { "span record, shared line" };
        }
        let named = self.named.iter().find(|(range, _)| range.contains(&address));
        let name = named.map_or("other records", |&(_, name)| name);
        let line = address & !63;
        match name {
            "page heap" if model().locks.keys().any(|lock| lock & !63 == line) => "page heap, line of its lock",
            _ => name,
        }
    }

    /// How far an address is from the beginning of the kernel's part that it lies in.
    pub fn offset(&self, address: usize) -> Option<usize> {
        let part = self.named.iter().take(7).find(|(range, _)| range.contains(&address))?;
        Some(address - part.0.start)
    }
}

/// The ranks of the locks that a run took, by address: each is taken once more by who takes nothing else.
pub fn rank(world: &World, places: &Places, lock: usize) -> &'static str {
    match places.name(lock) {
        "page heap" | "page heap, line of its lock" => "Heap",
        "statistics, shared part" => "Books",
        "central lists" => "Central",
        "shared cache" => "Shared",
        "pool of caches" if lock == shared_lock(world) => "Shared",
        "pool of caches" => "Caches",
        "allocator" => "Boot",
        _ => "other",
    }
}

/// Which lock the shared cache has: the one that is taken to use it.
fn shared_lock(world: &World) -> usize {
    let model = model();
    let taken =
        |model: &crate::model::Model| model.locks.iter().map(|(&at, lock)| (at, lock.taken)).collect::<Vec<_>>();
    let before = taken(model);
    crate::hooks::with(true, || world.allocator.caches().with_shared(|_| ()));
    let after = taken(crate::model::model());
    after.into_iter().find(|now| !before.contains(now)).map_or(0, |(at, _)| at)
}

/// Names of functions, by address.
pub struct Code {
    symbols: Vec<(u64, String)>,
    base: u64,
}

impl Code {
    /// This program's own.
    pub fn own() -> Code {
        let bytes = std::fs::read("/proc/self/exe").expect("a program can read itself");
        let file = object::File::parse(&*bytes).expect("it is an ELF file");
        let mut symbols: Vec<(u64, String)> = file
            .symbols()
            .filter(|symbol| symbol.is_definition())
            .filter_map(|symbol| {
                Some((symbol.address(), format!("{:#}", rustc_demangle::demangle(symbol.name().ok()?))))
            })
            .collect();
        symbols.sort();
        // It may be loaded anywhere: a function that has one name says where.
        let probe = crate::hooks::__memprof_load as *const () as u64;
        let linked = symbols.iter().find(|(_, name)| name == "__memprof_load").map_or(probe, |&(at, _)| at);
        Code { symbols, base: probe - linked }
    }

    /// The function at an address, by its last two names.
    pub fn function(&self, address: usize) -> String {
        let at = (address as u64).wrapping_sub(self.base);
        let after = self.symbols.partition_point(|&(start, _)| start <= at);
        let Some((_, name)) = after.checked_sub(1).and_then(|i| self.symbols.get(i)) else { return "copy".into() };
        short(name)
    }
}

/// A function's name without the crate, and without parameters of types.
fn short(name: &str) -> String {
    let mut plain = String::new();
    let mut depth = 0;
    for c in name.trim_start_matches('<').chars() {
        match c {
            '<' => depth += 1,
            '>' => depth -= i32::from(depth > 0),
            _ if depth == 0 => plain.push(c),
            _ => {}
        }
    }
    let words: Vec<&str> = plain.split("::").filter(|word| !word.is_empty()).collect();
    words[words.len().saturating_sub(2)..].join("::")
}
