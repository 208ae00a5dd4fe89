//! The ring of one request: its open spans in a table, everything that happened in a log that forgets
//! its oldest.
//!
//! 16 KiB of relaxed words. Whoever appends to the log holds a lock that nobody waits long for: the
//! request's threads append, one at a time nearly always. The watchdog reads without it, while they
//! write. Positions in the log only grow, and room is announced before it is written: after copying,
//! a reader knows from the tail what it must not believe. An entry of the table belongs to the thread
//! that is inside the span.

use super::entry::{Entry, Head, OpenSpan, UNLISTED, kind, open_span};
use super::packed::Spot;
use crate::registry::{Link, Linked};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering, fence};

/// Words of the log.
pub(super) const WORDS: usize = 1472;
/// Spans of one request that are followed at the same time.
pub(super) const OPEN: usize = 64;
/// What every record begins with: its head, when, and who.
pub(super) const HEAD: usize = 3;
/// Who finds the lock taken tries so often.
const TRIES: u32 = 200;
/// Entries that wait for spans which are open although their request is over. Where spans are never closed there would
/// be more and more of them: then those go first that have waited for longest.
const LEFT: u32 = OPEN as u32 / 2;

#[derive(Debug)]
pub(super) struct Ring {
    pub(super) index: u16,
    link: Link,
    /// 1 while somebody appends.
    lock: AtomicU32,
    /// Grows when the ring goes from one request to another.
    epoch: AtomicU32,
    /// The last span's number; goes on from request to request, so that an old one is not taken for a new one.
    serial: AtomicU32,
    /// What this request has lost: records that were overwritten, and what there was no room or time for.
    overwritten: AtomicU32,
    lost: AtomicU32,
    /// A bit for each free entry.
    free: AtomicU64,
    /// A bit for each entry of a span that was open when its request ended. A thread that is about to enter or leave that
    /// span may have found the entry already: nobody else gets it before the span is closed, unless there is no other.
    left: AtomicU64,
    tail: AtomicU64,
    head: AtomicU64,
    pub(super) open: [Entry; OPEN],
    words: [AtomicU64; WORDS],
}

impl Linked for Ring {
    fn link(&self) -> &Link {
        &self.link
    }
}

/// The right to append, while it lasts.
struct Held<'a>(&'a Ring);

impl Drop for Held<'_> {
    #[inline]
    fn drop(&mut self) {
        self.0.lock.store(0, Ordering::Release);
    }
}

/// A copy of what a ring had at one moment.
#[derive(Clone, Debug, Default)]
pub(super) struct Copied {
    /// Whole records, from the oldest on.
    pub(super) words: Vec<u64>,
    pub(super) open: Vec<OpenSpan>,
    pub(super) overwritten: u32,
    pub(super) lost: u32,
}

impl Ring {
    pub(super) fn new(index: u16) -> Self {
        Self {
            index,
            link: Link::new(),
            lock: AtomicU32::new(0),
            epoch: AtomicU32::new(1),
            serial: AtomicU32::new(0),
            overwritten: AtomicU32::new(0),
            lost: AtomicU32::new(0),
            free: AtomicU64::new(u64::MAX),
            left: AtomicU64::new(0),
            tail: AtomicU64::new(0),
            head: AtomicU64::new(0),
            open: [const { Entry::new() }; OPEN],
            words: [const { AtomicU64::new(0) }; WORDS],
        }
    }

    pub(super) fn link(&self) -> &Link {
        &self.link
    }

    #[inline]
    pub(super) fn epoch(&self) -> u32 {
        self.epoch.load(Ordering::Acquire)
    }

    /// The entry with this number.
    #[inline]
    pub(super) fn entry(&self, number: u8) -> &Entry {
        &self.open[usize::from(number) % OPEN]
    }

    /// The lock, if the ring is still that of `epoch`, and nobody holds it for long.
    #[inline]
    fn hold(&self, epoch: u32) -> Option<Held<'_>> {
        if !self.lock() {
            if self.epoch() == epoch {
                self.lose();
            }
            return None;
        }
        let held = Held(self);
        (self.epoch() == epoch).then_some(held)
    }

    #[inline]
    fn lock(&self) -> bool {
        let held = self
            .lock
            .compare_exchange(0, 1, Ordering::Acquire, Ordering::Relaxed);
        held.is_ok() || self.hold_slowly()
    }

    #[cold]
    fn hold_slowly(&self) -> bool {
        let take = || {
            self.lock
                .compare_exchange_weak(0, 1, Ordering::Acquire, Ordering::Relaxed)
        };
        (0..TRIES).any(|_| {
            std::hint::spin_loop();
            take().is_ok()
        })
    }

    #[cold]
    fn lose(&self) {
        self.lost.fetch_add(1, Ordering::Relaxed);
    }

    fn word(&self, position: u64) -> &AtomicU64 {
        &self.words[(position % WORDS as u64) as usize]
    }

    /// Makes room for `words` more; `false` if open spans take all there is.
    #[inline]
    fn make_room(&self, words: usize) -> bool {
        let head = self.head.load(Ordering::Relaxed);
        let tail = self.tail.load(Ordering::Relaxed);
        head - tail + words as u64 <= WORDS as u64 || self.forget_oldest(words)
    }

    #[cold]
    fn forget_oldest(&self, words: usize) -> bool {
        let mut head = self.head.load(Ordering::Relaxed);
        let mut tail = self.tail.load(Ordering::Relaxed);
        let mut moved = 0;
        while head - tail + words as u64 > WORDS as u64 {
            let record = Head::of(self.word(tail).load(Ordering::Relaxed));
            let length = u64::from(record.words.max(1));
            // Announced before anything of it is written over.
            self.tail.store(tail + length, Ordering::Relaxed);
            fence(Ordering::Release);
            if self.is_first_of_open(record, tail) {
                moved += 1;
                for i in 0..length {
                    // Forwards: where the two overlap, the goal lies before the source.
                    let word = self.word(tail + i).load(Ordering::Relaxed);
                    self.word(head + i).store(word, Ordering::Relaxed);
                }
                self.set_first(record, head);
                head += length;
                self.head.store(head, Ordering::Release);
            } else {
                self.overwritten.fetch_add(1, Ordering::Relaxed);
            }
            tail += length;
            if moved > OPEN {
                return false;
            }
        }
        true
    }

    /// Whether the record at `position` is the first of a span that is open still: its fields are kept.
    fn is_first_of_open(&self, record: Head, position: u64) -> bool {
        record.kind == kind::START
            && self.open.get(usize::from(record.entry)).is_some_and(|e| {
                e.key.load(Ordering::Relaxed) != 0
                    && (e.family.load(Ordering::Relaxed) >> 32) as u32 == position as u32
            })
    }

    fn set_first(&self, record: Head, position: u64) {
        if let Some(entry) = self.open.get(usize::from(record.entry)) {
            let parent = entry.family.load(Ordering::Relaxed) & u64::from(u32::MAX);
            entry
                .family
                .store(parent | position << 32, Ordering::Relaxed);
        }
    }

    /// Appends a record; the caller holds the lock and has made room.
    #[inline]
    fn write(&self, head: [u64; HEAD], body: &[u64]) {
        let at = self.head.load(Ordering::Relaxed);
        let index = (at % WORDS as u64) as usize;
        let length = HEAD + body.len();
        let whole = self.words.get(index..index + length);
        match whole.and_then(<[_]>::split_first_chunk::<HEAD>) {
            Some((into, rest)) => {
                for (into, word) in into.iter().zip(head) {
                    into.store(word, Ordering::Relaxed);
                }
                for (into, word) in rest.iter().zip(body) {
                    into.store(*word, Ordering::Relaxed);
                }
            }
            None => self.write_round(at, head, body),
        }
        self.head.store(at + length as u64, Ordering::Release);
    }

    /// The same over the end of the words.
    #[cold]
    fn write_round(&self, at: u64, head: [u64; HEAD], body: &[u64]) {
        let all = head.iter().chain(body);
        for (i, word) in all.enumerate() {
            self.word(at + i as u64).store(*word, Ordering::Relaxed);
        }
    }

    /// Appends a record that is about no entry, if there is room and time.
    #[inline]
    pub(super) fn append(
        &self,
        epoch: u32,
        (kind, callsite): (u8, u16),
        (at_ns, who): (u64, u64),
        (body, dropped): (&[u64], u32),
    ) {
        let Some(_held) = self.hold(epoch) else {
            return;
        };
        let words = HEAD + body.len();
        if !self.make_room(words) {
            return self.lose();
        }
        let head = Head {
            kind,
            entry: UNLISTED,
            words: words as u16,
            callsite,
            dropped: dropped.min(255) as u8,
        };
        self.write([head.word(), at_ns, who], body);
    }

    /// An entry that nobody has; if there is none, one that waits for its span to be closed; else none of the table.
    #[inline]
    fn take_entry(&self) -> u32 {
        let take = |from: &AtomicU64| {
            let bits = from.load(Ordering::Relaxed);
            from.store(bits & bits.wrapping_sub(1), Ordering::Relaxed);
            bits.trailing_zeros()
        };
        match take(&self.free) {
            u64::BITS => take(&self.left),
            number => number,
        }
    }

    /// A span begins; says where in the table, if there was room for it there.
    #[inline]
    pub(super) fn begin(
        &self,
        epoch: u32,
        (key, callsite): (u64, u16),
        (at_ns, parent): (u64, u32),
        (body, dropped): (&[u64], u32),
    ) -> Option<Spot> {
        let _held = self.hold(epoch)?;
        let words = HEAD + body.len();
        let serial = self.serial.load(Ordering::Relaxed).wrapping_add(1).max(1);
        self.serial.store(serial, Ordering::Relaxed);
        let number = self.take_entry();
        let entry = self.open.get(number as usize);
        if entry.is_none() || !self.make_room(words) {
            self.lose();
        }
        let first = self.head.load(Ordering::Relaxed);
        if let Some(entry) = entry {
            entry.started_ns.store(at_ns, Ordering::Relaxed);
            entry.busy_ns.store(0, Ordering::Relaxed);
            entry.entered_ns.store(0, Ordering::Relaxed);
            entry.depth.store(0, Ordering::Relaxed);
            entry.outer.store(0, Ordering::Relaxed);
            entry
                .family
                .store(u64::from(parent) | first << 32, Ordering::Relaxed);
            entry.what.store(
                u64::from(serial) | u64::from(callsite) << 32,
                Ordering::Relaxed,
            );
            entry.key.store(key, Ordering::Release);
        }
        let used = first - self.tail.load(Ordering::Relaxed);
        if used + words as u64 <= WORDS as u64 {
            let head = Head {
                kind: kind::START,
                entry: entry.map_or(UNLISTED, |_| number as u8),
                words: words as u16,
                callsite,
                dropped: dropped.min(255) as u8,
            };
            let who = u64::from(serial) | u64::from(parent) << 32;
            self.write([head.word(), at_ns, who], body);
        }
        entry.map(|_| Spot {
            ring: self.index,
            entry: number as u8,
            serial,
        })
    }

    /// The span in `entry` ends.
    #[inline]
    pub(super) fn end(&self, epoch: u32, spot: Spot, key: u64, now_ns: u64) {
        let Some(_held) = self.hold(epoch) else {
            return;
        };
        let Some(entry) = self.open.get(usize::from(spot.entry)) else {
            return;
        };
        if entry.key.load(Ordering::Relaxed) != key {
            return;
        }
        let what = entry.what.load(Ordering::Relaxed);
        let parent = entry.family.load(Ordering::Relaxed) & u64::from(u32::MAX);
        let started_ns = entry.started_ns.load(Ordering::Relaxed);
        let busy_ns = entry.busy_ns.load(Ordering::Relaxed);
        entry.key.store(0, Ordering::Release);
        let free = self.free.load(Ordering::Relaxed);
        self.free.store(free | 1 << spot.entry, Ordering::Relaxed);
        if !self.make_room(HEAD + 2) {
            return self.lose();
        }
        let head = Head {
            kind: kind::END,
            entry: UNLISTED,
            words: (HEAD + 2) as u16,
            callsite: (what >> 32) as u16,
            dropped: 0,
        };
        let who = what & u64::from(u32::MAX) | parent << 32;
        self.write([head.word(), now_ns, who], &[started_ns, busy_ns]);
    }

    /// The entry that has `key`, if any has; for when nothing quicker has found it.
    pub(super) fn find(&self, key: u64) -> Option<(u8, &Entry)> {
        let mut taken = !self.free.load(Ordering::Relaxed);
        while taken != 0 {
            let number = taken.trailing_zeros();
            taken &= taken - 1;
            let entry = self.open.get(number as usize)?;
            if entry.key.load(Ordering::Relaxed) == key {
                return Some((number as u8, entry));
            }
        }
        None
    }

    /// Nobody's any more: empties it for the next request. Returns what this one has lost; `None` if
    /// somebody appends just now and does not come to an end: then it is to be tried later.
    pub(super) fn clear(&self) -> Option<Losses> {
        if !self.lock() {
            return None;
        }
        let held = Held(self);
        // Twice: who has read the epoch in between knows a wrong one, and who reads the new one finds no key of before.
        let epoch = self.epoch.load(Ordering::Relaxed);
        self.epoch.store(epoch.wrapping_add(1), Ordering::Release);
        self.leave_open_ones();
        self.epoch.store(epoch.wrapping_add(2), Ordering::Release);
        let losses = Losses {
            overwritten: self.overwritten.load(Ordering::Relaxed),
            lost: self.lost.load(Ordering::Relaxed),
        };
        if losses.overwritten | losses.lost != 0 {
            self.overwritten.store(0, Ordering::Relaxed);
            self.lost.store(0, Ordering::Relaxed);
        }
        let head = self.head.load(Ordering::Relaxed);
        self.tail.store(head, Ordering::Release);
        drop(held);
        Some(losses)
    }

    /// Nobody finds the open spans any more, and their entries wait for them to be closed.
    fn leave_open_ones(&self) {
        let before = self.left.load(Ordering::Relaxed);
        let open = !self.free.load(Ordering::Relaxed) & !before;
        for entry in self.entries(open) {
            entry.leave();
        }
        let mut left = before | open;
        if left.count_ones() > LEFT {
            left = lowest(open, LEFT);
        }
        self.left.store(left, Ordering::Relaxed);
        self.free.store(!left, Ordering::Relaxed);
    }

    /// The span `key`, whose request is over, is closed as well: its entry at `spot` is free.
    pub(super) fn close_left(&self, spot: Spot, key: u64) {
        let Some(entry) = self.open.get(usize::from(spot.entry)) else {
            return;
        };
        if !entry.is_left(key) || !self.lock() {
            return;
        }
        let _held = Held(self);
        let bit = 1 << spot.entry;
        let left = self.left.load(Ordering::Relaxed);
        if left & bit != 0 && entry.is_left(key) {
            self.left.store(left & !bit, Ordering::Relaxed);
            let free = self.free.load(Ordering::Relaxed);
            self.free.store(free | bit, Ordering::Relaxed);
        }
    }

    fn entries(&self, mut bits: u64) -> impl Iterator<Item = &Entry> {
        std::iter::from_fn(move || {
            let entry = self.open.get(bits.trailing_zeros() as usize)?;
            bits &= bits - 1;
            Some(entry)
        })
    }

    /// Copies what it has while others write; `None` if they were quicker than the copying each time.
    pub(super) fn copy(&self, epoch: u32) -> Option<Copied> {
        (0..8).find_map(|_| self.try_copy(epoch))
    }

    fn try_copy(&self, epoch: u32) -> Option<Copied> {
        let open = self.open.iter().filter_map(open_span).collect();
        let head = self.head.load(Ordering::Acquire);
        let first = head.saturating_sub(WORDS as u64);
        let words: Vec<u64> = (first..head)
            .map(|at| self.word(at).load(Ordering::Relaxed))
            .collect();
        fence(Ordering::Acquire);
        let tail = self.tail.load(Ordering::Relaxed);
        let whole = words.get(tail.saturating_sub(first) as usize..)?;
        (self.epoch() == epoch && tail >= first).then(|| Copied {
            words: whole.to_vec(),
            open,
            overwritten: self.overwritten.load(Ordering::Relaxed),
            lost: self.lost.load(Ordering::Relaxed),
        })
    }
}

/// The `count` lowest of `bits`.
fn lowest(mut bits: u64, count: u32) -> u64 {
    while bits.count_ones() > count {
        bits &= !(1 << bits.ilog2());
    }
    bits
}

/// What one request has lost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Losses {
    pub(super) overwritten: u32,
    pub(super) lost: u32,
}
