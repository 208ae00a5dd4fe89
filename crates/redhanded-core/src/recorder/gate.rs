//! The quick question of the hot path: can there be a secret in this target at all?
//!
//! Most targets have none of the characters that redaction looks for, or only `key=value` pairs whose keys were seen
//! before and promise nothing: that is answered sixteen bytes at a time. Escapes, blanks and colons take a walk over the bytes
//! ([`walk`](super::walk)). Whatever is left goes the long way through the [`Redactor`], which is always right. That the quick
//! answers never say "plain" where the long way finds something is what the tests hold them to.

use super::walk;
use crate::redact::Redactor;
use crate::sync::{AtomicU64, Ordering};
use redhanded_capture::UrlMarks;

/// Names that were found to promise no secret: 512 places, two for each name.
const NAMES: usize = 512;
/// Of what is known by its hash; a short name, which is ASCII, is known by itself.
const HASHED: u64 = 1 << 63;
const MIXER: u64 = 0x9e37_79b9_7f4a_7c15;

/// Knows the names that were asked about before.
#[derive(Debug)]
pub(super) struct Gate {
    redactor: Redactor,
    innocent: Box<[AtomicU64; NAMES]>,
    /// So that nobody can find two names that are taken for each other.
    seed: u64,
}

impl Gate {
    pub(super) fn new(redactor: Redactor) -> Self {
        Self {
            redactor,
            innocent: Box::new(std::array::from_fn(|_| AtomicU64::new(0))),
            seed: rand::random(),
        }
    }

    pub(super) fn redactor(&self) -> &Redactor {
        &self.redactor
    }

    /// Whether a target of `length` bytes, which stand in `words`, has certainly no secret.
    #[inline(never)]
    pub(super) fn is_plain_target(&self, words: &[AtomicU64], length: usize) -> bool {
        // Where the key begins that may come; nowhere, if none may.
        let mut key = usize::MAX;
        let mut at = 0;
        while at < length {
            let low = words.get(at / 8).map_or(0, load);
            let high = words.get(at / 8 + 1).map_or(0, load);
            let marks = UrlMarks::of(low, high);
            let left = length - at;
            let odd = if left < 16 {
                marks.odd & ((1 << left) - 1)
            } else {
                marks.odd
            };
            if odd != 0 {
                return self.is_plain_by_a_walk(words, length);
            }
            let mut ends = u32::from(marks.ends);
            while ends != 0 {
                let bit = ends.trailing_zeros();
                ends &= ends - 1;
                let here = at + bit as usize;
                if u32::from(marks.equals) >> bit & 1 == 0 {
                    key = here + 1;
                } else if key > here || !self.is_innocent(words, key, here) {
                    // The name of a secret; or a pair within a value, or in the path.
                    return false;
                } else {
                    key = usize::MAX;
                }
            }
            at += 16;
        }
        true
    }

    #[cold]
    #[inline(never)]
    fn is_plain_by_a_walk(&self, words: &[AtomicU64], length: usize) -> bool {
        let mut bytes = [0; walk::LONGEST];
        for (eight, word) in bytes.chunks_mut(8).zip(words) {
            eight.copy_from_slice(&load(word).to_le_bytes());
        }
        let innocent = |begin, end| self.is_innocent(words, begin, end);
        bytes
            .get(..length)
            .is_some_and(|target| walk::is_plain(target, innocent))
    }

    /// Whether the name that stands there promises no secret.
    #[inline]
    fn is_innocent(&self, words: &[AtomicU64], begin: usize, end: usize) -> bool {
        let length = end - begin;
        if !(1..=8).contains(&length) {
            return self.is_long_innocent(words, begin, end);
        }
        let (index, shift) = (begin / 8, begin % 8 * 8);
        let word = |index: usize| words.get(index).map_or(0, load);
        // In two steps, because a shift by a whole word is none.
        let both = word(index) >> shift | word(index + 1) << 1 << (63 - shift);
        let name = both & u64::MAX >> (64 - 8 * length);
        self.knows(name) || self.ask(name, || read(words, begin, end))
    }

    #[inline(never)]
    fn is_long_innocent(&self, words: &[AtomicU64], begin: usize, end: usize) -> bool {
        if begin >= end {
            return true;
        }
        let mut hash = self.seed ^ (end - begin) as u64;
        for at in (begin..end).step_by(8) {
            let eight = (at..end.min(at + 8)).rev();
            hash = mixed(
                hash,
                eight.fold(0, |word, at| word << 8 | u64::from(byte(words, at))),
            );
        }
        self.knows(hash | HASHED) || self.ask(hash | HASHED, || read(words, begin, end))
    }

    /// Whether no parameter of a route has the name of a secret; the route's bytes stand in `words`.
    #[inline]
    pub(super) fn is_plain_route(&self, words: &[AtomicU64], length: usize) -> bool {
        let seed = !self.seed ^ length as u64;
        let hash = words
            .iter()
            .fold(seed, |hash, word| mixed(hash, load(word)))
            | HASHED;
        self.knows(hash)
            || self.remember(hash, || {
                !self.redactor.has_secret_parameter(&read(words, 0, length))
            })
    }

    #[inline]
    fn knows(&self, name: u64) -> bool {
        let place = place(name);
        load(&self.innocent[place]) == name || load(&self.innocent[place ^ 1]) == name
    }

    fn ask(&self, name: u64, text: impl FnOnce() -> String) -> bool {
        self.remember(name, || !self.redactor.is_secret_key(&text()))
    }

    /// The first time that a name comes.
    #[cold]
    #[inline(never)]
    fn remember(&self, name: u64, is_innocent: impl FnOnce() -> bool) -> bool {
        if !is_innocent() {
            return false;
        }
        let place = place(name);
        // Who is pushed out goes to the other place: two that share one do not push each other out for ever.
        let before = self.innocent[place].swap(name, Ordering::Relaxed);
        self.innocent[place ^ 1].store(before, Ordering::Relaxed);
        true
    }
}

#[inline]
fn load(word: &AtomicU64) -> u64 {
    word.load(Ordering::Relaxed)
}

#[inline]
fn place(name: u64) -> usize {
    (name.wrapping_mul(MIXER) >> 55) as usize
}

#[inline]
fn mixed(hash: u64, word: u64) -> u64 {
    let product = u128::from(hash ^ word) * u128::from(MIXER);
    product as u64 ^ (product >> 64) as u64
}

/// Whether a host has certainly no login before it.
#[inline]
pub(super) fn is_plain_host(words: &[AtomicU64]) -> bool {
    const ONES: u64 = 0x0101_0101_0101_0101;
    let mut found = 0;
    for word in words {
        let zero_at = load(word) ^ (ONES * b'@' as u64);
        found |= zero_at.wrapping_sub(ONES) & !zero_at;
    }
    found & ONES << 7 == 0
}

fn byte(words: &[AtomicU64], at: usize) -> u8 {
    words
        .get(at / 8)
        .map_or(0, |word| (load(word) >> (at % 8 * 8)) as u8)
}

fn read(words: &[AtomicU64], begin: usize, end: usize) -> String {
    let bytes: Vec<u8> = (begin..end).map(|at| byte(words, at)).collect();
    String::from_utf8_lossy(&bytes).into_owned()
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
            "/01J0JYJ/x",
            "/a,b/(c)?x=1,2&y=!",
            "/a?x=%41&y=a+b",
            "/caf%C3%A9?x=best+basket",
            "/at/12:30?at=2026-07-01T12:30:00Z",
            "/acct:user@host",
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
            "/a?x=a%3Db",
            "/a?x=%74oken%3Ab",
            "/a?t%6Fken=1",
            "/a?x=Bearer+abc",
            "/a?x=a%25b",
            "/token:b",
            "/a://b",
            "/token[a:b",
            "/token+a:b",
            "/ä",
            "/a b",
            "/a?x=%0A",
            "/a?x=ey%4Aabc",
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
    const TARGET: &str = r"/([a-f/.]|[?&=;#]|token|pin|eyJ|J|sid|Bearer|pass|:|%3D|%26|%20|%C3%A4|%2525|%|//|asic|\+|,|@|\[|\$|ä| ){0,24}";

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
