//! The quick question of the hot path: can there be a secret in this target at all?
//!
//! Most targets have none of the characters that redaction looks for, or only `key=value` pairs whose keys were seen
//! before and promise nothing: that is answered 64 bytes at a time. Escapes, blanks and colons take a walk over the bytes
//! ([`walk`](super::walk)). Whatever is left goes the long way through the [`Redactor`], which is always right. That the quick
//! answers never say "plain" where the long way finds something is what the tests hold them to.

use super::walk;
use crate::copied::kind;
use crate::redact::Redactor;
use crate::registry::{facts_at, kept};
use crate::sync::{AtomicU64, Ordering};
use redhanded_capture::UrlMarks;

/// Names that were found to promise no secret: 512 places, two for each name.
const NAMES: usize = 512;
/// Of what is known by its hash; a short name, which is ASCII, is known by itself.
const HASHED: u64 = 1 << 63;
/// The length of a `traceparent` of version 00.
pub(super) const TRACEPARENT_BYTES: usize = 55;
const MIXER: u64 = 0x9e37_79b9_7f4a_7c15;

/// Bytes that are looked at at once.
const LOOK_BYTES: usize = 64;
/// Their words, behind the one before them.
type Look = [AtomicU64; 9];
/// No key may come; farther from any place than a name is long.
const NOWHERE: usize = usize::MAX / 2;

/// Knows the names that were asked about before.
#[derive(Debug)]
pub(super) struct Gate {
    redactor: Redactor,
    innocent: [AtomicU64; NAMES],
    /// So that nobody can find two names that are taken for each other.
    seed: u64,
}

impl Gate {
    pub(super) fn new(redactor: Redactor) -> Self {
        Self {
            redactor,
            innocent: std::array::from_fn(|_| AtomicU64::new(0)),
            seed: rand::random(),
        }
    }

    pub(super) fn redactor(&self) -> &Redactor {
        &self.redactor
    }

    /// Whether the target of `length` bytes, whose fact stands at `at` in `words`, has certainly no secret. What stands behind it
    /// may be looked at.
    #[inline(always)]
    pub(super) fn is_plain_target(&self, words: &[AtomicU64], at: usize, length: usize) -> bool {
        let Some(words) = words.get(at..) else {
            return false;
        };
        let Some(look) = words.first_chunk() else {
            return self.is_plain_by_a_walk(words, length);
        };
        let marks = marks(look, length, false);
        if marks.is_odd() {
            return self.is_plain_by_a_walk(words, length);
        }
        if length > LOOK_BYTES {
            return self.is_plain_long_target(words, length);
        }
        marks.equals == 0 || self.next_key(look, 0, look, marks, NOWHERE).is_some()
    }

    #[inline(never)]
    fn is_plain_long_target(&self, words: &[AtomicU64], length: usize) -> bool {
        let (mut key, mut in_query) = (NOWHERE, false);
        for at in (0..length).step_by(LOOK_BYTES) {
            let look = words.get(at / 8..).and_then(<[_]>::first_chunk);
            let look = look.map(|look| (look, marks(look, length - at, in_query)));
            let Some((look, marks)) = look.filter(|(_, marks)| !marks.is_odd()) else {
                return self.is_plain_by_a_walk(words, length);
            };
            in_query |= marks.begins != 0;
            match self.next_key(words, at, look, marks, key) {
                Some(next) => key = next,
                None => return false,
            }
        }
        true
    }

    /// `None` if a pair that ends in this look has the name of a secret, or is within a value or in the path. Else where the next
    /// key begins, counted from the next look; as `key` is from this one, whose first byte is at `at`.
    #[inline(always)]
    fn next_key(
        &self,
        words: &[AtomicU64],
        at: usize,
        look: &Look,
        marks: UrlMarks,
        mut key: usize,
    ) -> Option<usize> {
        let (mut begins, mut equals) = (marks.begins, marks.equals);
        while equals != 0 {
            let end = equals.trailing_zeros() as usize;
            // All below the lowest: no byte is in both.
            let before = begins & (equals - 1);
            if before != 0 {
                key = before.ilog2() as usize + 1;
            }
            let bytes = end.wrapping_sub(key);
            if bytes.wrapping_sub(1) < 8 {
                // The eight bytes before its end, of which those before its begin fall out.
                let both =
                    u128::from(load(&look[end / 8 + 1])) << 64 | u128::from(load(&look[end / 8]));
                let name = (both >> (end % 8 * 8)) as u64 >> (64 - 8 * bytes);
                if !self.knows(name)
                    && !self.ask(name, || read(words, at + end + 8 - bytes, at + end + 8))
                {
                    return None;
                }
            } else if !self.is_odd_innocent(words, at, key, end) {
                return None;
            }
            begins ^= before;
            key = NOWHERE;
            equals &= equals - 1;
        }
        if begins != 0 {
            key = begins.ilog2() as usize + 1;
        }
        Some(if key == NOWHERE {
            key
        } else {
            key.wrapping_sub(LOOK_BYTES)
        })
    }

    /// The name of a secret; or a pair within a value, or in the path.
    #[cold]
    #[inline(never)]
    fn is_odd_innocent(&self, words: &[AtomicU64], at: usize, key: usize, end: usize) -> bool {
        key != NOWHERE && self.is_innocent(words, at.wrapping_add(key) + 8, at + end + 8)
    }

    #[cold]
    #[inline(never)]
    fn is_plain_by_a_walk(&self, words: &[AtomicU64], length: usize) -> bool {
        let mut bytes = [0; walk::LONGEST];
        for (eight, word) in bytes.chunks_mut(8).zip(words.iter().skip(1)) {
            eight.copy_from_slice(&load(word).to_le_bytes());
        }
        let innocent = |begin, end| self.is_innocent(words, begin + 8, end + 8);
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
        let name = (begin..end)
            .rev()
            .fold(0, |name, at| name << 8 | u64::from(byte(words, at)));
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
            let word = eight.fold(0, |word, at| word << 8 | u64::from(byte(words, at)));
            hash = mixed(hash ^ word, MIXER);
        }
        self.knows(hash | HASHED) || self.ask(hash | HASHED, || read(words, begin, end))
    }

    /// Whether neither route nor host among the facts in `words` has a secret.
    #[inline(always)]
    pub(super) fn is_plain_place(&self, words: &[AtomicU64]) -> bool {
        let (pairs, last) = words.as_chunks::<2>();
        let mut hash = self.seed ^ words.len() as u64;
        for [first, second] in pairs {
            hash = mixed(load(first) ^ self.seed, load(second) ^ hash);
        }
        if let [last] = last {
            hash = mixed(load(last) ^ self.seed, hash ^ MIXER);
        }
        self.knows(hash | HASHED) || self.is_new_place_plain(hash | HASHED, words)
    }

    #[cold]
    #[inline(never)]
    fn is_new_place_plain(&self, hash: u64, words: &[AtomicU64]) -> bool {
        self.remember(hash, || {
            facts_at(words).all(|(head, body)| self.is_plain_fact(head, body))
        })
    }

    /// Whether a fact that is no target has certainly no secret.
    pub(super) fn is_plain_fact(&self, head: u64, body: &[AtomicU64]) -> bool {
        match head as u8 {
            kind::ROUTE => self.is_plain_route(body, kept(head)),
            kind::HOST => is_plain_host(body),
            // What looks like no `traceparent` is left out.
            kind::METHOD | kind::HTTPS | kind::JOB | kind::TRACEPARENT => true,
            _ => false,
        }
    }

    /// Whether no parameter of a route has the name of a secret; the route's bytes stand in `words`.
    fn is_plain_route(&self, words: &[AtomicU64], length: usize) -> bool {
        let seed = !self.seed ^ length as u64;
        let hash = words
            .iter()
            .fold(seed, |hash, word| mixed(hash ^ load(word), MIXER))
            | HASHED;
        let is_plain = || !self.redactor.has_secret_parameter(&read(words, 0, length));
        self.knows(hash) || self.remember(hash, is_plain)
    }

    #[inline]
    fn knows(&self, name: u64) -> bool {
        load(&self.innocent[place(name)]) == name
    }

    fn ask(&self, name: u64, text: impl FnOnce() -> String) -> bool {
        self.remember(name, || !self.redactor.is_secret_key(&text()))
    }

    /// The first time that a name comes.
    #[cold]
    #[inline(never)]
    fn remember(&self, name: u64, is_innocent: impl FnOnce() -> bool) -> bool {
        let place = place(name);
        if load(&self.innocent[place ^ 1]) == name {
            return true;
        }
        if !is_innocent() {
            return false;
        }
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

#[inline(always)]
fn marks(look: &Look, length: usize, in_query: bool) -> UrlMarks {
    let [_, eight @ ..] = look;
    UrlMarks::of(|at| load(&eight[at]), length, in_query)
}

#[inline]
fn place(name: u64) -> usize {
    (name.wrapping_mul(MIXER) >> 55) as usize
}

#[inline]
fn mixed(one: u64, other: u64) -> u64 {
    let product = u128::from(one) * u128::from(other);
    product as u64 ^ (product >> 64) as u64
}

/// Whether a host has certainly no login before it.
#[inline]
fn is_plain_host(words: &[AtomicU64]) -> bool {
    const ONES: u64 = 0x0101_0101_0101_0101;
    let mut found = 0;
    for word in words {
        let zero_at = load(word) ^ (ONES * b'@' as u64);
        found |= zero_at.wrapping_sub(ONES) & !zero_at;
    }
    found & ONES << 7 == 0
}

/// Whether it has the length and the characters of a `traceparent`: what is no hexadecimal digit is no part of an id.
pub(super) fn is_traceparent(words: &[AtomicU64], length: usize) -> bool {
    let is_part = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f' | b'-' | 0);
    let all = |word: &AtomicU64| {
        let bytes = word.load(Ordering::Relaxed).to_le_bytes();
        // Not `all`: without a way out it is done eight at a time.
        bytes.iter().fold(true, |all, byte| all & is_part(*byte))
    };
    length == TRACEPARENT_BYTES && words.iter().all(all)
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

    /// As it stands in an arena: something before it, and behind it what is odd and what is a secret.
    fn is_plain(gate: &Gate, target: &str) -> bool {
        let behind = words("?token=1&:J%\n".repeat(8).as_bytes());
        let before = [0x3d3d_3d3d_3d3d_3d3d, 0x3f3f_3f3f_3f3f_3f3f].map(AtomicU64::new);
        let all: Vec<AtomicU64> = before
            .into_iter()
            .chain(words(target.as_bytes()))
            .chain(behind)
            .collect();
        let at_the_end = all.len() - words("?token=1&:J%\n".repeat(8).as_bytes()).len();
        let plain = gate.is_plain_target(&all, 1, target.len());
        // Where nothing stands behind it, it is judged all the same, or the long way is asked.
        assert!(plain || !gate.is_plain_target(&all[..at_the_end], 1, target.len()));
        plain
    }

    fn place(facts: &[(u8, &str)]) -> Vec<AtomicU64> {
        let each = facts.iter().flat_map(|(kind, text)| {
            let head = u64::from(*kind) | (text.len() as u64) << 8;
            std::iter::once(AtomicU64::new(head)).chain(words(text.as_bytes()))
        });
        each.collect()
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
            "/%Bearer%20x",
            "/a?x=%BAsic%20x",
            "/a?x;token=1",
            "/a?token?x=1",
            "/=1",
            "/a?=b=c",
            "/a?b=c=d",
            "/0123456789012345678901234567890123456789012345678901234567890?token=1",
            "/012345678901234567890123456789012345678901234567890123456?pin=1&x=1",
            "/0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890?x=1&pin=1",
            "/a?token012345678901234567890123456789012345678901234567890123456789?x=1",
            "/a?x=12345678901234567890123456789012345678901234567890123456789012345678=token",
        ] {
            assert!(!is_plain(&gate, target), "{target}");
        }
    }

    #[test]
    fn a_route_that_names_a_secret_and_a_host_with_a_login_are_seen() {
        let gate = gate();
        let (good, bad) = (
            (kind::ROUTE, "/users/{id}"),
            (kind::ROUTE, "/reset/{token}"),
        );
        let (host, login) = (
            (kind::HOST, "example.org:8080"),
            (kind::HOST, "user:pw@example.org"),
        );
        // Twice: the second time from memory.
        for _ in 0..2 {
            for plain in [
                &[][..],
                &[good],
                &[host],
                &[good, host],
                &[host, good],
                &[(kind::HTTPS, ""), good],
            ] {
                assert!(gate.is_plain_place(&place(plain)), "{plain:?}");
            }
            for secret in [
                &[bad][..],
                &[login],
                &[bad, host],
                &[good, login],
                &[login, good],
                &[(kind::PARAM, "x")],
            ] {
                assert!(!gate.is_plain_place(&place(secret)), "{secret:?}");
            }
        }
    }

    /// Characters that redaction reacts to, and some that it does not; now and then over more than one look.
    const TARGET: &str = r"/([a-z]{40,60})?([a-f/.]|[?&=;#]|token|pin|eyJ|J|sid|Bearer|pass|:|%3D|%26|%20|%C3%A4|%2525|%|//|asic|arer|%Be|%ba|\+|,|@|\[|\$|ä| ){0,24}";

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
