//! What an earlier process has left in its flight recorder becomes records of the log, and is then put away.
//!
//! Some at a time, between the cases of this process; on disk first, then to the sinks; and the file gives up its name only
//! when the disk has all of it. A start that is killed meanwhile leaves the file to the next, which tells the same again,
//! with the same ids.

use super::Clerk;
use crate::ask;
use crate::copied::TraceIds;
use crate::facts::Facts;
use crate::recorder::{Untold, rotate_told};
use crate::redact::Redactor;
use redhanded_report::recorder::{InFlight, PeerNow, Recording, State};
use redhanded_report::{Died, Event, Evidence, OutboundCall, Phase, Report, Thread};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use ulid::Ulid;

/// Lines that are handed to the disk at once.
const BATCH: usize = 64;
/// How long a disk that refuses or hangs is left alone.
const PAUSE: Duration = Duration::from_millis(200);

/// Files that are to be told.
#[derive(Default)]
pub(super) struct Telling {
    files: VecDeque<Untold>,
    now: Option<File>,
}

/// The file that is being told.
struct File {
    untold: Untold,
    recording: Recording,
    /// Requests that the log has, or was given.
    next: usize,
    /// Reports that the log was given, and the number of the last line.
    given: Option<(Vec<Report>, u64)>,
}

impl Telling {
    pub(super) fn new(untold: Vec<Untold>) -> Self {
        Self {
            files: untold.into(),
            now: None,
        }
    }

    pub(super) fn is_done(&self) -> bool {
        self.files.is_empty() && self.now.is_none()
    }

    /// Leaves the file that is being told to the next start.
    pub(super) fn give_up(&mut self) {
        self.now = None;
    }
}

impl Clerk {
    /// Tells some more; how long to wait before the next.
    pub(super) fn tell_of_the_dead(&mut self) -> Option<Duration> {
        let Some(mut file) = self.telling.now.take().or_else(|| self.next_file()) else {
            return (!self.telling.is_done()).then_some(Duration::ZERO);
        };
        if let Some((reports, last)) = file.given.take() {
            if !self.log.is_durable(last) {
                file.given = Some((reports, last));
                self.telling.now = Some(file);
                return Some(PAUSE);
            }
            for report in reports.into_iter().map(Arc::new) {
                self.sinks
                    .iter()
                    .for_each(|sink| sink.accept(&report, None));
            }
        }
        if file.next >= file.recording.requests.len() {
            rotate_told(&file.untold);
            return Some(Duration::ZERO);
        }
        let pause = self.give(&mut file);
        self.telling.now = Some(file);
        Some(pause)
    }

    /// Hands the next lines to the log.
    fn give(&self, file: &mut File) -> Duration {
        let requests = file.recording.requests.iter().skip(file.next).take(BATCH);
        let reports: Vec<Report> = requests
            .map(|request| report(&file.recording, request, &self.redactor))
            .collect();
        let lines: Vec<Vec<u8>> = reports
            .iter()
            .filter_map(|report| serde_json::to_vec(report).ok())
            .collect();
        match self.log.append_all(&lines) {
            Some(last) => {
                file.next += reports.len();
                let pause = if self.log.is_durable(last) {
                    Duration::ZERO
                } else {
                    PAUSE
                };
                file.given = Some((reports, last));
                pause
            }
            None => PAUSE,
        }
    }

    fn next_file(&mut self) -> Option<File> {
        let untold = self.telling.files.pop_front()?;
        let Ok(recording) = untold.read() else {
            // It was whole when it was found: the next start says what is wrong with it.
            self.engine.counts.internal_error();
            return None;
        };
        Some(File {
            untold,
            recording,
            next: 0,
            given: None,
        })
    }
}

/// The record of a request that was in flight when its process died.
fn report(recording: &Recording, request: &InFlight, redactor: &Redactor) -> Report {
    let header = &recording.header;
    let id = match &request.caught {
        Some(caught) => caught.id.clone(),
        None => derived_id(recording, request),
    };
    let mut report = Report::new(Event::Died, id);
    report.time = ask::rfc3339(SystemTime::now()).unwrap_or_default();
    report.service = header.service.clone();
    report.request = Some(ask::request(&facts(recording, request), redactor));
    trace(&mut report, recording, request);
    report.elapsed_ms = Some(ms(recording.elapsed_ns(request)));
    report.slow_after_ms = Some(ms(request.slow_after_ns));
    let job = (request.method == b"JOB").then_some(Phase::Job);
    report.phase = request.phase.or(job).or(Some(Phase::Handler));
    if let Some(caught) = &request.caught {
        report.verdict = Some(caught.verdict.clone());
        report.fingerprint = caught.fingerprint.map(|print| format!("{print:016x}"));
    }
    report.evidence = Some(evidence(request));
    let mut died = Died::default();
    died.last_seen = wall(header.wall_ns(recording.last_sign_ns()));
    died.caught = request.caught.is_some();
    died.shut_down = header.state == State::ShutDown;
    report.died = Some(died);
    report
}

fn facts(recording: &Recording, request: &InFlight) -> Facts {
    let started_ns = recording.header.wall_ns(request.started_ns);
    Facts {
        method: request.method.clone(),
        target: request.target.clone(),
        target_bytes: request.target_bytes,
        host: request.host.clone(),
        https: request.https,
        route: request.route.clone(),
        job: request.params.clone(),
        started: UNIX_EPOCH.checked_add(Duration::from_nanos(started_ns)),
        ..Facts::default()
    }
}

/// The ids that were fixed, else those that came with the request.
fn trace(report: &mut Report, recording: &Recording, request: &InFlight) {
    report.trace_id.clone_from(&request.trace_id);
    report.span_id.clone_from(&request.span_id);
    report.parent_span_id.clone_from(&request.parent_span_id);
    let incoming = request
        .traceparent
        .as_deref()
        .filter(|_| report.trace_id.is_none());
    if let Some((trace_id, parent)) = incoming.and_then(TraceIds::incoming) {
        let [span_id, _] = numbers(recording, request);
        report.trace_id = Some(trace_id);
        report.parent_span_id = Some(parent);
        report.span_id = Some(format!("{:016x}", span_id.max(1)));
    }
}

fn evidence(request: &InFlight) -> Evidence {
    let mut evidence = Evidence::default();
    evidence.polls = request.polls;
    evidence.thread = request.thread.as_ref().map(|seen| {
        let mut thread = Thread::default();
        thread.tid = seen.tid;
        thread.name.clone_from(&seen.name);
        thread
    });
    evidence.outbound = request.peer.iter().map(call).collect();
    evidence
}

fn call(peer: &PeerNow) -> OutboundCall {
    let mut call = OutboundCall::default();
    call.open = true;
    call.kind.clone_from(&peer.kind);
    call.peer.name = Some(peer.name.clone());
    call.peer.port = peer.port;
    call.peer.phase.clone_from(&peer.phase);
    call
}

/// An id that is the same whenever the same record is read; sorted by when its request began.
fn derived_id(recording: &Recording, request: &InFlight) -> String {
    let started_ms = recording.header.wall_ns(request.started_ns) / 1_000_000;
    let [high, low] = numbers(recording, request);
    Ulid::from_parts(started_ms, u128::from(high) << 64 | u128::from(low)).to_string()
}

/// Two numbers that no other record has.
fn numbers(recording: &Recording, request: &InFlight) -> [u64; 2] {
    let header = &recording.header;
    let boot = u128::from_str_radix(&header.boot_id, 16).unwrap_or_default();
    let words = [
        boot as u64,
        (boot >> 64) as u64,
        u64::from(header.service.pid.unwrap_or_default()),
        header.made_ns,
        header.made_wall_ns,
        request.record,
        request.serial,
        request.started_ns,
    ];
    // Not the standard library's hasher, whose result may be another in the next version.
    [0x9e37_79b9_7f4a_7c15, 0xc2b2_ae3d_27d4_eb4f].map(|mixer: u64| {
        words.iter().fold(mixer, |sum, word| {
            let mixed = (sum ^ word).wrapping_mul(mixer);
            mixed ^ mixed >> 29
        })
    })
}

fn wall(ns: u64) -> String {
    let time = UNIX_EPOCH.checked_add(Duration::from_nanos(ns));
    time.and_then(ask::rfc3339).unwrap_or_default()
}

fn ms(ns: u64) -> f64 {
    (ns as f64 / 1_000.0).round() / 1_000.0
}
