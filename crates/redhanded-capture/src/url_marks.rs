//! Where in a URL its marks stand, sixteen bytes at a time.

use std::sync::atomic::{AtomicU64, Ordering};

/// Where the marks of 64 bytes of a URL stand, one bit a byte.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UrlMarks {
    /// Escapes, blanks, colons, control characters, and what is not ASCII: what takes more than a look to understand.
    pub odd: u64,
    /// `=`.
    pub equals: u64,
    /// `?` and `&`.
    pub begins: u64,
    /// `J`, which ends the `eyJ` that every JSON web token begins with.
    pub tokens: u64,
}

impl UrlMarks {
    /// Of the bytes in up to eight words, the first byte in the lowest bits. Behind the last word everything is odd.
    ///
    /// ```
    /// use redhanded_capture::UrlMarks;
    /// use std::sync::atomic::AtomicU64;
    /// let word = AtomicU64::new(u64::from_le_bytes(*b"/a?b=c&d"));
    /// let marks = UrlMarks::of(&[word]).first(8);
    /// assert_eq!((marks.begins, marks.equals, marks.odd), (0b0100_0100, 0b0001_0000, 0));
    /// ```
    #[inline]
    pub fn of(words: &[AtomicU64]) -> Self {
        let mut marks = Self::default();
        for (shift, pair) in (0..4).zip(words.chunks(2)) {
            let word = |n: usize| pair.get(n).map_or(0, |word| word.load(Ordering::Relaxed));
            let of_pair = of_sixteen(word(0), word(1));
            marks.odd |= u64::from(of_pair[0]) << (16 * shift);
            marks.equals |= u64::from(of_pair[1]) << (16 * shift);
            marks.begins |= u64::from(of_pair[2]) << (16 * shift);
            marks.tokens |= u64::from(of_pair[3]) << (16 * shift);
        }
        marks
    }

    /// Those of the first `bytes` bytes.
    #[inline]
    #[must_use]
    pub fn first(self, bytes: usize) -> Self {
        if bytes >= 64 {
            return self;
        }
        let mask = (1 << bytes) - 1;
        Self {
            odd: self.odd & mask,
            equals: self.equals & mask,
            begins: self.begins & mask,
            tokens: self.tokens & mask,
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[inline]
fn of_sixteen(low: u64, high: u64) -> [u16; 4] {
    // SAFETY: all that `sse2` asks for is SSE2, which is part of x86_64 itself.
    unsafe { sse2(low, high) }
}

#[cfg(target_arch = "x86_64")]
#[inline]
#[target_feature(enable = "sse2")]
fn sse2(low: u64, high: u64) -> [u16; 4] {
    use std::arch::x86_64::{
        __m128i, _mm_cmpeq_epi8, _mm_cmplt_epi8, _mm_movemask_epi8, _mm_or_si128, _mm_set_epi64x,
        _mm_set1_epi8,
    };
    let bytes = _mm_set_epi64x(high.cast_signed(), low.cast_signed());
    let is = |byte: u8| _mm_cmpeq_epi8(bytes, _mm_set1_epi8(byte.cast_signed()));
    let or = |one: __m128i, other: __m128i| _mm_or_si128(one, other);
    // Signed: what is not ASCII is below zero.
    let low = _mm_cmplt_epi8(bytes, _mm_set1_epi8(0x21));
    let odd = or(or(or(is(b'%'), is(b'+')), or(is(b':'), is(0x7f))), low);
    let mask = |found: __m128i| _mm_movemask_epi8(found) as u16;
    [
        mask(odd),
        mask(is(b'=')),
        mask(or(is(b'?'), is(b'&'))),
        mask(is(b'J')),
    ]
}

#[cfg(not(target_arch = "x86_64"))]
use one_by_one as of_sixteen;

/// The same for any processor.
#[cfg(any(test, not(target_arch = "x86_64")))]
fn one_by_one(low: u64, high: u64) -> [u16; 4] {
    let mut marks = [0; 4];
    let bytes = low.to_le_bytes().into_iter().chain(high.to_le_bytes());
    for (at, byte) in bytes.enumerate() {
        let kind = match byte {
            b'=' => 1,
            b'?' | b'&' => 2,
            b'J' => 3,
            b'%' | b'+' | b':' => 0,
            0x21..=0x7e => continue,
            _ => 0,
        };
        if let Some(marks) = marks.get_mut(kind) {
            *marks |= 1 << at;
        }
    }
    marks
}

#[cfg(test)]
mod tests {
    use super::{of_sixteen, one_by_one};

    #[test]
    fn every_byte_is_marked_the_same_by_any_way() {
        for byte in 0..=u8::MAX {
            for at in 0..16 {
                let mut bytes = *b"abcdefghijklmnop";
                bytes[at] = byte;
                let number = u128::from_le_bytes(bytes);
                let (low, high) = (number as u64, (number >> 64) as u64);
                assert_eq!(
                    of_sixteen(low, high),
                    one_by_one(low, high),
                    "{byte} at {at}"
                );
            }
        }
    }
}
