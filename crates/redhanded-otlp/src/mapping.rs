//! The span of a runaway: what is known about it while it still runs.

use crate::attributes::Attributes;
use crate::ids::{self, Place};
use crate::told::Told;
use crate::when::{Interval, time};
use crate::{calls, names, snapshots, stacktrace, text};
use opentelemetry::trace::{SpanId, SpanKind, Status};
use opentelemetry_sdk::trace::{SpanData, SpanLinks};
use redhanded_report::{
    Action, Event, Evidence, OutboundTotal, OverRepresented, Peer, Phase, Report, Request, Verdict,
};
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

/// A finished span `name` from the request's start until `report`, followed by snapshots of the
/// request's open `tracing` spans and by its outbound calls.
pub(crate) fn runaway(name: &'static str, report: &Report, told: &mut Told) -> Vec<SpanData> {
    let place = Place::of(report, None);
    let when = Interval::until_now(report);
    let evidence = report.evidence.as_ref();
    let chosen = calls::choose(evidence, told);
    let (attributes, dropped_attributes_count) = attributes(report, chosen.dropped).finish();
    let unjudged = if report.died.is_some() {
        "in flight when its process died"
    } else {
        "runaway request"
    };
    let cause = report
        .verdict
        .as_ref()
        .map_or(unjudged, |verdict| verdict.cause.as_str());
    let span = SpanData {
        span_context: ids::context(place.trace, ids::new_span()),
        parent_span_id: place.span.unwrap_or(SpanId::INVALID),
        parent_span_is_remote: false,
        span_kind: SpanKind::Internal,
        name: name.into(),
        start_time: time(when.start),
        end_time: time(when.end),
        attributes,
        dropped_attributes_count,
        events: snapshots::events(evidence, when),
        links: SpanLinks::default(),
        status: Status::error(text::bounded(cause, text::VALUE)),
        instrumentation_scope: names::scope(),
    };
    // A later look has snapshots of the same spans: under ids that the first one does not have.
    let is_first = report.event == Event::Caught;
    let open = snapshots::open_spans(evidence, when, &span, is_first);
    let calls = calls::spans(&chosen, when, &span, told);
    std::iter::once(span).chain(open).chain(calls).collect()
}

fn attributes(report: &Report, calls_dropped: usize) -> Attributes {
    let mut to = Attributes::new();
    identity(&mut to, report);
    to.maybe_int("redhanded.occurrences", report.occurrences);
    to.maybe_float("redhanded.elapsed_ms", report.elapsed_ms);
    to.maybe_float("redhanded.slow_after_ms", report.slow_after_ms);
    to.maybe_float("redhanded.deadline_ms", report.deadline_ms);
    to.maybe_text("redhanded.phase", report.phase.map(Phase::as_str));
    if report.action != Action::None {
        to.text("redhanded.action", report.action.as_str());
    }
    if report.lost.total() > 0 {
        to.int("redhanded.lost", report.lost.total());
    }
    if let Some(died) = &report.died {
        // The resource is the process that found it.
        to.maybe_int("redhanded.died.pid", report.service.pid);
        to.maybe_text("redhanded.died.instance", report.service.instance.as_ref());
        to.text("redhanded.died.last_seen", &died.last_seen);
        if died.shut_down {
            to.yes("redhanded.died.shut_down");
        }
    }
    if let Some(verdict) = &report.verdict {
        finding(&mut to, verdict);
    }
    if let Some(evidence) = &report.evidence {
        observed(&mut to, evidence);
        outbound(&mut to, &evidence.outbound_totals, calls_dropped);
    }
    if let Some(asked) = &report.request {
        request(&mut to, asked);
        to.maybe_text("redhanded.reproduce", asked.reproduce.as_ref());
        // Last: these are as many as the client likes, and what is over the limit is dropped.
        client_chosen(&mut to, asked);
    }
    to
}

/// What joins the spans, lines and pages of one runaway; also on its SERVER span.
pub(crate) fn identity(to: &mut Attributes, report: &Report) {
    to.yes(names::RUNAWAY);
    to.text("redhanded.id", &report.id);
    to.maybe_text("redhanded.fingerprint", report.fingerprint.as_ref());
    if let Some(verdict) = &report.verdict {
        to.text("redhanded.class", verdict.class.as_str());
        to.text("redhanded.role", verdict.role.as_str());
        to.text("redhanded.confidence", verdict.confidence.as_str());
        to.text("redhanded.cause", &verdict.cause);
    }
}

fn finding(to: &mut Attributes, verdict: &Verdict) {
    if let Some(culprit) = &verdict.culprit {
        to.text(names::CODE_FUNCTION_NAME, &culprit.function);
        to.maybe_text(names::CODE_FILE_PATH, culprit.file.as_ref());
        to.maybe_int(names::CODE_LINE_NUMBER, culprit.line);
        to.maybe_int(names::CODE_COLUMN_NUMBER, culprit.column);
    }
    if let Some(remote) = &verdict.peer {
        peer(to, remote);
    }
    if let Some(waiting) = &verdict.waiting_for {
        to.text("redhanded.waiting_for.kind", waiting.kind.as_str());
        to.text("redhanded.waiting_for.what", &waiting.what);
    }
    to.maybe_text("redhanded.holder", verdict.holder.as_ref());
    to.maybe_int("redhanded.victims", verdict.victims);
    to.texts("redhanded.victim_ids", &verdict.victim_ids);
    to.maybe_text("redhanded.victim_of", verdict.victim_of.as_ref());
    let shared: Vec<String> = verdict.params.iter().map(over_represented).collect();
    to.texts("redhanded.params", &shared);
}

fn over_represented(p: &OverRepresented) -> String {
    let OverRepresented {
        with,
        of,
        baseline_with,
        baseline_of,
        ..
    } = p;
    let feature = p.feature();
    format!("{feature} ({with} of {of}, else {baseline_with} of {baseline_of})")
}

/// Not `network.peer.*`: on a request's span that is its client.
fn peer(to: &mut Attributes, peer: &Peer) {
    to.maybe_text("redhanded.peer.name", peer.name.as_ref());
    to.maybe_text("redhanded.peer.address", peer.address.as_ref());
    to.maybe_int("redhanded.peer.port", peer.port);
    progress(to, peer);
    if peer.inferred {
        to.yes("redhanded.peer.inferred");
    }
}

/// How far a call to the peer has got; also on the call's own span.
pub(crate) fn progress(to: &mut Attributes, peer: &Peer) {
    to.maybe_text("redhanded.peer.phase", peer.phase.as_ref());
    to.maybe_text("redhanded.peer.state", peer.state.as_ref());
    to.maybe_float("redhanded.peer.elapsed_ms", peer.elapsed_ms);
}

fn observed(to: &mut Attributes, evidence: &Evidence) {
    to.maybe_int("redhanded.polls", evidence.polls);
    to.maybe_float("redhanded.polls_per_second", evidence.polls_per_second);
    to.maybe_int("redhanded.wakes", evidence.wakes);
    to.maybe_float("redhanded.busy_ms", evidence.busy_ms);
    to.maybe_float("redhanded.cpu_ms", evidence.cpu_ms);
    to.maybe_float("redhanded.longest_poll_ms", evidence.longest_poll_ms);
    to.maybe_int("redhanded.alloc_bytes", evidence.alloc_bytes);
    if let Some(thread) = &evidence.thread {
        to.int(names::THREAD_ID, thread.tid.into());
        to.maybe_text(names::THREAD_NAME, thread.name.as_ref());
        to.maybe_text("redhanded.thread.state", thread.state.as_ref());
        to.maybe_text("redhanded.thread.syscall", thread.syscall.as_ref());
    }
    to.maybe_int(
        "redhanded.baseline.requests",
        evidence.baseline.as_ref().map(|b| b.requests),
    );
    if let Some(stacks) = stacktrace::render(&evidence.stacks) {
        to.long_text(names::CODE_STACKTRACE, stacks, stacktrace::LIMIT);
    }
}

/// The finished calls in sums, one text a host, and how many calls have no span.
fn outbound(to: &mut Attributes, totals: &[OutboundTotal], dropped: usize) {
    let totals: Vec<String> = totals.iter().map(ToString::to_string).collect();
    to.texts("redhanded.outbound.totals", &totals);
    if dropped > 0 {
        to.int("redhanded.outbound.dropped", dropped as u64);
    }
}

/// What was asked, in the terms of the HTTP conventions; also on the SERVER span.
pub(crate) fn request(to: &mut Attributes, request: &Request) {
    if is_job(request) {
        to.maybe_text("redhanded.job", request.route.as_ref());
    } else {
        method(to, &request.method);
        to.maybe_text(names::HTTP_ROUTE, request.route.as_ref());
        url(to, request);
    }
    to.maybe_text(
        names::USER_AGENT_ORIGINAL,
        request.headers.get("user-agent"),
    );
    if let Some(client) = &request.client {
        address(to, (names::CLIENT_ADDRESS, names::CLIENT_PORT), client);
    }
    to.maybe_text("redhanded.request_id", request.request_id.as_ref());
    to.maybe_int(names::HTTP_REQUEST_BODY_SIZE, request.body_bytes);
}

/// A background job stands where a request would.
pub(crate) fn is_job(request: &Request) -> bool {
    request.method == "JOB"
}

pub(crate) fn method(to: &mut Attributes, method: &str) {
    if names::KNOWN_METHODS.contains(&method) {
        to.text(names::HTTP_REQUEST_METHOD, method);
    } else if !method.is_empty() {
        to.text(names::HTTP_REQUEST_METHOD, "_OTHER");
        to.text(names::HTTP_REQUEST_METHOD_ORIGINAL, method);
    }
}

fn url(to: &mut Attributes, request: &Request) {
    let absolute = request
        .url
        .parse::<http::Uri>()
        .ok()
        .filter(|uri| uri.host().is_some());
    if let Some(uri) = absolute {
        to.maybe_text(names::URL_SCHEME, uri.scheme_str());
        to.maybe_text(
            names::SERVER_ADDRESS,
            uri.host().map(|host| host.trim_matches(['[', ']'])),
        );
        to.maybe_int(names::SERVER_PORT, uri.port_u16());
    }
    if !request.url.is_empty() {
        to.text(names::URL_FULL, &request.url);
    }
    if !request.path.is_empty() {
        to.text(names::URL_PATH, &request.path);
    }
    to.maybe_text(names::URL_QUERY, request.query.as_ref());
}

/// `10.1.2.3:4567` and `[::1]:80` are an address and a port; anything else is left as it is.
pub(crate) fn address(to: &mut Attributes, (address, port): (&str, &str), text: &str) {
    if let Ok(socket) = text.parse::<SocketAddr>() {
        to.text(address, socket.ip().to_string());
        to.int(port, socket.port().into());
    } else if let Ok(ip) = text.parse::<IpAddr>() {
        to.text(address, ip.to_string());
    } else {
        to.text(address, text);
    }
}

pub(crate) fn client_chosen(to: &mut Attributes, request: &Request) {
    let mut all = |prefix: &str, map: &BTreeMap<String, String>| {
        for (key, value) in map {
            to.text(&format!("redhanded.{prefix}.{key}"), value);
        }
    };
    all("label", &request.labels);
    all("param.job", &request.params.job);
    all("param.path", &request.params.path);
    all("param.query", &request.params.query);
}
