//! Where in a URL its marks stand, sixteen bytes at a time.

/// Where the marks of sixteen bytes of a URL stand, one bit a byte.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UrlMarks {
    /// What takes more than this look to understand: whatever is below `-` or not ASCII (escapes, blanks, plus signs),
    /// colons, and `J`, which ends the `eyJ` that every JSON web token begins with. Not `&`.
    pub odd: u16,
    /// `&`, `?` and `=`.
    pub ends: u16,
    /// `=` alone.
    pub equals: u16,
}

impl UrlMarks {
    /// Of sixteen bytes in two words, the first byte in the lowest bits.
    ///
    /// ```
    /// use redhanded_capture::UrlMarks;
    /// let word = |eight: &[u8; 8]| u64::from_le_bytes(*eight);
    /// let marks = UrlMarks::of(word(b"/a?b=c&d"), word(b"=%20----"));
    /// assert_eq!(marks.ends, 0b1_0101_0100);
    /// assert_eq!(marks.equals, 0b1_0001_0000);
    /// assert_eq!(marks.odd, 0b10_0000_0000);
    /// ```
    #[inline]
    pub fn of(low: u64, high: u64) -> Self {
        of_sixteen(low, high)
    }
}

#[cfg(target_arch = "x86_64")]
#[inline]
fn of_sixteen(low: u64, high: u64) -> UrlMarks {
    // SAFETY: all that `sse2` asks for is SSE2, which is part of x86_64 itself.
    unsafe { sse2(low, high) }
}

#[cfg(target_arch = "x86_64")]
#[inline]
#[target_feature(enable = "sse2")]
fn sse2(low: u64, high: u64) -> UrlMarks {
    use std::arch::x86_64::{
        __m128i, _mm_andnot_si128, _mm_cmpeq_epi8, _mm_cmplt_epi8, _mm_movemask_epi8, _mm_or_si128,
        _mm_set_epi64x, _mm_set1_epi8,
    };
    let all = |byte: u8| _mm_set1_epi8(byte.cast_signed());
    let bytes = _mm_set_epi64x(high.cast_signed(), low.cast_signed());
    let ampersand = _mm_cmpeq_epi8(bytes, all(b'&'));
    // Signed: what is not ASCII is below zero.
    let low = _mm_andnot_si128(ampersand, _mm_cmplt_epi8(bytes, all(b'-')));
    let colon = _mm_cmpeq_epi8(bytes, all(b':'));
    let token = _mm_cmpeq_epi8(bytes, all(b'J'));
    // `?` is `=` with one bit more, and nothing else is.
    let either = _mm_cmpeq_epi8(_mm_or_si128(bytes, all(0x02)), all(b'?'));
    let mask = |found: __m128i| _mm_movemask_epi8(found) as u16;
    UrlMarks {
        odd: mask(_mm_or_si128(low, _mm_or_si128(colon, token))),
        ends: mask(_mm_or_si128(ampersand, either)),
        equals: mask(_mm_cmpeq_epi8(bytes, all(b'='))),
    }
}

#[cfg(not(target_arch = "x86_64"))]
use one_by_one as of_sixteen;

/// The same for any processor.
#[cfg(any(test, not(target_arch = "x86_64")))]
fn one_by_one(low: u64, high: u64) -> UrlMarks {
    let mut marks = UrlMarks::default();
    let bytes = low.to_le_bytes().into_iter().chain(high.to_le_bytes());
    for (at, byte) in bytes.enumerate() {
        let bit = 1 << at;
        match byte {
            b'&' | b'?' => marks.ends |= bit,
            b'=' => {
                marks.ends |= bit;
                marks.equals |= bit;
            }
            b':' | b'J' | 0..b'-' | 0x80.. => marks.odd |= bit,
            _ => {}
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
