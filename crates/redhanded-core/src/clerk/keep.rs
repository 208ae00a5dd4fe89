//! Requests that are exported whole, as sinks get them.

use super::assemble::ms;
use crate::ask;
use crate::case::{Case, Ended};
use crate::config::Config;
use crate::copied;
use crate::keep::{Finished, Kept, Why};
use crate::redact::Redactor;
use crate::told::Told;
use redhanded_report::{Outcome, Report};
use std::sync::Arc;

/// A request that was caught and runs still; `report` is what was said of it.
pub(super) fn caught(report: &Report, case: &Case, told: Told) -> Arc<Kept> {
    Arc::new(Kept {
        why: Why::Caught,
        id: Some(case.id.clone()),
        trace_id: case.trace.trace_id.clone(),
        span_id: case.trace.span_id.clone(),
        parent_span_id: case.trace.parent_span_id.clone(),
        request: report.request.clone().unwrap_or_default(),
        started: case.started,
        outcome: None,
        told,
        told_until_ns: None,
    })
}

/// A request that was caught and is over now.
pub(super) fn ended(report: &Report, ended: &Ended, caught: &Report, told: Told) -> Arc<Kept> {
    let until_ns = ended.told_ns.map(|ns| ns.saturating_sub(ended.started_ns));
    Arc::new(Kept {
        why: Why::Caught,
        id: Some(ended.id.clone()),
        trace_id: caught.trace_id.clone().unwrap_or_default(),
        span_id: caught.span_id.clone().unwrap_or_default(),
        parent_span_id: caught.parent_span_id.clone(),
        request: caught.request.clone().unwrap_or_default(),
        started: ended.started,
        outcome: report.outcome.clone(),
        told,
        told_until_ns: until_ns,
    })
}

/// A request that nobody has caught.
pub(super) fn finished(finished: &Finished, (config, redactor): (&Config, &Redactor)) -> Arc<Kept> {
    let mut facts = copied::facts(&finished.copied, &config.headers, finished.started);
    facts.labels.clone_from(&finished.labels);
    let mut outcome = Outcome::default();
    outcome.how = finished.how;
    outcome.status = finished.status;
    outcome.total_ms = ms(finished.total_ns);
    let story = finished.story.as_ref().map(|story| story.read());
    let told = story.map(|story| Told::of(&story, finished.started_ns, redactor));
    Arc::new(Kept {
        why: finished.why,
        id: None,
        trace_id: finished.trace.trace_id.clone(),
        span_id: finished.trace.span_id.clone(),
        parent_span_id: finished.trace.parent_span_id.clone(),
        request: ask::request(&facts, redactor),
        started: finished.started,
        outcome: Some(outcome),
        told: told.unwrap_or_default(),
        told_until_ns: None,
    })
}
