//! A process that audits itself: everything is explained, also on a thread with a small stack, and the figures of the
//! OS are among the metrics from then on.

use crossfoot::audit::{Audit, Cause};
use crossfoot::metrics::{Sample, Value};
use crossfoot::process;

#[global_allocator]
static ALLOCATOR: crossfoot::Crossfoot = crossfoot::Crossfoot::new();

/// Returns an audit that found the process idle: the threads of the test harness may allocate.
fn still() -> Audit {
    let until = std::time::Instant::now() + std::time::Duration::from_secs(180);
    while std::time::Instant::now() < until {
        let audit = process::audit().expect("there is /proc, and a ledger page");
        if audit.moved == 0 {
            return audit;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    panic!("the process never kept still");
}

fn number(name: &str) -> Option<u64> {
    let mut samples = [Sample::new(name)];
    process::metrics::read(&mut samples);
    match samples[0].value() {
        Value::Uint64(number) => Some(number),
        _ => None,
    }
}

/// One test, because other tests would keep the process busy.
#[test]
fn a_process_audits_itself() {
    assert_eq!(number("/os/rss:bytes"), None, "nobody has asked the system yet");
    let small: Vec<Vec<u8>> = (0..20_000).map(|i| vec![1; 100 + i % 400]).collect();
    let (touched, untouched) = (vec![1_u8; 3 << 20], Vec::<u8>::with_capacity(64 << 20));
    let gone: Vec<Vec<u8>> = (0..20_000).map(|_| vec![1; 300]).collect();
    drop(gone);
    let stack = process::stack::take(64 << 10).expect("memory");
    // SAFETY: the stack is this test's.
    unsafe { stack.base().write_bytes(1, stack.size()) };
    let heap = crossfoot::Heap::new().expect("address space");
    // SAFETY: an object of this size.
    unsafe { heap.allocate(100_000).write_bytes(1, 100_000) };

    let audit = still();
    assert_eq!(audit.unexplained, 0, "{audit:#?}");
    assert!(audit.is_balanced(), "{audit:#?}");
    assert_eq!(audit.causes.resident(), audit.resident, "{audit:#?}");
    let (live, large) = (audit.causes.get(Cause::LiveSmall), audit.causes.get(Cause::LiveLarge));
    let wanted: u64 = small.iter().map(|object| object.len() as u64).sum();
    assert!(live.resident >= wanted && live.resident < wanted * 5 / 4 + (1 << 20), "{wanted}: {audit:#?}");
    assert!(large.bytes >= 67 << 20 && large.resident < 6 << 20, "{audit:#?}");
    assert!(audit.causes.get(Cause::Cached).resident + audit.causes.get(Cause::Free).resident > 5 << 20, "{audit:#?}");
    assert!(audit.causes.get(Cause::Stacks).resident >= 64 << 10, "{audit:#?}");
    assert!(audit.causes.get(Cause::Isolated).resident >= 100_000, "{audit:#?}");
    assert!(audit.causes.get(Cause::StatsPage).resident > 0, "{audit:#?}");

    // The stack is returned to the pool, and from there to the heap; the isolated heap is returned to the OS.
    drop((stack, heap));
    process::release_free();
    let after = still();
    assert!(after.is_balanced(), "{after:#?}");
    assert_eq!(after.causes.get(Cause::Isolated).bytes, 0, "{after:#?}");
    assert!(after.causes.get(Cause::Stacks).bytes < audit.causes.get(Cause::Stacks).bytes, "{after:#?}");
    let free = |audit: &Audit| audit.causes.get(Cause::Free).resident;
    assert!(free(&after) <= free(&audit), "{after:#?}");

    assert_eq!(number("/os/rss:bytes"), Some(after.outside.process));
    assert_eq!(number("/os/mappings:mappings"), Some(after.outside.mappings));
    assert!(number("/os/age:nanoseconds").is_some_and(|age| age > 0 && age < 60_000_000_000));
    drop((small, touched, untouched));
}
