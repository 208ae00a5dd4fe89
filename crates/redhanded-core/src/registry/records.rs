//! The records of a flight recorder, as slots use them: who has which, and how a part of one is written.
//!
//! A slot takes a record when it is first used and keeps it, so that a request pays one compare-and-swap for it and
//! threads do not fight over a list. When all are given out, a slot without one takes over a record that rests.

use super::slot::Slot;
use redhanded_report::recorder::layout::{
    Check, HEADER_WORDS, RECORD_WORDS, asked, head, header, other, part,
};
use std::ops::Range;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering, fence};

/// A record in the file.
pub(crate) type Record = [AtomicU64; RECORD_WORDS];

/// In [`Slot::recorded`]: there was no free record for this request.
pub(crate) const UNRECORDED: u32 = u32::MAX;
/// How many records are tried by a slot that has none of its own.
const TRIES: usize = 64;

/// All records of one file.
#[derive(Debug)]
pub(crate) struct Records {
    header: &'static [AtomicU64; HEADER_WORDS],
    records: &'static [Record],
    /// Those that were never given to a slot begin here.
    next: AtomicU32,
    /// Where the next one is sought that rests.
    cursor: AtomicU32,
}

/// A record that is the caller's alone, until it is [`published`](Claimed::publish).
#[derive(Debug)]
pub(crate) struct Claimed {
    pub(crate) record: &'static Record,
    pub(crate) serial: u64,
}

/// One use of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RecordUse {
    index: u32,
    serial: u64,
}

impl Records {
    /// Of a file that is mapped as `words`; `None` if they are too few.
    pub(crate) fn new(words: &'static [AtomicU64]) -> Option<Self> {
        let (header, records) = words.split_first_chunk::<HEADER_WORDS>()?;
        let (records, _) = records.as_chunks::<RECORD_WORDS>();
        Some(Self {
            header,
            records,
            next: AtomicU32::new(0),
            cursor: AtomicU32::new(0),
        })
    }

    pub(crate) fn header(&self) -> &'static [AtomicU64; HEADER_WORDS] {
        self.header
    }

    /// A record for the request that is about to begin in `slot`; `None` if all are in use, which is counted.
    #[inline]
    pub(crate) fn claim(&self, slot: &Slot) -> Option<Claimed> {
        let own = slot.own_record();
        let Some(record) = self.records.get((own as usize).wrapping_sub(1)) else {
            return self.claim_another(slot);
        };
        let before = slot.record_state();
        let serial = (before >> asked::STATE_BITS) + 1;
        let writing = serial << asked::STATE_BITS | asked::WRITING;
        if !swap(record, before, writing) {
            return self.claim_another(slot);
        }
        slot.set_recorded(own);
        Some(Claimed { record, serial })
    }

    /// The first use of a slot, or all records are given out.
    #[cold]
    #[inline(never)]
    fn claim_another(&self, slot: &Slot) -> Option<Claimed> {
        let count = self.records.len();
        // Not beyond the end, or it would come around some day.
        let fresh = (self.next.load(Ordering::Relaxed) as usize) < count;
        let fresh = fresh.then(|| self.next.fetch_add(1, Ordering::Relaxed) as usize);
        let begin = self.cursor.fetch_add(TRIES as u32, Ordering::Relaxed) as usize;
        let resting = (0..TRIES.min(count)).map(|n| begin.wrapping_add(n) % count);
        for index in fresh
            .into_iter()
            .filter(|index| *index < count)
            .chain(resting)
        {
            let Some(record) = self.records.get(index) else {
                continue;
            };
            let before = record[asked::STATE].load(Ordering::Relaxed);
            let is_free = before & ((1 << asked::STATE_BITS) - 1) == asked::FREE;
            let serial = (before >> asked::STATE_BITS) + 1;
            if is_free && swap(record, before, serial << asked::STATE_BITS | asked::WRITING) {
                let own = index as u32 + 1;
                slot.set_own_record(own);
                slot.set_recorded(own);
                return Some(Claimed { record, serial });
            }
        }
        slot.set_own_record(0);
        slot.set_recorded(UNRECORDED);
        self.header[header::UNRECORDED].fetch_add(1, Ordering::Relaxed);
        self.header[header::UNRECORDED_NOW].fetch_add(1, Ordering::Relaxed);
        None
    }

    /// The request in `slot`, which has been recorded as `recorded`, is over.
    #[inline]
    pub(crate) fn free(&self, slot: &Slot, recorded: u32) {
        slot.set_recorded(0);
        match self.records.get((recorded as usize).wrapping_sub(1)) {
            Some(record) => {
                let free = record[asked::STATE].load(Ordering::Relaxed)
                    & !((1 << asked::STATE_BITS) - 1)
                    | asked::FREE;
                // Before the store: whoever takes it over finds a slot that knows nothing newer.
                slot.set_record_state(free);
                record[asked::STATE].store(free, Ordering::Release);
            }
            None => {
                self.header[header::UNRECORDED_NOW].fetch_sub(1, Ordering::Relaxed);
            }
        }
    }

    /// Requests that found no free record.
    pub(crate) fn unrecorded(&self) -> u64 {
        self.header[header::UNRECORDED].load(Ordering::Relaxed)
    }

    /// The record of the request in `slot`, while it is in flight there.
    pub(crate) fn of(&self, slot: &Slot) -> Option<RecordUse> {
        let index = slot.recorded().checked_sub(1)?;
        let state = self.records.get(index as usize)?[asked::STATE].load(Ordering::Acquire);
        let is_live = state & ((1 << asked::STATE_BITS) - 1) == asked::LIVE;
        is_live.then_some(RecordUse {
            index,
            serial: state >> asked::STATE_BITS,
        })
    }

    /// Whether the record is still in that use.
    pub(crate) fn is_still(&self, used: RecordUse) -> bool {
        let live = used.serial << asked::STATE_BITS | asked::LIVE;
        let state = |record: &Record| record[asked::STATE].load(Ordering::Acquire);
        self.records.get(used.index as usize).map(state) == Some(live)
    }

    /// Writes a part of a record anew. Each part has one writer at a time; one that comes too late says for which use
    /// it was, and is not read.
    pub(crate) fn write(
        &self,
        used: RecordUse,
        part: Range<usize>,
        fill: impl FnOnce(&mut Facts<'_>),
    ) {
        let words = self
            .records
            .get(used.index as usize)
            .and_then(|record| record.get(part));
        let Some((first, room)) = words.and_then(<[_]>::split_first_chunk::<{ other::FACTS }>)
        else {
            return;
        };
        let sequence = first[other::SEQUENCE].load(Ordering::Relaxed) & !1;
        first[other::SEQUENCE].store(sequence | 1, Ordering::Relaxed);
        fence(Ordering::Release);
        let mut facts = Facts::new(room, Check::new(used.serial));
        fill(&mut facts);
        let (length, [sum, sums]) = facts.finish();
        first[other::SERIAL].store(used.serial, Ordering::Relaxed);
        first[other::USED].store(length, Ordering::Relaxed);
        first[other::CHECK].store(sum, Ordering::Relaxed);
        first[other::CHECK + 1].store(sums, Ordering::Relaxed);
        first[other::SEQUENCE].store(sequence + 2, Ordering::Release);
    }
}

/// Copies words with their checksum, four at a time.
#[inline(always)]
fn copy(from: &[crate::sync::AtomicU64], to: &[AtomicU64], mut check: Check) -> Check {
    let one = |check: Check, from: &crate::sync::AtomicU64, to: &AtomicU64| {
        let word = from.load(Ordering::Relaxed);
        to.store(word, Ordering::Relaxed);
        check.with(word)
    };
    let ((fours, last), (to_fours, to_last)) = (from.as_chunks::<4>(), to.as_chunks::<4>());
    for ([a, b, c, d], [to_a, to_b, to_c, to_d]) in fours.iter().zip(to_fours) {
        check = one(one(check, a, to_a), b, to_b);
        check = one(one(check, c, to_c), d, to_d);
    }
    for (from, to) in last.iter().zip(to_last) {
        check = one(check, from, to);
    }
    check
}

#[inline]
fn swap(record: &Record, before: u64, writing: u64) -> bool {
    let state = &record[asked::STATE];
    state
        .compare_exchange(before, writing, Ordering::Acquire, Ordering::Relaxed)
        .is_ok()
}

impl Claimed {
    /// Where its facts are written to.
    #[inline]
    pub(crate) fn facts(&self, started_ns: u64, slow_after_ns: u64) -> Facts<'static> {
        // What is stored from here on is stored after the state that says so.
        fence(Ordering::Release);
        self.record[asked::STARTED_NS].store(started_ns, Ordering::Relaxed);
        self.record[asked::SLOW_AFTER_NS].store(slow_after_ns, Ordering::Relaxed);
        let room = self.record.get(asked::FACTS..part::ASKED.end);
        let check = Check::new(self.serial).with(started_ns).with(slow_after_ns);
        Facts::new(room.unwrap_or_default(), check)
    }

    /// From now on the request is in flight, for whoever reads the file.
    #[inline]
    pub(crate) fn publish(self, facts: &Facts<'_>) {
        let (length, [sum, sums]) = facts.finish();
        self.record[asked::USED].store(length, Ordering::Relaxed);
        self.record[asked::CHECK].store(sum, Ordering::Relaxed);
        self.record[asked::CHECK + 1].store(sums, Ordering::Relaxed);
        let live = self.serial << asked::STATE_BITS | asked::LIVE;
        self.record[asked::STATE].store(live, Ordering::Release);
    }
}

/// Writes facts one behind the other, with their checksum.
#[derive(Debug)]
pub(crate) struct Facts<'a> {
    room: &'a [AtomicU64],
    /// Words of room that there were.
    whole: usize,
    check: Check,
}

impl<'a> Facts<'a> {
    #[inline]
    fn new(room: &'a [AtomicU64], check: Check) -> Self {
        Self {
            whole: room.len(),
            room,
            check,
        }
    }

    /// Takes facts over as they are, heads and the words of their bytes. What does not fit is left out.
    #[inline(always)]
    pub(crate) fn copied(mut self, facts: &[crate::sync::AtomicU64]) -> Self {
        let Some((to, room)) = self.room.split_at_checked(facts.len()) else {
            return self;
        };
        self.room = room;
        self.check = copy(facts, to, self.check);
        self
    }

    /// A fact of `bytes`, of which there were `total`; cut where room ends.
    pub(crate) fn put(&mut self, kind: u8, bytes: &[u8], total: usize) {
        let Some((first, body)) = self.room.split_first() else {
            return;
        };
        let kept = bytes.len().min(body.len() * 8);
        let Some((body, after)) = body.split_at_checked(kept.div_ceil(8)) else {
            return;
        };
        let first_word = head(kind, kept, total);
        let mut check = self.check.with(first_word);
        first.store(first_word, Ordering::Relaxed);
        let eights = bytes.get(..kept).unwrap_or_default().chunks(8);
        for (word, eight) in body.iter().zip(eights) {
            let mut whole = [0; 8];
            whole
                .iter_mut()
                .zip(eight)
                .for_each(|(to, byte)| *to = *byte);
            let value = u64::from_le_bytes(whole);
            word.store(value, Ordering::Relaxed);
            check = check.with(value);
        }
        self.check = check;
        self.room = after;
    }

    /// A text, cut at `limit` bytes.
    pub(crate) fn text(&mut self, kind: u8, text: &str, limit: usize) {
        let kept = text
            .get(..text.floor_char_boundary(limit))
            .unwrap_or_default();
        self.put(kind, kept.as_bytes(), text.len());
    }

    /// A number.
    pub(crate) fn number(&mut self, kind: u8, number: u64) {
        self.put(kind, &number.to_le_bytes(), 8);
    }

    #[inline]
    fn finish(&self) -> (u64, [u64; 2]) {
        let used = (self.whole - self.room.len()) as u64;
        (used, self.check.with(used).sums())
    }
}
