//! ⑥ One look becomes one record: request, evidence and verdict, redacted.

use super::{calls, story};
use crate::ask::{self, rfc3339};
use crate::case::{Case, Ended, Trouble};
use crate::config::Config;
use crate::copied;
use crate::redact::Redactor;
use crate::told::Told;
use redhanded_report::{Event, Evidence, Lost, Machine, Outcome, Report, Request};

/// Everything of a report but its names: stacks, culprit and what follows from them.
pub(super) fn report(
    case: &Case,
    told: Option<&Told>,
    (config, redactor): (&Config, &Redactor),
    lost: Lost,
) -> Report {
    let mut facts = copied::facts(&case.copied, &config.headers, case.started);
    facts.labels.clone_from(&case.labels);
    let mut report = Report::new(case.event, case.id.clone());
    report.time = rfc3339(case.at).unwrap_or_default();
    report.service = config.service.clone();
    report.trace_id = Some(case.trace.trace_id.clone());
    report.span_id = Some(case.trace.span_id.clone());
    report.parent_span_id = case.trace.parent_span_id.clone();
    report.request = Some(ask::request(&facts, redactor));
    report.elapsed_ms = Some(ms(case.elapsed_ns));
    report.slow_after_ms = Some(ms(case.slow_after_ns));
    report.phase = Some(case.phase);
    report.verdict = Some(case.verdict.clone());
    let mut evidence = evidence(case, redactor);
    if let Some(told) = told {
        story::tell(told, &mut evidence);
    }
    report.evidence = Some(evidence);
    report.fingerprint = Some(format!("{:016x}", case.fingerprint));
    report.occurrences = Some(case.occurrences);
    report.lost = lost;
    report
}

fn evidence(case: &Case, redactor: &Redactor) -> Evidence {
    let observed = &case.observed;
    let mut evidence = Evidence::default();
    evidence.polls = Some(observed.polls);
    evidence.polls_per_second = observed
        .polling
        .as_ref()
        .map(|p| p.polls_per_second.round());
    if let Some(poll) = &observed.poll {
        evidence.cpu_ms = poll.cpu_ms;
        evidence.longest_poll_ms = Some(poll.stood_ms);
    }
    evidence.alloc_bytes = observed.memory.as_ref().map(|m| m.allocated_bytes);
    evidence.thread = case.thread.clone();
    evidence.outbound = calls::outbound(case, redactor);
    evidence.outbound_totals = calls::totals(case);
    let mut machine = Machine::default();
    let crowd = &observed.crowd;
    if crowd.workers > 0 {
        machine.workers_total = Some(crowd.workers);
        machine.workers_busy = Some(crowd.standing);
    }
    machine.cpu_throttled_ms = case.throttled_ns.map(ms);
    evidence.machine = Some(with_load(machine));
    evidence.missing = observed.missing.clone();
    evidence
}

fn with_load(mut machine: Machine) -> Machine {
    let loadavg = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let mut fields = loadavg.split_whitespace();
    machine.load = fields.next().and_then(|l| l.parse().ok());
    machine.runnable = fields
        .nth(2)
        .and_then(|r| r.split('/').next())
        .and_then(|r| r.parse().ok());
    machine
}

/// A record without a request: nobody is guilty.
pub(super) fn process(trouble: &Trouble, config: &Config, lost: Lost) -> Report {
    let mut report = Report::new(Event::Process, trouble.id.clone());
    report.time = rfc3339(trouble.at).unwrap_or_default();
    report.service = config.service.clone();
    report.elapsed_ms = Some(ms(trouble.lasted_ns));
    report.verdict = Some(trouble.verdict.clone());
    let mut evidence = trouble.evidence.clone();
    evidence.machine = Some(with_load(evidence.machine.unwrap_or_default()));
    report.evidence = Some(evidence);
    report.fingerprint = Some(format!("{:016x}", trouble.fingerprint));
    report.occurrences = Some(trouble.occurrences);
    report.lost = lost;
    report
}

/// The short record of an end; `caught` is the line it belongs to.
pub(super) fn ended(ended: &Ended, caught: Option<&Report>, config: &Config, lost: Lost) -> Report {
    let mut report = Report::new(Event::Ended, ended.id.clone());
    report.time = rfc3339(ended.at).unwrap_or_default();
    report.service = config.service.clone();
    if let Some(caught) = caught {
        report.trace_id.clone_from(&caught.trace_id);
        report.span_id.clone_from(&caught.span_id);
        report.parent_span_id.clone_from(&caught.parent_span_id);
        report.slow_after_ms = caught.slow_after_ms;
        report.fingerprint.clone_from(&caught.fingerprint);
        report.request = caught.request.as_ref().map(who);
    }
    let mut outcome = Outcome::default();
    outcome.how = ended.ending.how;
    outcome.status = ended.ending.status;
    outcome.total_ms = ms(ended.total_ns);
    report.elapsed_ms = Some(outcome.total_ms);
    report.outcome = Some(outcome);
    report.lost = lost;
    report
}

/// Just enough of a request to know which one ended.
fn who(request: &Request) -> Request {
    let mut short = Request::default();
    short.method.clone_from(&request.method);
    short.route.clone_from(&request.route);
    short.url.clone_from(&request.url);
    short
}

pub(super) fn ms(ns: u64) -> f64 {
    (ns as f64 / 1_000.0).round() / 1_000.0
}
