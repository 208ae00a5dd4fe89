//! Trace and span ids: those of the report, or random ones.

use redhanded_report::Report;
use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

/// Sampled, and it is known whether the parent is remote: it is not.
pub(crate) const LOCAL_PARENT: u32 = 0x001 | 0x100;
/// Sampled, and the parent is in another process.
pub(crate) const REMOTE_PARENT: u32 = LOCAL_PARENT | 0x200;

/// The request's place in its trace; an id that is missing or malformed is made up.
pub(crate) struct Place {
    pub(crate) trace: Vec<u8>,
    pub(crate) span: Option<Vec<u8>>,
    pub(crate) parent: Option<Vec<u8>>,
}

impl Place {
    /// What `report` says, else what `other` says about the same request.
    pub(crate) fn of(report: &Report, other: Option<&Report>) -> Self {
        let pick = |field: fn(&Report) -> Option<&String>, bytes| {
            let of = |report| field(report).and_then(|hex| decode(hex, bytes));
            of(report).or_else(|| other.and_then(of))
        };
        Self {
            trace: pick(|r| r.trace_id.as_ref(), 16)
                .unwrap_or_else(|| [random(), random()].concat()),
            span: pick(|r| r.span_id.as_ref(), 8),
            parent: pick(|r| r.parent_span_id.as_ref(), 8),
        }
    }
}

/// A new span id.
///
/// Not for secrets: SipHash under std's random per-process key, of a counter, the clock and the
/// process id, the last so that a forked child goes its own way.
pub(crate) fn random() -> Vec<u8> {
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
    std::hash::Hasher::finish(&hasher)
        .max(1)
        .to_be_bytes()
        .to_vec()
}

fn decode(hex: &str, bytes: usize) -> Option<Vec<u8>> {
    if hex.len() != bytes * 2 || !hex.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let id: Vec<u8> = (0..bytes)
        .map(|at| u8::from_str_radix(&hex[at * 2..at * 2 + 2], 16))
        .collect::<Result<_, _>>()
        .ok()?;
    id.iter().any(|byte| *byte != 0).then_some(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_w3c_ids_are_taken() {
        assert_eq!(
            decode("00000000000000ff", 8),
            Some(vec![0, 0, 0, 0, 0, 0, 0, 255])
        );
        for bad in [
            "0000000000000000",
            "ff",
            "+f00000000000001",
            "0000000000000äff",
            "00000000000000ff00",
        ] {
            assert_eq!(decode(bad, 8), None, "{bad}");
        }
    }

    #[test]
    fn random_ids_differ() {
        let ids: std::collections::HashSet<_> = (0..10_000).map(|_| random()).collect();
        assert_eq!(ids.len(), 10_000);
    }
}
