//! Trace and span ids: those of the report, or random ones.

use opentelemetry::trace::{SpanContext, SpanId, TraceFlags, TraceId, TraceState};
use redhanded_core::Kept;
use redhanded_report::Report;
use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

/// The request's place in its trace; an id that is missing or malformed is made up.
pub(crate) struct Place {
    pub(crate) trace: TraceId,
    pub(crate) span: Option<SpanId>,
    pub(crate) parent: Option<SpanId>,
}

impl Place {
    /// What is said of a request that is exported whole.
    pub(crate) fn of_kept(kept: &Kept) -> Self {
        let span = decode(&kept.span_id).map(SpanId::from_bytes);
        let parent = kept.parent_span_id.as_deref().and_then(decode);
        Self {
            trace: decode(&kept.trace_id).map_or_else(new_trace, TraceId::from_bytes),
            span: Some(span.unwrap_or_else(new_span)),
            parent: parent.map(SpanId::from_bytes),
        }
    }

    /// What `report` says, else what `other` says about the same request.
    pub(crate) fn of(report: &Report, other: Option<&Report>) -> Self {
        Self {
            trace: pick(report, other, |r| r.trace_id.as_ref())
                .map_or_else(new_trace, TraceId::from_bytes),
            span: pick(report, other, |r| r.span_id.as_ref()).map(SpanId::from_bytes),
            parent: pick(report, other, |r| r.parent_span_id.as_ref()).map(SpanId::from_bytes),
        }
    }
}

fn pick<const N: usize>(
    report: &Report,
    other: Option<&Report>,
    field: fn(&Report) -> Option<&String>,
) -> Option<[u8; N]> {
    let of = |report| field(report).and_then(|hex| decode(hex));
    of(report).or_else(|| other.and_then(of))
}

/// A span of ours: sampled, and made here.
pub(crate) fn context(trace: TraceId, span: SpanId) -> SpanContext {
    SpanContext::new(trace, span, TraceFlags::SAMPLED, false, TraceState::NONE)
}

/// The id that 16 hexadecimal digits are.
pub(crate) fn span(hex: &str) -> Option<SpanId> {
    decode(hex).map(SpanId::from_bytes)
}

/// What of a `tracing` span is exported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Role {
    /// The span itself, when it is over.
    Own,
    /// What it was when its request was caught.
    Snapshot,
}

/// The id of the `tracing` span with this number of the request whose own span is `request`: the same
/// whenever it is asked for, so that nothing has to be remembered, and nobody else's.
pub(crate) fn of_story(trace: TraceId, request: SpanId, number: u32, role: Role) -> SpanId {
    static KEY: std::sync::LazyLock<RandomState> = std::sync::LazyLock::new(RandomState::new);
    let id = KEY.hash_one((trace, request, number, role));
    SpanId::from(id.max(1))
}

/// A new span id.
pub(crate) fn new_span() -> SpanId {
    SpanId::from(random())
}

fn new_trace() -> TraceId {
    TraceId::from(u128::from(random()) << 64 | u128::from(random()))
}

/// A new number that is not zero.
///
/// Not for secrets: SipHash under std's random per-process key, of a counter, the clock and the
/// process id, the last so that a forked child goes its own way.
pub(crate) fn random() -> u64 {
    static KEY: std::sync::LazyLock<RandomState> = std::sync::LazyLock::new(RandomState::new);
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let mut hasher = KEY.build_hasher();
    (
        COUNT.fetch_add(1, Ordering::Relaxed),
        SystemTime::now(),
        std::process::id(),
    )
        .hash(&mut hasher);
    // All zero would be the invalid id.
    std::hash::Hasher::finish(&hasher).max(1)
}

/// Stricter than `from_hex` of the ids, which takes a sign and any length.
fn decode<const N: usize>(hex: &str) -> Option<[u8; N]> {
    if hex.len() != N * 2 || !hex.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let mut id = [0; N];
    for (at, byte) in id.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&hex[at * 2..at * 2 + 2], 16).ok()?;
    }
    (id != [0; N]).then_some(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_w3c_ids_are_taken() {
        assert_eq!(decode("00000000000000ff"), Some([0, 0, 0, 0, 0, 0, 0, 255]));
        for bad in [
            "0000000000000000",
            "ff",
            "+f00000000000001",
            "0000000000000äff",
            "00000000000000ff00",
        ] {
            assert_eq!(decode::<8>(bad), None, "{bad}");
        }
    }

    #[test]
    fn random_ids_differ() {
        let ids: std::collections::HashSet<_> = (0..10_000).map(|_| random()).collect();
        assert_eq!(ids.len(), 10_000);
    }
}
