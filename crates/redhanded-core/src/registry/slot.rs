//! One request in flight, in atomics: written by its own thread, read by the watchdog.

mod key;
mod life;
mod poll;

pub(crate) use key::Key;
pub(crate) use life::{Ending, Life, Stage};
pub use poll::Place;
pub(crate) use poll::{Mail, PollMark};

use super::extra::Extra;
use super::facts_arena::{FactsArena, Kind};
use super::free_list::{FreeList, Link, Linked};
use super::handshake::Handshake;
use super::memory::Memory;
use super::records::{RecordUse, Records};
use crate::metrics::Meter;
use crate::sync::{AtomicU32, AtomicU64, Ordering};
use life::WAYS;
use parking_lot::Mutex;
use std::task::Waker;

/// The earliest due time among the slots of a chunk, on a line of its own: every opener reads it.
#[derive(Debug)]
#[repr(align(64))]
pub(super) struct ChunkDue(pub(super) AtomicU64);

#[derive(Debug)]
#[repr(align(64))]
pub(crate) struct Slot {
    pub(crate) key: Key,
    pub(crate) hand: Handshake,
    /// The numbers of its install.
    pub(crate) meter: &'static Meter,
    pub(super) link: Link,
    /// The list it goes back to, wherever its request ends.
    home: &'static FreeList,
    /// Earliest due time among the slots of its chunk.
    chunk_due_ns: &'static ChunkDue,
    poll: AtomicU64,
    /// An address in the stack frame of the function that polls it.
    frame: AtomicU64,
    pub(crate) memory: Memory,
    started_ns: AtomicU64,
    slow_after_ns: AtomicU64,
    due_ns: AtomicU64,
    ended_ns: AtomicU64,
    /// Stage and two flags, then how it ended, then the HTTP status: one word, written by its own
    /// thread only.
    life: AtomicU32,
    progress: AtomicU32,
    wants_capture: AtomicU32,
    /// Bytes of the body still to come; `u64::MAX` when nobody knows.
    left: AtomicU64,
    /// The connection it came on, as its word; zero when none of ours.
    connection: AtomicU64,
    /// When the application last said that the request moves; of an earlier request, if that was
    /// before this one began.
    told_ns: AtomicU64,
    /// The request that a child works for, and its generation; read only where [`CHILD`] is set.
    parent: AtomicU64,
    parent_generation: AtomicU32,
    /// As what it was picked for a sample; read only where [`SAMPLED`] is set.
    sampled_as: AtomicU32,
    extra: Mutex<Option<Box<Extra>>>,
    /// Identity of the waker that is kept, to see a change without the lock: data and vtable.
    kept_waker: [AtomicU64; 2],
    /// How often each way to end was gone, over all the requests that were here.
    ends: [AtomicU32; WAYS],
    /// Where the future lies that was pending last: its address, then its size and whose generation.
    future: [AtomicU64; 2],
    /// The [`pulse`](crate::pulse) when it was pending last, in a poll that nobody had asked for.
    rests_since_ns: AtomicU64,
    /// The ring of its story, plus one; above it whose generation's.
    story: AtomicU64,
    /// The flight recorder's, if there is one.
    records: Option<&'static Records>,
    /// The record that it has there, plus one, and the state that it was left in.
    own_record: AtomicU32,
    record_state: AtomicU64,
    /// The record that tells of the request that is here, plus one; zero if none does.
    recorded: AtomicU32,
    pub(crate) waker: Mutex<Option<Waker>>,
    pub(crate) mailbox: Mutex<Option<Box<Mail>>>,
    pub(crate) facts: FactsArena,
}

impl Linked for Slot {
    #[inline]
    fn link(&self) -> &Link {
        &self.link
    }
}

impl Slot {
    pub(super) fn new(
        key: Key,
        home: &'static FreeList,
        chunk_due_ns: &'static ChunkDue,
        records: Option<&'static Records>,
        meter: &'static Meter,
    ) -> Self {
        Self {
            meter,
            key,
            home,
            chunk_due_ns,
            records,
            own_record: AtomicU32::new(0),
            record_state: AtomicU64::new(0),
            recorded: AtomicU32::new(0),
            hand: Handshake::new(),
            link: Link::new(),
            poll: AtomicU64::new(0),
            frame: AtomicU64::new(0),
            memory: Memory::new(),
            started_ns: AtomicU64::new(0),
            slow_after_ns: AtomicU64::new(0),
            due_ns: AtomicU64::new(u64::MAX),
            ended_ns: AtomicU64::new(0),
            life: AtomicU32::new(0),
            progress: AtomicU32::new(0),
            wants_capture: AtomicU32::new(0),
            left: AtomicU64::new(u64::MAX),
            connection: AtomicU64::new(0),
            told_ns: AtomicU64::new(0),
            parent: AtomicU64::new(0),
            parent_generation: AtomicU32::new(0),
            sampled_as: AtomicU32::new(0),
            extra: Mutex::new(None),
            kept_waker: [AtomicU64::new(0), AtomicU64::new(0)],
            ends: std::array::from_fn(|_| AtomicU32::new(0)),
            future: [AtomicU64::new(0), AtomicU64::new(0)],
            rests_since_ns: AtomicU64::new(0),
            story: AtomicU64::new(0),
            waker: Mutex::new(None),
            mailbox: Mutex::new(None),
            facts: FactsArena::new(),
        }
    }

    /// The owner of a free slot resets what the last request left, as far as it would be read
    /// before it is written.
    #[inline]
    pub(super) fn prepare(&self, started_ns: u64, slow_after_ns: u64) {
        self.poll.store(0, Ordering::Relaxed);
        self.started_ns.store(started_ns, Ordering::Relaxed);
        self.slow_after_ns.store(slow_after_ns, Ordering::Relaxed);
        self.due_ns
            .store(started_ns.saturating_add(slow_after_ns), Ordering::Relaxed);
        self.life.store(0, Ordering::Relaxed);
        self.wants_capture.store(0, Ordering::Relaxed);
        self.connection.store(0, Ordering::Relaxed);
    }

    pub(crate) fn set_connection(&self, word: u64) {
        self.connection.store(word, Ordering::Relaxed);
    }
    pub(crate) fn connection(&self) -> u64 {
        self.connection.load(Ordering::Relaxed)
    }

    pub(crate) fn started_ns(&self) -> u64 {
        self.started_ns.load(Ordering::Relaxed)
    }
    pub(crate) fn slow_after_ns(&self) -> u64 {
        self.slow_after_ns.load(Ordering::Relaxed)
    }
    pub(crate) fn set_slow_after_ns(&self, slow_after_ns: u64) {
        self.slow_after_ns.store(slow_after_ns, Ordering::Relaxed);
    }
    pub(crate) fn due_ns(&self) -> u64 {
        self.due_ns.load(Ordering::Relaxed)
    }

    /// Makes a taken slot visible to the watchdog.
    #[inline]
    pub(crate) fn open(&self) {
        self.hand.open();
        self.lower_chunk_due(self.due_ns());
    }

    /// Sets when the watchdog is to look at it next.
    pub(crate) fn rearm(&self, due_ns: u64) {
        self.due_ns.store(due_ns, Ordering::Relaxed);
        self.lower_chunk_due(due_ns);
    }

    #[inline]
    fn lower_chunk_due(&self, due_ns: u64) {
        if due_ns < self.chunk_due_ns.0.load(Ordering::SeqCst) {
            self.chunk_due_ns.0.fetch_min(due_ns, Ordering::SeqCst);
        }
    }

    /// The extras of the request that has the slot in `generation`; `None` if another has it by now.
    pub(crate) fn extra<R>(&self, generation: u32, of: impl FnOnce(&mut Extra) -> R) -> Option<R> {
        let mut extra = self.extra.lock();
        if self.hand.generation() != generation {
            return None;
        }
        let extra = extra.get_or_insert_default();
        if extra.generation != generation {
            **extra = Extra::of(generation);
        }
        Some(of(extra))
    }

    /// The same, if there are any: makes none.
    pub(crate) fn extra_if_any<R>(
        &self,
        generation: u32,
        of: impl FnOnce(&Extra) -> R,
    ) -> Option<R> {
        let extra = self.extra.lock();
        let known = extra.as_deref().filter(|e| e.generation == generation)?;
        (self.hand.generation() == generation).then(|| of(known))
    }

    /// Like [`extra`](Self::extra), for a thread that may not wait; nothing is made anew.
    pub(crate) fn try_extra<R>(&self, generation: u32, of: impl FnOnce(&Extra) -> R) -> Option<R> {
        let extra = self.extra.try_lock()?;
        let extra = extra.as_ref().filter(|e| e.generation == generation)?;
        Some(of(extra))
    }

    /// Whether the hot path has copied something of this kind.
    pub(crate) fn has_fact(&self, kind: Kind) -> bool {
        self.facts.read().iter().any(|fact| fact.kind == kind)
    }

    /// The application says that the request moves.
    pub(crate) fn tell_progress(&self, now_ns: u64) {
        self.told_ns.store(now_ns, Ordering::Relaxed);
    }
    /// When it last said so, if it has.
    pub(crate) fn told_ns(&self) -> Option<u64> {
        Some(self.told_ns.load(Ordering::Relaxed)).filter(|ns| *ns > self.started_ns())
    }

    /// The ring of the present request's story, if it has one.
    #[inline]
    pub(crate) fn story(&self) -> Option<u16> {
        let generation = self.hand.with_story()?;
        let word = self.story.load(Ordering::Acquire);
        let is_its = (word >> 32) as u32 == generation;
        (word as u16).checked_sub(1).filter(|_| is_its)
    }

    /// Gives the request in flight a ring; `false` if it has one, or is over.
    pub(crate) fn attach_story(&self, ring: u16) -> bool {
        let generation = self.hand.generation();
        let word = (u64::from(generation) << 32) | (u64::from(ring) + 1);
        let before = self.story.load(Ordering::Acquire);
        let is_free = (before >> 32) as u32 != generation || before as u32 == 0;
        let mine = is_free
            && self
                .story
                .compare_exchange(before, word, Ordering::AcqRel, Ordering::Acquire)
                .is_ok();
        if !mine {
            return false;
        }
        let has = self.hand.has_story_now(generation);
        if !has {
            self.story.store(0, Ordering::Release);
        }
        has
    }

    /// Takes the ring from a request that is over.
    pub(crate) fn take_story(&self) -> Option<u16> {
        let ring = self.story()?;
        self.story.store(0, Ordering::Release);
        Some(ring)
    }

    #[inline]
    pub(super) fn own_record(&self) -> u32 {
        self.own_record.load(Ordering::Relaxed)
    }
    pub(super) fn set_own_record(&self, own: u32) {
        self.own_record.store(own, Ordering::Relaxed);
    }
    #[inline]
    pub(super) fn record_state(&self) -> u64 {
        self.record_state.load(Ordering::Relaxed)
    }
    #[inline]
    pub(super) fn set_record_state(&self, state: u64) {
        self.record_state.store(state, Ordering::Relaxed);
    }
    #[inline]
    pub(super) fn recorded(&self) -> u32 {
        self.recorded.load(Ordering::Relaxed)
    }
    #[inline]
    pub(super) fn set_recorded(&self, recorded: u32) {
        self.recorded.store(recorded, Ordering::Relaxed);
    }

    /// The flight recorder's records, and the one that tells of the request that is here.
    pub(crate) fn record(&self) -> Option<(&'static Records, RecordUse)> {
        let records = self.records?;
        Some((records, records.of(self)?))
    }

    /// The request that is here has ended: its record says so.
    #[inline]
    pub(crate) fn end_record(&self) {
        let recorded = self.recorded();
        if recorded != 0
            && let Some(records) = self.records
        {
            records.free(self, recorded);
        }
    }

    /// Puts a slot back that is the caller's alone. What was left in it is dropped last, when the
    /// slot is no longer ours: a waker's drop may run anybody's code.
    #[inline]
    pub(crate) fn recycle(&self) {
        // A vtable is never null, whatever the data pointer is.
        if self.kept_waker[1].load(Ordering::Relaxed) == 0 {
            self.go_home();
        } else {
            self.recycle_with_waker();
        }
    }

    /// The same for who has looked at its request: what that had told goes with it.
    pub(crate) fn recycle_seen(&self) {
        crate::story::release(self);
        self.recycle();
    }

    #[cold]
    fn recycle_with_waker(&self) {
        self.set_kept_waker([0, 0]);
        let left = (self.waker.lock().take(), self.mailbox.lock().take());
        self.go_home();
        drop(left);
    }

    #[inline]
    fn go_home(&self) {
        self.hand.recycled();
        self.home.push(self.key.index(), &self.link);
    }
}

#[cfg(all(test, not(redhanded_loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_request_in_flight_takes_less_than_a_kilobyte_and_a_half() {
        assert!(size_of::<Slot>() <= 1536, "{} bytes", size_of::<Slot>());
    }
}
