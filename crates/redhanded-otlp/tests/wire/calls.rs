//! What a collector receives of a runaway's outbound calls.

use crate::collector::{caught, exported, hex, text, values};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use opentelemetry_proto::tonic::trace::v1::{Span, Status};
use redhanded_report::{Event, OutboundCall, Report, Role};
use serde_json::json;
use std::collections::HashSet;

/// Of the fixture's request.
const START: u64 = 1_782_871_384_000_005_000;
const OWN: &str = "00000000000000c1";

fn open_call() -> OutboundCall {
    serde_json::from_value(json!({
        "kind": "http", "open": true, "at_ms": 10.0, "elapsed_ms": 2000.0, "span_id": OWN, "what": "GET /items?page=2",
        "peer": {"name": "api", "address": "10.0.0.9", "port": 443, "phase": "connect", "state": "SYN_SENT",
            "elapsed_ms": 1500.0, "inferred": true},
        "phases_ms": {"dns": 1.25}, "sent_bytes": 7,
        "tried": [{"address": "[2001:db8::9]:443", "elapsed_ms": 500.0, "error": "timeout"},
            {"address": "10.0.0.9:443", "elapsed_ms": 1500.0}],
    }))
    .unwrap()
}

fn finished_call() -> OutboundCall {
    serde_json::from_value(json!({
        "kind": "postgres", "at_ms": 2.0, "elapsed_ms": 5.5, "peer": {"name": "db1", "port": 5432},
        "what": "SELECT ?", "error": "reset", "received_bytes": 12,
    }))
    .unwrap()
}

/// The fixture's runaway with these calls.
fn calling(event: Event, calls: Vec<OutboundCall>) -> Report {
    let mut report = caught();
    report.event = event;
    report.evidence.as_mut().unwrap().outbound = calls;
    report
}

/// A later look, exported because it finds another role.
fn updated(calls: Vec<OutboundCall>) -> Report {
    let mut report = calling(Event::Updated, calls);
    report.verdict.as_mut().unwrap().role = Role::Victim;
    report
}

fn clients(spans: &[Span]) -> Vec<&Span> {
    let client = |span: &&Span| span.kind() == SpanKind::Client;
    spans.iter().filter(client).collect()
}

fn named<'s>(spans: &'s [Span], name: &str) -> &'s Span {
    spans.iter().find(|span| span.name == name).unwrap()
}

#[test]
fn an_open_call_is_a_finished_child_of_the_runaway() {
    let spans = exported(&[(calling(Event::Caught, vec![open_call()]), None)]);
    let caught = named(&spans, "redhanded.caught");
    let [call] = clients(&spans)[..] else {
        panic!("{} calls", clients(&spans).len())
    };
    assert_eq!(call.name, "GET");
    assert_eq!(hex(&call.span_id), OWN, "what the other end was told");
    assert_eq!(call.trace_id, caught.trace_id);
    assert_eq!(call.parent_span_id, caught.span_id);
    assert_eq!(call.links, []);
    assert_eq!(call.start_time_unix_nano, START + 10_000_000);
    assert_eq!(call.end_time_unix_nano, caught.end_time_unix_nano);
    let status = call.status.as_ref().unwrap();
    assert_eq!(status.code(), StatusCode::Error);
    assert_eq!(status.message, "still open after 2 s, in connect for 1.5 s");
}

#[test]
fn an_open_call_speaks_the_conventions() {
    let spans = exported(&[(calling(Event::Caught, vec![open_call()]), None)]);
    let call = clients(&spans)[0];
    let got = values(&call.attributes);
    for (key, value) in [
        ("http.request.method", text("GET")),
        ("url.path", text("/items")),
        ("url.query", text("page=2")),
        ("server.address", text("api")),
        ("server.port", Value::IntValue(443)),
        ("network.peer.address", text("10.0.0.9")),
        ("network.peer.port", Value::IntValue(443)),
        ("http.request.body.size", Value::IntValue(7)),
        ("redhanded.peer.phase", text("connect")),
        ("redhanded.peer.state", text("SYN_SENT")),
        ("redhanded.inferred", Value::BoolValue(true)),
        ("redhanded.still_open", Value::BoolValue(true)),
        ("redhanded.phases.dns_ms", Value::DoubleValue(1.25)),
        ("runaway", Value::BoolValue(true)),
    ] {
        assert_eq!(got.get(key), Some(&value), "{key}");
    }
    assert!(!got.contains_key("error.type"), "it has not failed");
    let [first, second] = &call.events[..] else {
        panic!("{} addresses", call.events.len())
    };
    assert_eq!([&first.name, &second.name], ["connect", "connect"]);
    let tried = values(&first.attributes);
    assert_eq!(tried["network.peer.address"], text("2001:db8::9"));
    assert_eq!(tried["network.peer.port"], Value::IntValue(443));
    assert_eq!(tried["redhanded.elapsed_ms"], Value::DoubleValue(500.0));
    assert_eq!(tried["error.type"], text("timeout"));
    assert!(!values(&second.attributes).contains_key("error.type"));
}

#[test]
fn a_finished_call_lasted_as_long_as_it_did() {
    let spans = exported(&[(calling(Event::Caught, vec![finished_call()]), None)]);
    let call = clients(&spans)[0];
    assert_eq!(call.name, "postgresql");
    assert_eq!(call.start_time_unix_nano, START + 2_000_000);
    assert_eq!(call.end_time_unix_nano, START + 7_500_000);
    let got = values(&call.attributes);
    assert_eq!(got["db.system.name"], text("postgresql"));
    assert_eq!(got["db.query.text"], text("SELECT ?"));
    assert_eq!(got["error.type"], text("reset"));
    assert!(!got.contains_key("redhanded.still_open"));
    assert!(!got.contains_key("network.peer.address"), "not resolved");
    assert_eq!(call.status.as_ref().unwrap().message, "reset");
}

#[test]
fn a_status_from_400_on_is_an_error_to_a_client() {
    for (status, failed) in [(204, false), (304, false), (404, true), (503, true)] {
        let mut call = finished_call();
        (call.kind, call.error, call.status) = ("http".to_owned(), None, Some(status));
        let spans = exported(&[(calling(Event::Caught, vec![call]), None)]);
        let call = clients(&spans)[0];
        let got = values(&call.attributes);
        assert_eq!(
            got["http.response.status_code"],
            Value::IntValue(status.into())
        );
        let kind = failed.then(|| text(&status.to_string()));
        assert_eq!(got.get("error.type"), kind.as_ref());
        let said = call.status.clone().unwrap_or_default();
        assert_eq!(said.code() == StatusCode::Error, failed, "{status}");
        assert_eq!(said.message, "", "the code says it");
    }
    let mut fine = finished_call();
    fine.error = None;
    let spans = exported(&[(calling(Event::Caught, vec![fine]), None)]);
    assert_eq!(clients(&spans)[0].status, Some(Status::default()));
}

#[test]
fn a_later_look_tells_of_a_call_under_another_id_and_of_its_end_once() {
    let mut over = open_call();
    over.open = false;
    let mut new = open_call();
    new.span_id = Some("00000000000000c2".to_owned());
    let mut third = updated(vec![over.clone(), new.clone()]);
    third.verdict.as_mut().unwrap().role = Role::Bystander;
    let spans = exported(&[
        (calling(Event::Caught, vec![open_call()]), None),
        (updated(vec![over, new]), None),
        (third, None),
    ]);
    let ids: HashSet<_> = spans.iter().map(|span| &span.span_id).collect();
    assert_eq!(ids.len(), spans.len(), "never two spans with one id");
    let calls = clients(&spans);
    // Open ones come first in each look.
    let [_, other, again, other_again] = calls[..] else {
        panic!("{} calls: an end is told once", calls.len())
    };
    let own: Vec<_> = again.links.iter().map(|link| hex(&link.span_id)).collect();
    assert_eq!(own, [OWN], "joined with what hangs below its own id");
    assert!(!values(&again.attributes).contains_key("redhanded.still_open"));
    assert_eq!(hex(&other.span_id), "00000000000000c2");
    assert_eq!(hex(&other_again.links[0].span_id), "00000000000000c2");
}

#[test]
fn an_id_that_may_have_been_exported_is_not_used() {
    // By the process that died; by a look that nobody remembers; by the request's own span, which
    // follows when it ends; by another call of the same report.
    let died = exported(&[(calling(Event::Died, vec![open_call()]), None)]);
    let forgotten = exported(&[(updated(vec![open_call()]), None)]);
    let mut own = open_call();
    own.span_id = caught().span_id;
    let same_as_request = exported(&[(calling(Event::Caught, vec![own.clone()]), None)]);
    for (spans, id) in [
        (died, Some(OWN.to_owned())),
        (forgotten, Some(OWN.to_owned())),
        (same_as_request, own.span_id),
    ] {
        let [call] = clients(&spans)[..] else {
            panic!("{} calls", clients(&spans).len())
        };
        let link = call.links.first().map(|link| hex(&link.span_id));
        assert_eq!(link, id);
        assert_ne!(Some(hex(&call.span_id)), id);
    }
    let twice = vec![open_call(), open_call()];
    let spans = exported(&[(calling(Event::Caught, twice), None)]);
    let ids: HashSet<_> = clients(&spans).iter().map(|s| s.span_id.clone()).collect();
    assert_eq!(ids.len(), 2);

    let mut malformed = open_call();
    malformed.span_id = Some("+0000000000000c1".to_owned());
    let spans = exported(&[(calling(Event::Caught, vec![malformed]), None)]);
    let call = clients(&spans)[0];
    assert_eq!((call.span_id.len(), call.links.len()), (8, 0));
}

#[test]
fn sums_and_what_has_no_span_stand_with_the_runaway() {
    let mut report = calling(Event::Caught, vec![finished_call(); 40]);
    report.verdict.as_mut().unwrap().peer = Some(open_call().peer);
    let evidence = report.evidence.as_mut().unwrap();
    evidence.outbound.push(open_call());
    evidence.outbound_totals = serde_json::from_value(json!([
        {"kind": "http", "peer": "api:443", "calls": 240, "failed": 238, "redirected": 0, "paged": 0, "total_ms": 11_900.0},
        {"kind": "redis", "peer": "cache:6379", "calls": 1, "failed": 0, "redirected": 0, "paged": 0, "total_ms": 0.3},
    ]))
    .unwrap();
    let spans = exported(&[(report, None)]);
    let got = values(&named(&spans, "redhanded.caught").attributes);
    let Value::ArrayValue(sums) = &got["redhanded.outbound.totals"] else {
        panic!("no texts")
    };
    let sums: Vec<_> = sums
        .values
        .iter()
        .map(|v| v.value.clone().unwrap())
        .collect();
    assert_eq!(
        sums,
        [
            text("http api:443: 240 calls, 238 failed, 11.9 s"),
            text("redis cache:6379: 1 call, 0.3 ms")
        ]
    );
    assert_eq!(got["redhanded.outbound.dropped"], Value::IntValue(9));
    assert_eq!(got["redhanded.peer.inferred"], Value::BoolValue(true));
    assert_eq!(clients(&spans).len(), 32);
    assert_eq!(clients(&spans)[0].name, "GET", "the open one is among them");

    let quiet = exported(&[(caught(), None)]);
    let got = values(&quiet[0].attributes);
    for key in ["outbound.totals", "outbound.dropped", "peer.inferred"] {
        assert!(!got.contains_key(&format!("redhanded.{key}")), "{key}");
    }
}

#[test]
fn calls_are_bounded() {
    let mut huge = open_call();
    let long = "ü".repeat(10_000);
    huge.what = Some(format!("GET /{long}?{long}"));
    (huge.error, huge.span_id) = (Some(long.clone()), Some(long.clone()));
    huge.peer.name = Some(long.clone());
    huge.phases_ms = (0..200).map(|n| (format!("{n}{long}"), 1.0)).collect();
    huge.tried = vec![huge.tried[0].clone(); 1000];
    let mut database = huge.clone();
    (database.kind, database.open) = ("mysql".to_owned(), false);
    let mut other = database.clone();
    other.kind = long;
    let calls = [huge, database, other].map(|call| vec![call; 10]).concat();
    let spans = exported(&[(calling(Event::Caught, calls), None)]);
    assert_eq!(clients(&spans).len(), 30);
    for call in clients(&spans) {
        assert!(call.attributes.len() <= 48 && call.name.len() < 200);
        assert!(call.dropped_attributes_count > 150, "the loss is counted");
        assert_eq!((call.events.len(), call.dropped_events_count), (16, 984));
        let bytes = prost::Message::encoded_len(call);
        assert!(bytes < 40_000, "{bytes} bytes");
    }
}
