//! Calls to other hosts: one after another, then what the finished ones cost together.

use super::brush::Brush;
use super::format::{duration, peer_name};
use crate::{OutboundCall, OutboundTotal, Peer, Tried};
use std::fmt;

/// Phases in the order in which a call goes through them; what is not among them comes last.
const PHASES: [&str; 7] = [
    "pool",
    "dns",
    "connect",
    "tls",
    "write",
    "wait_headers",
    "read_body",
];

pub(super) fn part(page: &mut Brush, calls: &[OutboundCall], totals: &[OutboundTotal]) {
    for call in calls {
        one(page, call);
    }
    if !totals.is_empty() {
        page.title("outbound calls, summed up");
    }
    for total in totals {
        page.field(&total.kind, &summed_up(total));
    }
}

/// Whom, in which phase, for how long.
pub(super) fn peer_line(peer: &Peer) -> String {
    let phase = peer.phase.as_ref().map(|phase| format!(" in {phase}"));
    let elapsed = peer.elapsed_ms.map(|ms| format!(" for {}", duration(ms)));
    let state = peer.state.as_ref().map(|state| format!(", socket {state}"));
    [Some(peer_name(peer)), phase, elapsed, state]
        .into_iter()
        .flatten()
        .collect()
}

fn one(page: &mut Brush, call: &OutboundCall) {
    page.title(if call.open {
        "outbound call, open"
    } else {
        "outbound call"
    });
    page.field(&call.kind, &peer_line(&call.peer));
    page.optional("asks", call.what.as_deref());
    page.optional("began", began(call).as_deref());
    page.optional("phases", phases(call).as_deref());
    page.optional("moved", moved(call).as_deref());
    let status = call.status.map(|status| format!("status {status}"));
    page.optional("answer", status.as_deref());
    page.optional("failed", call.error.as_deref());
    for address in &call.tried {
        page.field("tried", &tried(address));
    }
    page.optional("span", call.span_id.as_deref());
}

/// When it began, and how long it took or has taken.
fn began(call: &OutboundCall) -> Option<String> {
    let at = call
        .at_ms
        .map(|ms| format!("{} into the request", duration(ms)));
    let word = if call.open { "open for" } else { "took" };
    let took = call.elapsed_ms.map(|ms| format!("{word} {}", duration(ms)));
    joined([at, took])
}

fn phases(call: &OutboundCall) -> Option<String> {
    let mut phases: Vec<(&String, &f64)> = call.phases_ms.iter().collect();
    phases.sort_by_key(|(name, _)| {
        let place = PHASES.iter().position(|phase| phase == name);
        place.unwrap_or(PHASES.len())
    });
    joined(
        phases
            .into_iter()
            .map(|(phase, ms)| Some(format!("{phase} {}", duration(*ms)))),
    )
}

fn moved(call: &OutboundCall) -> Option<String> {
    let bytes = |word: &str, bytes: Option<u64>| {
        bytes.map(|bytes| {
            format!(
                "{word} {bytes} {}",
                if bytes == 1 { "byte" } else { "bytes" }
            )
        })
    };
    joined([
        bytes("sent", call.sent_bytes),
        bytes("received", call.received_bytes),
    ])
}

/// Without an error it was reached, or it is the one that is tried now: the phase says which.
fn tried(address: &Tried) -> String {
    let failed = address.error.as_ref().map(|error| format!(": {error}"));
    format!(
        "{} for {}{}",
        address.address,
        duration(address.elapsed_ms),
        failed.unwrap_or_default()
    )
}

fn joined(parts: impl IntoIterator<Item = Option<String>>) -> Option<String> {
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}

/// `http api:443: 240 calls, 238 failed, 11.9 s`.
///
/// ```
/// let total: redhanded_report::OutboundTotal = serde_json::from_str(r#"{"kind":"http",
///   "peer":"api:443","calls":240,"failed":238,"redirected":0,"paged":0,"total_ms":11900.0}"#).unwrap();
/// assert_eq!(total.to_string(), "http api:443: 240 calls, 238 failed, 11.9 s");
/// ```
impl fmt::Display for OutboundTotal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind, summed_up(self))
    }
}

fn summed_up(total: &OutboundTotal) -> String {
    let calls = if total.calls == 1 { "call" } else { "calls" };
    let some = |count: u64, what: &str| (count > 0).then(|| format!("{count} {what}"));
    let parts = [
        Some(format!("{} {calls}", total.calls)),
        some(total.failed, "failed"),
        some(total.redirected, "redirected"),
        some(total.paged, "paged"),
        Some(duration(total.total_ms)),
    ];
    let figures = joined(parts).unwrap_or_default();
    format!("{}: {figures}", total.peer)
}
