//! The hot path: what was asked goes into the request's record.

use super::Recorder;
use super::gate::is_plain_host;
use crate::copied::kind;
use crate::redact::{Redactor, split_once};
use crate::registry::{Claimed, Fact, Kind, RecordFacts, Slot};
use crate::sync::{AtomicU64, Ordering};

/// How many bytes of path and query are kept, after redaction.
const TARGET_BYTES: usize = 512;
/// The length of a `traceparent` of version 00.
const TRACEPARENT_BYTES: usize = 55;

impl Recorder {
    /// Records the request that is about to begin in `slot`, whose facts are complete.
    #[inline(never)]
    pub(crate) fn begin(&self, slot: &Slot) {
        let Some(claimed) = self.records.claim(slot) else {
            return;
        };
        let mut facts = claimed.facts(slot.started_ns(), slot.slow_after_ns());
        let words = slot.facts.words();
        if let Some(usual) = Usual::of(words) {
            if !self.is_plain(&usual) {
                return self.begin_slowly(slot, claimed);
            }
            facts.copy(usual.all);
        } else if !self.copy_each(words, &mut facts) {
            return self.begin_slowly(slot, claimed);
        }
        claimed.publish(facts);
    }

    #[inline]
    fn is_plain(&self, usual: &Usual<'_>) -> bool {
        let (route, host) = (usual.route, usual.host);
        (route.is_empty() || self.gate.is_plain_route(body(route), kept(head(route))))
            && is_plain_host(body(host))
            && self
                .gate
                .is_plain_target(body(usual.target), kept(head(usual.target)))
    }

    /// Copies what has certainly no secret; `false` if something may have one, which is then not copied.
    #[inline(never)]
    fn copy_each(&self, mut words: &[AtomicU64], to: &mut RecordFacts<'_>) -> bool {
        let mut target: &[AtomicU64] = &[];
        while let Some(head) = words.first() {
            let head = head.load(Ordering::Relaxed);
            let Some((fact, after)) = words.split_at_checked(1 + words_of(head)) else {
                return false;
            };
            words = after;
            let kind = head as u8;
            if kind >= kind::HEADER {
                continue;
            }
            let plain = match kind {
                kind::METHOD | kind::HTTPS | kind::JOB => true,
                // Judged when the route is known, which may name a part of it.
                kind::TARGET => {
                    target = fact;
                    continue;
                }
                kind::HOST => is_plain_host(body(fact)),
                kind::ROUTE => self.gate.is_plain_route(body(fact), kept(head)),
                kind::PARAM => false,
                // Whatever else a client calls so is no use, and may be anything.
                kind::TRACEPARENT if is_traceparent(body(fact), kept(head)) => true,
                _ => continue,
            };
            if !plain {
                return false;
            }
            to.copy(fact);
        }
        let Some(head) = target.first() else {
            return true;
        };
        let plain = self
            .gate
            .is_plain_target(body(target), kept(head.load(Ordering::Relaxed)));
        if plain {
            to.copy(target);
        }
        plain
    }

    /// The long way, which is always right.
    #[cold]
    #[inline(never)]
    fn begin_slowly(&self, slot: &Slot, claimed: Claimed) {
        let mut to = claimed.facts(slot.started_ns(), slot.slow_after_ns());
        put_redacted(&slot.facts.read(), self.redactor(), &mut to);
        claimed.publish(to);
    }

    /// More is known of the request in `slot` than when it began: its route, which may name secrets.
    #[cold]
    pub(crate) fn begin_anew(&self, slot: &Slot) {
        slot.end_record();
        if let Some(claimed) = self.records.claim(slot) {
            self.begin_slowly(slot, claimed);
        }
    }
}

/// A request whose facts stand as they do most often: method, target, route, host, and then what is not recorded.
struct Usual<'a> {
    target: &'a [AtomicU64],
    route: &'a [AtomicU64],
    host: &'a [AtomicU64],
    all: &'a [AtomicU64],
}

impl<'a> Usual<'a> {
    #[inline]
    fn of(words: &'a [AtomicU64]) -> Option<Self> {
        let at = |at: usize| words.get(at).map_or(0, |word| word.load(Ordering::Relaxed));
        let first = at(0);
        let method_end = 1 + words_of(first);
        let second = at(method_end);
        let target_end = method_end + 1 + words_of(second);
        if first as u8 != kind::METHOD || second as u8 != kind::TARGET {
            return None;
        }
        let third = at(target_end);
        let has_route = third as u8 == kind::ROUTE;
        let route_end = if has_route {
            target_end + 1 + words_of(third)
        } else {
            target_end
        };
        let fourth = at(route_end);
        let has_host = fourth as u8 == kind::HOST;
        let host_end = if has_host {
            route_end + 1 + words_of(fourth)
        } else {
            route_end
        };
        let mut rest = host_end;
        while let Some(head) = words.get(rest) {
            let head = head.load(Ordering::Relaxed);
            // What else is recorded is not where it usually is.
            if UNUSUAL >> (head & 0xf) & 1 != 0 && (head as u8) < kind::HEADER {
                return None;
            }
            rest += 1 + words_of(head);
        }
        Some(Self {
            target: words.get(method_end..target_end)?,
            route: words.get(target_end..route_end)?,
            host: words.get(route_end..host_end)?,
            all: words.get(..host_end)?,
        })
    }
}

/// Kinds of facts that are recorded wherever they stand, one bit each.
const UNUSUAL: u64 = 1 << kind::METHOD
    | 1 << kind::TARGET
    | 1 << kind::HOST
    | 1 << kind::ROUTE
    | 1 << kind::TRACEPARENT
    | 1 << kind::HTTPS
    | 1 << kind::JOB
    | 1 << kind::PARAM;

#[inline]
fn head(fact: &[AtomicU64]) -> u64 {
    fact.first().map_or(0, |head| head.load(Ordering::Relaxed))
}

/// How many words the bytes of a fact take.
#[inline]
fn words_of(head: u64) -> usize {
    (kept(head) + 7) >> 3
}

/// The words of a fact without its head.
#[inline]
fn body(fact: &[AtomicU64]) -> &[AtomicU64] {
    fact.get(1..).unwrap_or_default()
}

/// Bytes that a fact has.
#[inline]
fn kept(head: u64) -> usize {
    (head >> 8 & 0xff_ffff) as usize
}

/// Whether it has the length and the characters of a `traceparent`: what is no hexadecimal digit is no part of an id.
#[inline]
fn is_traceparent(words: &[AtomicU64], length: usize) -> bool {
    let is_part = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f' | b'-' | 0);
    let all = |word: &AtomicU64| {
        let bytes = word.load(Ordering::Relaxed).to_le_bytes();
        // Not `all`: without a way out it is done eight at a time.
        bytes.iter().fold(true, |all, byte| all & is_part(*byte))
    };
    length == TRACEPARENT_BYTES && words.iter().all(all)
}

/// The same for bytes.
fn is_id(bytes: &[u8]) -> bool {
    let is_part = |byte: &u8| byte.is_ascii_hexdigit() || *byte == b'-';
    bytes.len() == TRACEPARENT_BYTES && bytes.iter().all(is_part)
}

/// Writes facts without their secrets.
fn put_redacted(facts: &[Fact], redactor: &Redactor, to: &mut RecordFacts<'_>) {
    let route = facts.iter().find(|fact| fact.kind == kind::ROUTE);
    let route = route.map(|fact| String::from_utf8_lossy(&fact.bytes).into_owned());
    for fact in facts {
        let (kind, bytes, total) = (fact.kind, &fact.bytes, fact.total as usize);
        match kind {
            kind::METHOD | kind::HTTPS | kind::JOB | kind::ROUTE => to.put(kind, bytes, total),
            kind::HOST => {
                let host = redactor.host(bytes);
                to.put(kind, host.as_bytes(), host.len());
            }
            kind::TARGET => {
                let clean = target(bytes, route.as_deref(), redactor);
                let kept = clean.get(..clean.floor_char_boundary(TARGET_BYTES));
                let total = clean.len() + total.saturating_sub(bytes.len());
                to.put(kind, kept.unwrap_or_default().as_bytes(), total);
            }
            kind::PARAM => put_param(kind, bytes, redactor, to),
            kind::TRACEPARENT if is_id(bytes) => to.put(kind, bytes, total),
            _ => {}
        }
    }
}

/// Path and query without their secrets.
fn target(raw: &[u8], route: Option<&str>, redactor: &Redactor) -> String {
    if !raw.starts_with(b"/") {
        return redactor.url(raw, route);
    }
    let (path, query) = split_once(raw, b'?');
    let mut clean = redactor.path(path, route);
    if let Some(query) = query {
        clean = clean + "?" + &redactor.query(query);
    }
    clean
}

/// A parameter of a job, as [`kind::PARAM`] has it.
fn put_param(kind: Kind, bytes: &[u8], redactor: &Redactor, to: &mut RecordFacts<'_>) {
    let Some((name, value)) = bytes
        .split_first()
        .and_then(|(length, rest)| rest.split_at_checked(usize::from(*length)))
    else {
        return;
    };
    let (name, value) = (
        String::from_utf8_lossy(name),
        String::from_utf8_lossy(value),
    );
    let value = if redactor.is_secret_key(&name) {
        crate::redact::REDACTED.to_owned()
    } else {
        redactor.text(&value)
    };
    let name = name
        .get(..name.floor_char_boundary(255))
        .unwrap_or_default();
    let pair = [&[name.len() as u8], name.as_bytes(), value.as_bytes()].concat();
    to.put(kind, &pair, pair.len());
}
