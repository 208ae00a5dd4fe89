//! What the watchdog and the clerk add to a record: where the request is, its ids, and what was found.

use crate::copied::TraceIds;
use crate::registry::{RecordFacts, RecordUse, Records, Slot};
use redhanded_report::recorder::layout::{part, word};
use redhanded_report::{Phase, Verdict};

/// Bytes that are kept of names.
const WORD_BYTES: usize = 16;
const PEER_BYTES: usize = 64;
const CULPRIT_BYTES: usize = 96;

/// Where a request is, as the watchdog sees it.
#[derive(Clone, Debug, Default)]
pub(crate) struct SeenNow {
    pub(crate) at_ns: u64,
    pub(crate) slow_after_ns: u64,
    pub(crate) phase: Phase,
    pub(crate) polls: u64,
    /// Number and name of the thread that polls it, or did so last.
    pub(crate) thread: Option<(u32, Option<String>)>,
    /// An outbound call that is open.
    pub(crate) peer: Option<CallNow>,
}

/// An outbound call.
#[derive(Clone, Debug)]
pub(crate) struct CallNow {
    pub(crate) kind: String,
    pub(crate) host: String,
    pub(crate) port: Option<u16>,
    pub(crate) phase: Option<&'static str>,
}

/// A record that somebody else than the slot's request and the watchdog writes to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RecordAt {
    records: &'static Records,
    used: RecordUse,
}

impl RecordAt {
    /// That of the request in `slot`, while it is in flight there.
    pub(crate) fn of(slot: &Slot) -> Option<Self> {
        let (records, used) = slot.record()?;
        Some(Self { records, used })
    }

    /// What the watchdog saw; only it writes this.
    pub(crate) fn see(self, seen: &SeenNow) {
        if !self.records.is_still(self.used) {
            return;
        }
        self.records.write(self.used, part::SEEN, |facts| {
            facts.number(word::AT_NS, seen.at_ns);
            facts.number(word::SLOW_AFTER_NS, seen.slow_after_ns);
            facts.text(word::PHASE, seen.phase.as_str(), usize::MAX);
            facts.number(word::POLLS, seen.polls);
            if let Some((tid, name)) = &seen.thread {
                facts.number(word::THREAD, u64::from(*tid));
                facts.text(
                    word::THREAD_NAME,
                    name.as_deref().unwrap_or_default(),
                    WORD_BYTES,
                );
            }
            if let Some(call) = &seen.peer {
                facts.text(word::PEER, &call.host, PEER_BYTES);
                facts.number(word::PEER_PORT, call.port.map_or(0, u64::from));
                facts.text(word::PEER_PHASE, call.phase.unwrap_or_default(), WORD_BYTES);
                facts.text(word::PEER_KIND, &call.kind, WORD_BYTES);
            }
        });
    }

    /// The place in its trace, which is fixed now.
    pub(crate) fn trace(self, ids: &TraceIds) {
        self.records.write(self.used, part::TRACE, |facts| {
            let mut put = |kind, hex: &str| {
                let bytes = bytes_of(hex);
                facts.put(kind, &bytes, bytes.len());
            };
            put(word::TRACE_ID, &ids.trace_id);
            put(word::SPAN_ID, &ids.span_id);
            if let Some(parent) = &ids.parent_span_id {
                put(word::PARENT_ID, parent);
            }
        });
    }

    /// What a look has found; only the watchdog writes this, before it hands the case on.
    pub(crate) fn judge(self, id: &str, verdict: &Verdict, fingerprint: u64) {
        self.records.write(self.used, part::VERDICT, |facts| {
            put_verdict(facts, id, verdict, Some(fingerprint));
        });
    }

    /// The same when its stacks have names; only the clerk writes this, before it writes the line.
    pub(crate) fn name(self, id: &str, verdict: &Verdict) {
        if self.records.is_still(self.used) {
            self.records.write(self.used, part::NAMED, |facts| {
                put_verdict(facts, id, verdict, None);
            });
        }
    }
}

fn put_verdict(facts: &mut RecordFacts<'_>, id: &str, verdict: &Verdict, fingerprint: Option<u64>) {
    facts.text(word::ID, id, usize::MAX);
    facts.text(word::CLASS, verdict.class.as_str(), usize::MAX);
    facts.text(word::ROLE, verdict.role.as_str(), usize::MAX);
    facts.text(word::CONFIDENCE, verdict.confidence.as_str(), usize::MAX);
    if let Some(fingerprint) = fingerprint {
        facts.number(word::FINGERPRINT, fingerprint);
    }
    if let Some(culprit) = &verdict.culprit {
        facts.text(word::CULPRIT, &culprit.function, CULPRIT_BYTES);
    }
    // Last: what there is no room for is cut.
    facts.text(word::CAUSE, &verdict.cause, usize::MAX);
}

/// The bytes of hexadecimal digits; none for anything else.
fn bytes_of(hex: &str) -> Vec<u8> {
    let pairs = hex.as_bytes().chunks(2);
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    pairs.map(byte).collect::<Option<_>>().unwrap_or_default()
}
