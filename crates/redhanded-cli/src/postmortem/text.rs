//! For people.

use super::life::Life;
use crate::output::Output;
use jiff::Timestamp;
use redhanded_report::recorder::{Caught, InFlight, Recording};
use redhanded_report::{Role, duration, shown};
use std::io;

pub(super) fn print(recording: &Recording, life: Life, output: &mut Output) -> io::Result<()> {
    head(recording, life, output)?;
    if recording.requests.is_empty() {
        return output.line("\nnothing was in flight");
    }
    let title = format!("\n{:>12}  {:<13}  request", "age", "phase");
    output.line(&output.inked("2", &title))?;
    for request in &recording.requests {
        one(recording, request, output)?;
    }
    Ok(())
}

fn head(recording: &Recording, life: Life, output: &mut Output) -> io::Result<()> {
    let header = &recording.header;
    let service = &header.service;
    let mut who = shown(&service.name);
    for (before, part) in [
        (" ", &service.version),
        (" on ", &service.host),
        (", instance ", &service.instance),
    ] {
        if let Some(part) = part {
            who += before;
            who += &shown(part);
        }
    }
    let pid = service.pid.unwrap_or_default();
    output.line(&output.inked("1", &format!("{who}, process {pid} {}", life.words())))?;
    output.line(&format!("  started      {}", time(header.made_wall_ns)))?;
    let last = recording.last_sign_ns();
    output.line(&format!("  last sign    {}", time(header.wall_ns(last))))?;
    if header.synced_ns != 0 {
        let synced = time(header.wall_ns(header.synced_ns));
        output.line(&format!(
            "  synced       {synced}, which is what a power cut leaves"
        ))?;
    }
    let caught = recording
        .requests
        .iter()
        .filter(|request| request.caught.is_some());
    let mut counts = format!(
        "{}, {} of them caught",
        recording.requests.len(),
        caught.count()
    );
    if header.unrecorded_now > 0 {
        counts += &format!(
            "; {} more were not recorded, for there are {} records",
            header.unrecorded_now, header.records
        );
    }
    output.line(&format!("  in flight    {counts}"))?;
    if recording.torn + recording.torn_parts > 0 {
        let (torn, parts) = (recording.torn, recording.torn_parts);
        output.line(&format!(
            "  torn         {torn} records that were being written or are damaged, and {parts} parts of others"
        ))?;
    }
    Ok(())
}

fn one(recording: &Recording, request: &InFlight, output: &mut Output) -> io::Result<()> {
    let age = duration(recording.elapsed_ns(request) as f64 / 1e6);
    let phase = request.phase.map_or("-", |phase| phase.as_str());
    output.line(&format!(
        "{age:>12}  {phase:<13}  {}",
        shown(&request.asked())
    ))?;
    let indent = " ".repeat(29);
    if let Some(caught) = &request.caught {
        let ink = match caught.verdict.role {
            Role::Culprit => "1;31",
            Role::Victim => "33",
            _ => "2",
        };
        let verdict = output.inked(ink, &found(caught));
        output.line(&format!("{indent}{verdict}"))?;
    }
    let more = more(recording, request);
    if more.is_empty() {
        return Ok(());
    }
    let more = output.inked("2", &more.join(", "));
    output.line(&format!("{indent}{more}"))
}

fn found(caught: &Caught) -> String {
    let verdict = &caught.verdict;
    let role = verdict.role.as_str().to_uppercase();
    let mut text = format!(
        "{role} {}, {}: {}",
        verdict.class,
        verdict.confidence.as_str(),
        verdict.cause
    );
    if let Some(culprit) = &verdict.culprit {
        text += &format!(" at {}", culprit.function);
    }
    shown(&format!("{text} [{}]", caught.id))
}

/// What else is known, in a few words.
fn more(recording: &Recording, request: &InFlight) -> Vec<String> {
    let mut more = Vec::new();
    let params = request.params.iter();
    more.extend(params.map(|(name, value)| shown(&format!("{name} = {value}"))));
    // A job's route is its name.
    if let Some(route) = request.route.as_ref().filter(|_| request.method != b"JOB") {
        more.push(format!("route {}", shown(route)));
    }
    if let Some(peer) = &request.peer {
        let port = peer.port.map(|port| format!(":{port}")).unwrap_or_default();
        let phase = peer.phase.as_ref().map(|phase| format!(" ({phase})"));
        let call = format!(
            "calls {} {}{port}{}",
            peer.kind,
            peer.name,
            phase.unwrap_or_default()
        );
        more.push(shown(&call));
    }
    if let Some(thread) = &request.thread {
        let name = thread.name.as_deref().unwrap_or("thread");
        more.push(shown(&format!("{name} ({})", thread.tid)));
    }
    if let Some(polls) = request.polls {
        more.push(format!("polls {polls}"));
    }
    if let Some(trace) = &request.trace_id {
        more.push(format!("trace {trace}"));
    }
    let seen_ns = request
        .seen_ns
        .map(|seen| recording.last_sign_ns().saturating_sub(seen));
    if let Some(ago) = seen_ns.filter(|ago| *ago > 100_000_000) {
        more.push(format!(
            "as seen {} before the last sign",
            duration(ago as f64 / 1e6)
        ));
    }
    more
}

/// Nanoseconds since 1970, as RFC 3339.
pub(super) fn time(wall_ns: u64) -> String {
    let micros = i64::try_from(wall_ns / 1_000).unwrap_or(i64::MAX);
    Timestamp::from_microsecond(micros)
        .map_or_else(|_| "unknown".to_owned(), |time| format!("{time:.6}"))
}
