//! Fields on their way into a ring: bytes in a buffer of the thread, which nothing is allocated for.
//!
//! A value's own `Debug` runs here, before anything of the ring is held: it may log, and then has
//! another buffer, and it may panic, which costs its value and nothing else.

use std::cell::Cell;
use std::fmt::{self, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Bytes of all fields of one span or event.
const BYTES: usize = 2048;
/// Bytes of one value; the rest is counted.
const VALUE_BYTES: usize = 1024;
/// What a field takes besides the bytes of a text.
const TEXT_HEAD: usize = 8;

/// How a value is stored.
pub(super) mod kind {
    pub(in crate::story) const BOOL: u8 = 1;
    pub(in crate::story) const I64: u8 = 2;
    pub(in crate::story) const U64: u8 = 3;
    pub(in crate::story) const F64: u8 = 4;
    /// Bytes kept (two), bytes there were (four), the bytes.
    pub(in crate::story) const TEXT: u8 = 5;
    /// The same, of a value whose `Debug` panicked.
    pub(in crate::story) const PANICKED: u8 = 6;
    /// Bytes that are no text.
    pub(in crate::story) const BINARY: u8 = 7;
}

thread_local! {
    static SPARE: Cell<Option<Box<Buffer>>> = const { Cell::new(None) };
}

struct Buffer {
    bytes: [u8; BYTES],
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
        let Some(room) = self.room::<10>() else {
            return;
        };
        room[0] = kind;
        room[1] = index as u8;
        room[2..].copy_from_slice(&value.to_le_bytes());
        self.used += 10;
    }

    /// The next `N` bytes; one field less, if there are none.
    #[inline]
    fn room<const N: usize>(&mut self) -> Option<&mut [u8; N]> {
        let free = self.buffer.as_mut()?.bytes.get_mut(self.used..)?;
        let room = free.first_chunk_mut::<N>();
        if room.is_none() {
            self.dropped += 1;
        }
        room
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
        let limit = self.text_room();
        let kept = if value.len() <= limit {
            value.len()
        } else {
            value.floor_char_boundary(limit)
        };
        self.bytes(index, kind::TEXT, &value.as_bytes()[..kept], value.len());
    }

    /// Field number `index` is bytes, of which 1 KiB is kept.
    pub fn binary(&mut self, index: usize, value: &[u8]) {
        let kept = value.len().min(self.text_room());
        self.bytes(index, kind::BINARY, &value[..kept], value.len());
    }

    fn text_room(&self) -> usize {
        BYTES.saturating_sub(self.used + TEXT_HEAD).min(VALUE_BYTES)
    }

    #[inline]
    fn bytes(&mut self, index: usize, kind: u8, kept: &[u8], total: usize) {
        let at = self.used + TEXT_HEAD;
        let Some(room) = self.room::<TEXT_HEAD>() else {
            return;
        };
        *room = text_head(index, kind, kept.len(), total);
        let buffer = self.buffer.as_mut();
        let into = buffer.and_then(|buffer| buffer.bytes.get_mut(at..at + kept.len()));
        if let Some(into) = into {
            into.copy_from_slice(kept);
            self.used = at + kept.len();
        }
    }

    /// Field number `index` is what `value` prints, of which 1 KiB is kept. If it panics, that is
    /// what the field says.
    #[inline]
    pub fn debug(&mut self, index: usize, value: &dyn fmt::Debug) {
        let limit = self.text_room();
        let at = self.used + TEXT_HEAD;
        let buffer = self.buffer.as_mut();
        let Some(room) = buffer.and_then(|buffer| buffer.bytes.get_mut(at..at + limit)) else {
            self.dropped += 1;
            return;
        };
        let mut into = Into {
            room,
            used: 0,
            total: 0,
        };
        // Whoever prints is not ours: below the level that is printed nobody else would have run it.
        let printed = catch_unwind(AssertUnwindSafe(|| write!(into, "{value:?}")));
        let (kept, total) = (into.used, into.total);
        let kind = if printed.is_ok() {
            kind::TEXT
        } else {
            kind::PANICKED
        };
        if let Some(room) = self.room::<TEXT_HEAD>() {
            *room = text_head(index, kind, kept, total);
            self.used = at + kept;
        }
    }

    /// What is to be stored, and how many fields are not in it.
    pub(super) fn finish(&self) -> (&[u8], u32) {
        let bytes = self.buffer.as_ref().map(|buffer| &buffer.bytes[..]);
        let bytes = bytes.and_then(|bytes| bytes.get(..self.used));
        (bytes.unwrap_or_default(), self.dropped)
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
    Box::new(Buffer { bytes: [0; BYTES] })
}

fn text_head(index: usize, kind: u8, kept: usize, total: usize) -> [u8; TEXT_HEAD] {
    let total = u32::try_from(total).unwrap_or(u32::MAX).to_le_bytes();
    let kept = (kept as u16).to_le_bytes();
    [
        kind,
        index as u8,
        kept[0],
        kept[1],
        total[0],
        total[1],
        total[2],
        total[3],
    ]
}

/// Prints into what room there is, and counts the rest.
struct Into<'a> {
    room: &'a mut [u8],
    used: usize,
    total: usize,
}

impl Write for Into<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        // Once something was left out, nothing more is kept: there would be a hole.
        if self.total == self.used {
            let free = self.room.len() - self.used;
            let kept = if text.len() <= free {
                text.len()
            } else {
                text.floor_char_boundary(free)
            };
            if let Some(into) = self.room.get_mut(self.used..self.used + kept) {
                into.copy_from_slice(&text.as_bytes()[..kept]);
            }
            self.used += kept;
        }
        self.total += text.len();
        Ok(())
    }
}

/// A value as it was stored.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Stored {
    pub(super) index: u8,
    pub(super) value: super::Value,
}

/// The fields that `bytes` hold; what is torn gives fewer of them, never a panic.
pub(super) fn read(mut bytes: &[u8]) -> Vec<Stored> {
    let mut fields = Vec::new();
    while let Some((stored, rest)) = one(bytes) {
        fields.push(stored);
        bytes = rest;
    }
    fields
}

fn one(bytes: &[u8]) -> Option<(Stored, &[u8])> {
    use super::Value;
    let (&[kind, index], rest) = bytes.split_first_chunk::<2>()?;
    let stored = |value, rest| Some((Stored { index, value }, rest));
    match kind {
        kind::BOOL | kind::I64 | kind::U64 | kind::F64 => {
            let (word, rest) = rest.split_first_chunk::<8>()?;
            let word = u64::from_le_bytes(*word);
            let value = match kind {
                kind::BOOL => Value::Bool(word != 0),
                kind::I64 => Value::I64(word.cast_signed()),
                kind::U64 => Value::U64(word),
                _ => Value::F64(f64::from_bits(word)),
            };
            stored(value, rest)
        }
        kind::TEXT | kind::PANICKED | kind::BINARY => {
            let (kept, rest) = rest.split_first_chunk::<2>()?;
            let (total, rest) = rest.split_first_chunk::<4>()?;
            let (kept, total) = (u16::from_le_bytes(*kept), u32::from_le_bytes(*total));
            let (text, rest) = rest.split_at_checked(usize::from(kept))?;
            let cut = u64::from(total.saturating_sub(kept.into()));
            let value = match kind {
                kind::BINARY => Value::Bytes(text.to_vec(), cut),
                kind::TEXT => Value::Text(String::from_utf8_lossy(text).into_owned(), cut),
                _ => Value::Panicked(String::from_utf8_lossy(text).into_owned()),
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
        assert!(bytes.len() <= BYTES);
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
    fn torn_bytes_give_fewer_fields() {
        let mut fields = Fields::new();
        fields.text(0, "hello");
        fields.u64(1, 1);
        let whole = fields.finish().0.to_vec();
        for end in 0..whole.len() {
            assert!(read(&whole[..end]).len() < 2);
        }
        for at in 0..whole.len() {
            let mut bad = whole.clone();
            bad[at] = 0xff;
            let _ = read(&bad);
        }
    }
}
