//! The quick question of the hot path: can there be a secret in this target at all?
//!
//! Most targets have none of the characters that redaction looks for, or only `key=value` pairs whose keys were seen
//! before and promise nothing. Those are stored as they came; whatever is left goes the long way through the
//! [`Redactor`], which is always right. That the quick answer never says "no" where the long way finds something is what
//! the tests hold it to.

use crate::redact::Redactor;
use redhanded_capture::UrlMarks as Marks;
use std::sync::atomic::{AtomicU64, Ordering};

/// Names that were found to promise no secret: 512 places, two for each name.
const NAMES: usize = 512;

/// Knows the names that were asked about before.
#[derive(Debug)]
pub(super) struct Gate {
    redactor: Redactor,
    innocent: Box<[AtomicU64]>,
    /// So that nobody can find two names that are taken for each other.
    seed: u64,
}

impl Gate {
    pub(super) fn new(redactor: Redactor) -> Self {
        Self {
            redactor,
            innocent: (0..NAMES).map(|_| AtomicU64::new(0)).collect(),
            seed: rand::random(),
        }
    }

    pub(super) fn redactor(&self) -> &Redactor {
        &self.redactor
    }

    /// Whether a target of `length` bytes, which stand in `words`, has certainly no secret.
    #[inline]
    pub(super) fn is_plain_target(&self, words: &[AtomicU64], length: usize) -> bool {
        let text = Text { words, length };
        let mut state = Pairs::default();
        for (block, words) in (0..).zip(words.chunks(8)) {
            let marks = text.valid(block, Marks::of(words));
            if marks.odd != 0 || (marks.tokens != 0 && text.has_token(block, marks.tokens)) {
                return false;
            }
            if marks.equals | marks.begins != 0
                && !self.are_innocent(&text, block, marks, &mut state)
            {
                return false;
            }
        }
        true
    }

    /// Whether the pairs that begin in a block of 64 bytes have innocent keys and no pairs in their values.
    #[inline]
    fn are_innocent(&self, text: &Text<'_>, block: usize, marks: Marks, state: &mut Pairs) -> bool {
        let mut left = marks.equals | marks.begins;
        while left != 0 {
            let at = block * 64 + left.trailing_zeros() as usize;
            let is_equals = marks.equals & left & left.wrapping_neg() != 0;
            left &= left - 1;
            if !is_equals {
                state.key = Some(at + 1);
                continue;
            }
            // A pair within a value, or a key in the path: seldom, and for the long way.
            let Some(key) = state.key.take() else {
                return false;
            };
            if !self.is_innocent(text, key, at) {
                return false;
            }
        }
        true
    }

    #[inline]
    fn is_innocent(&self, text: &Text<'_>, begin: usize, end: usize) -> bool {
        let mut hash = self.seed ^ (end - begin) as u64;
        let mut at = begin;
        while at < end {
            hash = mixed(hash, text.word(at, end));
            at += 8;
        }
        self.knows(hash)
            || self.ask(hash, || {
                !self.redactor.is_secret_key(&text.read(begin, end))
            })
    }

    /// Whether no parameter of a route has the name of a secret; the route's bytes stand in `words`.
    #[inline]
    pub(super) fn is_plain_route(&self, words: &[AtomicU64], length: usize) -> bool {
        let seed = !self.seed ^ length as u64;
        let hash = words
            .iter()
            .fold(seed, |hash, word| mixed(hash, word.load(Ordering::Relaxed)));
        self.knows(hash)
            || self.ask(hash, || {
                let text = Text { words, length };
                !self.redactor.has_secret_parameter(&text.read(0, length))
            })
    }

    #[inline]
    fn knows(&self, hash: u64) -> bool {
        let place = hash as usize & (NAMES - 1);
        let has = |place: usize| {
            let known = self
                .innocent
                .get(place)
                .map(|known| known.load(Ordering::Relaxed));
            known == Some(hash)
        };
        hash != 0 && (has(place) || has(place ^ 1))
    }

    /// The first time that a name comes.
    #[cold]
    #[inline(never)]
    fn ask(&self, hash: u64, is_innocent: impl FnOnce() -> bool) -> bool {
        if !is_innocent() {
            return false;
        }
        let place = hash as usize & (NAMES - 1);
        // Who is pushed out goes to the other place: two that share one do not push each other out for ever.
        if let (Some(one), Some(other)) = (self.innocent.get(place), self.innocent.get(place ^ 1)) {
            other.store(one.swap(hash, Ordering::Relaxed), Ordering::Relaxed);
        }
        true
    }
}

/// Whether a host has certainly no login before it.
#[inline]
pub(super) fn is_plain_host(words: &[AtomicU64]) -> bool {
    const ONES: u64 = 0x0101_0101_0101_0101;
    let mut found = 0;
    for word in words {
        let zero_at = word.load(Ordering::Relaxed) ^ (ONES * b'@' as u64);
        found |= zero_at.wrapping_sub(ONES) & !zero_at & (ONES << 7);
    }
    found == 0
}

/// Where the pair began that a scan is in.
#[derive(Debug, Default)]
struct Pairs {
    key: Option<usize>,
}

#[inline]
fn mixed(hash: u64, word: u64) -> u64 {
    let product = u128::from(hash ^ word) * 0x9e37_79b9_7f4a_7c15;
    product as u64 ^ (product >> 64) as u64
}

/// Bytes in words, the first in the lowest bits.
#[derive(Clone, Copy, Debug)]
struct Text<'a> {
    words: &'a [AtomicU64],
    length: usize,
}

impl Text<'_> {
    /// Without what stands behind the end.
    #[inline]
    fn valid(&self, block: usize, marks: Marks) -> Marks {
        let left = self.length.saturating_sub(block * 64);
        marks.first(left)
    }

    #[inline]
    fn load(&self, word: usize) -> u64 {
        self.words
            .get(word)
            .map_or(0, |word| word.load(Ordering::Relaxed))
    }

    /// The eight bytes at `at`, of which those from `end` on are zero.
    #[inline]
    fn word(&self, at: usize, end: usize) -> u64 {
        let (index, shift) = (at / 8, at % 8 * 8);
        let low = self.load(index) >> shift;
        let high = if shift == 0 {
            0
        } else {
            self.load(index + 1) << (64 - shift)
        };
        let all = low | high;
        let bytes = end.saturating_sub(at);
        if bytes >= 8 {
            all
        } else {
            all & ((1 << (bytes * 8)) - 1)
        }
    }

    #[cold]
    fn has_token(&self, block: usize, tokens: u64) -> bool {
        let mut left = tokens;
        while left != 0 {
            let at = block * 64 + left.trailing_zeros() as usize;
            left &= left - 1;
            if at >= 2 && self.word(at - 2, at) == u64::from(u16::from_le_bytes(*b"ey")) {
                return true;
            }
        }
        false
    }

    fn read(&self, begin: usize, end: usize) -> String {
        let bytes = (begin..end).map(|at| self.word(at, at + 1) as u8);
        String::from_utf8_lossy(&bytes.collect::<Vec<_>>()).into_owned()
    }
}

#[cfg(all(test, not(redhanded_loom)))]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn words(bytes: &[u8]) -> Vec<AtomicU64> {
        let word = |eight: &[u8]| {
            let mut whole = [0; 8];
            whole[..eight.len()].copy_from_slice(eight);
            AtomicU64::new(u64::from_le_bytes(whole))
        };
        bytes.chunks(8).map(word).collect()
    }

    fn gate() -> Gate {
        Gate::new(Redactor::new(["pin"]))
    }

    fn is_plain(gate: &Gate, target: &str) -> bool {
        gate.is_plain_target(&words(target.as_bytes()), target.len())
    }

    #[test]
    fn what_most_people_ask_is_plain() {
        let gate = gate();
        for target in [
            "/",
            "/hello",
            "/users/123/posts",
            "/search?q=x&page=2",
            "/a?flag&x=1&y=",
            "/JyJ",
            "/0123456789012345678901234567890123456789012345678901234567890123456789?long_key_name_of_someone=1&b=2",
        ] {
            assert!(is_plain(&gate, target), "{target}");
            assert!(is_plain(&gate, target), "{target} again");
        }
    }

    #[test]
    fn secrets_and_oddities_go_the_long_way() {
        let gate = gate();
        for target in [
            "/?token=1",
            "/a?x=1&pin=7",
            "/a?x=token=1",
            "/token=1",
            "/a?b=eyJhbGciOi",
            "/eyJhbGciOi.x",
            "/a?x=%41",
            "/a?x=a+b",
            "/a:b",
            "/ä",
            "/a b",
            "/a?x;token=1",
            "/0123456789012345678901234567890123456789012345678901234567890?token=1",
        ] {
            assert!(!is_plain(&gate, target), "{target}");
        }
        let route = |route: &str| gate.is_plain_route(&words(route.as_bytes()), route.len());
        assert!(route("/users/{id}") && route("/users/{id}") && route("/hello"));
        assert!(!route("/reset/{token}") && !route("/reset/{token}"));
        assert!(is_plain_host(&words(b"example.org:8080")));
        assert!(!is_plain_host(&words(b"user:pw@example.org")));
    }

    /// Characters that redaction reacts to, and some that it does not.
    const TARGET: &str =
        r"/([a-f/.]|[?&=;#]|token|pin|eyJ|J|sid|Bearer|pass|:|%3D|%26|\+|@|ä| ){0,24}";

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(3_000))]

        #[test]
        fn the_quick_answer_is_that_of_the_long_way(target in TARGET) {
            let gate = gate();
            if is_plain(&gate, &target) {
                let (path, query) = target.split_once('?').map_or((target.as_str(), None), |(p, q)| (p, Some(q)));
                let query = query.map(|query| "?".to_owned() + &gate.redactor.query(query.as_bytes()));
                let long = gate.redactor.path(path.as_bytes(), None) + &query.unwrap_or_default();
                prop_assert_eq!(&long, &target);
                prop_assert_eq!(gate.redactor.url(target.as_bytes(), None), target);
            }
        }
    }
}
