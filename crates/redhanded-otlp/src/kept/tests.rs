use super::*;
use opentelemetry::trace::TraceId;
use redhanded_core::Level;
use redhanded_report::{How, Outcome};
use std::collections::HashSet;
use std::time::{Duration, SystemTime};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const SERVER: &str = "b7ad6b7169203331";

fn span(number: u32, parent: Option<u32>, from_ms: u64, until_ms: Option<u64>) -> ToldSpan {
    let mut span = ToldSpan::default();
    (span.number, span.parent) = (number, parent);
    span.name = format!("span {number}");
    span.start_ns = from_ms * 1_000_000;
    span.end_ns = until_ms.map(|ms| ms * 1_000_000);
    span
}

fn event(span: Option<u32>, at_ms: u64, message: &str) -> ToldEvent {
    let mut event = ToldEvent::default();
    (event.span, event.at_ns) = (span, at_ms * 1_000_000);
    event.message = message.to_owned();
    event
}

fn kept(why: Why, at_ms: u64, spans: Vec<ToldSpan>) -> Kept {
    let mut kept = Kept::new(why, SystemTime::UNIX_EPOCH + Duration::from_secs(1000));
    (kept.trace_id, kept.span_id) = (TRACE.to_owned(), SERVER.to_owned());
    kept.parent_span_id = Some("00f067aa0ba902b7".to_owned());
    kept.request.method = "GET".to_owned();
    kept.request.route = Some("/search".to_owned());
    (kept.told.spans, kept.told.at_ns) = (spans, at_ms * 1_000_000);
    kept
}

fn ended(mut kept: Kept, status: u16) -> Kept {
    let mut outcome = Outcome::default();
    (outcome.how, outcome.status) = (How::Completed, Some(status));
    outcome.total_ms = kept.told.at_ns as f64 / 1e6;
    kept.outcome = Some(outcome);
    kept
}

fn ms(span: &SpanData) -> (u128, u128) {
    let since = |time: SystemTime| {
        let start = SystemTime::UNIX_EPOCH + Duration::from_secs(1000);
        time.duration_since(start).expect("not before").as_millis()
    };
    (since(span.start_time), since(span.end_time))
}

fn find<'s>(spans: &'s [SpanData], name: &str) -> &'s SpanData {
    let found = spans.iter().find(|span| span.name == name);
    found.unwrap_or_else(|| panic!("{name} is not there"))
}

#[test]
fn a_failure_is_told_whole() {
    let mut outer = span(1, None, 1, Some(9));
    outer.fields = vec![
        ("page".to_owned(), ToldValue::Int(2)),
        ("query".to_owned(), ToldValue::Text("x".to_owned())),
    ];
    outer.busy_ns = 3_000_000;
    outer.source.level = Level::Info;
    let mut inner = span(2, Some(1), 2, Some(8));
    inner.links = vec![1];
    let mut whole = ended(kept(Why::Failed, 10, vec![outer, inner]), 503);
    whole.told.events = vec![event(Some(2), 5, "refused"), event(None, 6, "outside")];
    let spans = spans(&whole);
    assert_eq!(spans.len(), 3);
    let server = find(&spans, "GET /search");
    assert_eq!(
        server.span_context.span_id(),
        ids::span(SERVER).expect("an id")
    );
    assert_eq!(server.span_kind, SpanKind::Server);
    assert_eq!(
        server.parent_span_id,
        ids::span("00f067aa0ba902b7").expect("an id")
    );
    assert_eq!(
        (server.status.clone(), ms(server)),
        (Status::error(""), (0, 10))
    );
    assert_eq!(server.events.events[0].name, "outside");
    let outer = find(&spans, "span 1");
    assert_eq!(outer.parent_span_id, server.span_context.span_id());
    assert_eq!(ms(outer), (1, 9));
    let value = |key: &str| {
        let found = outer.attributes.iter().find(|a| a.key.as_str() == key);
        found.map(|a| a.value.to_string()).unwrap_or_default()
    };
    assert_eq!((value("page"), value("query")), ("2".into(), "x".into()));
    assert_eq!(
        (value("busy_ns"), value("idle_ns")),
        ("3000000".into(), "5000000".into())
    );
    assert_eq!(value(names::KEPT), "failed");
    let inner = find(&spans, "span 2");
    assert_eq!(inner.parent_span_id, outer.span_context.span_id());
    assert_eq!(
        inner.links.links[0].span_context.span_id(),
        outer.span_context.span_id()
    );
    assert_eq!(inner.events.events[0].name, "refused");
    for span in &spans {
        assert!(
            span.attributes
                .iter()
                .all(|a| a.key.as_str() != names::RUNAWAY)
        );
    }
}

#[test]
fn a_catch_and_its_end_use_no_id_twice() {
    // 1 is open at the catch, and 3 in it; 2 is over; 4 begins later.
    let at_the_catch = vec![
        span(1, None, 1, None),
        span(2, Some(1), 2, Some(3)),
        span(3, Some(1), 4, None),
    ];
    let first = spans(&kept(Why::Caught, 2000, at_the_catch));
    assert_eq!(
        first.len(),
        1,
        "what is over; the open ones are in the report"
    );
    let snapshot_of_1 = {
        let server = ids::span(SERVER).expect("an id");
        let trace = first[0].span_context.trace_id();
        ids::of_story(trace, server, 1, Role::Snapshot)
    };
    assert_eq!(
        first[0].parent_span_id, snapshot_of_1,
        "its true parent may never end"
    );
    let at_the_end = vec![
        span(1, None, 1, Some(4900)),
        span(2, Some(1), 2, Some(3)),
        span(3, Some(1), 4, Some(4800)),
        span(4, Some(3), 2500, Some(2600)),
        span(5, Some(3), 2500, None),
    ];
    let mut end = ended(kept(Why::Caught, 5000, at_the_end), 200);
    end.told_until_ns = Some(2_000_000_000);
    let second = spans(&end);
    let names: HashSet<_> = second.iter().map(|span| span.name.to_string()).collect();
    assert_eq!(
        names,
        ["span 1", "span 3", "span 4"].map(str::to_owned).into()
    );
    let id = |name| find(&second, name).span_context.span_id();
    assert_eq!(find(&second, "span 4").parent_span_id, id("span 3"));
    assert_eq!(find(&second, "span 3").parent_span_id, id("span 1"));
    assert_eq!(
        find(&second, "span 1").parent_span_id,
        ids::span(SERVER).expect("an id")
    );
    let all = first
        .iter()
        .chain(&second)
        .map(|s| s.span_context.span_id());
    let ids: HashSet<_> = all.chain([snapshot_of_1]).collect();
    assert_eq!(ids.len(), 5);
    for span in first.iter().chain(&second) {
        assert!(
            span.attributes
                .iter()
                .any(|a| a.key.as_str() == names::RUNAWAY)
        );
    }
}

#[test]
fn what_ends_while_the_story_is_read_is_told_the_next_time() {
    let reading = kept(Why::Caught, 2000, vec![span(1, None, 1, Some(2001))]);
    assert!(spans(&reading).is_empty());
    let mut end = ended(
        kept(Why::Caught, 5000, vec![span(1, None, 1, Some(2001))]),
        200,
    );
    end.told_until_ns = Some(2_000_000_000);
    assert_eq!(spans(&end).len(), 1);
}

#[test]
fn ids_that_are_missing_are_made_up() {
    let mut odd = ended(
        kept(Why::Sampled, 10, vec![span(1, Some(7), 1, Some(2))]),
        200,
    );
    (odd.trace_id, odd.span_id) = ("x".to_owned(), String::new());
    odd.parent_span_id = None;
    let spans = spans(&odd);
    let server = find(&spans, "GET /search");
    assert_ne!(server.span_context.trace_id(), TraceId::INVALID);
    assert_eq!(
        find(&spans, "span 1").parent_span_id,
        server.span_context.span_id()
    );
    assert_eq!(server.status, Status::Unset);
}

#[test]
fn a_thousand_events_are_bounded() {
    let mut many = ended(kept(Why::Sampled, 10, vec![span(1, None, 1, Some(2))]), 200);
    many.told.events = (0..1000).map(|n| event(Some(1), n, "again")).collect();
    let spans = spans(&many);
    let events = &find(&spans, "span 1").events;
    assert_eq!((events.events.len(), events.dropped_count), (128, 872));
}
