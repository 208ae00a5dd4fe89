//! The outbound calls of a look, as the record has them: redacted, with their times in milliseconds.

use crate::calls::{Attempt, CallPhase, CallSeen, CallState, CallTotal};
use crate::case::Case;
use crate::redact::{Redactor, printable};
use redhanded_report::{OutboundCall, OutboundTotal, Peer, Tried};

/// The calls of `case`, the open ones first.
pub(super) fn outbound(case: &Case, redactor: &Redactor) -> Vec<OutboundCall> {
    case.calls
        .iter()
        .map(|call| one(call, case, redactor))
        .collect()
}

/// The sums per host, the most expensive first.
pub(super) fn totals(case: &Case) -> Vec<OutboundTotal> {
    let mut totals: Vec<OutboundTotal> = case.observed.totals.iter().map(total).collect();
    totals.sort_by(|a, b| b.total_ms.total_cmp(&a.total_ms));
    totals
}

fn one(call: &CallState, case: &Case, redactor: &Redactor) -> OutboundCall {
    let until_ns = call.ended_ns().unwrap_or(case.looked_ns);
    let mut out = OutboundCall::default();
    out.kind = call.kind.clone().into_owned();
    out.peer = peer(call, case);
    out.open = !call.has_ended();
    out.at_ms = Some(between(case.started_ns, call.started_ns));
    out.elapsed_ms = Some(between(call.started_ns, until_ns));
    out.what = call.what.as_deref().map(|what| asked(what, redactor));
    out.sent_bytes = Some(call.sent_bytes()).filter(|bytes| *bytes > 0);
    out.received_bytes = Some(call.received_bytes()).filter(|bytes| *bytes > 0);
    out.status = call.status();
    out.error = call.failure().map(|failure| failure.as_str().to_owned());
    out.span_id = call.span_id();
    out.tried = call
        .attempts()
        .iter()
        .map(|attempt| tried(attempt, until_ns))
        .collect();
    out.phases_ms = CallPhase::ALL
        .into_iter()
        .map(|phase| (phase.as_str().to_owned(), ms(call.spent_ns(phase))))
        .filter(|(_, ms)| *ms > 0.0)
        .collect();
    out
}

/// Whom it calls; while it is open with its phase, and the state of its socket where that was seen.
fn peer(call: &CallState, case: &Case) -> Peer {
    let mut peer = Peer::default();
    peer.name = Some(call.row.host.to_string());
    peer.port = call.row.port;
    if let Some(address) = call.address() {
        peer.address = Some(address.ip().to_string());
        peer.port = Some(address.port());
    }
    if call.has_ended() {
        return peer;
    }
    if let Some(phase) = call.phase() {
        peer.phase = Some(phase.as_str().to_owned());
        peer.elapsed_ms = Some(between(call.phase_since_ns(), case.looked_ns));
    }
    let is_it = |seen: &&CallSeen| {
        let socket = seen.socket.as_ref();
        socket.is_some_and(|s| s.address == peer.address && s.port == peer.port)
    };
    let seen = case.observed.calls.iter().find(is_it);
    peer.state = seen.and_then(|seen| seen.socket.as_ref()?.state.clone());
    peer
}

/// `GET /path?query` has a query whose pairs are known; any other text is searched for secrets.
fn asked(what: &str, redactor: &Redactor) -> String {
    let http = what
        .split_once(' ')
        .filter(|(method, target)| is_method(method) && target.starts_with('/'));
    match http {
        Some((method, target)) => format!("{method} {}", redactor.url(target.as_bytes(), None)),
        None => {
            let line = what.replace(['\n', '\r', '\t'], " ");
            redactor.text(&printable::from_bytes(line.as_bytes()))
        }
    }
}

fn is_method(word: &str) -> bool {
    !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_uppercase())
}

fn tried(attempt: &Attempt, until_ns: u64) -> Tried {
    let end_ns = attempt.end.map_or(until_ns, |(at_ns, _)| at_ns);
    let failure = attempt.end.and_then(|(_, failure)| failure);
    Tried::new(
        attempt.address.to_string(),
        between(attempt.since_ns, end_ns),
        failure.map(|failure| failure.as_str().to_owned()),
    )
}

fn total(total: &CallTotal) -> OutboundTotal {
    let mut out = OutboundTotal::default();
    out.kind.clone_from(&total.kind);
    out.peer = match total.port {
        Some(port) if total.host.contains(':') => format!("[{}]:{port}", total.host),
        Some(port) => format!("{}:{port}", total.host),
        None => total.host.clone(),
    };
    out.calls = total.calls;
    out.failed = total.failed;
    out.redirected = total.redirected;
    out.paged = total.paged;
    out.total_ms = total.total_ms;
    out
}

fn between(from_ns: u64, to_ns: u64) -> f64 {
    ms(to_ns.saturating_sub(from_ns))
}

fn ms(ns: u64) -> f64 {
    (ns as f64 / 1_000.0).round() / 1_000.0
}

#[cfg(all(test, not(redhanded_loom)))]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_has_no_secrets() {
        let redactor = Redactor::default();
        let asked = |what| asked(what, &redactor);
        assert_eq!(
            asked("GET /v1/items?page=2&api_key=abc"),
            "GET /v1/items?page=2&api_key=REDACTED"
        );
        let statement = asked("ALTER ROLE app PASSWORD='hunter2'");
        assert!(!statement.contains("hunter2"), "{statement}");
        assert!(!asked("GET\x1b[2J\n").contains(char::is_control));
    }
}
