//! The request's own span, when it ended after all.

use crate::attributes::Attributes;
use crate::ids::{self, Place};
use crate::mapping::{self, identity, is_job};
use crate::when::{Interval, nanos, time, unix};
use crate::{names, text};
use opentelemetry::trace::{SpanId, SpanKind, Status};
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanLinks};
use redhanded_core::Kept;
use redhanded_report::{How, Outcome, Report, Request};
use std::borrow::Cow;

/// The SERVER span of a request that was caught and has ended.
pub(crate) fn ended(ended: &Report, caught: Option<&Report>) -> SpanData {
    let place = Place::of(ended, caught);
    let when = Interval::whole(ended, caught);
    let request = ended
        .request
        .as_ref()
        .or_else(|| caught.and_then(|caught| caught.request.as_ref()));
    let (attributes, dropped_attributes_count) = attributes(ended, caught, request).finish();
    SpanData {
        attributes,
        dropped_attributes_count,
        status: ended.outcome.as_ref().map_or(Status::Unset, status),
        ..bare(&place, request, when)
    }
}

/// The SERVER span of a request that is exported whole, and that nobody has caught.
pub(crate) fn kept(kept: &Kept, outcome: &Outcome, place: &Place) -> SpanData {
    let start = unix(kept.started);
    let end = start.saturating_add(nanos(outcome.total_ms));
    let mut to = Attributes::new();
    to.text(names::KEPT, kept.why.as_str());
    mapping::request(&mut to, &kept.request);
    told(&mut to, outcome);
    mapping::client_chosen(&mut to, &kept.request);
    let story = &kept.told;
    if story.overwritten + story.lost > 0 {
        to.int("redhanded.story.lost", story.overwritten + story.lost);
    }
    let (attributes, dropped_attributes_count) = to.finish();
    SpanData {
        attributes,
        dropped_attributes_count,
        status: status(outcome),
        ..bare(place, Some(&kept.request), Interval { start, end })
    }
}

/// The span without what is said of its request.
fn bare(place: &Place, request: Option<&Request>, when: Interval) -> SpanData {
    SpanData {
        span_context: ids::context(place.trace, place.span.unwrap_or_else(ids::new_span)),
        parent_span_id: place.parent.unwrap_or(SpanId::INVALID),
        parent_span_is_remote: place.parent.is_some(),
        name: request.map_or(Cow::Borrowed("HTTP"), |request| name(request).into()),
        span_kind: if request.is_some_and(is_job) {
            SpanKind::Internal
        } else {
            SpanKind::Server
        },
        start_time: time(when.start),
        end_time: time(when.end),
        attributes: Vec::new(),
        dropped_attributes_count: 0,
        events: SpanEvents::default(),
        links: SpanLinks::default(),
        status: Status::Unset,
        instrumentation_scope: names::scope(),
    }
}

fn attributes(ended: &Report, caught: Option<&Report>, request: Option<&Request>) -> Attributes {
    let mut to = Attributes::new();
    identity(&mut to, caught.unwrap_or(ended));
    if let Some(request) = request {
        mapping::request(&mut to, request);
    }
    if let Some(outcome) = &ended.outcome {
        told(&mut to, outcome);
    }
    to
}

fn told(to: &mut Attributes, outcome: &Outcome) {
    to.text("redhanded.how", outcome.how.as_str());
    to.maybe_int(names::HTTP_RESPONSE_STATUS_CODE, outcome.status);
    to.maybe_text(names::ERROR_TYPE, error_type(outcome));
}

/// `GET /users/{id}`, or the method alone where no route matched; never the path, which a client
/// chooses.
fn name(request: &Request) -> String {
    let known = is_job(request) || names::KNOWN_METHODS.contains(&request.method.as_str());
    let method = if known {
        request.method.as_str()
    } else {
        "HTTP"
    };
    match &request.route {
        Some(route) => text::bounded(&format!("{method} {route}"), 512),
        None => method.to_owned(),
    }
}

fn status(outcome: &Outcome) -> Status {
    match error_type(outcome) {
        None => Status::Unset,
        // The status code says it; the conventions want no description then.
        Some(_) if outcome.how == How::Completed => Status::error(""),
        Some(kind) => Status::error(kind),
    }
}

fn error_type(outcome: &Outcome) -> Option<String> {
    if outcome.how != How::Completed {
        return Some(outcome.how.as_str().to_owned());
    }
    outcome
        .status
        .filter(|status| *status >= 500)
        .map(|status| status.to_string())
}
