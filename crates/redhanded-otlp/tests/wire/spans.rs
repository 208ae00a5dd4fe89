//! What a collector receives of a runaway.

use crate::collector::{Collector, caught, exported, hex, small, text, values};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Status;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use redhanded_core::sink::Sink;
use redhanded_otlp::Otlp;
use redhanded_report::{Event, How, Outcome, Report, Role, Service};
use std::sync::Arc;
use std::time::{Duration, Instant};

const START: u64 = 1_782_871_384_000_005_000;

fn ended(how: How, status: Option<u16>) -> Report {
    let mut report = Report::new(Event::Ended, caught().id);
    report.time = "2026-07-01T02:03:09Z".to_owned();
    (report.trace_id, report.span_id) = (caught().trace_id, caught().span_id);
    report.parent_span_id = caught().parent_span_id;
    let mut outcome = Outcome::default();
    (outcome.how, outcome.status, outcome.total_ms) = (how, status, 5000.5);
    report.outcome = Some(outcome);
    report
}

#[test]
fn a_caught_request_is_a_finished_child_of_its_own_span() {
    let spans = exported(&[(caught(), None)]);
    let span = &spans[0];
    assert_eq!(span.name, "redhanded.caught");
    assert_eq!(hex(&span.trace_id), "0af7651916cd43dd8448eb211c80319c");
    assert_eq!(hex(&span.parent_span_id), "b7ad6b7169203331");
    assert_eq!(span.span_id.len(), 8);
    assert_ne!(span.span_id, span.parent_span_id);
    assert_eq!(span.flags, 0x101, "sampled, parent known to be local");
    assert_eq!(span.kind(), SpanKind::Internal);
    assert_eq!(span.start_time_unix_nano, START);
    assert_eq!(span.end_time_unix_nano, START + 2_010_000_000);
    let status = span.status.as_ref().unwrap();
    assert_eq!(status.code(), StatusCode::Error);
    assert_eq!(status.message, caught().verdict.unwrap().cause);
}

#[test]
fn the_verdict_stands_in_the_attributes() {
    let spans = exported(&[(caught(), None)]);
    let got = values(&spans[0].attributes);
    let texts = [
        ("redhanded.id", "01K0000000000000000000000A"),
        ("redhanded.class", "cpu_loop"),
        ("redhanded.role", "culprit"),
        ("redhanded.confidence", "proved"),
        ("redhanded.fingerprint", "00112233445566ff"),
        ("redhanded.phase", "handler"),
        ("code.function.name", "app::search::matches"),
        ("code.file.path", "src/search.rs"),
        (
            "code.stacktrace",
            "thread, 20 samples:\napp::search::matches (src/search.rs:12)\napp+0x1234\n",
        ),
        ("redhanded.peer.name", "db1"),
        ("redhanded.peer.address", "10.0.0.9"),
        ("redhanded.peer.state", "SYN_SENT"),
        ("redhanded.waiting_for.kind", "lock"),
        ("redhanded.holder", "nobody found"),
        ("thread.name", "tokio-rt-worker"),
    ];
    for (key, value) in texts {
        assert_eq!(got.get(key), Some(&text(value)), "{key}");
    }
    assert_eq!(
        got["redhanded.cause"],
        text(&caught().verdict.unwrap().cause)
    );
    assert_eq!(got["runaway"], Value::BoolValue(true));
    let numbers = [
        ("redhanded.occurrences", 3),
        ("code.line.number", 12),
        ("code.column.number", 9),
        ("thread.id", 4711),
    ];
    for (key, value) in numbers
        .into_iter()
        .chain([("redhanded.peer.port", 5432), ("redhanded.victims", 2)])
    {
        assert_eq!(got.get(key), Some(&Value::IntValue(value)), "{key}");
    }
    assert_eq!(got["redhanded.elapsed_ms"], Value::DoubleValue(2010.0));
}

#[test]
fn what_was_allocated_stands_in_the_attributes_where_it_was_counted() {
    let mut counted = caught();
    let evidence = counted.evidence.as_mut().unwrap();
    evidence.alloc_bytes = Some(3 << 30);
    let attributes = |report| values(&exported(&[(report, None)])[0].attributes);
    let got = attributes(counted);
    assert_eq!(got["redhanded.alloc_bytes"], Value::IntValue(3 << 30));
    assert!(!attributes(caught()).contains_key("redhanded.alloc_bytes"));
}

#[test]
fn the_request_stands_in_the_attributes() {
    let spans = exported(&[(caught(), None)]);
    let got = values(&spans[0].attributes);
    let texts = [
        ("http.request.method", "GET"),
        ("http.route", "/search/{kind}"),
        (
            "url.full",
            "http://shop.example:8080/search/käse?q=a%2Bb&page=2",
        ),
        ("url.path", "/search/k%C3%A4se"),
        ("url.query", "q=a%2Bb&page=2"),
        ("user_agent.original", "curl/8.5"),
        ("client.address", "2001:db8::7"),
        (
            "redhanded.reproduce",
            "curl -sS 'http://shop.example:8080/search/k%C3%A4se?q=a%2Bb&page=2'",
        ),
        ("redhanded.param.query.q", "a+b"),
        ("redhanded.param.path.kind", "käse"),
        ("redhanded.label.tenant", "acme"),
    ];
    for (key, value) in texts {
        assert_eq!(got.get(key), Some(&text(value)), "{key}");
    }
    assert_eq!(got["client.port"], Value::IntValue(50123));
}

#[test]
fn open_spans_and_events_come_along() {
    let spans = exported(&[(caught(), None)]);
    let [caught, search, rank] = &spans[..] else {
        panic!("{} spans", spans.len())
    };
    assert_eq!(
        (search.name.as_str(), rank.name.as_str()),
        ("search", "rank")
    );
    assert_eq!(search.parent_span_id, caught.span_id);
    assert_eq!(rank.parent_span_id, search.span_id);
    assert_eq!(rank.trace_id, caught.trace_id);
    assert_eq!(
        rank.end_time_unix_nano - rank.start_time_unix_nano,
        1_000_000_000
    );
    assert_eq!(values(&search.attributes)["q"], text("a+b"));
    assert_eq!(caught.events[0].name, "page 2 of ?");
    assert_eq!(caught.events[0].time_unix_nano, START + 10_000_000);
}

#[test]
fn an_ended_request_is_its_own_server_span_once() {
    let end = ended(How::Completed, Some(200));
    let spans = exported(&[
        (caught(), None),
        (end.clone(), Some(caught())),
        (end, Some(caught())),
    ]);
    let own: Vec<_> = spans
        .iter()
        .filter(|span| hex(&span.span_id) == "b7ad6b7169203331")
        .collect();
    assert_eq!(own.len(), 1, "never two spans with one id");
    let span = own[0];
    assert_eq!(span.name, "GET /search/{kind}");
    assert_eq!(span.kind(), SpanKind::Server);
    assert_eq!(hex(&span.trace_id), "0af7651916cd43dd8448eb211c80319c");
    assert_eq!(hex(&span.parent_span_id), "00f067aa0ba902b7");
    assert_eq!(span.flags, 0x301, "sampled, parent known to be remote");
    assert_eq!(span.start_time_unix_nano, START);
    assert_eq!(span.end_time_unix_nano, START + 5_000_500_000);
    assert_eq!(span.status, Some(Status::default()), "nothing is said");
    let got = values(&span.attributes);
    assert_eq!(got["http.response.status_code"], Value::IntValue(200));
    assert_eq!(got["redhanded.how"], text("completed"));
    assert_eq!(got["runaway"], Value::BoolValue(true));
    assert_eq!(got["http.route"], text("/search/{kind}"));
    assert_eq!(got["server.address"], text("shop.example"));
    assert_eq!(
        got["redhanded.class"],
        text("cpu_loop"),
        "tail sampling sees the verdict on both"
    );
}

#[test]
fn a_bad_end_is_an_error() {
    for (how, status, kind, message) in [
        (How::Completed, Some(503), "503", ""),
        (How::Dropped, None, "dropped", "dropped"),
        (How::Panicked, Some(200), "panicked", "panicked"),
        (How::ClientGone, Some(200), "client_gone", "client_gone"),
    ] {
        let spans = exported(&[(ended(how, status), Some(caught()))]);
        let got = spans[0].status.as_ref().unwrap();
        assert_eq!(
            (got.code(), got.message.as_str()),
            (StatusCode::Error, message),
            "{how:?}"
        );
        assert_eq!(values(&spans[0].attributes)["error.type"], text(kind));
    }
}

#[test]
fn a_later_look_is_exported_when_it_says_something_else() {
    let mut same = caught();
    same.event = Event::Updated;
    let mut victim = same.clone();
    victim.verdict.as_mut().unwrap().role = Role::Victim;
    let mut symbolized = caught();
    symbolized.event = Event::Symbolized;
    let spans = exported(&[
        (caught(), None),
        (same, None),
        (victim.clone(), None),
        (victim, None),
        (symbolized, None),
    ]);
    let names: Vec<_> = spans
        .iter()
        .map(|s| s.name.as_str())
        .filter(|name| name.starts_with("redhanded"))
        .collect();
    assert_eq!(names, ["redhanded.caught", "redhanded.updated"]);
    let updated = spans
        .iter()
        .find(|span| span.name == "redhanded.updated")
        .unwrap();
    assert_eq!(hex(&updated.parent_span_id), "b7ad6b7169203331");
    assert_eq!(
        values(&updated.attributes)["runaway"],
        Value::BoolValue(true)
    );
    let ids: std::collections::HashSet<_> = spans.iter().map(|span| &span.span_id).collect();
    assert_eq!(ids.len(), spans.len(), "never two spans with one id");
}

#[test]
fn a_job_and_a_strange_method_invent_no_http() {
    let mut job = caught();
    let request = job.request.as_mut().unwrap();
    (request.method, request.route) = ("JOB".to_owned(), Some("distribute".to_owned()));
    let spans = exported(&[(ended(How::Completed, None), Some(job))]);
    assert_eq!(
        (spans[0].name.as_str(), spans[0].kind()),
        ("JOB distribute", SpanKind::Internal)
    );
    assert!(!values(&spans[0].attributes).contains_key("http.request.method"));

    let mut strange = caught();
    strange.request.as_mut().unwrap().method = "BREW".to_owned();
    let spans = exported(&[(ended(How::Completed, None), Some(strange))]);
    assert_eq!(spans[0].name, "HTTP /search/{kind}");
    let got = values(&spans[0].attributes);
    assert_eq!(got["http.request.method"], text("_OTHER"));
    assert_eq!(got["http.request.method_original"], text("BREW"));
}

#[test]
fn a_report_with_nothing_in_it_is_still_a_span() {
    let spans = exported(&[(Report::new(Event::Caught, "x"), None)]);
    let span = &spans[0];
    assert_eq!(
        [
            span.trace_id.len(),
            span.span_id.len(),
            span.parent_span_id.len()
        ],
        [16, 8, 0]
    );
    assert!(span.start_time_unix_nano <= span.end_time_unix_nano);
    assert_eq!(span.status.as_ref().unwrap().message, "runaway request");

    let mut alone = ended(How::Completed, Some(200));
    alone.parent_span_id = None;
    let spans = exported(&[(alone, None)]);
    let span = &spans[0];
    assert_eq!((span.name.as_str(), span.flags), ("HTTP", 0x101));
    assert_eq!(
        span.end_time_unix_nano - span.start_time_unix_nano,
        5_000_500_000
    );
}

#[test]
fn what_was_in_flight_when_a_process_died_is_told() {
    let mut died = caught();
    died.event = Event::Died;
    let spans = exported(&[(died, None)]);
    assert_eq!(spans.len(), 3, "one and its open spans");
    assert_eq!(spans[0].name, "redhanded.died");
    assert_eq!(hex(&spans[0].parent_span_id), "b7ad6b7169203331");
}

/// A span without a request would be a trace of its own that every count of runaways counts.
#[test]
fn trouble_without_a_request_is_no_span() {
    let mut process = Report::new(Event::Process, "01K1");
    process.elapsed_ms = Some(890.0);
    process.verdict = caught().verdict;
    let spans = exported(&[(process, None), (ended(How::Completed, Some(200)), None)]);
    assert_eq!(spans.len(), 1, "nobody is guilty in the first");
    assert_eq!(hex(&spans[0].span_id), "b7ad6b7169203331", "the request's");
}

#[test]
fn a_caught_request_arrives_while_it_still_runs() {
    let collector = Collector::ok();
    let otlp = Otlp::to(&collector.url, &Service::default()).unwrap();
    let took = (1..=5).map(|n| {
        let started = Instant::now();
        otlp.accept(&small(n as u64), None);
        collector.spans(n);
        started.elapsed()
    });
    // The best of five: other tests run at the same time.
    let best = took.min().unwrap();
    assert!(best < Duration::from_millis(100), "{best:?}");
}

#[test]
fn everything_is_bounded() {
    let mut huge = caught();
    let verdict = huge.verdict.as_mut().unwrap();
    verdict.cause = "🦀".repeat(1 << 20);
    let request = huge.request.as_mut().unwrap();
    request.params.query = (0..10_000)
        .map(|n| (n.to_string(), "ü".repeat(100)))
        .collect();
    let long = "k".repeat(100_000);
    request.labels = ["a", "b"]
        .map(|end| (format!("{long}{end}"), "ü".repeat(100_000)))
        .into();
    let evidence = huge.evidence.as_mut().unwrap();
    evidence.stacks[0].frames = vec![evidence.stacks[0].frames[0].clone(); 100_000];
    evidence.spans = vec![evidence.spans[0].clone(); 1000];
    evidence.events = vec![evidence.events[0].clone(); 1000];
    evidence.outbound = vec![Default::default(); 1000];
    evidence.outbound_totals = vec![Default::default(); 1000];
    let spans = exported(&[(huge, None)]);
    let span = &spans[0];
    let got = values(&span.attributes);
    assert!(spans.len() <= 65, "{} spans", spans.len());
    assert!(span.attributes.len() <= 128 && span.events.len() <= 64);
    assert!(got.iter().all(|(key, _)| key.len() < 200));
    assert!(span.dropped_attributes_count > 9_000, "the loss is counted");
    assert_eq!(span.dropped_events_count, 936);
    assert!(span.status.as_ref().unwrap().message.ends_with(" bytes)"));
    let Value::StringValue(stack) = &got["code.stacktrace"] else {
        panic!("no text")
    };
    assert!(stack.len() <= 32 * 1024 && stack.ends_with(" more frames\n"));
    assert!(prost::Message::encoded_len(span) < 1 << 20);
}

#[test]
fn who_made_the_spans_stands_with_them() {
    let collector = Collector::ok();
    let otlp = Otlp::to(&collector.url, &Service::default()).unwrap();
    otlp.accept(&Arc::new(caught()), None);
    assert!(otlp.flush(Duration::from_secs(5)));
    let body = &collector.requests()[0].body;
    let [resource] = &body.resource_spans[..] else {
        panic!("{} resources", body.resource_spans.len())
    };
    let [scoped] = &resource.scope_spans[..] else {
        panic!("{} scopes", resource.scope_spans.len())
    };
    let scope = scoped.scope.as_ref().unwrap();
    assert_eq!(
        (scope.name.as_str(), scope.version.as_str()),
        ("redhanded", env!("CARGO_PKG_VERSION"))
    );
    for url in [&resource.schema_url, &scoped.schema_url] {
        assert_eq!(url, "https://opentelemetry.io/schemas/1.44.0");
    }
}
