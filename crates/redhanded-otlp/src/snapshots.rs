//! What the request itself said: its `tracing` events, and its spans that are still open.

use crate::attributes::Attributes;
use crate::ids::{self, Role};
use crate::when::{Interval, nanos, time};
use crate::{names, text};
use opentelemetry::trace::{Event, SpanId, SpanKind, Status};
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanLinks};
use redhanded_report::{Evidence, SpanSnapshot};
use std::collections::HashMap;

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
        to.maybe_text("target", event.target.as_ref());
        to.maybe_text("redhanded.span", event.span.as_ref());
        to.maybe_text(names::CODE_FILE_PATH, event.file.as_ref());
        to.maybe_int(names::CODE_LINE_NUMBER, event.line);
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
/// They have ids of their own: the real ones may still be exported by whoever owns them. Those of the
/// `first` report are known to who tells the rest of the story.
pub(crate) fn open_spans(
    evidence: Option<&Evidence>,
    when: Interval,
    caught: &SpanData,
    is_first: bool,
) -> Vec<SpanData> {
    let all = evidence.map_or(&[][..], |evidence| &evidence.spans);
    let root = caught.span_context.span_id();
    let mut known = HashMap::new();
    let mut outer = root;
    let mut spans = Vec::new();
    for open in all.iter().take(SPANS) {
        let id = match open.number {
            Some(number) if is_first => {
                let trace = caught.span_context.trace_id();
                ids::of_story(trace, caught.parent_span_id, number, Role::Snapshot)
            }
            _ => ids::new_span(),
        };
        // A report that does not say what is in what has them from the outermost on.
        let parent = match (open.number, open.parent) {
            (None, _) => outer,
            (Some(_), parent) => parent
                .and_then(|number| known.get(&number).copied())
                .unwrap_or(root),
        };
        known.extend(open.number.map(|number| (number, id)));
        outer = id;
        spans.push(snapshot(open, when, caught, (id, parent)));
    }
    spans
}

fn snapshot(
    open: &SpanSnapshot,
    when: Interval,
    caught: &SpanData,
    (id, parent): (SpanId, SpanId),
) -> SpanData {
    let mut to = Attributes::with_limit(FIELDS + 7);
    to.yes(names::RUNAWAY);
    to.yes("redhanded.still_open");
    to.maybe_text("level", open.level.as_ref());
    to.maybe_text("target", open.target.as_ref());
    to.maybe_text(names::CODE_FILE_PATH, open.file.as_ref());
    to.maybe_int(names::CODE_LINE_NUMBER, open.line);
    to.maybe_int("busy_ns", open.busy_ms.map(nanos));
    for (key, value) in &open.fields {
        to.text(key, value);
    }
    let (attributes, dropped_attributes_count) = to.finish();
    SpanData {
        span_context: ids::context(caught.span_context.trace_id(), id),
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
