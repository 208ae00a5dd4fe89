//! How far a request has come and how it ends: one word of flags that only its own thread writes, and what goes with it.

use super::{Key, Slot};
use crate::sync::Ordering;
use redhanded_report::How;

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
pub(super) const WAYS: usize = 16;
const HOWS: [How; 5] = [
    How::Dropped,
    How::Completed,
    How::ClientGone,
    How::Cancelled,
    How::Panicked,
];

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

impl Slot {
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
