//! For machines.

use super::life::Life;
use super::text::time;
use crate::output::{Output, safe_json};
use redhanded_report::recorder::{InFlight, PeerNow, Recording, ThreadNow};
use redhanded_report::{Phase, Service, Verdict};
use serde::Serialize;
use std::collections::BTreeMap;
use std::io;

#[derive(Serialize)]
struct Answered<'a> {
    format: &'static str,
    file: &'a str,
    service: &'a Service,
    boot_id: &'a str,
    state: &'static str,
    started: String,
    last_seen: String,
    synced: Option<String>,
    records: u64,
    unrecorded: u64,
    unrecorded_now: u64,
    torn: u64,
    torn_parts: u64,
    requests: Vec<Request<'a>>,
}

#[derive(Serialize)]
struct Request<'a> {
    method: String,
    url: String,
    route: Option<&'a str>,
    params: BTreeMap<&'a str, &'a str>,
    started: String,
    elapsed_ms: f64,
    slow_after_ms: f64,
    phase: Option<Phase>,
    thread: Option<Thread<'a>>,
    polls: Option<u64>,
    peer: Option<Peer<'a>>,
    trace_id: Option<&'a str>,
    span_id: Option<&'a str>,
    parent_span_id: Option<&'a str>,
    caught: Option<Caught<'a>>,
}

#[derive(Serialize)]
struct Thread<'a> {
    tid: u32,
    name: Option<&'a str>,
}

#[derive(Serialize)]
struct Peer<'a> {
    kind: &'a str,
    name: &'a str,
    port: Option<u16>,
    phase: Option<&'a str>,
}

#[derive(Serialize)]
struct Caught<'a> {
    id: &'a str,
    fingerprint: Option<String>,
    verdict: &'a Verdict,
}

pub(super) fn print(
    file: &str,
    recording: &Recording,
    life: Life,
    output: &mut Output,
) -> io::Result<()> {
    let header = &recording.header;
    let synced = Some(header.synced_ns).filter(|ns| *ns != 0);
    let answer = Answered {
        format: "redhanded-postmortem/1",
        file,
        service: &header.service,
        boot_id: &header.boot_id,
        state: life.word(),
        started: time(header.made_wall_ns),
        last_seen: time(header.wall_ns(recording.last_sign_ns())),
        synced: synced.map(|ns| time(header.wall_ns(ns))),
        records: header.records,
        unrecorded: header.unrecorded,
        unrecorded_now: header.unrecorded_now,
        torn: recording.torn,
        torn_parts: recording.torn_parts,
        requests: recording
            .requests
            .iter()
            .map(|one| request(recording, one))
            .collect(),
    };
    let json = serde_json::to_string(&answer).map_err(io::Error::other)?;
    output.line(&safe_json(&json))
}

fn request<'a>(recording: &Recording, request: &'a InFlight) -> Request<'a> {
    let pairs = request.params.iter();
    Request {
        method: String::from_utf8_lossy(&request.method).into_owned(),
        url: request.url(),
        route: request.route.as_deref(),
        params: pairs
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect(),
        started: time(recording.header.wall_ns(request.started_ns)),
        elapsed_ms: ms(recording.elapsed_ns(request)),
        slow_after_ms: ms(request.slow_after_ns),
        phase: request.phase,
        thread: request
            .thread
            .as_ref()
            .map(|ThreadNow { tid, name, .. }| Thread {
                tid: *tid,
                name: name.as_deref(),
            }),
        polls: request.polls,
        peer: request.peer.as_ref().map(
            |PeerNow {
                 kind,
                 name,
                 port,
                 phase,
                 ..
             }| Peer {
                kind,
                name,
                port: *port,
                phase: phase.as_deref(),
            },
        ),
        trace_id: request.trace_id.as_deref(),
        span_id: request.span_id.as_deref(),
        parent_span_id: request.parent_span_id.as_deref(),
        caught: request.caught.as_ref().map(|caught| Caught {
            id: &caught.id,
            fingerprint: caught.fingerprint.map(|print| format!("{print:016x}")),
            verdict: &caught.verdict,
        }),
    }
}

fn ms(ns: u64) -> f64 {
    (ns as f64 / 1_000.0).round() / 1_000.0
}
