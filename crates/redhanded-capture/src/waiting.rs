//! The stack of a waiting future: poll it once with a waker that notes who clones it.
//!
//! A leaf (a timer, a lock, a socket) keeps a clone of the waker it is polled with. So the call stack at the moment of
//! `clone` is the whole chain of `async fn`s from the watched future down to what it waits for, on stable Rust and without
//! annotation. `clone` returns a clone of the *original* waker: nothing of ours outlives the poll.
//!
//! A leaf calls `clone` with its own locks held, so recording allocates nothing, takes no lock, calls no runtime, and
//! finds no symbols: it writes return addresses into memory that was set aside before the poll.

use crate::sys::Cleared;
use std::cell::UnsafeCell;
use std::mem::ManuallyDrop;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::task::{Context, Poll, RawWaker, RawWakerVTable, Waker};

/// Most leaves of one poll: a `join!` of more branches has the rest in [`Waiting::dropped`].
const MOST_LEAVES: usize = 16;
/// Most frames of one leaf.
const MOST_FRAMES: usize = 192;
/// Most words of one leaf.
const MOST_WORDS: usize = 256;
/// Of how many frames the words are: our own, and those of the thing that clones the waker. What it waits with it has at
/// hand (tokio within 6 frames, in a dev build); frames further up have more than that.
const NEAR_FRAMES: usize = 8;

/// What one capturing poll showed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Waiting {
    /// How the poll ended.
    pub outcome: PollOutcome,
    /// Who cloned or woke the waker, in order. None at all is no proof of a lost wake-up: some leaves register only once.
    pub leaves: Vec<Leaf>,
    /// How many more there were.
    pub dropped: u32,
}

/// How a poll ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PollOutcome {
    /// It still waits.
    Pending,
    /// It is done: our look may have been the wake-up that it missed.
    Ready,
    /// It panicked; the panic goes on.
    Panicked,
}

/// One use of the waker, with the call stack that led to it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Leaf {
    /// What was done with the waker.
    pub kind: LeafKind,
    /// Return addresses, innermost first, from our own recording up to the frame that holds the watched future.
    pub ips: Vec<usize>,
    /// The frame that holds the watched future was reached.
    pub complete: bool,
    /// What the leaf had at hand, on the stack and in registers: words that may be pointers, in no order, at most 256. Each was
    /// written during this poll. For [`sockets_behind`](crate::sockets_behind); empty where that cannot answer, and
    /// for what was done on another thread.
    pub words: Vec<u64>,
}

/// What a leaf did with the waker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeafKind {
    /// Cloned it, to be woken later: it waits.
    Registered,
    /// Woke it at once: it yields, or spins.
    WokeItself,
}

/// Polls once and records who registers the waker; hands the record to `deliver`, also if the poll panics.
///
/// Costs some 20 µs the first time and 2 µs per leaf later, on the polling thread. `deliver` must not panic.
///
/// ```
/// use redhanded_capture::{PollOutcome, capture_poll};
/// use std::{future::Future, pin::pin, task::{Context, Poll, Waker}};
///
/// let mut future = pin!(std::future::pending::<()>());
/// let mut cx = Context::from_waker(Waker::noop());
/// let mut seen = None;
/// let poll = capture_poll(&mut cx, |waiting| seen = Some(waiting), |cx| future.as_mut().poll(cx));
/// assert_eq!(poll, Poll::Pending);
/// assert_eq!(seen.unwrap().outcome, PollOutcome::Pending);
/// ```
#[cold]
#[inline(never)]
pub fn capture_poll<R>(
    cx: &mut Context<'_>,
    deliver: impl FnOnce(Waiting),
    poll: impl FnOnce(&mut Context<'_>) -> Poll<R>,
) -> Poll<R> {
    let mut recorder = Recorder::new(cx.waker());
    // Last: what the allocator has left on the stack must go too.
    recorder.cleared = Cleared::below_here();
    // Its own address is inside this function's frame, and so below every frame that is not part of the chain.
    let here = &raw const recorder as usize;
    recorder.limit.store(here, Ordering::Relaxed);
    let mut delivery = Delivery {
        recorder: &recorder,
        outcome: PollOutcome::Panicked,
        deliver: Some(deliver),
    };
    let raw = RawWaker::new((&raw const recorder).cast(), &VTABLE);
    // SAFETY: the functions of `VTABLE` want a pointer to a living `Recorder`. Safe code gets this waker by reference only, for
    // the time of the poll, during which `recorder` lives; a clone of it is a clone of the original.
    let waker = ManuallyDrop::new(unsafe { Waker::from_raw(raw) });
    let result = in_a_frame_below(poll, &mut Context::from_waker(&waker));
    delivery.outcome = if result.is_ready() {
        PollOutcome::Ready
    } else {
        PollOutcome::Pending
    };
    drop(delivery);
    result
}

/// Inlined, the poll would use stack that lies above what was cleared.
#[inline(never)]
fn in_a_frame_below<R>(
    poll: impl FnOnce(&mut Context<'_>) -> Poll<R>,
    cx: &mut Context<'_>,
) -> Poll<R> {
    poll(cx)
}

/// The waker below any of our own: store this one, ours lives only as long as its poll.
pub fn original(waker: &Waker) -> &Waker {
    let mut waker = waker;
    while std::ptr::eq(waker.vtable(), &raw const VTABLE) {
        // SAFETY: our vtable goes with a pointer to a living `Recorder`, see `capture_poll`; what it borrows outlives it.
        waker = unsafe { &*waker.data().cast::<Recorder<'_>>() }.original;
    }
    waker
}

/// Hands the record over when the poll has ended, in whatever way.
struct Delivery<'a, 'b, D: FnOnce(Waiting)> {
    recorder: &'a Recorder<'b>,
    outcome: PollOutcome,
    deliver: Option<D>,
}

impl<D: FnOnce(Waiting)> Drop for Delivery<'_, '_, D> {
    fn drop(&mut self) {
        if let Some(deliver) = self.deliver.take() {
            deliver(self.recorder.finish(self.outcome));
        }
    }
}

/// The capturing waker's data; lives in the frame of [`capture_poll`].
struct Recorder<'a> {
    original: &'a Waker,
    thread: usize,
    /// The stack that the poll may use.
    cleared: Cleared,
    /// The recorder's own address, written once before the waker is handed out.
    limit: AtomicUsize,
    /// Somebody is writing `records`. Who finds it set goes on without a record, and never waits.
    busy: AtomicBool,
    dropped: AtomicU32,
    records: UnsafeCell<Records>,
}

// SAFETY: `records` is touched only by the one who has set `busy`, and by `finish` after the poll; all else is atomic or shared.
unsafe impl Sync for Recorder<'_> {}

/// Room for the stacks, set aside before the poll.
struct Records {
    count: usize,
    heads: [Head; MOST_LEAVES],
    ips: Box<[usize]>,
    words: Box<[u64]>,
}

#[derive(Clone, Copy)]
struct Head {
    kind: LeafKind,
    length: usize,
    complete: bool,
    words: usize,
}

impl<'a> Recorder<'a> {
    fn new(original: &'a Waker) -> Self {
        let empty = Head {
            kind: LeafKind::Registered,
            length: 0,
            complete: false,
            words: 0,
        };
        Self {
            original,
            thread: thread_mark(),
            cleared: Cleared::default(),
            limit: AtomicUsize::new(0),
            busy: AtomicBool::new(false),
            dropped: AtomicU32::new(0),
            records: UnsafeCell::new(Records {
                count: 0,
                heads: [empty; MOST_LEAVES],
                ips: vec![0; MOST_LEAVES * MOST_FRAMES].into_boxed_slice(),
                words: vec![0; MOST_LEAVES * MOST_WORDS].into_boxed_slice(),
            }),
        }
    }

    #[inline(never)]
    fn record(&self, kind: LeafKind) {
        if self.busy.swap(true, Ordering::Acquire) {
            self.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        // On another thread's stack our own frame's address means nothing.
        let is_here = thread_mark() == self.thread;
        let limit = if is_here {
            self.limit.load(Ordering::Relaxed)
        } else {
            usize::MAX
        };
        // SAFETY: `busy` was clear and is now ours.
        let records = unsafe { &mut *self.records.get() };
        match records.add(kind, limit) {
            None => {
                self.dropped.fetch_add(1, Ordering::Relaxed);
            }
            Some(near) if is_here && kind == LeafKind::Registered => {
                records.add_words(&self.cleared, near);
            }
            Some(_) => {}
        }
        self.busy.store(false, Ordering::Release);
    }

    fn finish(&self, outcome: PollOutcome) -> Waiting {
        let dropped = self.dropped.load(Ordering::Relaxed);
        if self.busy.swap(true, Ordering::Acquire) {
            // Another thread is in the middle of a record, which the waker's borrow should not allow: leave it alone.
            return Waiting {
                outcome,
                leaves: Vec::new(),
                dropped: dropped.saturating_add(1),
            };
        }
        // SAFETY: `busy` was clear and is now ours for good.
        let records = unsafe { &*self.records.get() };
        Waiting {
            outcome,
            leaves: records.leaves(),
            dropped,
        }
    }
}

impl Records {
    /// Walks the caller's stack up to the frame at `limit`; says where the near frames end, or nothing if there is no room.
    fn add(&mut self, kind: LeafKind, limit: usize) -> Option<usize> {
        let head = self.heads.get_mut(self.count)?;
        let mut near = 0;
        let ips = &mut self.ips[self.count * MOST_FRAMES..][..MOST_FRAMES];
        let (mut length, mut complete) = (0, false);
        let note = |frame: &backtrace::Frame| {
            let sp = frame.sp() as usize;
            complete = sp > limit;
            if length < NEAR_FRAMES {
                near = sp;
            }
            if complete || length == ips.len() {
                return false;
            }
            ips[length] = frame.ip() as usize;
            length += 1;
            true
        };
        // SAFETY: unsynchronised means that two threads may walk at once. They do so through the platform's unwinder, which
        // has its own protection; the lock that we forgo guards symbol look-up, which does not happen here.
        unsafe { backtrace::trace_unsynchronized(note) };
        *head = Head {
            kind,
            length,
            complete,
            words: 0,
        };
        self.count += 1;
        Some(near)
    }

    /// Notes the words of the leaf that was added last, up to the address `near`.
    #[inline(never)]
    fn add_words(&mut self, cleared: &Cleared, near: usize) {
        let Some(last) = self.count.checked_sub(1) else {
            return;
        };
        let room = &mut self.words[last * MOST_WORDS..][..MOST_WORDS];
        let mut count = 0;
        cleared.words(near, |word| {
            if let Some(free) = room.get_mut(count) {
                *free = word;
                count += 1;
            }
        });
        self.heads[last].words = count;
    }

    fn leaves(&self) -> Vec<Leaf> {
        let heads = self.heads[..self.count].iter();
        let stacks = self.ips.chunks_exact(MOST_FRAMES);
        let words = self.words.chunks_exact(MOST_WORDS);
        let leaf = |((head, ips), words): ((&Head, &[usize]), &[u64])| Leaf {
            kind: head.kind,
            ips: ips[..head.length].to_vec(),
            complete: head.complete,
            words: words[..head.words].to_vec(),
        };
        heads.zip(stacks).zip(words).map(leaf).collect()
    }
}

/// An address that is different on each thread. `thread::current` could allocate.
fn thread_mark() -> usize {
    thread_local!(static MARK: u8 = const { 0 });
    MARK.with(|mark| std::ptr::from_ref(mark) as usize)
}

/// A static, so that one address tells our wakers from others.
static VTABLE: RawWakerVTable =
    RawWakerVTable::new(vtable_clone, vtable_wake, vtable_wake_by_ref, vtable_drop);

unsafe fn vtable_clone(data: *const ()) -> RawWaker {
    // SAFETY: `data` goes with our vtable: it points to a `Recorder` that lives as long as the poll.
    let recorder = unsafe { &*data.cast::<Recorder<'_>>() };
    recorder.record(LeafKind::Registered);
    // The reference that `clone` made is now the new raw waker's.
    let clone = ManuallyDrop::new(recorder.original.clone());
    RawWaker::new(clone.data(), clone.vtable())
}

unsafe fn vtable_wake(data: *const ()) {
    // SAFETY: as in `vtable_clone`. Ours is never owned by anybody, so that by value and by reference are the same.
    unsafe { vtable_wake_by_ref(data) };
}

unsafe fn vtable_wake_by_ref(data: *const ()) {
    // SAFETY: as in `vtable_clone`.
    let recorder = unsafe { &*data.cast::<Recorder<'_>>() };
    recorder.record(LeafKind::WokeItself);
    recorder.original.wake_by_ref();
}

unsafe fn vtable_drop(_data: *const ()) {}

/// The names of the functions through which a leaf's stack begins and ends; see `leaf::trim_await`.
pub(crate) const RECORDING: [&str; 3] = ["vtable_clone", "vtable_wake", "vtable_wake_by_ref"];

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::task::Wake;

    struct Counter(AtomicU32);

    impl Wake for Counter {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn captured(poll: impl FnOnce(&mut Context<'_>) -> Poll<()>) -> (Waiting, Arc<Counter>) {
        let counter = Arc::new(Counter(AtomicU32::new(0)));
        let waker = Waker::from(counter.clone());
        let mut seen = None;
        let _ = capture_poll(
            &mut Context::from_waker(&waker),
            |waiting| seen = Some(waiting),
            poll,
        );
        drop(waker);
        (seen.expect("delivered"), counter)
    }

    #[test]
    fn a_clone_is_recorded_and_is_a_clone_of_the_original() {
        let mut kept = None;
        let (waiting, counter) = captured(|cx| {
            kept = Some(cx.waker().clone());
            Poll::Pending
        });
        let leaf = &waiting.leaves[0];
        assert_eq!(
            (waiting.leaves.len(), leaf.kind, leaf.complete),
            (1, LeafKind::Registered, true)
        );
        assert!(leaf.ips.len() > 2);
        kept.take().expect("cloned").wake();
        assert_eq!(counter.0.load(Ordering::Relaxed), 1);
        assert_eq!(Arc::strong_count(&counter), 1, "nothing leaked");
    }

    #[test]
    fn a_self_wake_is_recorded_and_passed_on() {
        let (waiting, counter) = captured(|cx| {
            cx.waker().wake_by_ref();
            Poll::Pending
        });
        assert_eq!(waiting.leaves[0].kind, LeafKind::WokeItself);
        assert_eq!(counter.0.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn a_panic_is_delivered_and_goes_on() {
        let mut seen = None;
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let mut cx = Context::from_waker(Waker::noop());
            capture_poll(
                &mut cx,
                |waiting| seen = Some(waiting),
                |_| -> Poll<()> { std::panic::panic_any(7u32) },
            )
        }));
        assert_eq!(result.expect_err("goes on").downcast_ref(), Some(&7u32));
        assert_eq!(seen.expect("delivered").outcome, PollOutcome::Panicked);
    }

    #[test]
    fn more_leaves_than_there_is_room_for_are_counted() {
        let (waiting, counter) = captured(|cx| {
            let clones: Vec<Waker> = (0..MOST_LEAVES + 3).map(|_| cx.waker().clone()).collect();
            drop(clones);
            Poll::Pending
        });
        assert_eq!((waiting.leaves.len(), waiting.dropped), (MOST_LEAVES, 3));
        assert_eq!(Arc::strong_count(&counter), 1);
    }

    #[test]
    fn clones_from_other_threads_are_counted_or_recorded_and_never_lost() {
        const THREADS: usize = 8;
        let (waiting, counter) = captured(|cx| {
            let waker = cx.waker();
            std::thread::scope(|scope| {
                for _ in 0..THREADS {
                    scope.spawn(|| drop(waker.clone()));
                }
            });
            Poll::Pending
        });
        assert_eq!(waiting.leaves.len() + waiting.dropped as usize, THREADS);
        assert!(
            waiting.leaves.iter().all(|leaf| !leaf.complete),
            "another thread's stack never meets ours"
        );
        assert_eq!(Arc::strong_count(&counter), 1);
    }

    #[test]
    fn nested_captures_chain_and_the_original_is_found() {
        let mut inner = None;
        let (outer, counter) = captured(|cx| {
            assert!(!std::ptr::eq(cx.waker(), original(cx.waker())));
            capture_poll(
                cx,
                |waiting| inner = Some(waiting),
                |cx| {
                    let clone = cx.waker().clone();
                    assert!(
                        clone.will_wake(original(cx.waker())),
                        "two layers are taken off"
                    );
                    Poll::Pending
                },
            )
        });
        assert_eq!(
            (outer.leaves.len(), inner.expect("delivered").leaves.len()),
            (1, 1)
        );
        assert_eq!(Arc::strong_count(&counter), 1);
    }
}
