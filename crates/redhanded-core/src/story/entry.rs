//! What a ring is made of: the first word of a record, and the entry of an open span.

use super::packed::SPOT_BITS;
use std::sync::atomic::{AtomicU64, Ordering, fence};

/// What a record tells.
pub(super) mod kind {
    pub(in crate::story) const START: u8 = 1;
    pub(in crate::story) const EVENT: u8 = 2;
    pub(in crate::story) const END: u8 = 3;
    pub(in crate::story) const FIELDS: u8 = 4;
    pub(in crate::story) const FOLLOWS: u8 = 5;
}

/// Says of a record that its span is not in the table.
pub(super) const UNLISTED: u8 = u8::MAX;

/// The first word of a record: kind, entry in the table, length in words, callsite, fields that were left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) kind: u8,
    pub(super) entry: u8,
    pub(super) words: u16,
    pub(super) callsite: u16,
    pub(super) dropped: u8,
}

impl Head {
    pub(super) fn word(self) -> u64 {
        u64::from(self.kind)
            | u64::from(self.entry) << 8
            | u64::from(self.words) << 16
            | u64::from(self.callsite) << 32
            | u64::from(self.dropped) << 48
    }

    pub(super) fn of(word: u64) -> Self {
        Self {
            kind: word as u8,
            entry: (word >> 8) as u8,
            words: (word >> 16) as u16,
            callsite: (word >> 32) as u16,
            dropped: (word >> 48) as u8,
        }
    }
}

/// What of the depth the thread has entered that was the first inside.
const OWN_DEPTH: u64 = 1 << 32;
/// What of an outer word is a spot.
pub(super) const SPOT: u64 = (1 << SPOT_BITS) - 1;

fn thread_of(outer: u64) -> u64 {
    outer & !SPOT
}

/// One open span: a line of its own.
#[derive(Debug)]
#[repr(align(64))]
pub(super) struct Entry {
    /// Which span, as the layer names it; 0 when none.
    pub(super) key: AtomicU64,
    /// Its number in the ring, below; then its callsite.
    pub(super) what: AtomicU64,
    pub(super) started_ns: AtomicU64,
    pub(super) busy_ns: AtomicU64,
    /// When it was entered, while a thread is inside.
    pub(super) entered_ns: AtomicU64,
    /// How often it was entered and not left; above it how often by the thread that was the first.
    pub(super) depth: AtomicU64,
    /// Where the thread was before it entered, and which thread.
    pub(super) outer: AtomicU64,
    /// The number of its parent; above it the low half of its first record's position. Of one that outlives its request,
    /// its key, which stands nowhere else then.
    pub(super) family: AtomicU64,
}

impl Entry {
    pub(super) const fn new() -> Self {
        Self {
            key: AtomicU64::new(0),
            what: AtomicU64::new(0),
            started_ns: AtomicU64::new(0),
            busy_ns: AtomicU64::new(0),
            entered_ns: AtomicU64::new(0),
            depth: AtomicU64::new(0),
            outer: AtomicU64::new(0),
            family: AtomicU64::new(0),
        }
    }

    pub(super) fn serial(&self) -> u32 {
        self.what.load(Ordering::Relaxed) as u32
    }

    /// The number of its callsite.
    pub(super) fn callsite(&self) -> u16 {
        (self.what.load(Ordering::Relaxed) >> 32) as u16
    }

    /// Its request is over: nobody finds it any more, but who closes it.
    pub(super) fn leave(&self) {
        let key = self.key.load(Ordering::Relaxed);
        self.family.store(key, Ordering::Relaxed);
        self.key.store(0, Ordering::Release);
    }

    /// Whether it is `key`'s, whose request is over.
    pub(super) fn is_left(&self, key: u64) -> bool {
        self.key.load(Ordering::Acquire) == 0 && self.family.load(Ordering::Relaxed) == key
    }

    /// The thread `number` enters that was at the spot `outer`. Where it was is kept of who is the first inside.
    #[inline]
    pub(super) fn enter(&self, outer: u64, number: u64, now_ns: u64) {
        let depth = self.depth.load(Ordering::Relaxed);
        if depth == 0 {
            self.outer.store(outer | number, Ordering::Relaxed);
            self.entered_ns.store(now_ns, Ordering::Relaxed);
            self.depth.store(OWN_DEPTH | 1, Ordering::Relaxed);
        } else {
            let is_owner = thread_of(self.outer()) == number;
            let more = if is_owner { OWN_DEPTH | 1 } else { 1 };
            self.depth
                .store(depth.wrapping_add(more), Ordering::Relaxed);
        }
    }

    /// The thread `number` leaves; says where it is then, as far as known: zero if not, `None` if it is inside still.
    #[inline]
    pub(super) fn exit(&self, number: u64, now_ns: u64) -> Option<u64> {
        let outer = self.outer();
        let is_owner = thread_of(outer) == number;
        let less = if is_owner { OWN_DEPTH | 1 } else { 1 };
        // Left more often than entered: nothing to count.
        let depth = self.depth.load(Ordering::Relaxed).checked_sub(less)?;
        self.depth.store(depth, Ordering::Relaxed);
        if depth as u32 == 0 {
            let entered_ns = self.entered_ns.load(Ordering::Relaxed);
            let busy_ns = self.busy_ns.load(Ordering::Relaxed);
            let more_ns = now_ns.saturating_sub(entered_ns);
            self.entered_ns.store(0, Ordering::Relaxed);
            self.busy_ns.store(busy_ns + more_ns, Ordering::Relaxed);
        }
        match (is_owner, depth >> 32) {
            (true, 0) => Some(outer & SPOT),
            (true, _) => None,
            (false, _) => Some(0),
        }
    }

    pub(super) fn outer(&self) -> u64 {
        self.outer.load(Ordering::Relaxed)
    }
    pub(super) fn set_outer(&self, outer: u64) {
        self.outer.store(outer, Ordering::Relaxed);
    }
}

/// An open span, as it was copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct OpenSpan {
    pub(super) serial: u32,
    pub(super) callsite: u16,
    pub(super) parent: u32,
    pub(super) started_ns: u64,
    pub(super) busy_ns: u64,
    pub(super) entered_ns: u64,
}

/// The span of an entry, if it has one and that does not change meanwhile.
pub(super) fn open_span(entry: &Entry) -> Option<OpenSpan> {
    let read = || {
        (
            entry.key.load(Ordering::Acquire),
            entry.what.load(Ordering::Relaxed),
        )
    };
    for _ in 0..4 {
        let before = read();
        if before.0 == 0 {
            return None;
        }
        let entered_ns = entry.entered_ns.load(Ordering::Acquire);
        let span = OpenSpan {
            serial: before.1 as u32,
            callsite: (before.1 >> 32) as u16,
            parent: entry.family.load(Ordering::Relaxed) as u32,
            started_ns: entry.started_ns.load(Ordering::Relaxed),
            busy_ns: entry.busy_ns.load(Ordering::Relaxed),
            entered_ns,
        };
        fence(Ordering::Acquire);
        if read() == before && entry.entered_ns.load(Ordering::Relaxed) == entered_ns {
            return Some(span);
        }
    }
    None
}
