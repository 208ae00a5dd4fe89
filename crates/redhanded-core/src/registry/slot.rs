//! One request in flight, in atomics: written by its own thread, read by the watchdog.

use super::extra::Extra;
use super::facts_arena::{FactsArena, Kind};
use super::free_list::{FreeList, Link, Linked};
use super::handshake::Handshake;
use super::memory::Memory;
use super::records::{RecordUse, Records};
use crate::metrics::Meter;
use crate::sync::{AtomicU32, AtomicU64, Ordering};
use parking_lot::Mutex;
use redhanded_capture::Waiting;
use redhanded_report::How;
use std::task::Waker;

/// Where a slot lives: engine, shard and index in one word, never zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Key(u64);

impl Key {
    const MARK: u64 = 1 << 63;

    pub(crate) fn new(engine: u16, shard: u8, index: u32) -> Self {
        Self(
            Self::MARK
                | u64::from(engine & 0x7fff) << 48
                | u64::from(shard) << 32
                | u64::from(index),
        )
    }
    pub(crate) fn from_word(word: u64) -> Option<Self> {
        (word & Self::MARK != 0).then_some(Self(word))
    }
    pub(crate) fn word(self) -> u64 {
        self.0
    }
    pub(crate) fn engine(self) -> u16 {
        (self.0 >> 48) as u16 & 0x7fff
    }
    pub(crate) fn shard(self) -> u8 {
        (self.0 >> 32) as u8
    }
    pub(crate) fn index(self) -> u32 {
        self.0 as u32
    }
}

/// Where in its life a request is, as the hot path marks it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// The future has not given a response yet.
    Handler,
    /// The body of known length is being made.
    Body,
    /// A frame of it was handed out and nobody has asked for the next: the client has to read.
    BodyOut,
    /// A body whose length nobody knows is being made: judged by idle time.
    Stream,
    /// A frame of it was handed out and nobody has asked for the next.
    StreamOut,
    /// May rest for hours (event stream, gRPC, long poll, child): only judged inside polls.
    LongLived,
    /// No request yet: its connection waits for the rest of a request's head.
    Head,
}

impl Stage {
    const ALL: [Self; 7] = [
        Self::Handler,
        Self::Body,
        Self::BodyOut,
        Self::Stream,
        Self::StreamOut,
        Self::LongLived,
        Self::Head,
    ];

    fn from_word(word: u32) -> Self {
        Self::ALL
            .get(word as usize)
            .copied()
            .unwrap_or(Self::Handler)
    }
    pub(crate) fn awaits_client(self) -> bool {
        matches!(self, Self::BodyOut | Self::StreamOut)
    }
    pub(crate) fn is_stream(self) -> bool {
        matches!(self, Self::Stream | Self::StreamOut)
    }
}

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

/// How a request ended, as its ticket left it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ending {
    pub(crate) how: How,
    pub(crate) status: Option<u16>,
    /// Nanoseconds of the monotonic clock; `None` when it closed before it was known to be caught.
    pub(crate) at_ns: Option<u64>,
}

/// Stage, flags and status of a request as they were at one moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Life(u32);

impl Life {
    /// A request, and neither a child of one nor the beginning of a head.
    #[inline]
    pub(crate) fn is_request(self) -> bool {
        // The head is the last stage, and the flag is above all of them: one comparison.
        const { assert!(Stage::Head as u32 == Stage::ALL.len() as u32 - 1 && CHILD > STAGE) };
        self.0 & (CHILD | STAGE) < Stage::Head as u32
    }
    #[inline]
    pub(crate) fn is_https(self) -> bool {
        self.0 & HTTPS != 0
    }
    #[inline]
    pub(crate) fn has_failed(self) -> bool {
        self.0 & FAILED != 0
    }
    /// It was chosen for one thing or another, or has failed.
    #[inline]
    pub(crate) fn is_remarkable(self) -> bool {
        self.0 >= 500 << 16
    }
    /// How it ended, once it has.
    pub(crate) fn how(self) -> How {
        let how = HOWS.get(((self.0 & HOW) >> HOW_SHIFT) as usize);
        how.copied().unwrap_or_default()
    }
    /// What of it tells one kind of end from another: how, status and two flags. A number to compare.
    #[inline]
    pub(crate) fn as_ended(self) -> u32 {
        self.0 & (STATUS | HOW | HTTPS | FAILED)
    }
    /// A life of which no more is known than that number.
    pub(crate) fn from_ended(ended: u32) -> Self {
        Self(ended)
    }
    /// The HTTP status, 0 before there is one.
    #[inline]
    pub(crate) fn status(self) -> u16 {
        ((self.0 & STATUS) >> 16) as u16
    }
}

/// Below: the [`Stage`]. The response to a HEAD request has no body, whatever its headers say.
const BODYLESS: u32 = 0x80;
/// A child of a request, not a request.
const CHILD: u32 = 0x40;
/// Its facts are to be kept for comparison, if it ends well. Above the status, as is the next: a status of
/// 500 and more and these two are told by one comparison.
const SAMPLED: u32 = 1 << 31;
/// It is one of the baseline that is exported whole.
const KEEP: u32 = 1 << 30;
/// The HTTP status.
const STATUS: u32 = 0x3fff_0000;
/// It came over TLS.
const HTTPS: u32 = 0x10;
/// The service gave an error instead of a response.
const FAILED: u32 = 0x08;
const STAGE: u32 = 0x07;
/// How it ended, as its place in [`HOWS`].
const HOW: u32 = 0x0700;
const HOW_SHIFT: u32 = 8;
const PANICKED: u32 = 4;
/// Room for every way to end, of requests and of children.
const WAYS: usize = 16;
const HOWS: [How; 5] = [
    How::Dropped,
    How::Completed,
    How::ClientGone,
    How::Cancelled,
    How::Panicked,
];

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

/// A life that ends `how`.
#[inline]
fn with_how(life: u32, how: How) -> u32 {
    let word = match how {
        How::Completed => 1,
        How::ClientGone => 2,
        How::Cancelled => 3,
        How::Panicked => PANICKED,
        _ => 0,
    };
    life & !HOW | word << HOW_SHIFT
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

    /// Notes which thread this one belongs to that is never polled.
    pub(crate) fn set_worker(&self, worker: u16) {
        self.poll.store(u64::from(worker), Ordering::Release);
    }

    pub(crate) fn set_connection(&self, word: u64) {
        self.connection.store(word, Ordering::Relaxed);
    }
    pub(crate) fn connection(&self) -> u64 {
        self.connection.load(Ordering::Relaxed)
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

    #[inline]
    pub(crate) fn set_stage(&self, stage: Stage) {
        let life = self.life.load(Ordering::Relaxed);
        self.life
            .store(life & !STAGE | stage as u32, Ordering::Relaxed);
    }
    #[inline]
    pub(crate) fn stage(&self) -> Stage {
        Stage::from_word(self.life.load(Ordering::Relaxed) & STAGE)
    }

    /// Makes a taken slot that of a child, which may live as long as it likes.
    pub(crate) fn set_child(&self, parent: Key, generation: u32) {
        self.parent.store(parent.word(), Ordering::Relaxed);
        self.parent_generation.store(generation, Ordering::Relaxed);
        self.life
            .store(CHILD | Stage::LongLived as u32, Ordering::Relaxed);
    }
    pub(crate) fn is_child(&self) -> bool {
        self.life.load(Ordering::Relaxed) & CHILD != 0
    }
    /// The request that this child works for, and its generation.
    pub(crate) fn parent(&self) -> Option<(Key, u32)> {
        if !self.is_child() {
            return None;
        }
        let key = Key::from_word(self.parent.load(Ordering::Relaxed))?;
        Some((key, self.parent_generation.load(Ordering::Relaxed)))
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

    /// Its facts are to be kept, if it ends well; `word` says as what.
    pub(crate) fn set_sampled(&self, word: u32) {
        self.sampled_as.store(word, Ordering::Relaxed);
        let life = self.life.load(Ordering::Relaxed);
        self.life.store(life | SAMPLED, Ordering::Relaxed);
    }
    #[inline]
    pub(crate) fn is_sampled(&self) -> bool {
        self.life.load(Ordering::Relaxed) & SAMPLED != 0
    }
    /// Whether the hot path has copied something of this kind.
    pub(crate) fn has_fact(&self, kind: Kind) -> bool {
        self.facts.read().iter().any(|fact| fact.kind == kind)
    }

    /// It is one of the baseline that is exported whole, or it is to be looked at whether it is to be.
    pub(crate) fn set_keep(&self) {
        let life = self.life.load(Ordering::Relaxed);
        self.life.store(life | KEEP, Ordering::Relaxed);
    }
    pub(crate) fn is_keep(&self) -> bool {
        self.life.load(Ordering::Relaxed) & KEEP != 0
    }
    /// Something may have to be done about its end: it was chosen for one thing or another, or has failed.
    #[inline]
    pub(crate) fn is_remarkable(&self) -> bool {
        self.life().is_remarkable()
    }
    /// What [`set_sampled`](Self::set_sampled) was told.
    pub(crate) fn sampled_as(&self) -> u32 {
        self.sampled_as.load(Ordering::Relaxed)
    }

    /// The application says that the request moves.
    pub(crate) fn tell_progress(&self, now_ns: u64) {
        self.told_ns.store(now_ns, Ordering::Relaxed);
    }
    /// When it last said so, if it has.
    pub(crate) fn told_ns(&self) -> Option<u64> {
        Some(self.told_ns.load(Ordering::Relaxed)).filter(|ns| *ns > self.started_ns())
    }

    /// The response will have no body, whatever it says: its request is HEAD.
    #[inline]
    pub(crate) fn set_bodyless(&self) {
        let life = self.life.load(Ordering::Relaxed);
        self.life.store(life | BODYLESS, Ordering::Relaxed);
    }
    #[inline]
    pub(crate) fn is_bodyless(&self) -> bool {
        self.life.load(Ordering::Relaxed) & BODYLESS != 0
    }

    /// It came over TLS.
    pub(crate) fn set_https(&self) {
        let life = self.life.load(Ordering::Relaxed);
        self.life.store(life | HTTPS, Ordering::Relaxed);
    }
    /// The service gave an error instead of a response.
    pub(crate) fn set_failed(&self) {
        let life = self.life.load(Ordering::Relaxed);
        self.life.store(life | FAILED, Ordering::Relaxed);
    }
    /// What is noted of its life.
    #[inline]
    pub(crate) fn life(&self) -> Life {
        Life(self.life.load(Ordering::Relaxed))
    }

    /// A response with this status has come, with a body of `left` bytes, or of unknown length.
    #[inline]
    pub(crate) fn responded(&self, status: u16, left: Option<u64>, stage: Stage) {
        let before = self.life.load(Ordering::Relaxed);
        // What may rest for hours before it answers may rest for hours while it does.
        let stage = if before & STAGE == Stage::LongLived as u32 {
            Stage::LongLived
        } else {
            stage
        };
        let flags = before & (BODYLESS | CHILD | SAMPLED | KEEP | HTTPS);
        self.life.store(
            u32::from(status) << 16 | flags | stage as u32,
            Ordering::Relaxed,
        );
        self.left.store(left.unwrap_or(u64::MAX), Ordering::Relaxed);
    }
    pub(crate) fn status(&self) -> Option<u16> {
        let status = (self.life.load(Ordering::Relaxed) & STATUS) >> 16;
        Some(status as u16).filter(|s| *s != 0)
    }

    /// `bytes` of the body went out.
    #[inline]
    pub(crate) fn sent(&self, bytes: u64) {
        let left = self.left.load(Ordering::Relaxed);
        if left != u64::MAX {
            self.left
                .store(left.saturating_sub(bytes), Ordering::Relaxed);
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

    /// A frame of the body went out.
    #[inline]
    pub(crate) fn progressed(&self) {
        self.progress.store(
            self.progress.load(Ordering::Relaxed).wrapping_add(1),
            Ordering::Relaxed,
        );
    }
    pub(crate) fn progress(&self) -> u32 {
        self.progress.load(Ordering::Relaxed)
    }

    /// Asks for a capture in the next poll; the caller then wakes the request.
    pub(crate) fn want_capture(&self, want: bool) {
        self.wants_capture.store(u32::from(want), Ordering::Release);
    }
    #[inline]
    pub(crate) fn wants_capture(&self) -> bool {
        self.wants_capture.load(Ordering::Relaxed) != 0
    }

    /// Notes how the request ends, and counts that; before [`Handshake::close`]. One writer, so that no atomic addition is
    /// needed. A head that was waited for is no request: the one that comes of it counts for itself.
    #[inline]
    pub(crate) fn finish(&self, how: How) {
        let life = with_how(self.life.load(Ordering::Relaxed), how);
        self.life.store(life, Ordering::Relaxed);
        if life & STAGE != Stage::Head as u32 {
            let way = ((life & HOW) >> HOW_SHIFT | (life & CHILD) >> 3) as usize;
            if let Some(count) = self.ends.get(way) {
                let counted = count.load(Ordering::Relaxed).wrapping_add(1);
                count.store(counted, Ordering::Relaxed);
            }
        }
    }
    /// A poll was left by a panic: how the request ends is known, whoever catches it.
    pub(crate) fn set_panicked(&self) {
        let life = self.life.load(Ordering::Relaxed);
        self.life
            .store(with_how(life, How::Panicked) | KEEP, Ordering::Relaxed);
    }
    #[inline]
    pub(crate) fn has_panicked(&self) -> bool {
        self.life.load(Ordering::Relaxed) & HOW == PANICKED << HOW_SHIFT
    }
    /// Every byte that the body had announced went out.
    pub(crate) fn all_sent(&self) -> bool {
        self.status().is_some() && self.left.load(Ordering::Relaxed) == 0
    }

    /// How often requests that were here ended `how`; it wraps at four thousand millions.
    pub(crate) fn ends(&self, how: How) -> u32 {
        let way = HOWS.iter().position(|h| *h == how).unwrap_or(0);
        self.ends.get(way).map_or(0, |n| n.load(Ordering::Relaxed))
    }

    /// Zero, before the slot is kept: the time of an end before that is not known.
    pub(crate) fn set_ended_ns(&self, at_ns: u64) {
        self.ended_ns.store(at_ns, Ordering::Relaxed);
    }
    pub(crate) fn ending(&self) -> Ending {
        Ending {
            how: HOWS
                .get(((self.life.load(Ordering::Relaxed) & HOW) >> HOW_SHIFT) as usize)
                .copied()
                .unwrap_or_default(),
            status: self.status(),
            at_ns: Some(self.ended_ns.load(Ordering::Relaxed)).filter(|ns| *ns != 0),
        }
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
