//! Methods as labels: those that are known, and one word for all others.

/// The known methods of OpenTelemetry's conventions: RFC 9110, PATCH (RFC 5789) and QUERY; case counts.
/// <https://opentelemetry.io/docs/specs/semconv/http/http-metrics/#http-server>
const KNOWN: [&str; 10] = [
    "GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH", "CONNECT", "TRACE", "QUERY",
];
/// What stands for every other.
const OTHER: &str = "_OTHER";

/// Found by trying: it gives each of the known a place of its own among sixteen.
const MIX: u64 = 0xf3c6_4af7_75a8_9295;
const PLACES: usize = 16;

/// The known by their places, as words; each is shorter than eight bytes. Zero where there is none.
const WORDS: [u64; PLACES] = {
    let mut words = [0; PLACES];
    let mut at = 0;
    while at < KNOWN.len() {
        let word = word_of(KNOWN[at]);
        assert!(words[place(word)] == 0, "two methods have one place");
        words[place(word)] = word;
        at += 1;
    }
    words
};

const fn place(word: u64) -> usize {
    (word.wrapping_mul(MIX) >> 60) as usize
}

const fn word_of(method: &str) -> u64 {
    let bytes = method.as_bytes();
    let (mut word, mut at) = (0, 0);
    while at < bytes.len() {
        word |= (bytes[at] as u64) << (8 * at);
        at += 1;
    }
    word
}

/// A method, as a number of five bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Method(u8);

impl Method {
    /// Any that is not known.
    pub(super) const OTHER: Self = Self(PLACES as u8);

    #[inline]
    pub(super) fn number(self) -> u64 {
        self.0.into()
    }

    pub(super) fn from_number(number: u64) -> Self {
        Self((number & 0x1f) as u8)
    }

    /// The method that has at most eight bytes, all of them in `word`.
    #[inline]
    pub(super) fn of_word(word: u64) -> Self {
        let place = place(word);
        match WORDS.get(place) {
            Some(known) if *known == word => Self(place as u8),
            _ => Self::OTHER,
        }
    }

    pub(super) fn as_str(self) -> &'static str {
        let is_its = |known: &&&str| place(word_of(known)) == usize::from(self.0);
        KNOWN.iter().find(is_its).copied().unwrap_or(OTHER)
    }
}

#[cfg(all(test, not(redhanded_loom)))]
mod tests {
    use super::*;

    #[test]
    fn the_known_are_told_and_all_others_are_one() {
        for known in KNOWN {
            let method = Method::of_word(word_of(known));
            assert_eq!(method.as_str(), known);
            assert_eq!(Method::from_number(method.number()), method);
        }
        for other in ["", "get", "GETS", "PROPFIND", "A\"\nB", "G", "TRACES"] {
            assert_eq!(
                Method::of_word(word_of(other)).as_str(),
                "_OTHER",
                "{other:?}"
            );
        }
        assert_eq!(Method::from_number(Method::OTHER.number()), Method::OTHER);
    }
}
