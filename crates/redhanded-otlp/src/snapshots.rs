//! What the request itself said: its `tracing` events, and its spans that are still open.

use crate::attributes::Attributes;
use crate::when::{Interval, nanos, time};
use crate::{ids, names, text};
use opentelemetry::trace::{Event, SpanId, SpanKind, Status};
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanLinks};
use redhanded_report::{Evidence, SpanSnapshot};

/// A request's own ring keeps 64 events; spans nest less deep than that in practice.
const EVENTS: usize = 64;
const SPANS: usize = 32;
const FIELDS: usize = 32;

/// The last events of the request as events of the span, and how many did not fit.
pub(crate) fn events(evidence: Option<&Evidence>, when: Interval) -> SpanEvents {
    let all = evidence.map_or(&[][..], |evidence| &evidence.events);
    let over = all.len().saturating_sub(EVENTS);
    let one = |event: &redhanded_report::LogEvent| {
        let mut to = Attributes::new();
        to.text("level", &event.level);
        let at = when.start.saturating_add(nanos(event.at_ms));
        let name = text::bounded(&event.text, text::VALUE);
        Event::new(name, time(at), to.finish().0, 0)
    };
    let mut events = SpanEvents::default();
    events.events = all[over..].iter().map(one).collect();
    events.dropped_count = u32::try_from(over).unwrap_or(u32::MAX);
    events
}

/// Spans of the request that are still open, finished now, nested below `caught`.
///
/// They have ids of their own: the real ones may still be exported by whoever owns them.
pub(crate) fn open_spans(
    evidence: Option<&Evidence>,
    when: Interval,
    caught: &SpanData,
) -> Vec<SpanData> {
    let all = evidence.map_or(&[][..], |evidence| &evidence.spans);
    let mut parent = caught.span_context.span_id();
    let mut spans = Vec::new();
    for open in all.iter().take(SPANS) {
        let span = snapshot(open, when, caught, parent);
        parent = span.span_context.span_id();
        spans.push(span);
    }
    spans
}

fn snapshot(open: &SpanSnapshot, when: Interval, caught: &SpanData, parent: SpanId) -> SpanData {
    let mut to = Attributes::with_limit(FIELDS);
    to.yes(names::RUNAWAY);
    to.yes("redhanded.still_open");
    for (key, value) in &open.fields {
        to.text(key, value);
    }
    let (attributes, dropped_attributes_count) = to.finish();
    SpanData {
        span_context: ids::context(caught.span_context.trace_id(), ids::new_span()),
        parent_span_id: parent,
        parent_span_is_remote: false,
        span_kind: SpanKind::Internal,
        name: text::bounded(&open.name, text::KEY).into(),
        start_time: time(when.end.saturating_sub(nanos(open.age_ms))),
        end_time: time(when.end),
        attributes,
        dropped_attributes_count,
        events: SpanEvents::default(),
        links: SpanLinks::default(),
        status: Status::Unset,
        instrumentation_scope: names::scope(),
    }
}
