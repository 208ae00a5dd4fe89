//! The hot path: what was asked goes into the request's record.

use super::Recorder;
use super::gate::{TRACEPARENT_BYTES, is_traceparent};
use super::places::{Places, Words};
use crate::copied::kind;
use crate::redact::{Redactor, split_once};
use crate::registry::{ARENA_WORDS, Claimed, Fact, Kind, RecordFacts, Slot, facts_at, kept};

/// How many bytes of path and query are kept, after redaction.
const TARGET_BYTES: usize = 512;

impl Recorder {
    /// Records the request that is about to begin in `slot`, whose facts are complete and of these `kinds`.
    #[inline(never)]
    pub(crate) fn begin(&self, slot: &Slot, kinds: u32) {
        let words = slot.facts.room();
        let places = Places::of(words, slot.facts.used(), kinds);
        let end = places.end.min(ARENA_WORDS);
        let target_end = places.target_end.min(end);
        let begin = places.begin.min(target_end);
        // Before there is a record, the route first, which may name a part of the target: nothing is written that may be a secret.
        let is_plain = self.gate.is_plain_place(&words[target_end..end])
            && (!places.has_strays() || self.are_plain(words, &places))
            && self
                .gate
                .is_plain_target(words, places.target, places.target_bytes);
        let Some(claimed) = self.records.claim(slot) else {
            return;
        };
        if !is_plain {
            return self.begin_slowly(slot, claimed);
        }
        let facts = claimed.facts(slot.started_ns(), slot.slow_after_ns());
        let mut facts = facts.copied(&words[begin..end]);
        if places.has_strays() {
            facts = with_strays(words, &places, facts);
        }
        claimed.publish(&facts);
    }

    /// Whether what does not stand with the rest has certainly no secret.
    #[inline(never)]
    fn are_plain(&self, words: &Words, places: &Places) -> bool {
        let mut strays = places.strays(words).flat_map(facts_at);
        strays.all(|(head, body)| self.gate.is_plain_fact(head, body))
    }

    /// The long way, which is always right.
    #[cold]
    #[inline(never)]
    fn begin_slowly(&self, slot: &Slot, claimed: Claimed) {
        let mut to = claimed.facts(slot.started_ns(), slot.slow_after_ns());
        put_redacted(&slot.facts.read(), self.redactor(), &mut to);
        claimed.publish(&to);
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

/// With what does not stand with the rest.
#[inline(never)]
fn with_strays<'a>(words: &Words, places: &Places, to: RecordFacts<'a>) -> RecordFacts<'a> {
    places
        .strays(words)
        .filter(|fact| {
            facts_at(fact).all(|(head, body)| {
                head as u8 != kind::TRACEPARENT || is_traceparent(body, kept(head))
            })
        })
        .fold(to, |to, fact| to.copied(fact))
}

/// Whether it has the length and the characters of a `traceparent`: what is no hexadecimal digit is no part of an id.
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
