//! Words to facts, facts to values.

use super::layout::{Check, RECORD_WORDS, asked, other};
use serde::Deserialize;
use serde::de::IntoDeserializer;
use serde::de::value::{Error, StrDeserializer};
use std::ops::Range;

/// One fact.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fact<'a> {
    pub(super) kind: u8,
    pub(super) words: &'a [u64],
    kept: usize,
    pub(super) total: u32,
}

impl Fact<'_> {
    pub(super) fn bytes(&self) -> Vec<u8> {
        let mut bytes: Vec<u8> = self.words.iter().flat_map(|w| w.to_le_bytes()).collect();
        bytes.truncate(self.kept);
        bytes
    }

    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes()).into_owned()
    }

    pub(super) fn number(&self) -> u64 {
        self.words.first().copied().unwrap_or_default()
    }

    /// Its bytes as hexadecimal digits, if there are `bytes` of them.
    pub(super) fn hex(&self, bytes: usize) -> Option<String> {
        let all = self.bytes();
        let whole = all.len() == bytes && all.iter().any(|byte| *byte != 0);
        whole.then(|| all.iter().map(|byte| format!("{byte:02x}")).collect())
    }

    /// A word of the vocabulary; `None` for one that this version does not know.
    pub(super) fn word<T: for<'de> Deserialize<'de>>(&self) -> Option<T> {
        let text = self.text();
        let word: StrDeserializer<'_, Error> = text.as_str().into_deserializer();
        T::deserialize(word).ok()
    }
}

/// The facts in `words`.
pub(super) fn facts(mut words: &[u64]) -> impl Iterator<Item = Fact<'_>> {
    std::iter::from_fn(move || {
        let (head, body) = words.split_first()?;
        let kept = (head >> 8 & 0xff_ffff) as usize;
        let (words_of_it, after) = body.split_at_checked(kept.div_ceil(8))?;
        words = after;
        Some(Fact {
            kind: *head as u8,
            words: words_of_it,
            kept,
            total: (head >> 32) as u32,
        })
    })
}

/// How a record was found.
pub(super) enum Found<'a> {
    Free,
    Torn,
    Live(Asked<'a>),
}

/// The part of a record that every request in flight has.
pub(super) struct Asked<'a> {
    pub(super) serial: u64,
    pub(super) started_ns: u64,
    pub(super) slow_after_ns: u64,
    pub(super) facts: &'a [u64],
}

/// The first part of a record.
pub(super) fn first(record: &[u64; RECORD_WORDS]) -> Found<'_> {
    let state = record[asked::STATE];
    match state & ((1 << asked::STATE_BITS) - 1) {
        asked::FREE => return Found::Free,
        asked::LIVE => {}
        _ => return Found::Torn,
    }
    let serial = state >> asked::STATE_BITS;
    let room = &record[asked::FACTS..super::layout::part::ASKED.end];
    let used = usize::try_from(record[asked::USED]).unwrap_or(usize::MAX);
    let Some(facts) = room.get(..used) else {
        return Found::Torn;
    };
    let (started_ns, slow_after_ns) = (record[asked::STARTED_NS], record[asked::SLOW_AFTER_NS]);
    let check = Check::new(serial).with(started_ns).with(slow_after_ns);
    if sum(check, facts) != record[asked::CHECK..asked::CHECK + 2] {
        return Found::Torn;
    }
    Found::Live(Asked {
        serial,
        started_ns,
        slow_after_ns,
        facts,
    })
}

/// The facts of another part, if it is about this use of the record; `Err` if it was being written or is damaged.
pub(super) fn part(
    record: &[u64; RECORD_WORDS],
    part: Range<usize>,
    serial: u64,
) -> Result<Option<&[u64]>, ()> {
    let part = &record[part];
    if part[other::SERIAL] != serial || part[other::SEQUENCE] == 0 {
        return Ok(None);
    }
    let used = usize::try_from(part[other::USED]).unwrap_or(usize::MAX);
    let facts = part[other::FACTS..].get(..used).ok_or(())?;
    let whole = part[other::SEQUENCE] & 1 == 0
        && sum(Check::new(serial), facts) == part[other::CHECK..other::CHECK + 2];
    if whole { Ok(Some(facts)) } else { Err(()) }
}

pub(super) fn sum(check: Check, words: &[u64]) -> [u64; 2] {
    let used = words.len() as u64;
    words
        .iter()
        .fold(check, |check, word| check.with(*word))
        .with(used)
        .sums()
}
