//! A machine of many CPUs on paper: whose cache has which line, and what it takes to get it.
//!
//! Every CPU has a cache without end, lines have 64 bytes, and a directory knows who holds what: a read of a line that
//! another CPU wrote last, by one that does not hold it, moves the line; so does a write to a line that others hold.
//! Nothing is ever evicted, and the first touch of a line that nobody wrote moves nothing.
//!
//! Each CPU has a clock, in cycles. An access, an atomic operation, a moved line and a system call each take what the
//! constants below say. A line that moves, and a lock that is held, are busy for that long, and who comes meanwhile
//! waits.

use std::cell::UnsafeCell;
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::ops::Range;

/// The most CPUs: 256 and one that reads statistics.
pub const MOST: usize = 320;
/// Bytes of a line, as a power of two.
const LINE_SHIFT: u32 = 6;

/// What an access to a line in the own cache takes, with the instructions around it, in cycles.
pub const HIT: u64 = 2;
/// What a locked instruction takes beyond that.
pub const LOCKED: u64 = 18;
/// What it takes to get a line from another CPU.
pub const TRANSFER: u64 = 200;
/// What a system call takes.
pub const SYSTEM_CALL: u64 = 1_500;
/// What the program does itself, around each call of the allocator.
pub const PROGRAM: u64 = 50;

/// How a line is touched.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Access {
    /// Loaded.
    Read,
    /// Stored, or changed.
    Write,
}

/// Spans of time in which something is taken, in order, apart from each other.
#[derive(Default)]
struct Busy(Vec<Range<u64>>);

impl Busy {
    /// The first moment from `at` on in which it is free.
    fn free_from(&self, mut at: u64) -> u64 {
        for taken in &self.0 {
            if taken.contains(&at) {
                at = taken.end;
            }
        }
        at
    }

    /// Takes it. What lies before `past` is forgotten.
    fn take(&mut self, mut taken: Range<u64>, past: u64) {
        self.0.retain(|old| {
            let touches = old.start <= taken.end && taken.start <= old.end;
            if touches {
                taken = old.start.min(taken.start)..old.end.max(taken.end);
            }
            !touches && old.end >= past
        });
        let place = self.0.partition_point(|old| old.start < taken.start);
        self.0.insert(place, taken);
    }
}

/// The CPUs that hold a line.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
struct Holders([u64; MOST / 64]);

impl Holders {
    #[inline(always)]
    fn only(cpu: usize) -> Holders {
        let mut holders = Holders::default();
        holders.add(cpu);
        holders
    }

    #[inline(always)]
    fn has(&self, cpu: usize) -> bool {
        self.0[cpu / 64] >> (cpu % 64) & 1 == 1
    }

    #[inline(always)]
    fn add(&mut self, cpu: usize) {
        self.0[cpu / 64] |= 1 << (cpu % 64);
    }

    fn count(&self) -> usize {
        self.0.iter().map(|word| word.count_ones() as usize).sum()
    }
}

/// What the directory knows of a line. All zero: nobody touched it.
#[derive(Clone, Copy)]
struct Line {
    holders: Holders,
    /// Who wrote it last, and one more; 0: nobody.
    writer: u16,
}

impl Line {
    const NEW: Line = Line { holders: Holders([0; MOST / 64]), writer: 0 };
}

/// Every line of the kernel's memory, by its number: in blocks that are made when one of their lines is touched.
#[derive(Default)]
struct Lines {
    /// Which block has the lines; 0: none yet.
    index: Vec<u32>,
    blocks: Vec<[Line; BLOCK]>,
}

/// Lines of a block.
const BLOCK: usize = 64;

impl Lines {
    fn new(memory: &[Range<usize>; 2]) -> Lines {
        let lines: usize = memory.iter().map(|range| (range.len() >> LINE_SHIFT) + 2).sum();
        // Zero pages, as long as nobody writes there.
        Lines { index: vec![0; lines / BLOCK + 2], blocks: vec![[Line::NEW; BLOCK]] }
    }

    #[inline(always)]
    fn line(&mut self, number: usize) -> &mut Line {
        let block = &mut self.index[number / BLOCK];
        if *block == 0 {
            *block = self.blocks.len() as u32;
            self.blocks.push([Line::NEW; BLOCK]);
        }
        &mut self.blocks[*block as usize][number % BLOCK]
    }
}

impl Line {
    /// Touches it. Whether it moves.
    #[inline(always)]
    fn touch(&mut self, cpu: usize, access: Access) -> bool {
        let me = cpu as u16 + 1;
        let foreign = self.writer != 0 && self.writer != me;
        match access {
            Access::Read => {
                let moves = foreign && !self.holders.has(cpu);
                self.holders.add(cpu);
                moves
            }
            Access::Write => {
                let only = Holders::only(cpu);
                let none = self.holders == Holders::default();
                let moves = if none { foreign } else { self.holders != only };
                (self.holders, self.writer) = (only, me);
                moves
            }
        }
    }
}

/// A lock of the kernel, by its address.
#[derive(Default)]
pub struct Lock {
    busy: Busy,
    since: Option<u64>,
    /// Who took it since the count began.
    takers: Holders,
    /// How often.
    pub taken: u64,
    /// How often somebody waited for it, and how long.
    pub waits: u64,
    /// In cycles.
    pub waited: u64,
    /// How long it was held, in cycles.
    pub held: u64,
}

impl Lock {
    /// How many CPUs took it.
    pub fn takers(&self) -> usize {
        self.takers.count()
    }
}

/// What was counted.
#[derive(Clone, Copy, Default, Debug)]
pub struct Counts {
    /// Calls of `malloc` and `free`.
    pub operations: u64,
    /// Loads and stores of the kernel.
    pub accesses: u64,
    /// Locked instructions.
    pub locked: u64,
    /// Lines moved by the kernel's accesses.
    pub moved: u64,
    /// Lines moved by the program's own.
    pub by_program: u64,
    /// Cycles waited for lines that others were getting.
    pub line_wait: u64,
    /// System calls.
    pub calls: u64,
}

/// Numbers are spread well by one multiplication.
#[derive(Default)]
pub struct Spread(u64);

impl Hasher for Spread {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|&b| self.write_u64(b.into()));
    }

    fn write_u64(&mut self, n: u64) {
        self.0 = (self.0.rotate_left(5) ^ n).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 ^= self.0 >> 29;
    }

    fn write_usize(&mut self, n: usize) {
        self.write_u64(n as u64);
    }
}

/// A table by addresses.
pub type Table<K, V> = HashMap<K, V, BuildHasherDefault<Spread>>;

/// The machine. See the [module](self).
#[derive(Default)]
pub struct Model {
    lines: Lines,
    /// Lines on their way.
    busy: Table<usize, Busy>,
    /// The kernel's locks.
    pub locks: Table<usize, Lock>,
    /// Lines moved, by the word that was touched and the place in the code.
    pub moves: Table<(usize, usize), u64>,
    /// Words that a locked instruction of 8 bytes changed, by address.
    pub words: Table<usize, u64>,
    /// What was counted since the last [`Model::begin`].
    pub counts: Counts,
    /// Memory of the kernel, itself first. Everything else, the stack above all, is not looked at.
    memory: [Range<usize>; 2],
    /// The CPU whose turn it is.
    pub cpu: usize,
    /// Whether time passes.
    pub timed: bool,
    clocks: Vec<u64>,
    past: u64,
    begun: u64,
}

struct Global(UnsafeCell<Option<Model>>);

// SAFETY: this program has one thread.
unsafe impl Sync for Global {}

static MODEL: Global = Global(UnsafeCell::new(None));

/// The machine of the moment.
#[inline(always)]
pub fn model() -> &'static mut Model {
    // SAFETY: one thread; the hooks are off while somebody has the result, and nobody keeps it.
    unsafe { (*MODEL.0.get()).get_or_insert_with(Model::default) }
}

/// Begins with a new machine of so many CPUs. `memory` is the kernel's.
pub fn renew(cpus: usize, timed: bool, memory: [Range<usize>; 2]) {
    let lines = Lines::new(&memory);
    let new = Model { clocks: vec![0; cpus], timed, memory, lines, ..Model::default() };
    // SAFETY: as in `model`.
    unsafe { *MODEL.0.get() = Some(new) };
}

impl Model {
    /// Counts from zero. What lines and locks are, and who has them, stays.
    pub fn begin(&mut self) {
        self.counts = Counts::default();
        self.moves.clear();
        for lock in self.locks.values_mut() {
            *lock = Lock { busy: std::mem::take(&mut lock.busy), since: lock.since, ..Lock::default() };
        }
        // All at once, so that none has a start.
        let latest = self.clocks.iter().copied().max().unwrap_or(0);
        self.clocks.fill(latest);
        self.begun = latest;
    }

    /// Cycles since the count began, up to which every CPU has come, but at least as long as a lock was held in them that
    /// anybody waited for: where more wait than it can serve, those who do not need it run ahead for a while.
    pub fn elapsed(&self) -> u64 {
        let held = self.locks.values().filter(|lock| lock.waits > 0).map(|lock| lock.held).max().unwrap_or(0);
        self.past.saturating_sub(self.begun).max(held)
    }

    /// The CPU whose clock is behind the others', of the first `among`.
    pub fn behind(&mut self, among: usize) -> usize {
        let (cpu, &clock) = self.clocks[..among].iter().enumerate().min_by_key(|&(_, clock)| clock).expect("a CPU");
        self.past = clock;
        cpu
    }

    /// What the clock of the CPU says whose turn it is.
    pub fn now(&self) -> u64 {
        self.clocks[self.cpu]
    }

    /// Lets time pass.
    pub fn pass(&mut self, cycles: u64) {
        self.clocks[self.cpu] += cycles;
    }

    /// A system call.
    pub fn system_call(&mut self) {
        self.counts.calls += 1;
        self.pass(SYSTEM_CALL);
    }

    /// A full fence.
    pub fn fence(&mut self) {
        self.counts.locked += 1;
        self.pass(LOCKED);
    }

    /// The number of the line at an address of the kernel's memory.
    #[inline(always)]
    fn number(&self, address: usize) -> Option<usize> {
        let [itself, heap] = &self.memory;
        if heap.contains(&address) {
            let first = (itself.len() >> LINE_SHIFT) + 2;
            Some(first + (address >> LINE_SHIFT) - (heap.start >> LINE_SHIFT))
        } else if itself.contains(&address) {
            Some((address >> LINE_SHIFT) - (itself.start >> LINE_SHIFT))
        } else {
            None
        }
    }

    /// An access of the kernel from this place in the code.
    #[inline(always)]
    pub fn access(&mut self, address: usize, access: Access, from: usize) {
        let Some(number) = self.number(address) else { return };
        self.counts.accesses += 1;
        self.clocks[self.cpu] += HIT;
        if self.lines.line(number).touch(self.cpu, access) {
            self.moved(number);
            self.counts.moved += 1;
            *self.moves.entry((address & !7, from)).or_default() += 1;
        }
    }

    /// An access of the kernel to many bytes.
    pub fn range(&mut self, address: usize, bytes: usize, access: Access) {
        for line in address >> LINE_SHIFT..(address + bytes + 63) >> LINE_SHIFT {
            self.access(address.max(line << LINE_SHIFT), access, 0);
        }
    }

    /// An access of the program to an object of its own.
    pub fn by_program(&mut self, address: usize, access: Access) {
        let Some(number) = self.number(address) else { return };
        if self.lines.line(number).touch(self.cpu, access) {
            self.moved(number);
            self.counts.by_program += 1;
        }
    }

    /// A line moves to the CPU of this turn, which waits for it.
    fn moved(&mut self, number: usize) {
        if self.timed {
            let now = self.now();
            let busy = self.busy.entry(number).or_default();
            let start = busy.free_from(now);
            busy.take(start..start + TRANSFER, self.past);
            self.counts.line_wait += start - now;
            self.clocks[self.cpu] = start + TRANSFER;
        }
    }

    /// What an atomic operation made of a word of `bytes` bytes. A byte that goes from 0 to 1 is a lock that is taken,
    /// and it is released when it is set to 0.
    pub fn atomic(&mut self, address: usize, bytes: usize, old: u64, new: u64, locked: bool) {
        if self.number(address).is_none() {
            return;
        }
        if locked {
            self.counts.locked += 1;
            self.pass(LOCKED);
            if bytes == 8 {
                *self.words.entry(address).or_default() += 1;
            }
        }
        let now = self.now();
        if bytes == 1 && locked && (old, new) == (0, 1) {
            let lock = self.locks.entry(address).or_default();
            let start = if self.timed { lock.busy.free_from(now) } else { now };
            lock.taken += 1;
            lock.takers.add(self.cpu);
            lock.waits += u64::from(start > now);
            lock.waited += start - now;
            lock.since = Some(start);
            self.clocks[self.cpu] = start;
        } else if let Some(lock) = self.locks.get_mut(&address)
            && bytes == 1
            && new == 0
            && let Some(since) = lock.since.take()
        {
            lock.held += now - since;
            if self.timed {
                lock.busy.take(since..now, self.past);
            }
        }
    }
}
