//! Where a request is polled, where it rests, and who could wake it.

use super::Slot;
use crate::sync::Ordering;
use redhanded_capture::Waiting;

/// What a poll word says: how often the request was polled, whether it is inside one, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PollMark {
    /// Grows by one at each entry and each exit.
    pub(crate) sequence: u64,
    /// Index of the worker that polled last.
    pub(crate) worker: u16,
}

impl PollMark {
    pub(crate) fn inside(self) -> bool {
        self.sequence & 1 == 1
    }
    pub(crate) fn polls(self) -> u64 {
        self.sequence.div_ceil(2)
    }
}

/// Where a pinned future or body lies in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    pub(crate) address: usize,
    /// In bytes.
    pub(crate) size: usize,
}

impl Place {
    /// The place of something that is pinned.
    #[inline]
    pub fn of<T>(pinned: &T) -> Self {
        Self {
            address: std::ptr::from_ref(pinned) as usize,
            size: size_of::<T>(),
        }
    }
}

/// What a capturing poll left for the watchdog.
#[derive(Debug)]
pub(crate) struct Mail {
    pub(crate) waiting: Waiting,
    /// Of the poll that it was.
    pub(crate) sequence: u64,
    /// When that was, in nanoseconds of the monotonic clock.
    pub(crate) at_ns: u64,
    /// tokio's cooperative budget was used up: "pending" then means nothing.
    pub(crate) budget_exhausted: bool,
}

impl Slot {
    /// Notes which thread this one belongs to that is never polled.
    pub(crate) fn set_worker(&self, worker: u16) {
        self.poll.store(u64::from(worker), Ordering::Release);
    }

    /// Marks the beginning of a poll on `worker`. One writer at a time: a future is polled by one
    /// thread, and its wake-up orders the next after the last.
    #[inline]
    pub(crate) fn enter(&self, worker: u16) {
        let sequence = (self.poll.load(Ordering::Relaxed) >> 16) + 1;
        self.poll
            .store(sequence << 16 | u64::from(worker), Ordering::Release);
    }

    /// Notes an address in the stack frame of the function that polls it, or is about to.
    #[inline]
    pub(crate) fn set_frame(&self, address: usize) {
        self.frame.store(address as u64, Ordering::Relaxed);
    }

    /// An address in the stack frame of the function that polls it now or did so last.
    pub(crate) fn frame(&self) -> u64 {
        self.frame.load(Ordering::Relaxed)
    }

    /// Marks the end of a poll.
    #[inline]
    pub(crate) fn leave(&self) {
        let word = self.poll.load(Ordering::Relaxed);
        self.poll.store(word + (1 << 16), Ordering::Release);
    }

    pub(crate) fn poll_mark(&self) -> PollMark {
        let word = self.poll.load(Ordering::Acquire);
        PollMark {
            sequence: word >> 16,
            worker: word as u16,
        }
    }

    /// Notes which waker is kept; only its own thread calls this.
    #[inline]
    pub(crate) fn set_kept_waker(&self, identity: [u64; 2]) {
        self.kept_waker[0].store(identity[0], Ordering::Relaxed);
        self.kept_waker[1].store(identity[1], Ordering::Relaxed);
    }

    #[inline]
    pub(crate) fn kept_waker(&self) -> [u64; 2] {
        [
            self.kept_waker[0].load(Ordering::Relaxed),
            self.kept_waker[1].load(Ordering::Relaxed),
        ]
    }

    /// Notes where the future lies that has just been pending; only its own thread calls this. A future that was polled is
    /// pinned, so it lies there until it is dropped.
    #[inline]
    pub(crate) fn set_future(&self, place: Place) {
        let size = u64::from(u32::try_from(place.size).unwrap_or(u32::MAX));
        let of = u64::from(self.hand.generation()) << 32;
        self.future[0].store(place.address as u64, Ordering::Relaxed);
        self.future[1].store(of | size, Ordering::Release);
    }

    /// It has just been pending; only its own thread calls this.
    #[inline]
    pub(crate) fn set_rests_since_ns(&self, now_ns: u64) {
        self.rests_since_ns.store(now_ns, Ordering::Relaxed);
    }

    /// Since when it has been pending without a poll but those of our looks, as far as rounds of the watchdog tell.
    pub(crate) fn rests_since_ns(&self) -> u64 {
        self.rests_since_ns
            .load(Ordering::Relaxed)
            .max(self.started_ns())
    }

    /// Where the future of the present request lies, if it has been pending.
    pub(crate) fn future(&self) -> Option<Place> {
        let word = self.future[1].load(Ordering::Acquire);
        let address = self.future[0].load(Ordering::Relaxed) as usize;
        let size = word as u32 as usize;
        ((word >> 32) as u32 == self.hand.generation() && size > 0)
            .then_some(Place { address, size })
    }

    /// Asks for a capture in the next poll; the caller then wakes the request.
    pub(crate) fn want_capture(&self, want: bool) {
        self.wants_capture.store(u32::from(want), Ordering::Release);
    }

    #[inline]
    pub(crate) fn wants_capture(&self) -> bool {
        self.wants_capture.load(Ordering::Relaxed) != 0
    }
}
