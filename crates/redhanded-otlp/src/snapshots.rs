//! What the request itself said: its `tracing` events, and its spans that are still open.

use crate::attributes::Attributes;
use crate::when::{Interval, nanos};
use crate::{ids, names, text};
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::{Event, SpanKind};
use redhanded_report::{Evidence, SpanSnapshot};

/// A request's own ring keeps 64 events; spans nest less deep than that in practice.
const EVENTS: usize = 64;
const SPANS: usize = 32;
const FIELDS: usize = 32;

/// The last events of the request as events of the span, and how many did not fit.
pub(crate) fn events(evidence: Option<&Evidence>, when: Interval) -> (Vec<Event>, u32) {
    let all = evidence.map_or(&[][..], |evidence| &evidence.events);
    let over = all.len().saturating_sub(EVENTS);
    let one = |event: &redhanded_report::LogEvent| {
        let mut to = Attributes::new();
        to.text("level", &event.level);
        Event {
            time_unix_nano: when.start.saturating_add(nanos(event.at_ms)),
            name: text::bounded(&event.text, text::VALUE),
            attributes: to.finish().0,
            dropped_attributes_count: 0,
        }
    };
    (
        all[over..].iter().map(one).collect(),
        u32::try_from(over).unwrap_or(u32::MAX),
    )
}

/// Spans of the request that are still open, finished now, nested below `caught`.
///
/// They have ids of their own: the real ones may still be exported by whoever owns them.
pub(crate) fn open_spans(evidence: Option<&Evidence>, when: Interval, caught: &Span) -> Vec<Span> {
    let all = evidence.map_or(&[][..], |evidence| &evidence.spans);
    let mut parent = caught.span_id.clone();
    let mut spans = Vec::new();
    for open in all.iter().take(SPANS) {
        let span = snapshot(open, when, caught, parent);
        parent = span.span_id.clone();
        spans.push(span);
    }
    spans
}

fn snapshot(open: &SpanSnapshot, when: Interval, caught: &Span, parent: Vec<u8>) -> Span {
    let mut to = Attributes::with_limit(FIELDS);
    to.yes(names::RUNAWAY);
    to.yes("redhanded.still_open");
    for (key, value) in &open.fields {
        to.text(key, value);
    }
    let (attributes, dropped_attributes_count) = to.finish();
    Span {
        trace_id: caught.trace_id.clone(),
        span_id: ids::random(),
        parent_span_id: parent,
        flags: ids::LOCAL_PARENT,
        name: text::bounded(&open.name, text::KEY),
        kind: SpanKind::Internal.into(),
        start_time_unix_nano: when.end.saturating_sub(nanos(open.age_ms)),
        end_time_unix_nano: when.end,
        attributes,
        dropped_attributes_count,
        ..Span::default()
    }
}
