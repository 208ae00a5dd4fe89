//! One line of the slow-request log.

use crate::{Evidence, Request, Verdict};
use serde::{Deserialize, Serialize};

/// Version of the contract that [`Report::schema`] carries.
pub const SCHEMA: &str = "redhanded/1";

/// One record about one runaway request: who it is, what it does, and what that rests on.
///
/// A request that is caught has one line with [`Event::Caught`] while it still runs, and a short
/// one with [`Event::Ended`] when it ends; both carry the same `id`. A request that never ends
/// still has its first line: that is the point.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct Report {
    /// Version of this contract, [`SCHEMA`].
    pub schema: String,
    /// Why this line was written.
    pub event: Event,
    /// ULID, 26 characters, sortable; joins the lines, the span and the page of one runaway.
    pub id: String,
    /// When this line was made: RFC 3339, microseconds, UTC.
    pub time: String,
    /// Who wrote it, in OpenTelemetry resource terms.
    #[serde(default)]
    pub service: Service,
    /// W3C trace id of the request, 32 hex digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<String>,
    /// W3C span id of the request's own SERVER span, 16 hex digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub span_id: Option<String>,
    /// Span id of the caller, from the incoming `traceparent`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent_span_id: Option<String>,
    /// What was asked. Absent in [`Event::Process`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<Request>,
    /// Age of the request in milliseconds on the monotonic clock, without suspended time; in
    /// [`Event::Process`] how long the trouble lasted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub elapsed_ms: Option<f64>,
    /// The threshold that it passed, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slow_after_ms: Option<f64>,
    /// The enforced deadline in milliseconds, where one is set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline_ms: Option<f64>,
    /// Where in its life the request is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<Phase>,
    /// What it is doing, and why we say so. Absent in [`Event::Ended`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<Verdict>,
    /// Everything the verdict rests on. Absent in [`Event::Ended`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<Evidence>,
    /// 16 hex digits; the same culprit has the same fingerprint in every process and on every
    /// host that runs one build. Needs no symbols, so it is in the first line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<String>,
    /// How often this fingerprint was seen in this process; repeats whose lines were
    /// rate-limited are counted here too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub occurrences: Option<u64>,
    /// `false` when the disk had not answered within 200 ms, or had refused, and whoever acts on reports went on
    /// without it. A line that the disk was already taking then says `true`, which it is as soon as it is there.
    #[serde(default = "yes")]
    pub durable: bool,
    /// What policy did with the request.
    #[serde(default)]
    pub action: Action,
    /// How it ended; only in [`Event::Ended`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    /// What is known of the death of its process; only in [`Event::Died`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub died: Option<Died>,
    /// What this process had to drop so far; all zero in a healthy life.
    #[serde(default)]
    pub lost: Lost,
}

fn yes() -> bool {
    true
}

impl Report {
    /// An empty record of this contract's version for `event`, about the runaway `id`.
    pub fn new(event: Event, id: impl Into<String>) -> Self {
        Self {
            schema: SCHEMA.to_owned(),
            event,
            id: id.into(),
            durable: true,
            ..Self::default()
        }
    }
}

/// Why a line was written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Event {
    /// The request is overdue and still running.
    #[default]
    Caught,
    /// A later look, at doubling intervals, with more evidence or a changed verdict.
    Updated,
    /// The stacks of an earlier line with names, files and lines.
    Symbolized,
    /// The request ended after all.
    Ended,
    /// Found in the flight recorder of a process that was killed.
    Died,
    /// Trouble without a guilty request.
    Process,
}

/// Who wrote the record: the OpenTelemetry resource in short names.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct Service {
    /// `service.name`.
    #[serde(default)]
    pub name: String,
    /// `service.version`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// `service.instance.id`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
    /// `host.name`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// `process.pid`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
}

/// Where in its life a request is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Phase {
    /// No request yet: its head, or the handshake before it, has come in part.
    RequestHead,
    /// Waits for the bytes of its own request body.
    RequestBody,
    /// In the handler or a middleware below us.
    #[default]
    Handler,
    /// The response body is being sent.
    ResponseBody,
    /// A background job, not a request.
    Job,
}

/// What policy did with the request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Action {
    /// Nothing: reported only.
    #[default]
    None,
    /// Dropped at an await point.
    Cancelled,
    /// Refused before the handler ran.
    Refused,
    /// The node was taken out of rotation.
    Drained,
    /// The process ended itself after a flush.
    Exited,
}

/// How a request ended.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct Outcome {
    /// The way it ended.
    pub how: How,
    /// HTTP status, if a response was produced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// Its whole life in milliseconds.
    pub total_ms: f64,
}

/// The death of the process that a request was in flight in, as its flight recorder tells. In such a record `service`
/// is that process, `time` is when the next one found it, and `elapsed_ms` ends at `last_seen`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct Died {
    /// The last sign of life of the process: RFC 3339, microseconds, UTC. It lived on for a moment at most while
    /// requests were in flight: the watchdog's next round.
    pub last_seen: String,
    /// The request had been caught: the log has lines with the same id, unless they were lost with the process.
    #[serde(default)]
    pub caught: bool,
    /// The process was shut down in good order and ended before the request did; otherwise it was killed.
    #[serde(default)]
    pub shut_down: bool,
}

/// The way a request ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum How {
    /// The response body reached its end or its exact length.
    Completed,
    /// Dropped before that: an outer timeout, a shutdown and a lost client look alike from here.
    #[default]
    Dropped,
    /// The client went away, proved by its socket.
    ClientGone,
    /// Our own policy dropped it.
    Cancelled,
    /// The handler panicked.
    Panicked,
}

/// What a process had to drop so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct Lost {
    /// Records that reached neither disk nor memory.
    #[serde(default)]
    pub reports: u64,
    /// Stacks that could not be taken within the budget.
    #[serde(default)]
    pub stacks: u64,
    /// Spans, events or exports that had to be dropped.
    #[serde(default)]
    pub events: u64,
}

impl Lost {
    /// The sum of everything that was lost.
    pub fn total(&self) -> u64 {
        self.reports + self.stacks + self.events
    }
}
