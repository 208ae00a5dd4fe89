//! One report as text for the person on call at 3 a.m.

mod brush;
mod format;
mod outbound;
mod stack;

use crate::{Evidence, Report, Request, Role, Thread, Verdict};
use brush::{Brush, Ink};
pub use format::{duration, shown};
use std::collections::BTreeMap;

/// Whether a page has colours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Style {
    /// Text only: for files, pipes and mails.
    #[default]
    Plain,
    /// ANSI colours: for a terminal that wants them.
    Color,
}

/// One report as a page of text: verdict, request, stacks, thread, the way to ask again.
///
/// Control characters in the report are shown as escapes such as `\u{1b}`, whoever wrote them.
///
/// ```
/// use redhanded_report::{Report, Style, page};
/// let report: Report = serde_json::from_str(r#"{"schema":"redhanded/1","event":"caught","id":"01K1",
///   "time":"2026-07-01T02:03:04.000005Z","elapsed_ms":2010.0,
///   "request":{"method":"GET","url":"https://api.example/search?q=x"},
///   "verdict":{"class":"cpu_loop","role":"culprit","confidence":"proved","cause":"on CPU for 2.01 s"}}"#).unwrap();
/// let text = page(&report, Style::Plain);
/// assert!(text.starts_with("CULPRIT cpu_loop, proved\non CPU for 2.01 s\n"));
/// assert!(text.contains("GET https://api.example/search?q=x"));
/// ```
pub fn page(report: &Report, style: Style) -> String {
    let mut page = Brush::new(style);
    if let Some(verdict) = &report.verdict {
        verdict_part(&mut page, verdict);
    }
    outcome_part(&mut page, report);
    if let Some(request) = &report.request {
        request_part(&mut page, request);
    }
    time_part(&mut page, report);
    if let Some(evidence) = &report.evidence {
        evidence_part(&mut page, evidence);
    }
    if let Some(line) = report
        .request
        .as_ref()
        .and_then(|request| request.reproduce.as_ref())
    {
        page.title("ask again");
        page.line(line);
    }
    identity_part(&mut page, report);
    page.finish()
}

/// One report as one line: time, what, whom, how long, where, id.
///
/// ```
/// use redhanded_report::{Report, headline};
/// let report: Report = serde_json::from_str(r#"{"schema":"redhanded/1","event":"caught","id":"01K1",
///   "time":"2026-07-01T02:03:04.000005Z","elapsed_ms":2010.0,
///   "request":{"method":"GET","route":"/search","path":"/search"},
///   "verdict":{"class":"cpu_loop","role":"culprit","confidence":"proved","cause":"on CPU",
///     "culprit":{"function":"app::matches","file":"src/search.rs","line":41}}}"#).unwrap();
/// assert_eq!(headline(&report),
///   "2026-07-01T02:03:04.000005Z caught CULPRIT cpu_loop, proved: GET /search 2.01 s at app::matches src/search.rs:41 [01K1]");
/// ```
pub fn headline(report: &Report) -> String {
    let mut line = format!("{} {}", shown(&report.time), report.event.as_str());
    let mut add = |separator: &str, text: String| {
        line.push_str(separator);
        line.push_str(&text);
    };
    if let Some(verdict) = &report.verdict {
        add(" ", judgement(verdict));
    }
    if let Some(outcome) = &report.outcome {
        add(" ", format::outcome(outcome));
    }
    if let Some(request) = &report.request {
        let asked = request
            .route
            .as_deref()
            .filter(|route| !route.is_empty())
            .unwrap_or(&request.path);
        let asked = format!("{} {}", shown(&request.method), shown(asked));
        // Of a request that is not whole there is nothing but its client.
        let client = || shown(request.client.as_deref().unwrap_or("?"));
        let is_whole = !asked.trim().is_empty();
        add(": ", if is_whole { asked } else { client() });
    }
    if let Some(elapsed) = report.elapsed_ms.filter(|_| report.outcome.is_none()) {
        add(" ", duration(elapsed));
    }
    if let Some(verdict) = &report.verdict {
        if let Some(culprit) = &verdict.culprit {
            add(" at ", format::culprit(culprit));
        } else if let Some(waiting_for) = &verdict.waiting_for {
            add(" at ", shown(&waiting_for.what));
        }
        if let Some(peer) = &verdict.peer {
            add(" to ", format::peer_name(peer));
        }
    }
    add(" ", format!("[{}]", shown(&report.id)));
    line
}

fn judgement(verdict: &Verdict) -> String {
    let role = verdict.role.as_str().to_uppercase();
    format!("{role} {}, {}", verdict.class, verdict.confidence.as_str())
}

fn verdict_part(page: &mut Brush, verdict: &Verdict) {
    let ink = match verdict.role {
        Role::Culprit => Ink::Alarm,
        Role::Victim => Ink::Warning,
        Role::Bystander => Ink::Faint,
    };
    page.inked(ink, &judgement(verdict));
    page.line(&verdict.cause);
    page.end_of_part();
    if let Some(culprit) = &verdict.culprit {
        page.bright_field("at", &format::culprit(culprit));
    }
    if let Some(peer) = &verdict.peer {
        page.field("peer", &outbound::peer_line(peer));
    }
    if let Some(waiting_for) = &verdict.waiting_for {
        page.field(
            "waits for",
            &format!("{}: {}", waiting_for.kind.as_str(), waiting_for.what),
        );
    }
    page.optional("held by", verdict.holder.as_deref());
    page.optional("victim of", verdict.victim_of.as_deref());
    if let Some(victims) = verdict.victims.filter(|victims| *victims > 0) {
        page.field(
            "victims",
            &format!("{victims} {}", verdict.victim_ids.join(" ")),
        );
    }
    for param in &verdict.params {
        page.field("in common", &format::in_common(param));
    }
}

fn outcome_part(page: &mut Brush, report: &Report) {
    if let Some(outcome) = &report.outcome {
        page.inked(Ink::Bright, &format::outcome(outcome));
    }
    if let Some(died) = &report.died {
        page.inked(Ink::Bright, &format::died(died));
    }
}

fn request_part(page: &mut Brush, request: &Request) {
    page.title("request");
    let url = if request.url.is_empty() {
        &request.path
    } else {
        &request.url
    };
    let asked = format!("{} {url}", request.method);
    if !asked.trim().is_empty() {
        page.inked(Ink::Bright, &asked);
    }
    page.optional("route", request.route.as_deref());
    let params = [
        ("path", &request.params.path),
        ("query", &request.params.query),
        ("job", &request.params.job),
        ("label", &request.labels),
    ];
    for (kind, values) in params {
        pairs(page, kind, values);
    }
    pairs(page, "header", &request.headers);
    page.optional("client", request.client.as_deref());
    page.optional("request id", request.request_id.as_deref());
    if let Some(bytes) = request.body_bytes {
        page.field("body", &format!("{bytes} bytes"));
    }
    page.optional("started", request.started.as_deref());
}

fn pairs(page: &mut Brush, kind: &str, values: &BTreeMap<String, String>) {
    for (key, value) in values {
        page.field(kind, &format!("{key} = {value}"));
    }
}

fn time_part(page: &mut Brush, report: &Report) {
    let parts = [
        report.elapsed_ms.map(duration),
        report.phase.map(|phase| format!("in {}", phase.as_str())),
        report
            .slow_after_ms
            .map(|ms| format!("slow after {}", duration(ms))),
        report
            .deadline_ms
            .map(|ms| format!("deadline {}", duration(ms))),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    if !parts.is_empty() {
        page.field("elapsed", &parts.join(", "));
    }
    page.optional("trace", report.trace_id.as_deref());
    page.optional("span", report.span_id.as_deref());
}

fn evidence_part(page: &mut Brush, evidence: &Evidence) {
    for stack in &evidence.stacks {
        stack::part(page, stack);
    }
    if let Some(thread) = &evidence.thread {
        thread_part(page, thread);
    }
    outbound::part(page, &evidence.outbound, &evidence.outbound_totals);
    spans_and_events(page, evidence);
    counts_part(page, evidence);
}

fn thread_part(page: &mut Brush, thread: &Thread) {
    page.title("thread");
    let state = thread
        .state
        .as_ref()
        .map(|state| format!(", state {state}"));
    let name = thread.name.as_deref().unwrap_or("unnamed");
    page.field(
        "thread",
        &format!("{name} ({}){}", thread.tid, state.unwrap_or_default()),
    );
    page.optional("system call", thread.syscall.as_deref());
    page.optional("sleeps in", thread.wait_channel.as_deref());
    page.optional("on CPU", thread.cpu_ms.map(duration).as_deref());
    page.optional(
        "run queue",
        thread.run_queue_wait_ms.map(duration).as_deref(),
    );
}

fn spans_and_events(page: &mut Brush, evidence: &Evidence) {
    if !evidence.spans.is_empty() {
        page.title("open spans");
    }
    for span in &evidence.spans {
        let fields: String = span
            .fields
            .iter()
            .map(|(key, value)| format!(" {key}={value}"))
            .collect();
        let busy = span
            .busy_ms
            .map(|ms| format!(" ({} inside)", duration(ms)))
            .unwrap_or_default();
        let at = place(span.file.as_deref(), span.line);
        page.field(
            &duration(span.age_ms),
            &format!("{}{fields}{busy}{at}", span.name),
        );
    }
    if !evidence.events.is_empty() {
        page.title("last events");
    }
    for event in &evidence.events {
        let target = event.target.as_ref().map(|target| format!("{target}: "));
        let target = target.unwrap_or_default();
        let inside = event.span.as_ref().map(|span| format!(" in {span}"));
        let inside = inside.unwrap_or_default();
        let at = place(event.file.as_deref(), event.line);
        page.field(
            &duration(event.at_ms),
            &format!("{} {target}{}{inside}{at}", event.level, event.text),
        );
    }
}

/// ` at src/search.rs:41`, as far as known.
fn place(file: Option<&str>, line: Option<u32>) -> String {
    match (file, line) {
        (Some(file), Some(line)) => format!(" at {file}:{line}"),
        (Some(file), None) => format!(" at {file}"),
        _ => String::new(),
    }
}

fn counts_part(page: &mut Brush, evidence: &Evidence) {
    let machine = evidence.machine.as_ref();
    let workers = machine.and_then(|machine| Some((machine.workers_busy?, machine.workers_total?)));
    let parts = [
        evidence.polls.map(|polls| format!("polls {polls}")),
        evidence
            .polls_per_second
            .map(|rate| format!("{rate:.0} polls a second")),
        evidence.wakes.map(|wakes| format!("wakes {wakes}")),
        evidence
            .busy_ms
            .map(|ms| format!("{} in polls", duration(ms))),
        evidence
            .longest_poll_ms
            .map(|ms| format!("longest {}", duration(ms))),
        evidence.cpu_ms.map(|ms| format!("{} on CPU", duration(ms))),
        evidence
            .alloc_bytes
            .map(|bytes| format!("{} allocated", format::bytes(bytes))),
        workers.map(|(busy, total)| format!("{busy} of {total} workers busy")),
        machine
            .and_then(|machine| machine.load)
            .map(|load| format!("load {load}")),
        machine
            .and_then(|machine| machine.cpu_throttled_ms)
            .filter(|ms| *ms > 0.0)
            .map(|ms| format!("{} throttled", duration(ms))),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    if !parts.is_empty() || !evidence.missing.is_empty() {
        page.title("counted");
    }
    if !parts.is_empty() {
        page.line(&parts.join(", "));
    }
    for missing in &evidence.missing {
        page.field("not seen", missing);
    }
}

fn identity_part(page: &mut Brush, report: &Report) {
    page.title("report");
    page.field("id", &report.id);
    page.field(
        "time",
        &format!("{} ({})", report.time, report.event.as_str()),
    );
    let times = report.occurrences.map(|times| match times {
        1 => ", seen once in this process".to_owned(),
        _ => format!(", seen {times} times in this process"),
    });
    if let Some(fingerprint) = &report.fingerprint {
        page.field(
            "fingerprint",
            &format!("{fingerprint}{}", times.unwrap_or_default()),
        );
    }
    page.field("service", &format::service(&report.service));
    if report.action != crate::Action::None {
        page.field("action", report.action.as_str());
    }
    if !report.durable {
        page.field("durable", "no: the disk had not taken it when it was told");
    }
    if report.lost.total() > 0 {
        let lost = &report.lost;
        page.field(
            "lost",
            &format!(
                "{} reports, {} stacks, {} events in this process so far",
                lost.reports, lost.stacks, lost.events
            ),
        );
    }
}

#[cfg(test)]
mod tests;
