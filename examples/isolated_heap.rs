//! x
use crossfoot::Heap;
use std::time::Instant;
fn status(what: &str) -> u64 {
    let s = std::fs::read_to_string("/proc/self/status").unwrap();
    s.lines()
        .find_map(|l| l.strip_prefix(what))
        .map_or(0, |v| v.trim_start_matches(':').trim().split(' ').next().unwrap().parse().unwrap())
}
fn main() {
    let h = Heap::new().unwrap();
    println!("{h:?}");
    let maps = || std::fs::read_to_string("/proc/self/maps").unwrap().lines().count();
    drop(h);
    let s = |t: &str| {
        println!(
            "{t}: VmSize {} MB VmRSS {} VmPTE {} maps {}",
            status("VmSize") / 1024,
            status("VmRSS"),
            status("VmPTE"),
            maps()
        )
    };
    s("start");
    let mut v: Vec<Heap> = (0..1000).map(|_| Heap::new().unwrap()).collect();
    s("1000 empty");
    for h in &v {
        h.allocate(100);
    }
    s("1000 one object");
    v.clear();
    s("dropped");
    let t = Instant::now();
    for _ in 0..10000 {
        drop(Heap::new().unwrap());
    }
    println!("new+drop {:?}", t.elapsed() / 10000);
    let t = Instant::now();
    for _ in 0..10000 {
        let h = Heap::new().unwrap();
        h.allocate(100);
    }
    println!("new+alloc+drop {:?}", t.elapsed() / 10000);
    s("end");
    let h = Heap::new().unwrap();
    h.allocate(100);
    let (b, n) = h.range();
    for l in std::fs::read_to_string("/proc/self/maps").unwrap().lines() {
        let (a, r) = l.split_once('-').unwrap();
        let a = usize::from_str_radix(a, 16).unwrap();
        if a >= b.0 && a < b.0 + n {
            println!("{:#x} {}", a - b.0, r);
        }
    }
}
