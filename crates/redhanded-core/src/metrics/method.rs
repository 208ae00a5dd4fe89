//! Methods as labels: those that are known, and one word for all others.

/// The known methods of OpenTelemetry's conventions: RFC 9110, PATCH (RFC 5789) and QUERY; case counts.
/// <https://opentelemetry.io/docs/specs/semconv/http/http-metrics/#http-server>
const KNOWN: [&str; 10] = [
    "GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH", "CONNECT", "TRACE", "QUERY",
];
/// What stands for every other.
const OTHER: &str = "_OTHER";

/// The same as words: each is shorter than eight bytes.
const WORDS: [u64; KNOWN.len()] = {
    let mut words = [0; KNOWN.len()];
    let mut at = 0;
    while at < KNOWN.len() {
        let bytes = KNOWN[at].as_bytes();
        let mut i = 0;
        while i < bytes.len() {
            words[at] |= (bytes[i] as u64) << (8 * i);
            i += 1;
        }
        at += 1;
    }
    words
};

/// A method, as a small number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Method(u8);

impl Method {
    /// The number that takes at most four bits.
    pub(super) fn number(self) -> u64 {
        self.0.into()
    }

    pub(super) fn from_number(number: u64) -> Self {
        Self((number & 0xf) as u8)
    }

    /// The method that a slot has as `bytes` bytes, the first eight of them in `word`.
    #[inline]
    pub(crate) fn of_word(word: u64, bytes: usize) -> Self {
        let known = WORDS.iter().position(|known| *known == word);
        Self(known.filter(|_| bytes <= 8).unwrap_or(KNOWN.len()) as u8)
    }

    pub(super) fn as_str(self) -> &'static str {
        KNOWN.get(usize::from(self.0)).copied().unwrap_or(OTHER)
    }
}

#[cfg(all(test, not(redhanded_loom)))]
mod tests {
    use super::*;

    fn of(text: &str) -> &'static str {
        let mut eight = [0; 8];
        let n = text.len().min(8);
        eight[..n].copy_from_slice(&text.as_bytes()[..n]);
        Method::of_word(u64::from_le_bytes(eight), text.len()).as_str()
    }

    #[test]
    fn the_known_are_told_and_all_others_are_one() {
        for known in KNOWN {
            assert_eq!(of(known), known);
        }
        for other in [
            "",
            "get",
            "GETS",
            "PROPFIND",
            "CONNECTX",
            "GET\0\0\0\0\0\0\0",
            "A\"\nB",
        ] {
            assert_eq!(of(other), "_OTHER", "{other:?}");
        }
    }
}
