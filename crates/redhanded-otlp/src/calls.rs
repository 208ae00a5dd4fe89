//! Outbound calls of the request: a CLIENT span each, below the span of the runaway.

use crate::call_attributes::{self, error_type};
use crate::told::Told;
use crate::when::{Interval, nanos, time};
use crate::{ids, names, text};
use opentelemetry::trace::{Event, Link, SpanId, SpanKind, Status};
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanLinks};
use redhanded_report::{Evidence, OutboundCall, Tried, duration};

/// A request that repeats its calls has more of them than anybody reads; the sums tell of all.
const SPANS: usize = 32;
/// A name with more addresses than this is a load balancer that answers.
const TRIED: usize = 16;

/// The calls that get a span, and how many do not.
#[derive(Default)]
pub(crate) struct Chosen<'r> {
    calls: Vec<&'r OutboundCall>,
    pub(crate) dropped: usize,
}

/// The open ones first, then those that began last. What was told to the end is not told again.
pub(crate) fn choose<'r>(evidence: Option<&'r Evidence>, told: &Told) -> Chosen<'r> {
    let all = evidence.map_or(&[][..], |evidence| &evidence.outbound);
    let is_news = |call: &&OutboundCall| !own_id(call).is_some_and(|id| told.is_over(id));
    let mut calls: Vec<_> = all.iter().filter(is_news).collect();
    calls.sort_by(|one, two| {
        let began = |call: &OutboundCall| call.at_ms.unwrap_or(f64::NEG_INFINITY);
        let later = began(two).total_cmp(&began(one));
        two.open.cmp(&one.open).then(later)
    });
    let dropped = calls.len().saturating_sub(SPANS);
    calls.truncate(SPANS);
    Chosen { calls, dropped }
}

/// The chosen calls as finished spans below `caught`.
pub(crate) fn spans(
    chosen: &Chosen<'_>,
    when: Interval,
    caught: &SpanData,
    told: &mut Told,
) -> Vec<SpanData> {
    let one = |call: &&OutboundCall| span(call, when, caught, told);
    chosen.calls.iter().map(one).collect()
}

fn span(call: &OutboundCall, when: Interval, caught: &SpanData, told: &mut Told) -> SpanData {
    let trace = caught.span_context.trace_id();
    let (id, elsewhere) = id(call, caught, told);
    let (attributes, dropped_attributes_count) = call_attributes::of(call).finish();
    let Interval { start, end } = interval(call, when);
    let mut links = SpanLinks::default();
    links.links = elsewhere
        .map(|id| Link::with_context(ids::context(trace, id)))
        .into_iter()
        .collect();
    SpanData {
        span_context: ids::context(trace, id),
        parent_span_id: caught.span_context.span_id(),
        parent_span_is_remote: false,
        span_kind: SpanKind::Client,
        name: call_attributes::name(call).into(),
        start_time: time(start),
        end_time: time(end),
        attributes,
        dropped_attributes_count,
        events: connects(&call.tried, start),
        links,
        status: status(call),
        instrumentation_scope: names::scope(),
    }
}

/// The id under which the other end knows the call, where it is still free: what that end exports
/// hangs below it. Else a new one, and the call's own to link to.
fn id(call: &OutboundCall, caught: &SpanData, told: &mut Told) -> (SpanId, Option<SpanId>) {
    match own_id(call) {
        // The parent is the request itself, whose span is exported when it ends.
        Some(own) if own != caught.parent_span_id && told.take(own, !call.open) => (own, None),
        own => (ids::new_span(), own),
    }
}

fn own_id(call: &OutboundCall) -> Option<SpanId> {
    call.span_id.as_deref().and_then(ids::span)
}

/// An open call ends with the report.
fn interval(call: &OutboundCall, when: Interval) -> Interval {
    let took = call.elapsed_ms;
    let took = nanos(took.unwrap_or_else(|| call.phases_ms.values().sum()));
    let start = call.at_ms.map_or_else(
        || when.end.saturating_sub(took),
        |at| when.start.saturating_add(nanos(at)),
    );
    let end = if call.open {
        when.end
    } else {
        start.saturating_add(took)
    };
    Interval {
        start,
        end: end.max(start),
    }
}

fn status(call: &OutboundCall) -> Status {
    if call.open {
        return Status::error(text::bounded(&standing(call), text::VALUE));
    }
    match (&call.error, error_type(call)) {
        (Some(error), _) => Status::error(text::bounded(error, text::VALUE)),
        // The status code says it; the conventions want no description then.
        (None, Some(_)) => Status::error(""),
        (None, None) => Status::Unset,
    }
}

/// `still open after 2.01 s, in connect for 1.5 s`, as far as known.
fn standing(call: &OutboundCall) -> String {
    let after = call.elapsed_ms;
    let after = after.map(|ms| format!(" after {}", duration(ms)));
    let phase = call.peer.phase.as_ref();
    let phase = phase.map(|phase| format!(", in {phase}"));
    let lasted = call.peer.elapsed_ms.filter(|_| phase.is_some());
    let lasted = lasted.map(|ms| format!(" for {}", duration(ms)));
    [Some("still open".to_owned()), after, phase, lasted]
        .into_iter()
        .flatten()
        .collect()
}

/// The addresses that were tried, in order. All stand at the call's start: some are tried at once,
/// and when each was is not known.
fn connects(tried: &[Tried], start: u64) -> SpanEvents {
    let one = |address: &Tried| {
        let attributes = call_attributes::of_tried(address).finish().0;
        Event::new("connect", time(start), attributes, 0)
    };
    let mut events = SpanEvents::default();
    events.events = tried.iter().take(TRIED).map(one).collect();
    let over = tried.len().saturating_sub(TRIED);
    events.dropped_count = u32::try_from(over).unwrap_or(u32::MAX);
    events
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHEN: Interval = Interval {
        start: 1_000_000_000,
        end: 3_000_000_000,
    };

    fn call(open: bool, at_ms: Option<f64>, elapsed_ms: Option<f64>) -> OutboundCall {
        let mut call = OutboundCall::default();
        (call.open, call.at_ms, call.elapsed_ms) = (open, at_ms, elapsed_ms);
        call
    }

    fn lasted(call: &OutboundCall) -> (u64, u64) {
        let Interval { start, end } = interval(call, WHEN);
        (start / 1_000_000, end / 1_000_000)
    }

    #[test]
    fn a_call_begins_where_it_began_and_ends_where_it_is_known_to() {
        assert_eq!(
            lasted(&call(false, Some(100.0), Some(50.0))),
            (1100, 1150),
            "finished"
        );
        assert_eq!(
            lasted(&call(true, Some(100.0), Some(50.0))),
            (1100, 3000),
            "open until the report"
        );
        assert_eq!(
            lasted(&call(true, None, Some(50.0))),
            (2950, 3000),
            "only its age is known"
        );
        assert_eq!(lasted(&call(true, Some(9000.0), None)), (10_000, 10_000));
        let mut phases = call(false, Some(0.0), None);
        phases.phases_ms = [("dns", 10.0), ("connect", 20.0)]
            .map(|(name, ms)| (name.to_owned(), ms))
            .into();
        assert_eq!(lasted(&phases), (1000, 1030), "the sum of its phases");
        let odd = call(false, Some(f64::NAN), Some(f64::INFINITY));
        assert_eq!(interval(&odd, WHEN).end, u64::MAX);
    }

    #[test]
    fn the_status_says_where_an_open_call_stands() {
        let mut open = call(true, None, None);
        assert_eq!(status(&open), Status::error("still open"));
        open.peer.elapsed_ms = Some(1500.0);
        open.elapsed_ms = Some(2010.0);
        assert_eq!(status(&open), Status::error("still open after 2.01 s"));
        open.peer.phase = Some("connect".to_owned());
        let all = "still open after 2.01 s, in connect for 1.5 s";
        assert_eq!(status(&open), Status::error(all));
    }

    #[test]
    fn the_status_of_a_finished_call_is_unset_or_an_error() {
        let mut done = call(false, None, None);
        assert_eq!(status(&done), Status::Unset);
        done.status = Some(399);
        assert_eq!(status(&done), Status::Unset);
        done.status = Some(404);
        assert_eq!(status(&done), Status::error(""));
        done.error = Some("reset".to_owned());
        assert_eq!(status(&done), Status::error("reset"));
    }

    #[test]
    fn open_calls_come_first_and_then_the_latest() {
        let mut evidence = Evidence::default();
        evidence.outbound = (0..100)
            .map(|n| call(n == 3 || n == 7, Some(f64::from(n)), None))
            .collect();
        let chosen = choose(Some(&evidence), &Told::default());
        let began: Vec<_> = chosen.calls.iter().filter_map(|call| call.at_ms).collect();
        assert_eq!((began.len(), chosen.dropped), (SPANS, 68));
        assert_eq!(began[..4], [7.0, 3.0, 99.0, 98.0]);
    }

    #[test]
    fn more_addresses_than_fit_are_counted() {
        let events = connects(&vec![Tried::new("10.0.0.1:80", 1.0, None); 20], 0);
        assert_eq!((events.events.len(), events.dropped_count), (TRIED, 4));
    }
}
