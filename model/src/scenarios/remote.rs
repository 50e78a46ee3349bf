//! The inbox: every batch arrives once, with everything that was done to its objects, whichever thread then owns the
//! span.

use std::cell::Cell;
use std::rc::Rc;

use loom::cell::UnsafeCell;

use super::{Setup, both, sent};
use crate::cache::inbox::{Arrived, Inbox, Owner, Route, Validate, forward};
use crate::check::Scenario;
use crate::ghost::{self, Lock, Mode};
use crate::span::{Batch, Link};
use crate::stats::writer::Count;
use crate::sync::{AtomicUsize, Ordering};

/// The scenarios of this file.
pub fn scenarios() -> Vec<Scenario> {
    // Only the last one has a heavy fence.
    let others = [
        both("remote: two senders", Some(4), 1, two_senders),
        both("remote: an inbox that closes", Some(4), 1, closing),
        both("remote: a look at what arrived", Some(4), 1, looking),
        both("remote: the owner ends, another adopts the span", Some(4), 1, span_adopted),
        both("remote: the owner ends, another adopts the cache", Some(4), 1, cache_adopted),
    ];
    let others = others.concat().into_iter().filter(|scenario| scenario.mode == Mode::Symmetric);
    others.chain(both("remote: what was sent and received", Some(3), 1, posted)).collect()
}

/// A free object. Loom reports an access to its words that is not ordered with another one.
#[repr(align(16))]
struct Object {
    next: UnsafeCell<*mut Object>,
    extra: UnsafeCell<u64>,
    /// How often it was received.
    received: UnsafeCell<usize>,
}

impl Object {
    fn new() -> Object {
        Object { next: UnsafeCell::new(core::ptr::null_mut()), extra: UnsafeCell::new(0), received: UnsafeCell::new(0) }
    }

    fn received(&self) -> usize {
        get(&self.received)
    }
}

fn get<T: Copy>(cell: &UnsafeCell<T>) -> T {
    // SAFETY: the protocol orders all accesses, or loom reports that it does not.
    cell.with(|value| unsafe { *value })
}

fn set<T>(cell: &UnsafeCell<T>, new: T) {
    // SAFETY: as above.
    cell.with_mut(|value| unsafe { *value = new });
}

impl Link for Object {
    fn next(&self) -> *mut Object {
        get(&self.next)
    }

    fn set_next(&self, next: *mut Object) {
        set(&self.next, next);
    }

    fn extra(&self) -> u64 {
        get(&self.extra)
    }

    fn set_extra(&self, extra: u64) {
        set(&self.extra, extra);
    }
}

/// Returns a batch of all these objects.
fn batch(objects: &[Object]) -> Batch<Object> {
    let at = |object: &Object| core::ptr::from_ref(object).cast_mut();
    for pair in objects.windows(2) {
        pair[0].set_next(at(&pair[1]));
    }
    Batch { head: at(&objects[0]), tail: at(&objects[objects.len() - 1]), sum: sum(objects) }
}

/// Returns the sum of their addresses.
fn sum(objects: &[Object]) -> u64 {
    objects.iter().map(|object| core::ptr::from_ref(object).addr() as u64).sum()
}

/// Receives every object of a batch, and returns their number.
fn receive(batch: &Batch<Object>) -> usize {
    let (mut at, mut sum) = (batch.head, 0);
    // No batch of these models has more than two objects.
    for count in 1..=2 {
        // SAFETY: the objects of a model live until all of its threads have ended.
        let object = unsafe { &*at };
        set(&object.received, object.received() + 1);
        sum += at.addr() as u64;
        if at == batch.tail {
            assert_eq!(sum, batch.sum, "a batch says another sum than it has");
            return count;
        }
        at = object.next();
    }
    panic!("a batch is longer than any that was sent");
}

/// Only the protocol writes to the objects of a model, so each scan finds what was sent.
struct Trusting;

impl Validate<Object> for Trusting {
    type Span = ();
    type Changed = core::convert::Infallible;

    fn span(&self, _tail: *mut Object) -> Option<()> {
        Some(())
    }

    fn is_of(&self, _span: &(), _head: *mut Object) -> bool {
        true
    }

    fn is_sum(&self, _span: &(), _sum: u64) -> bool {
        true
    }

    fn changed(&self, _object: *mut Object) -> core::convert::Infallible {
        panic!("an object in an inbox is not as it was sent")
    }
}

fn take_in(arrived: Arrived<Object, ()>) {
    receive(&arrived.batch);
}

fn take(inbox: &Inbox<Object>, f: impl FnMut(Arrived<Object, ()>)) {
    let Ok(()) = inbox.take(&Trusting, f);
}

fn objects<const N: usize>() -> [Object; N] {
    core::array::from_fn(|_| Object::new())
}

/// An inbox, and the objects of two senders.
struct Post {
    inbox: Inbox<Object>,
    objects: [[Object; 2]; 2],
}

impl Post {
    fn open(mode: Mode) -> Rc<Post> {
        ghost::begin(mode, 3);
        let post = Post { inbox: Inbox::new(), objects: [objects(), objects()] };
        post.inbox.open();
        Rc::new(post)
    }

    /// Sends a batch of `count` objects of a sender. Returns whether an owner takes it.
    fn send(&self, sender: usize, count: usize) -> bool {
        // SAFETY: the objects are the sender's.
        unsafe { self.inbox.send(&batch(&self.objects[sender][..count])) }
    }
}

fn two_senders(mode: Mode, _: usize) {
    let post = Post::open(mode);
    let mut senders = [0, 1].map(|sender| {
        let post = Rc::clone(&post);
        ghost::spawn(move || assert!(post.send(sender, sender + 1)))
    });
    if post.inbox.has_any() {
        take(&post.inbox, take_in);
    }
    senders.iter_mut().for_each(ghost::Handle::join);
    take(&post.inbox, take_in);
    let received = post.objects.each_ref().map(|of_one| of_one.each_ref().map(Object::received));
    assert_eq!(received, [[1, 0], [1, 1]]);
}

fn closing(mode: Mode, _: usize) {
    let post = Post::open(mode);
    let mut senders = [0, 1].map(|sender| {
        let post = Rc::clone(&post);
        ghost::spawn(move || {
            if !post.send(sender, 1) {
                receive(&batch(&post.objects[sender][..1]));
            }
        })
    });
    let Ok(()) = post.inbox.close(&Trusting, take_in);
    senders.iter_mut().for_each(ghost::Handle::join);
    assert_eq!(post.objects.each_ref().map(|of_one| of_one[0].received()), [1, 1]);
    assert!(!post.send(0, 1), "it is closed");
}

fn looking(mode: Mode, _: usize) {
    let post = Post::open(mode);
    let mut senders = [0, 1].map(|sender| {
        let post = Rc::clone(&post);
        ghost::spawn(move || assert!(post.send(sender, 2)))
    });
    let (one, other) = (sum(&post.objects[0]), sum(&post.objects[1]));
    let seen = || {
        let mut seen = 0;
        let Ok(()) = post.inbox.each(&Trusting, |arrived| seen += arrived.batch.sum);
        seen
    };
    assert!([0, one, other, one + other].contains(&seen()));
    senders.iter_mut().for_each(ghost::Handle::join);
    assert_eq!(seen(), one + other);
}

/// The owner of a span without a cache.
const NOBODY: usize = 2;

/// A span of one object, two caches, and the lock of the central list.
struct Allocator {
    inboxes: [Inbox<Object>; 2],
    /// Stored with the lock held; loaded without it by threads that free.
    owner: AtomicUsize,
    central: Lock<()>,
    /// The fields that the owner of the span writes.
    returned: UnsafeCell<usize>,
    object: [Object; 1],
}

/// The ways to the owner, as a cache or a thread without one sees them.
struct ToOwner<'a> {
    allocator: &'a Allocator,
    cache: usize,
    looked: Cell<bool>,
}

impl Allocator {
    /// Starts with the first cache open and the owner of the span.
    fn open(mode: Mode) -> Rc<Allocator> {
        ghost::begin(mode, 3);
        let inboxes = [Inbox::new(), Inbox::new()];
        inboxes[0].open();
        Rc::new(Allocator {
            inboxes,
            owner: AtomicUsize::new(0),
            central: Lock::new(()),
            returned: UnsafeCell::new(0),
            object: objects(),
        })
    }

    fn home(&self, cache: usize) -> ToOwner<'_> {
        ToOwner { allocator: self, cache, looked: Cell::new(false) }
    }

    /// Sends the object to the owner, as a thread that owns nothing.
    fn free(&self) {
        // SAFETY: the object is the caller's.
        unsafe { forward(&self.home(NOBODY + 1), &batch(&self.object)) };
    }

    /// Retires a cache, as its thread does when it exits.
    fn end(&self, cache: usize) {
        {
            let _central = self.central.lock();
            if self.owner.load(Ordering::Relaxed) == cache {
                self.owner.store(NOBODY, Ordering::Relaxed);
            }
        }
        // SAFETY: the arrived objects are free objects of the span.
        let Ok(()) =
            self.inboxes[cache].close(&Trusting, |arrived| unsafe { forward(&self.home(cache), &arrived.batch) });
    }

    /// Adopts the span for a cache if no cache owns it, and receives what arrived.
    fn adopt(&self, cache: usize) {
        {
            let _central = self.central.lock();
            if self.owner.load(Ordering::Relaxed) == NOBODY {
                self.owner.store(cache, Ordering::Relaxed);
            }
        }
        self.take(cache);
    }

    fn take(&self, cache: usize) {
        // SAFETY: as above.
        take(&self.inboxes[cache], |arrived| unsafe { forward(&self.home(cache), &arrived.batch) });
    }

    fn returned(&self) -> usize {
        let _central = self.central.lock();
        get(&self.returned)
    }
}

impl<'a> Route<'a, Object> for ToOwner<'a> {
    fn owner(&self) -> Owner<'a, Object> {
        if self.looked.replace(true) {
            // Without this, loom would find the same owner forever.
            loom::thread::yield_now();
        }
        match self.allocator.owner.load(Ordering::Relaxed) {
            NOBODY => Owner::Nobody,
            cache if cache == self.cache => Owner::Own,
            cache => Owner::Other(&self.allocator.inboxes[cache]),
        }
    }

    fn receive(&self, batch: &Batch<Object>) {
        set(&self.allocator.returned, get(&self.allocator.returned) + receive(batch));
    }

    fn free_unowned(&self, batch: &Batch<Object>) -> bool {
        let _central = self.allocator.central.lock();
        let is_unowned = self.allocator.owner.load(Ordering::Relaxed) == NOBODY;
        if is_unowned {
            self.receive(batch);
        }
        is_unowned
    }
}

fn span_adopted(mode: Mode, _: usize) {
    let allocator = Allocator::open(mode);
    allocator.inboxes[1].open();
    let mut threads = [
        {
            let allocator = Rc::clone(&allocator);
            ghost::spawn(move || allocator.free())
        },
        {
            let allocator = Rc::clone(&allocator);
            ghost::spawn(move || allocator.end(0))
        },
    ];
    allocator.adopt(1);
    threads.iter_mut().for_each(ghost::Handle::join);
    allocator.take(1);
    assert_eq!(allocator.returned(), 1, "the object did not come home once");
}

/// The cache of the exited thread opens again for another thread, which may or may not get the span.
fn cache_adopted(mode: Mode, _: usize) {
    let allocator = Allocator::open(mode);
    let mut threads = [
        {
            let allocator = Rc::clone(&allocator);
            ghost::spawn(move || allocator.end(0))
        },
        {
            let allocator = Rc::clone(&allocator);
            ghost::spawn(move || allocator.free())
        },
    ];
    threads[0].join();
    allocator.inboxes[0].open();
    allocator.adopt(0);
    threads[1].join();
    allocator.take(0);
    assert_eq!(allocator.returned(), 1, "the object did not come home once");
}

/// The sender posts before it sends, and the owner after it received: no cut has more objects received than sent.
fn posted(mode: Mode, _: usize) {
    let setup = Setup::<1, 1, 2>::open(mode, 3);
    let mail = Rc::new((Inbox::new(), objects::<1>()));
    mail.0.open();
    let mut sender = {
        let (setup, mail) = (Rc::clone(&setup), Rc::clone(&mail));
        ghost::spawn(move || {
            setup.send(0, 0, 1);
            // SAFETY: the object is the sender's.
            assert!(unsafe { mail.0.send(&batch(&mail.1)) });
        })
    };
    let mut owner = {
        let setup = Rc::clone(&setup);
        ghost::spawn(move || {
            if mail.0.has_any() {
                take(&mail.0, |arrived| {
                    receive(&arrived.batch);
                    setup.count(1, 0, Count::Received, 1);
                });
            }
        })
    };
    let sum = setup.read();
    assert!(sent(&sum, 0) >= sum.counts[0][Count::Received as usize], "more was received than sent");
    sender.join();
    owner.join();
}
