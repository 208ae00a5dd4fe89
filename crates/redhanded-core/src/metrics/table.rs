//! Series by what they are labelled with: a table that only grows, up to a bound, and is read without a lock.

use crate::sync::AtomicU64;
use parking_lot::Mutex;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Odd, and its bits are in no order.
const MIX: u64 = 0x9e37_79b9_7f4a_7c15;
/// Places that are looked at. The table is a quarter full at most: runs are short.
const RUN: usize = 64;

/// One eighth of a text's bytes, wherever it lies.
pub(super) trait Word {
    /// The bytes, the first one lowest.
    fn get(&self) -> u64;
}

impl Word for u64 {
    fn get(&self) -> u64 {
        *self
    }
}

impl Word for AtomicU64 {
    #[inline]
    fn get(&self) -> u64 {
        self.load(Ordering::Relaxed)
    }
}

/// A series: what it is told by, numbers in one word and a text as words, its length among the numbers.
#[derive(Debug)]
pub(super) struct Entry<V> {
    pub(super) numbers: u64,
    pub(super) text: Box<[u64]>,
    pub(super) value: V,
}

#[inline]
fn is_same<W: Word>(known: &[u64], text: &[W]) -> bool {
    known.len() == text.len()
        && known
            .iter()
            .zip(text)
            .all(|(known, word)| *known == word.get())
}

/// Values by numbers and a text.
#[derive(Debug)]
pub(super) struct Table<V> {
    /// A power of two.
    places: Box<[OnceLock<Box<Entry<V>>>]>,
    shift: u32,
    most: usize,
    count: AtomicUsize,
    adding: Mutex<()>,
}

/// There is no room for one more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Full;

impl<V> Table<V> {
    /// With room for `most`.
    pub(super) fn new(most: usize) -> Self {
        let places = (most.max(16) * 4).next_power_of_two();
        Self {
            places: (0..places).map(|_| OnceLock::new()).collect(),
            shift: u64::BITS - places.ilog2(),
            most,
            count: AtomicUsize::new(0),
            adding: Mutex::new(()),
        }
    }

    /// The value of a series; `make` it if it is new. Waits only for who adds one at the same moment.
    #[inline]
    pub(super) fn get<W: Word>(
        &self,
        numbers: u64,
        text: &[W],
        make: impl FnOnce() -> V,
    ) -> Result<&V, Full> {
        let start = self.start(numbers, text);
        match self.find(start, numbers, text) {
            Some(value) => Ok(value),
            None => self.add(start, numbers, text, make),
        }
    }

    #[inline]
    fn start<W: Word>(&self, numbers: u64, text: &[W]) -> usize {
        let mut hash = numbers.wrapping_mul(MIX);
        for word in text {
            hash = (hash.rotate_left(5) ^ word.get()).wrapping_mul(MIX);
        }
        (hash >> self.shift) as usize
    }

    #[inline]
    fn find<W: Word>(&self, start: usize, numbers: u64, text: &[W]) -> Option<&V> {
        let mut at = start;
        for _ in 0..RUN {
            let entry = self.places.get(at)?.get()?;
            if entry.numbers == numbers && is_same(&entry.text, text) {
                return Some(&entry.value);
            }
            at = (at + 1) & (self.places.len() - 1);
        }
        None
    }

    #[cold]
    #[inline(never)]
    fn add<W: Word>(
        &self,
        start: usize,
        numbers: u64,
        text: &[W],
        make: impl FnOnce() -> V,
    ) -> Result<&V, Full> {
        // Before the lock: once it is full nobody waits here.
        if self.len() >= self.most {
            return Err(Full);
        }
        let _adding = self.adding.lock();
        if let Some(value) = self.find(start, numbers, text) {
            return Ok(value); // somebody else was faster
        }
        if self.len() >= self.most {
            return Err(Full);
        }
        let mask = self.places.len() - 1;
        let mut run = (start..start + RUN).filter_map(|at| self.places.get(at & mask));
        let place = run.find(|place| place.get().is_none()).ok_or(Full)?;
        let entry = Entry {
            numbers,
            text: text.iter().map(Word::get).collect(),
            value: make(),
        };
        let entry = place.get_or_init(|| Box::new(entry));
        self.count.fetch_add(1, Ordering::Relaxed);
        Ok(&entry.value)
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    /// All of them, in no order.
    pub(super) fn all(&self) -> impl Iterator<Item = &Entry<V>> {
        let entries = self.places.iter().filter_map(OnceLock::get);
        entries.map(AsRef::as_ref)
    }
}

/// A text as words, eight bytes in each.
pub(super) fn words_of(text: &[u8]) -> Vec<u64> {
    let word = |chunk: &[u8]| {
        let bytes = chunk.iter().zip(0..);
        bytes.fold(0, |word, (byte, at)| word | u64::from(*byte) << (8 * at))
    };
    text.chunks(8).map(word).collect()
}

/// The first `bytes` bytes of such words.
pub(super) fn bytes_of(words: &[u64], bytes: usize) -> Vec<u8> {
    let mut text: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    text.truncate(bytes);
    text
}

#[cfg(all(test, not(redhanded_loom)))]
mod tests {
    use super::*;

    fn get(table: &Table<AtomicU64>, numbers: u64, text: &str) -> Result<u64, Full> {
        let value = table.get(numbers, &words_of(text.as_bytes()), AtomicU64::default)?;
        Ok(value.fetch_add(1, Ordering::Relaxed) + 1)
    }

    #[test]
    fn series_differ_by_numbers_and_by_text() {
        let table = Table::new(100);
        assert_eq!(get(&table, 1, "/a"), Ok(1));
        assert_eq!(get(&table, 1, "/a"), Ok(2));
        assert_eq!(get(&table, 2, "/a"), Ok(1));
        assert_eq!(get(&table, 1, "/a/long/route/{id}"), Ok(1));
        assert_eq!(get(&table, 1, "/a/long/route/{ie}"), Ok(1));
        assert_eq!(get(&table, 1, ""), Ok(1));
        assert_eq!(table.len(), 5);
    }

    #[test]
    fn there_is_an_end_and_those_that_are_there_stay() {
        let table = Table::new(2_000);
        let known = (0..10_000).filter(|n| get(&table, 0, &format!("/{n}/items")).is_ok());
        assert_eq!(known.count(), 2_000);
        assert_eq!(get(&table, 0, "/7/items"), Ok(2));
        assert_eq!(get(&table, 0, "/9999/items"), Err(Full));
        assert_eq!((table.len(), table.all().count()), (2_000, 2_000));
    }

    #[test]
    fn threads_that_add_the_same_get_the_same() {
        let table = Table::new(500);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for n in 0..500_u64 {
                        get(&table, n, "/same").expect("room");
                    }
                });
            }
        });
        assert_eq!(table.len(), 500);
        assert!(
            table
                .all()
                .all(|entry| entry.value.load(Ordering::Relaxed) == 8)
        );
    }

    #[test]
    fn a_text_comes_back() {
        for text in ["", "/", "/seven", "/a/eight", "/nine/bytes/and/more"] {
            let words = words_of(text.as_bytes());
            assert_eq!(bytes_of(&words, text.len()), text.as_bytes());
        }
    }
}
