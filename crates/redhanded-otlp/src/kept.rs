//! A request that is exported whole: its own span, and those that it has told of by `tracing`, with
//! their true times, parents, events and links.
//!
//! What was caught is told twice. At the catch: the spans that are over by then; those that are open
//! are snapshots below `redhanded.caught`, under ids of their own. When the request has ended after
//! all: the others, under their true ids. So no id is exported twice, and what hung in a span
//! that never ends hangs in its snapshot.

use crate::attributes::Attributes;
use crate::ids::{self, Place, Role};
use crate::when::{Interval, time, unix};
use crate::{names, server_span, text};
use opentelemetry::trace::{Event, Link, SpanId, SpanKind, Status};
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanLinks};
use redhanded_core::{Kept, Source, Told, ToldEvent, ToldSpan, ToldValue, Why};
use std::collections::HashMap;

/// As many events as a span may have, by OpenTelemetry's default.
const EVENTS: usize = 128;
const LINKS: usize = 128;
const FIELDS: usize = 32;

/// The spans of `kept` that were not told before; its SERVER span among them, if it is over and was
/// not caught: one that was caught gets it with its report.
pub(crate) fn spans(kept: &Kept) -> Vec<SpanData> {
    let telling = Telling::new(kept);
    let ended = kept.outcome.as_ref();
    let server = ended.filter(|_| kept.why != Why::Caught).map(|outcome| {
        let mut span = server_span::kept(kept, outcome, &telling.place);
        span.events = telling.events(None);
        span
    });
    let told = telling.news().map(|span| telling.span(span));
    server.into_iter().chain(told).collect()
}

struct Telling<'k> {
    kept: &'k Kept,
    place: Place,
    /// The request's own span, which all of this hangs below.
    server: SpanId,
    start: u64,
    by_number: HashMap<u32, &'k ToldSpan>,
    /// The events of each span; under `None` those that are in no span that is known.
    events: HashMap<Option<u32>, Vec<&'k ToldEvent>>,
}

impl<'k> Telling<'k> {
    fn new(kept: &'k Kept) -> Self {
        let Told { spans, events, .. } = &kept.told;
        let by_number: HashMap<_, _> = spans.iter().map(|span| (span.number, span)).collect();
        let mut of_span: HashMap<Option<u32>, Vec<&ToldEvent>> = HashMap::new();
        for event in events {
            let span = event.span.filter(|number| by_number.contains_key(number));
            of_span.entry(span).or_default().push(event);
        }
        let place = Place::of_kept(kept);
        Self {
            kept,
            server: place.span.unwrap_or(SpanId::INVALID),
            place,
            start: unix(kept.started),
            by_number,
            events: of_span,
        }
    }

    /// What is over, and was not when it was told before.
    fn news(&self) -> impl Iterator<Item = &'k ToldSpan> {
        let until = self.kept.told_until_ns;
        let spans = self.kept.told.spans.iter();
        spans.filter(move |span| self.is_over(span) && until.is_none_or(|t| span.end_ns > Some(t)))
    }

    /// Whether it was over when the story was read. One that ended while that was going on is told of
    /// the next time.
    fn is_over(&self, span: &ToldSpan) -> bool {
        span.end_ns.is_some_and(|end| end <= self.kept.told.at_ns)
    }

    fn id(&self, number: u32, role: Role) -> SpanId {
        ids::of_story(self.place.trace, self.server, number, role)
    }

    /// The span that `span` is in, as far as it is exported.
    fn parent(&self, span: &ToldSpan) -> SpanId {
        let known = span.parent.and_then(|number| self.by_number.get(&number));
        match known {
            // What is open now may never end.
            Some(parent) if !self.is_over(parent) => self.id(parent.number, Role::Snapshot),
            Some(parent) => self.id(parent.number, Role::Own),
            None => self.server,
        }
    }

    fn span(&self, span: &ToldSpan) -> SpanData {
        let at = |ns: u64| self.start.saturating_add(ns);
        let end_ns = span.end_ns.unwrap_or(self.kept.told.at_ns);
        let when = Interval {
            start: at(span.start_ns),
            end: at(end_ns.max(span.start_ns)),
        };
        let mut to = Attributes::with_limit(FIELDS + 10);
        if self.kept.why == Why::Caught {
            to.yes(names::RUNAWAY);
        }
        to.text(names::KEPT, self.kept.why.as_str());
        source(&mut to, &span.source);
        to.int("busy_ns", span.busy_ns);
        let idle_ns = end_ns
            .saturating_sub(span.start_ns)
            .saturating_sub(span.busy_ns);
        to.int("idle_ns", idle_ns);
        fields(&mut to, &span.fields);
        let (attributes, dropped) = to.finish();
        SpanData {
            span_context: ids::context(self.place.trace, self.id(span.number, Role::Own)),
            parent_span_id: self.parent(span),
            parent_span_is_remote: false,
            span_kind: SpanKind::Internal,
            name: text::bounded(&span.name, text::KEY).into(),
            start_time: time(when.start),
            end_time: time(when.end),
            attributes,
            dropped_attributes_count: dropped.saturating_add(span.dropped_fields),
            events: self.events(Some(span.number)),
            links: self.links(span),
            status: Status::Unset,
            instrumentation_scope: names::scope(),
        }
    }

    fn links(&self, span: &ToldSpan) -> SpanLinks {
        let mut links = SpanLinks::default();
        let one = |number: &u32| {
            let id = self.id(*number, Role::Own);
            Link::with_context(ids::context(self.place.trace, id))
        };
        links.links = span.links.iter().take(LINKS).map(one).collect();
        let over = span.links.len().saturating_sub(LINKS);
        links.dropped_count = u32::try_from(over).unwrap_or(u32::MAX);
        links
    }

    /// The last events of a span, or of no span.
    fn events(&self, span: Option<u32>) -> SpanEvents {
        let all = self.events.get(&span).map_or(&[][..], Vec::as_slice);
        let over = all.len().saturating_sub(EVENTS);
        let mut events = SpanEvents::default();
        let last = all.iter().skip(over);
        events.events = last.map(|event| self.event(event)).collect();
        events.dropped_count = u32::try_from(over).unwrap_or(u32::MAX);
        events
    }

    fn event(&self, event: &ToldEvent) -> Event {
        let mut to = Attributes::with_limit(FIELDS + 4);
        source(&mut to, &event.source);
        fields(&mut to, &event.fields);
        let (attributes, dropped) = to.finish();
        let at = time(self.start.saturating_add(event.at_ns));
        let name = if event.message.is_empty() {
            "event".to_owned()
        } else {
            text::bounded(&event.message, text::VALUE)
        };
        Event::new(name, at, attributes, dropped + event.dropped_fields)
    }
}

fn source(to: &mut Attributes, source: &Source) {
    to.text("level", source.level.as_str());
    to.text("target", &source.target);
    to.maybe_text(names::CODE_FILE_PATH, source.file.as_ref());
    to.maybe_int(names::CODE_LINE_NUMBER, source.line);
}

fn fields(to: &mut Attributes, fields: &[(String, ToldValue)]) {
    for (name, value) in fields {
        match value {
            ToldValue::Bool(value) => to.value(name, *value),
            ToldValue::Int(value) => to.value(name, *value),
            ToldValue::Float(value) => to.value(name, *value),
            other => to.text(name, other.to_string()),
        }
    }
}

#[cfg(test)]
mod tests;
