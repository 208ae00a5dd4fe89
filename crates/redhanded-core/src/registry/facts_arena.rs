//! Room for what the hot path copies about a request: bytes in words that anyone may read.
//!
//! Relaxed atomic words instead of a lock or a cell: the writer never waits, a reader that is too
//! late reads words of another request and notices by the generation, and no `unsafe` is needed.
//! Copied, not cloned: a clone of a `Uri` would pin hyper's whole read buffer.
//!
//! The arena is a sequence of records: one word of header (kind, bytes kept, bytes there were),
//! then the bytes, eight to a word.

use crate::copied::kind;
use crate::sync::{AtomicU32, AtomicU64, Ordering};

/// Words in an arena: 1 KiB.
const WORDS: usize = 128;
/// What a copy of all of them takes.
pub(crate) const ARENA_WORDS: usize = WORDS;

/// What a record holds. The number is stored; its meaning is the caller's.
pub(crate) type Kind = u8;

#[derive(Debug)]
pub(crate) struct FactsArena {
    used: AtomicU32,
    words: [AtomicU64; WORDS],
}

/// One record, as read back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fact {
    pub(crate) kind: Kind,
    pub(crate) bytes: Vec<u8>,
    /// How many bytes there were before the cut.
    pub(crate) total: u32,
}

impl FactsArena {
    pub(crate) fn new() -> Self {
        Self {
            used: AtomicU32::new(0),
            words: std::array::from_fn(|_| AtomicU64::new(0)),
        }
    }

    /// A writer that begins anew; nothing is to be read before [`Writer::done`].
    #[inline]
    pub(crate) fn rewrite(&self) -> Writer<'_> {
        Writer {
            arena: self,
            used: 0,
            kinds: 0,
        }
    }

    /// A writer that goes on where the last one was done; only for the thread that polls the request.
    pub(crate) fn append(&self) -> Writer<'_> {
        Writer {
            arena: self,
            used: self.used.load(Ordering::Relaxed) as usize,
            kinds: 0,
        }
    }

    /// Reads all records. Garbage (a reader that came too late) gives fewer or odd records, never a
    /// panic; the caller checks the generation.
    pub(crate) fn read(&self) -> Vec<Fact> {
        let mut words = Vec::new();
        self.copy_to(&mut words);
        facts_in(&words)
    }

    /// All records as they are, without a copy: each a word of header and the words of its bytes. For the
    /// thread that closes the request, or one that looks whether it still was the same request afterwards.
    #[inline]
    pub(crate) fn words(&self) -> &[AtomicU64] {
        let used = self.used.load(Ordering::Acquire) as usize;
        self.words.get(..used).unwrap_or_default()
    }

    /// How many words are used.
    pub(crate) fn used(&self) -> usize {
        self.used.load(Ordering::Acquire) as usize
    }

    /// All of the room, of which [`words`](Self::words) are used.
    #[inline]
    pub(crate) fn room(&self) -> &[AtomicU64; WORDS] {
        &self.words
    }

    /// Whether there is a record of that kind; reads no bytes.
    pub(crate) fn has(&self, kind: Kind) -> bool {
        let mut has = false;
        self.each(|head, _| has |= head as u8 == kind);
        has
    }

    /// Shows each record to `look`, as its head and the words of its bytes.
    #[inline]
    pub(crate) fn each<'a>(&'a self, mut look: impl FnMut(u64, &'a [AtomicU64])) {
        let mut words = self.words();
        while let Some((head, rest)) = words.split_first() {
            let head = head.load(Ordering::Relaxed);
            let kept = (head >> 8 & 0xff_ffff) as usize;
            let Some((body, after)) = rest.split_at_checked(kept.div_ceil(8)) else {
                return;
            };
            words = after;
            look(head, body);
        }
    }

    /// Copies all records as they are, in place of what `words` had.
    pub(crate) fn copy_to(&self, words: &mut Vec<u64>) {
        let used = (self.used.load(Ordering::Acquire) as usize).min(WORDS);
        let all = self.words.iter().take(used);
        words.clear();
        words.extend(all.map(|w| w.load(Ordering::Relaxed)));
    }
}

/// The records in `words`, which were copied out of an arena.
pub(crate) fn facts_in(words: &[u64]) -> Vec<Fact> {
    let records = records_in(words).map(|(head, body)| {
        let mut bytes: Vec<u8> = body.iter().flat_map(|w| w.to_le_bytes()).collect();
        bytes.truncate((head >> 8 & 0xff_ffff) as usize);
        Fact {
            kind: head as u8,
            bytes,
            total: (head >> 32) as u32,
        }
    });
    records.collect()
}

/// The records at the beginning of `words`, each as its word of header and its body.
pub(crate) fn facts_at(mut words: &[AtomicU64]) -> impl Iterator<Item = (u64, &[AtomicU64])> {
    std::iter::from_fn(move || {
        let (head, rest) = words.split_first()?;
        let head = head.load(Ordering::Relaxed);
        let (body, after) = rest.split_at_checked(kept(head).div_ceil(8))?;
        words = after;
        Some((head, body))
    })
}

/// Bytes that a record has.
pub(crate) fn kept(head: u64) -> usize {
    (head >> 8 & 0xff_ffff) as usize
}

/// The records in `words`, each as its word of header and its body.
pub(crate) fn records_in(mut words: &[u64]) -> impl Iterator<Item = (u64, &[u64])> {
    std::iter::from_fn(move || {
        let (head, body) = words.split_first()?;
        let kept = (head >> 8 & 0xff_ffff) as usize;
        let (body, after) = body.split_at_checked(kept.div_ceil(8))?;
        words = after;
        Some((*head, body))
    })
}

/// Fills an arena, with the place to write at in a register.
#[derive(Debug)]
pub(crate) struct Writer<'a> {
    arena: &'a FactsArena,
    used: usize,
    /// One bit for each kind below [`HEADER`](kind::HEADER) that was put.
    kinds: u32,
}

impl Writer<'_> {
    /// Appends a record of at most `limit` bytes. Returns the number of bytes kept; what does not
    /// fit any more is cut, and the reader is told how much there was.
    #[inline]
    pub(crate) fn put(&mut self, kind: Kind, bytes: &[u8], limit: usize) -> usize {
        let Some((head, body)) = self
            .arena
            .words
            .get(self.used..)
            .and_then(<[_]>::split_first)
        else {
            return 0;
        };
        let kept = bytes.len().min(limit).min(body.len() * 8);
        head.store(
            u64::from(kind) | (kept as u64) << 8 | (bytes.len() as u64) << 32,
            Ordering::Relaxed,
        );
        let (eights, rest) = bytes.get(..kept).unwrap_or_default().as_chunks::<8>();
        for (eight, word) in eights.iter().zip(body) {
            word.store(u64::from_le_bytes(*eight), Ordering::Relaxed);
        }
        if !rest.is_empty()
            && let Some(word) = body.get(eights.len())
        {
            word.store(short_word(rest), Ordering::Relaxed);
        }
        if kind < kind::HEADER {
            self.kinds |= 1 << kind;
        }
        self.used += 1 + kept.div_ceil(8);
        kept
    }

    /// Appends the records of another arena, as far as they fit.
    pub(crate) fn put_all(&mut self, other: &FactsArena) {
        let used = (other.used.load(Ordering::Acquire) as usize).min(WORDS);
        let room = self.arena.words.get(self.used..).unwrap_or_default();
        for (from, to) in other.words.iter().take(used).zip(room) {
            to.store(from.load(Ordering::Relaxed), Ordering::Relaxed);
        }
        self.used += used.min(room.len());
    }

    /// Everything is written; which kinds, one bit each, but for headers.
    #[inline]
    pub(crate) fn done(self) -> u32 {
        self.arena.used.store(self.used as u32, Ordering::Release);
        self.kinds
    }
}

/// Up to seven bytes in a word, by loads that overlap instead of a loop.
#[inline]
fn short_word(bytes: &[u8]) -> u64 {
    let n = bytes.len();
    match (bytes.first_chunk::<4>(), bytes.last_chunk::<4>()) {
        (Some(low), Some(high)) => {
            u64::from(u32::from_le_bytes(*low))
                | u64::from(u32::from_le_bytes(*high)) << (8 * (n - 4))
        }
        _ => {
            let at = |i: usize| bytes.get(i).map_or(0, |b| u64::from(*b) << (8 * i));
            at(0) | at(n / 2) | at(n.saturating_sub(1))
        }
    }
}

#[cfg(all(test, not(redhanded_loom)))]
mod tests {
    use super::*;

    #[test]
    fn every_length_comes_back() {
        for n in 0..200usize {
            let arena = FactsArena::new();
            let bytes: Vec<u8> = (0..n).map(|i| (i * 37 + 11) as u8).collect();
            let mut writer = arena.rewrite();
            assert_eq!(writer.put(1, b"before", 32), 6);
            assert_eq!(writer.put(2, &bytes, 512), n);
            assert_eq!(writer.put(3, b"after", 32), 5);
            writer.done();
            let facts = arena.read();
            assert_eq!(facts.len(), 3);
            assert_eq!(
                (facts[1].kind, &facts[1].bytes, facts[1].total),
                (2, &bytes, n as u32)
            );
            assert_eq!(facts[2].bytes, b"after");
        }
    }

    #[test]
    fn records_are_taken_over_as_far_as_they_fit() {
        let (from, to) = (FactsArena::new(), FactsArena::new());
        let mut writer = from.rewrite();
        writer.put(1, b"GET", 32);
        writer.put(2, &[b'a'; 900], 900);
        writer.done();
        let mut writer = to.rewrite();
        writer.put(9, &[b'n'; 200], 200);
        writer.put_all(&from);
        writer.done();
        let facts = to.read();
        assert_eq!(facts.len(), 2, "the long one is left out as a whole");
        assert_eq!((facts[0].kind, facts[1].bytes.as_slice()), (9, &b"GET"[..]));
    }

    #[test]
    fn what_does_not_fit_is_cut_and_counted() {
        let arena = FactsArena::new();
        let mut writer = arena.rewrite();
        assert_eq!(writer.put(1, &[b'a'; 100_000], 512), 512);
        assert_eq!(
            writer.put(2, &[b'b'; 100_000], usize::MAX),
            (WORDS - 1 - 64 - 1) * 8
        );
        assert_eq!(writer.put(3, b"no room", 32), 0);
        writer.done();
        let facts = arena.read();
        assert_eq!(facts.len(), 2);
        assert_eq!(facts[0].total, 100_000);
    }
}
