//! Everything a verdict rests on.

use crate::{Feature, FeatureKind, Peer, Stack};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What was observed about a request. Absent means not observed, never zero.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct Evidence {
    /// How often its future and body were polled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub polls: Option<u64>,
    /// Polls a second while it was looked at; only where it was polled often.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub polls_per_second: Option<f64>,
    /// How often it was woken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wakes: Option<u64>,
    /// Observed time inside polls, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub busy_ms: Option<f64>,
    /// CPU time that its polls burned while they were observed, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_ms: Option<f64>,
    /// The longest observed poll, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub longest_poll_ms: Option<f64>,
    /// Bytes allocated on its behalf, where counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alloc_bytes: Option<u64>,
    /// The thread that is inside its poll.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thread: Option<Thread>,
    /// Stacks that were taken, the most frequent first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stacks: Vec<Stack>,
    /// Open and recent outbound calls.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub outbound: Vec<OutboundCall>,
    /// Finished outbound calls, summed up per host; the most expensive first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub outbound_totals: Vec<OutboundTotal>,
    /// Open `tracing` spans, outermost first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub spans: Vec<SpanSnapshot>,
    /// The last `tracing` events of this request.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub events: Vec<LogEvent>,
    /// The machine around it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub machine: Option<Machine>,
    /// How usual this request is among the normal ones of its route; only of a culprit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub baseline: Option<Baseline>,
    /// What could not be observed here, in plain words, such as "no /proc".
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<String>,
}

/// A thread that is inside a poll.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct Thread {
    /// Kernel thread id.
    pub tid: u32,
    /// Its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Scheduler state, one letter as in `ps`: `R`, `S`, `D`, …
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// The system call it sleeps in, such as `futex`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub syscall: Option<String>,
    /// Kernel function it sleeps in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wait_channel: Option<String>,
    /// CPU time while it was observed, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_ms: Option<f64>,
    /// Time it was runnable without a CPU while it was observed, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_queue_wait_ms: Option<f64>,
}

/// One call to another host, with the time each phase took.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct OutboundCall {
    /// Kind of call, such as `http` or `postgres`.
    pub kind: String,
    /// Whom it calls, and in which phase it is; `peer.elapsed_ms` is the age of that phase.
    pub peer: Peer,
    /// Milliseconds per finished phase.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub phases_ms: BTreeMap<String, f64>,
    /// Still open.
    #[serde(default)]
    pub open: bool,
    /// Milliseconds after the request's start at which it began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_ms: Option<f64>,
    /// How long it took, or has taken so far, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub elapsed_ms: Option<f64>,
    /// What it asks: method and path, a statement or a key; redacted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub what: Option<String>,
    /// Bytes of the request's body that went out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sent_bytes: Option<u64>,
    /// Bytes of the answer's body that came in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub received_bytes: Option<u64>,
    /// HTTP status of the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// How it failed: `dns`, `refused`, `reset`, `timeout`, `tls`, `closed`, `dropped` or `other`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Addresses that were tried for its connection, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tried: Vec<Tried>,
    /// Id of its own span (W3C), where the other end was told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub span_id: Option<String>,
}

/// One address that a connection was tried to.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct Tried {
    /// Address and port.
    pub address: String,
    /// How long it took, or has taken so far, in milliseconds.
    pub elapsed_ms: f64,
    /// How it failed; absent while it is tried, and where it succeeded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl Tried {
    /// An address, how long it took, and how it failed.
    pub fn new(address: impl Into<String>, elapsed_ms: f64, error: Option<String>) -> Self {
        Self {
            address: address.into(),
            elapsed_ms,
            error,
        }
    }
}

/// Finished calls of a request to one host, summed up.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct OutboundTotal {
    /// Kind of call, such as `http` or `postgres`.
    pub kind: String,
    /// Whom it called: name and port.
    pub peer: String,
    /// How many calls have finished.
    pub calls: u64,
    /// Those among them that failed: no answer, or a status of 429 or 5xx.
    pub failed: u64,
    /// Those among them that were answered with a redirect.
    pub redirected: u64,
    /// Those among them that asked for another part of the same: same path, another query.
    pub paged: u64,
    /// What they took together, in milliseconds.
    pub total_ms: f64,
}

/// An open `tracing` span.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct SpanSnapshot {
    /// Its name.
    pub name: String,
    /// Its fields.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub fields: BTreeMap<String, String>,
    /// How long it has been open, in milliseconds.
    pub age_ms: f64,
    /// Its number; unique in its request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number: Option<u32>,
    /// The number of the span that it is in, if it is in one of the request's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<u32>,
    /// How long threads were inside of it, in milliseconds; the rest of its age it was idle.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub busy_ms: Option<f64>,
    /// `TRACE` to `ERROR`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub level: Option<String>,
    /// The module it is from, unless the application said otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// Its file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// Its line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
}

/// A `tracing` event of a request.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct LogEvent {
    /// Milliseconds after the request's start.
    pub at_ms: f64,
    /// `TRACE` to `ERROR`.
    pub level: String,
    /// Message and fields.
    pub text: String,
    /// The module it is from, unless the application said otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// Its file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// Its line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
    /// Name of the span that it happened in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub span: Option<String>,
}

/// The machine and runtime around a request.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct Machine {
    /// One-minute load average.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub load: Option<f64>,
    /// Runnable threads on the machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runnable: Option<u64>,
    /// Time the process was throttled by its CPU quota while observed, in milliseconds, summed
    /// over its CPUs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_throttled_ms: Option<f64>,
    /// Workers of the request's runtime that are inside a watched poll now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workers_busy: Option<u32>,
    /// Workers of that runtime that have ever polled a watched request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workers_total: Option<u32>,
    /// Threads of its blocking pool.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blocking_threads: Option<u32>,
}

/// How usual the features of a request are among normal requests of its route.
///
/// A normal request is one that ended well without being caught. Each `caught` line has its own, so
/// that culprits of different days and processes can be compared with those who were well.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct Baseline {
    /// Normal requests of the route that were sampled.
    pub requests: u64,
    /// Features that two or more of them have, or this request: what a comparison is corrected for.
    pub compared: u64,
    /// The features of this request.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub features: Vec<Usual>,
}

/// A feature of a request, and how many normal ones have it too.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct Usual {
    /// Such as `query.q`; see [`Feature::name`].
    pub name: String,
    /// What is said of it.
    #[serde(default, skip_serializing_if = "FeatureKind::is_value")]
    pub kind: FeatureKind,
    /// The value, class or bound; see [`Feature::value`].
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub value: String,
    /// Sampled normal requests that have it.
    pub requests: u64,
}

impl Usual {
    /// `feature`, which `requests` of the sampled normal requests have.
    pub fn new(feature: Feature, requests: u64) -> Self {
        let Feature { name, kind, value } = feature;
        Self {
            name,
            kind,
            value,
            requests,
        }
    }

    /// What is counted.
    pub fn feature(&self) -> Feature {
        Feature::new(&self.name, self.kind, &self.value)
    }
}
