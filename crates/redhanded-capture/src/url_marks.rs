//! Where in a URL its marks stand, 64 bytes at a time.

/// Where keys begin and end in 64 bytes of a URL, one bit a byte, the first byte lowest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UrlMarks {
    /// `?` and `&`: a key may begin behind it.
    pub begins: u64,
    /// `=`: a key ends before it.
    pub equals: u64,
}

impl UrlMarks {
    /// There is something that takes more than this look to understand.
    pub const ODD: Self = Self {
        begins: u64::MAX,
        equals: u64::MAX,
    };

    /// Of the first `length` bytes, or of all 64, of eight words that `word` gives. [`ODD`](Self::ODD) if there is something else
    /// among them than a query's marks in their order and what always stands for itself: a byte below `-` (escapes, blanks, plus
    /// signs) or not ASCII; a colon; a `J`, which ends the `eyJ` that every JSON web token begins with; a `?` in a query, or
    /// `&` where none has begun. In `in_query` it is said whether one has begun before.
    ///
    /// ```
    /// use redhanded_capture::UrlMarks;
    /// let word = |at| if at == 0 { u64::from_le_bytes(*b"/a?b=c&%") } else { 0 };
    /// assert_eq!(UrlMarks::of(word, 7, false), UrlMarks { begins: 0b100_0100, equals: 0b1_0000 });
    /// assert_eq!(UrlMarks::of(word, 7, true), UrlMarks::ODD);
    /// assert_eq!(UrlMarks::of(word, 8, false), UrlMarks::ODD);
    /// ```
    #[inline]
    pub fn of(word: impl Fn(usize) -> u64, length: usize, in_query: bool) -> Self {
        of_words(word, length, in_query)
    }

    /// Whether it is [`ODD`](Self::ODD).
    #[inline]
    pub fn is_odd(self) -> bool {
        self.begins & self.equals != 0
    }

    /// From one bit for each byte that is odd by itself, is `&`, is `?` or `&`, is `=`.
    #[inline(always)]
    fn judged(length: usize, in_query: bool, [odd, ands, begins, equals]: [u64; 4]) -> Self {
        let inside = if length < 64 {
            (1 << length) - 1
        } else {
            u64::MAX
        };
        let begins = begins & inside;
        // All of them, but for the first of all.
        let right = begins & begins.wrapping_sub(1).wrapping_add(u64::from(in_query));
        if (odd | ands ^ right) & inside != 0 {
            return Self::ODD;
        }
        Self {
            begins,
            equals: equals & inside,
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn of_words(word: impl Fn(usize) -> u64, length: usize, in_query: bool) -> UrlMarks {
    if std::is_x86_feature_detected!("avx2") {
        // SAFETY: all that `avx2` asks for is AVX2, which was found.
        unsafe { avx2(word, length, in_query) }
    } else {
        // SAFETY: all that `sse2` asks for is SSE2, which is part of x86_64 itself.
        unsafe { sse2(word, length, in_query) }
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn avx2(word: impl Fn(usize) -> u64, length: usize, in_query: bool) -> UrlMarks {
    use std::arch::x86_64::{
        _mm256_cmpeq_epi8, _mm256_cmpgt_epi8, _mm256_movemask_epi8, _mm256_or_si256,
        _mm256_set_epi64x, _mm256_set1_epi8, _mm256_xor_si256,
    };
    let all = |byte: u8| _mm256_set1_epi8(byte.cast_signed());
    let word = |at: usize| word(at).cast_signed();
    let half = |at: usize| {
        let bytes = _mm256_set_epi64x(word(at + 3), word(at + 2), word(at + 1), word(at));
        let ampersand = _mm256_cmpeq_epi8(bytes, all(b'&'));
        // Signed: what is not ASCII is below zero.
        let low = _mm256_xor_si256(ampersand, _mm256_cmpgt_epi8(all(b'-'), bytes));
        let colon = _mm256_cmpeq_epi8(bytes, all(b':'));
        let token = _mm256_cmpeq_epi8(bytes, all(b'J'));
        let odd = _mm256_or_si256(low, _mm256_or_si256(colon, token));
        let begins = _mm256_or_si256(ampersand, _mm256_cmpeq_epi8(bytes, all(b'?')));
        let equals = _mm256_cmpeq_epi8(bytes, all(b'='));
        [odd, ampersand, begins, equals]
            .map(|found| u64::from(_mm256_movemask_epi8(found).cast_unsigned()))
    };
    let low = half(0);
    if length <= 32 {
        return UrlMarks::judged(length, in_query, low);
    }
    let high = half(4);
    let both = |of: usize| low[of] | high[of] << 32;
    UrlMarks::judged(length, in_query, [both(0), both(1), both(2), both(3)])
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "sse2")]
fn sse2(word: impl Fn(usize) -> u64, length: usize, in_query: bool) -> UrlMarks {
    use std::arch::x86_64::{
        _mm_cmpeq_epi8, _mm_cmpgt_epi8, _mm_movemask_epi8, _mm_or_si128, _mm_set_epi64x,
        _mm_set1_epi8, _mm_xor_si128,
    };
    let all = |byte: u8| _mm_set1_epi8(byte.cast_signed());
    let word = |at: usize| word(at).cast_signed();
    let quarter = |at: usize| {
        let bytes = _mm_set_epi64x(word(at + 1), word(at));
        let ampersand = _mm_cmpeq_epi8(bytes, all(b'&'));
        let low = _mm_xor_si128(ampersand, _mm_cmpgt_epi8(all(b'-'), bytes));
        let colon = _mm_cmpeq_epi8(bytes, all(b':'));
        let token = _mm_cmpeq_epi8(bytes, all(b'J'));
        let odd = _mm_or_si128(low, _mm_or_si128(colon, token));
        let begins = _mm_or_si128(ampersand, _mm_cmpeq_epi8(bytes, all(b'?')));
        let equals = _mm_cmpeq_epi8(bytes, all(b'='));
        [odd, ampersand, begins, equals]
            .map(|found| u64::from(_mm_movemask_epi8(found).cast_unsigned()))
    };
    let quarters = [quarter(0), quarter(2), quarter(4), quarter(6)];
    let all = |of: usize| {
        quarters[0][of] | quarters[1][of] << 16 | quarters[2][of] << 32 | quarters[3][of] << 48
    };
    UrlMarks::judged(length, in_query, [all(0), all(1), all(2), all(3)])
}

#[cfg(not(target_arch = "x86_64"))]
use one_by_one as of_words;

/// The same for any processor.
#[cfg(any(test, not(target_arch = "x86_64")))]
fn one_by_one(word: impl Fn(usize) -> u64, length: usize, in_query: bool) -> UrlMarks {
    let (mut odd, mut ands, mut begins, mut equals) = (0, 0, 0, 0);
    let bytes = (0..8).flat_map(|at| word(at).to_le_bytes());
    for (at, byte) in bytes.enumerate() {
        let bit = 1 << at;
        match byte {
            b'?' => begins |= bit,
            b'&' => {
                ands |= bit;
                begins |= bit;
            }
            b'=' => equals |= bit,
            b':' | b'J' | 0..b'-' | 0x80.. => odd |= bit,
            _ => {}
        }
    }
    UrlMarks::judged(length, in_query, [odd, ands, begins, equals])
}

#[cfg(test)]
mod tests {
    use super::{UrlMarks, one_by_one};

    /// Every way that there is here.
    fn ways(bytes: &[u8; 64], length: usize, in_query: bool) -> Vec<UrlMarks> {
        let (words, _) = bytes.as_chunks::<8>();
        let word = |at: usize| u64::from_le_bytes(words[at]);
        let mut ways = vec![
            UrlMarks::of(word, length, in_query),
            one_by_one(word, length, in_query),
        ];
        #[cfg(target_arch = "x86_64")]
        // SAFETY: SSE2 is part of x86_64 itself.
        ways.push(unsafe { super::sse2(word, length, in_query) });
        ways
    }

    #[test]
    fn every_byte_is_marked_the_same_by_any_way() {
        for byte in 0..=u8::MAX {
            for at in 0..64 {
                let mut bytes = [b'a'; 64];
                bytes[at] = byte;
                for (length, in_query) in [(64, false), (64, true), (at + 1, true), (at, false)] {
                    let ways = ways(&bytes, length, in_query);
                    let bit = if at < length { 1 << at } else { 0 };
                    let is_odd = match byte {
                        b'?' => in_query,
                        b'&' => !in_query,
                        b':' | b'J' | 0..b'-' | 0x80.. => true,
                        _ => false,
                    };
                    let marks = |of: &[u8]| if of.contains(&byte) { bit } else { 0 };
                    let right = if is_odd && bit != 0 {
                        UrlMarks::ODD
                    } else {
                        UrlMarks {
                            begins: marks(b"?&"),
                            equals: marks(b"="),
                        }
                    };
                    let same = ways.iter().all(|way| *way == right);
                    assert!(same, "{byte} at {at} of {length}: {ways:?}, not {right:?}");
                }
            }
        }
    }

    #[test]
    fn a_query_begins_once() {
        let of = |text: &str| {
            let mut bytes = [0; 64];
            bytes[..text.len()].copy_from_slice(text.as_bytes());
            let ways = ways(&bytes, text.len(), false);
            assert!(ways.iter().all(|way| *way == ways[0]), "{ways:?}");
            ways[0]
        };
        for odd in [
            "/a?b?c=1",
            "/a&b?c=1",
            "/a?b=c&d=?",
            "/a&b",
            "/aJ",
            "/?a=b:",
        ] {
            assert!(of(odd).is_odd(), "{odd}");
        }
        for plain in [
            "",
            "/",
            "/a?b=c&d=e",
            "?",
            "/a=b",
            "/abcdefghijklmnopqrstuvwxyz/0123456789?a&b",
        ] {
            assert!(!of(plain).is_odd(), "{plain}");
        }
    }
}
