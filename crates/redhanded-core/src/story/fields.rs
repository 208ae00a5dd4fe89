//! Fields on their way into a ring: words in a buffer of the thread, which nothing is allocated for.
//!
//! A field is a word of its head (kind, index, and of a text bytes kept and bytes there were), then its
//! value. A value's own `Debug` runs here, before anything of the ring is held: it may log, and then
//! has another buffer, and it may panic, which costs its value and nothing else.

use std::cell::Cell;
use std::fmt::{self, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Words of all fields of one span or event: 2 KiB.
const WORDS: usize = 256;
/// Bytes of one value; the rest is counted.
const VALUE_BYTES: usize = 1024;

/// How a value is stored.
mod kind {
    pub(super) const BOOL: u8 = 1;
    pub(super) const I64: u8 = 2;
    pub(super) const U64: u8 = 3;
    pub(super) const F64: u8 = 4;
    pub(super) const TEXT: u8 = 5;
    /// What a value had printed when it panicked.
    pub(super) const PANICKED: u8 = 6;
    /// Bytes that are no text.
    pub(super) const BINARY: u8 = 7;
}

thread_local! {
    static SPARE: Cell<Option<Box<Buffer>>> = const { Cell::new(None) };
}

struct Buffer {
    words: [u64; WORDS],
    /// What a value prints.
    printed: [u8; VALUE_BYTES],
}

/// The fields of one span or event.
pub struct Fields {
    buffer: Option<Box<Buffer>>,
    used: usize,
    /// Fields that there was no room for.
    dropped: u32,
}

impl fmt::Debug for Fields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fields")
            .field("used", &self.used)
            .field("dropped", &self.dropped)
            .finish_non_exhaustive()
    }
}

impl Default for Fields {
    fn default() -> Self {
        Self::new()
    }
}

impl Fields {
    /// None so far.
    #[inline]
    pub fn new() -> Self {
        let buffer = SPARE.try_with(Cell::take).ok().flatten();
        Self {
            buffer: Some(buffer.unwrap_or_else(fresh)),
            used: 0,
            dropped: 0,
        }
    }

    #[inline]
    fn number(&mut self, index: usize, kind: u8, value: u64) {
        let buffer = self.buffer.as_mut();
        let free = buffer.and_then(|buffer| buffer.words.get_mut(self.used..));
        match free.and_then(<[_]>::first_chunk_mut::<2>) {
            Some(room) => {
                *room = [head(index, kind, 0, 0), value];
                self.used += 2;
            }
            None => self.dropped += 1,
        }
    }

    /// Field number `index` is a boolean.
    #[inline]
    pub fn bool(&mut self, index: usize, value: bool) {
        self.number(index, kind::BOOL, value.into());
    }
    /// Field number `index` is a signed number.
    #[inline]
    pub fn i64(&mut self, index: usize, value: i64) {
        self.number(index, kind::I64, value.cast_unsigned());
    }
    /// Field number `index` is a number.
    #[inline]
    pub fn u64(&mut self, index: usize, value: u64) {
        self.number(index, kind::U64, value);
    }
    /// Field number `index` is a floating-point number.
    #[inline]
    pub fn f64(&mut self, index: usize, value: f64) {
        self.number(index, kind::F64, value.to_bits());
    }

    /// Field number `index` is a text, of which 1 KiB is kept.
    #[inline]
    pub fn text(&mut self, index: usize, value: &str) {
        let mut limit = self.text_room();
        if limit < value.len() {
            limit = value.floor_char_boundary(limit);
        }
        self.bytes(index, kind::TEXT, value.as_bytes(), limit);
    }

    /// Field number `index` is bytes, of which 1 KiB is kept.
    pub fn binary(&mut self, index: usize, value: &[u8]) {
        self.bytes(index, kind::BINARY, value, self.text_room());
    }

    /// Bytes of a text that there is room for.
    #[inline]
    fn text_room(&self) -> usize {
        let free = WORDS.saturating_sub(self.used + 1);
        (free * 8).min(VALUE_BYTES)
    }

    #[inline]
    fn bytes(&mut self, index: usize, kind: u8, value: &[u8], limit: usize) {
        let buffer = self.buffer.as_mut();
        let free = buffer.and_then(|buffer| buffer.words.get_mut(self.used..));
        let Some((first, room)) = free.and_then(<[_]>::split_first_mut) else {
            self.dropped += 1;
            return;
        };
        let kept = value.get(..limit).unwrap_or(value);
        *first = head(index, kind, kept.len(), value.len());
        self.used += 1 + pack(kept, room);
    }

    /// Field number `index` is what `value` prints, of which 1 KiB is kept. If it panics, that is
    /// what the field says.
    #[inline]
    pub fn debug(&mut self, index: usize, value: &dyn fmt::Debug) {
        let limit = self.text_room();
        let Some(buffer) = &mut self.buffer else {
            return;
        };
        let Some((first, room)) = buffer
            .words
            .get_mut(self.used..)
            .and_then(<[_]>::split_first_mut)
        else {
            self.dropped += 1;
            return;
        };
        let mut into = Into {
            room: buffer.printed.get_mut(..limit).unwrap_or_default(),
            used: 0,
            total: 0,
        };
        // Whoever prints is not ours: below the level that is printed nobody else would have run it.
        let printed = catch_unwind(AssertUnwindSafe(|| write!(into, "{value:?}")));
        let kind = if printed.is_ok() {
            kind::TEXT
        } else {
            kind::PANICKED
        };
        let Into {
            room: text,
            used,
            total,
        } = into;
        *first = head(index, kind, used, total);
        self.used += 1 + pack(text.get(..used).unwrap_or_default(), room);
    }

    /// What is to be stored, and how many fields are not in it.
    #[inline]
    pub(super) fn finish(&self) -> (&[u64], u32) {
        let words = self.buffer.as_ref().map(|buffer| &buffer.words[..]);
        let words = words.and_then(|words| words.get(..self.used));
        (words.unwrap_or_default(), self.dropped)
    }
}

impl Drop for Fields {
    #[inline]
    fn drop(&mut self) {
        let buffer = self.buffer.take();
        // A thread that ends has no place for it any more; an inner one's is as good as ours.
        let _ = SPARE.try_with(|spare| spare.set(buffer));
    }
}

#[cold]
fn fresh() -> Box<Buffer> {
    Box::new(Buffer {
        words: [0; WORDS],
        printed: [0; VALUE_BYTES],
    })
}

/// A field's first word.
#[inline]
fn head(index: usize, kind: u8, kept: usize, total: usize) -> u64 {
    let total = u32::try_from(total).unwrap_or(u32::MAX);
    u64::from(kind) | u64::from(index as u8) << 8 | (kept as u64) << 16 | u64::from(total) << 32
}

/// Puts `bytes` into words, as far as there are any; returns how many that takes.
#[inline]
fn pack(bytes: &[u8], into: &mut [u64]) -> usize {
    let (eights, rest) = bytes.as_chunks::<8>();
    for (eight, word) in eights.iter().zip(into.iter_mut()) {
        *word = u64::from_le_bytes(*eight);
    }
    if !rest.is_empty()
        && let Some(word) = into.get_mut(eights.len())
    {
        *word = rest
            .iter()
            .rev()
            .fold(0, |word, byte| word << 8 | u64::from(*byte));
    }
    bytes.len().div_ceil(8)
}

/// Prints into what room there is, and counts the rest.
struct Into<'a> {
    room: &'a mut [u8],
    used: usize,
    total: usize,
}

impl Write for Into<'_> {
    #[inline]
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let free = self.room.get_mut(self.used..).unwrap_or_default();
        match free.get_mut(..text.len()) {
            // Once something was left out, nothing more is kept: there would be a hole.
            Some(into) if self.total == self.used => {
                into.copy_from_slice(text.as_bytes());
                self.used += text.len();
            }
            _ => self.cut(text),
        }
        self.total += text.len();
        Ok(())
    }
}

impl Into<'_> {
    #[cold]
    fn cut(&mut self, text: &str) {
        if self.total == self.used {
            let kept = text.floor_char_boundary(self.room.len() - self.used);
            if let Some(into) = self.room.get_mut(self.used..self.used + kept) {
                into.copy_from_slice(&text.as_bytes()[..kept]);
                self.used += kept;
            }
        }
    }
}

/// A value as it was stored.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Stored {
    pub(super) index: u8,
    pub(super) value: super::Value,
}

/// The fields that `words` hold; what is torn gives fewer of them, never a panic.
pub(super) fn read(mut words: &[u64]) -> Vec<Stored> {
    let mut fields = Vec::new();
    while let Some((stored, rest)) = one(words) {
        fields.push(stored);
        words = rest;
    }
    fields
}

fn one(words: &[u64]) -> Option<(Stored, &[u64])> {
    use super::Value;
    let (&head, rest) = words.split_first()?;
    let (kind, index) = (head as u8, (head >> 8) as u8);
    let (kept, total) = ((head >> 16) as u16, (head >> 32) as u32);
    let stored = |value, rest| Some((Stored { index, value }, rest));
    match kind {
        kind::BOOL | kind::I64 | kind::U64 | kind::F64 => {
            let (&word, rest) = rest.split_first()?;
            let value = match kind {
                kind::BOOL => Value::Bool(word != 0),
                kind::I64 => Value::I64(word.cast_signed()),
                kind::U64 => Value::U64(word),
                _ => Value::F64(f64::from_bits(word)),
            };
            stored(value, rest)
        }
        kind::TEXT | kind::PANICKED | kind::BINARY => {
            let (text, rest) = rest.split_at_checked(usize::from(kept).div_ceil(8))?;
            let mut bytes: Vec<u8> = text.iter().flat_map(|word| word.to_le_bytes()).collect();
            bytes.truncate(kept.into());
            let cut = u64::from(total.saturating_sub(kept.into()));
            let text = || String::from_utf8_lossy(&bytes).into_owned();
            let value = match kind {
                kind::TEXT => Value::Text(text(), cut),
                kind::PANICKED => Value::Panicked(text()),
                _ => Value::Bytes(bytes, cut),
            };
            stored(value, rest)
        }
        _ => None,
    }
}

#[cfg(all(test, not(redhanded_loom)))]
mod tests {
    use super::super::Value;
    use super::*;

    fn back(fields: &Fields) -> Vec<(u8, Value)> {
        let stored = read(fields.finish().0).into_iter();
        stored.map(|s| (s.index, s.value)).collect()
    }

    #[test]
    fn values_come_back() {
        let mut fields = Fields::new();
        fields.bool(0, true);
        fields.i64(1, -7);
        fields.u64(2, u64::MAX);
        fields.f64(3, 2.5);
        fields.text(4, "käse");
        fields.debug(5, &Some("x"));
        fields.binary(6, &[0xff, 0]);
        let text = |t: &str| Value::Text(t.to_owned(), 0);
        assert_eq!(
            back(&fields),
            [
                (0, Value::Bool(true)),
                (1, Value::I64(-7)),
                (2, Value::U64(u64::MAX)),
                (3, Value::F64(2.5)),
                (4, text("käse")),
                (5, text("Some(\"x\")")),
                (6, Value::Bytes(vec![0xff, 0], 0)),
            ]
        );
    }

    #[test]
    fn a_megabyte_is_cut_at_a_kibibyte_and_counted() {
        let long = "é".repeat(500_000);
        for print in [false, true] {
            let mut fields = Fields::new();
            if print {
                fields.debug(0, &format_args!("{long}"));
            } else {
                fields.text(0, &long);
            }
            fields.u64(1, 7);
            let back = back(&fields);
            let Value::Text(text, cut) = &back[0].1 else {
                panic!("{back:?}")
            };
            assert_eq!((text.len(), *cut), (1024, 1_000_000 - 1024));
            assert_eq!(back[1].1, Value::U64(7));
        }
    }

    #[test]
    fn fields_without_room_are_counted() {
        let mut fields = Fields::new();
        for i in 0..1000 {
            fields.u64(i % 200, i as u64);
        }
        fields.text(0, &"x".repeat(100));
        fields.debug(0, &"x".repeat(100));
        let (bytes, dropped) = fields.finish();
        assert!(bytes.len() <= WORDS);
        assert_eq!(read(bytes).len() + dropped as usize, 1002);
    }

    #[test]
    fn a_value_that_panics_costs_itself() {
        struct Bad;
        impl fmt::Debug for Bad {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("half")?;
                panic!("a Debug that panics")
            }
        }
        let mut fields = Fields::new();
        fields.debug(0, &Bad);
        fields.u64(1, 1);
        assert_eq!(
            back(&fields),
            [(0, Value::Panicked("half".into())), (1, Value::U64(1))]
        );
    }

    #[test]
    fn torn_words_give_fewer_fields() {
        let mut fields = Fields::new();
        fields.text(0, "hello");
        fields.u64(1, 1);
        let whole = fields.finish().0.to_vec();
        for end in 0..whole.len() {
            assert!(read(&whole[..end]).len() < 2);
        }
        for at in 0..whole.len() {
            for bad_word in [u64::MAX, 5 | u64::from(u16::MAX) << 16, 0] {
                let mut bad = whole.clone();
                bad[at] = bad_word;
                let _ = read(&bad);
            }
        }
    }
}
