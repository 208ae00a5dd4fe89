//! Everything a verdict rests on.

use crate::{Peer, Stack};
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
    /// Open `tracing` spans, outermost first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub spans: Vec<SpanSnapshot>,
    /// The last `tracing` events of this request.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub events: Vec<LogEvent>,
    /// The machine around it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub machine: Option<Machine>,
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
    /// Whom it calls, and in which phase it is.
    pub peer: Peer,
    /// Milliseconds per finished phase.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub phases_ms: BTreeMap<String, f64>,
    /// Still open.
    #[serde(default)]
    pub open: bool,
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
