//! What a request is doing, who is guilty, and how sure we are.

use crate::{Feature, FeatureKind};
use serde::{Deserialize, Serialize};

/// The finding about one request. It never claims more than the evidence carries.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct Verdict {
    /// What is true about it.
    pub class: Class,
    /// Guilty, or late because of another.
    pub role: Role,
    /// How much the evidence carries.
    pub confidence: Confidence,
    /// One plain sentence with the figures in it.
    pub cause: String,
    /// The first frame of the user's own code that the samples share.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub culprit: Option<Culprit>,
    /// The remote host involved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer: Option<Peer>,
    /// What it waits for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting_for: Option<WaitingFor>,
    /// Who holds what it waits for: another runaway's id, a thread, or "nobody found".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub holder: Option<String>,
    /// How many requests are late because of this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub victims: Option<u64>,
    /// Ids of the first of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub victim_ids: Vec<String>,
    /// Id of the culprit that makes this one late.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub victim_of: Option<String>,
    /// Parameters over-represented among this fingerprint's requests.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub params: Vec<OverRepresented>,
}

impl Verdict {
    /// A finding with its three judgements and the sentence that gives the figures.
    pub fn new(class: Class, role: Role, confidence: Confidence, cause: impl Into<String>) -> Self {
        Self {
            class,
            role,
            confidence,
            cause: cause.into(),
            ..Self::default()
        }
    }
}

/// What is true about a runaway request.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Class {
    /// One poll has not returned and its thread burns CPU.
    CpuLoop,
    /// Many short polls, no progress.
    SpinLoop,
    /// One poll has not returned and its thread sleeps in a system call.
    BlockedThread,
    /// Waits for DNS, TCP connect or TLS of a host that does not answer.
    UnreachableHost,
    /// Connected, but the peer does not answer or stopped in the middle.
    SilentPeer,
    /// Waits for a connection or permit of a pool.
    PoolWait,
    /// Pending at a leaf with a registered waker.
    StuckAwait,
    /// Woken or ready, but its owner never polls it.
    Undriven,
    /// Pending, and nothing can wake it any more.
    LostWakeup,
    /// Makes progress, but repeats outbound calls.
    RepeatingCalls,
    /// Allocations on behalf of the request grow without bound.
    MemoryGrowth,
    /// Ready to run, but no worker picks it up; always a victim.
    Starved,
    /// Waits for its own client; never a culprit.
    ClientStalled,
    /// Suspend, SIGSTOP, debugger, CPU quota: nobody is guilty.
    MachinePaused,
    /// Stuck, cause not found, with all the evidence.
    #[default]
    Unknown,
}

impl Class {
    /// The name as it stands in JSON, such as `cpu_loop`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::CpuLoop => "cpu_loop",
            Self::SpinLoop => "spin_loop",
            Self::BlockedThread => "blocked_thread",
            Self::UnreachableHost => "unreachable_host",
            Self::SilentPeer => "silent_peer",
            Self::PoolWait => "pool_wait",
            Self::StuckAwait => "stuck_await",
            Self::Undriven => "undriven",
            Self::LostWakeup => "lost_wakeup",
            Self::RepeatingCalls => "repeating_calls",
            Self::MemoryGrowth => "memory_growth",
            Self::Starved => "starved",
            Self::ClientStalled => "client_stalled",
            Self::MachinePaused => "machine_paused",
            Self::Unknown => "unknown",
        }
    }
}

impl std::fmt::Display for Class {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Guilty, or late because of another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Role {
    /// This request is the trouble.
    #[default]
    Culprit,
    /// Slow only because of another.
    Victim,
    /// Nobody's fault here: machine paused, client slow.
    Bystander,
}

impl Role {
    /// The name as it stands in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Culprit => "culprit",
            Self::Victim => "victim",
            Self::Bystander => "bystander",
        }
    }
}

/// How much the evidence carries.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Confidence {
    /// Consistent with the evidence, as other causes are.
    #[default]
    Suspected,
    /// The evidence speaks for it and against the others.
    Likely,
    /// Every condition of the class was observed.
    Proved,
}

impl Confidence {
    /// The name as it stands in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Suspected => "suspected",
            Self::Likely => "likely",
            Self::Proved => "proved",
        }
    }
}

/// The line of the user's own code that is to blame.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct Culprit {
    /// Demangled name.
    pub function: String,
    /// Source file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// Line, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
    /// Column, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub column: Option<u32>,
}

impl Culprit {
    /// A function whose place in the source may be known.
    pub fn new(
        function: impl Into<String>,
        file: Option<String>,
        line: Option<u32>,
        column: Option<u32>,
    ) -> Self {
        Self {
            function: function.into(),
            file,
            line,
            column,
        }
    }
}

/// A remote host that a request waits for.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct Peer {
    /// The name it was asked for by, where known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// IP address, or the path of a Unix socket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// TCP or UDP port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// `dns`, `connect`, `tls`, `pool`, `write`, `wait_headers` or `read_body`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<String>,
    /// Kernel state of the socket, such as `SYN_SENT`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// How long this phase has lasted, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub elapsed_ms: Option<f64>,
    /// Not told by the call itself, but concluded from the process's sockets or from names on the
    /// stack.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub inferred: bool,
}

/// What a request waits for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct WaitingFor {
    /// The kind of thing.
    pub kind: WaitKind,
    /// The thing itself, such as `tokio::sync::Mutex::lock`.
    pub what: String,
}

impl WaitingFor {
    /// A thing of a kind.
    pub fn new(kind: WaitKind, what: impl Into<String>) -> Self {
        Self {
            kind,
            what: what.into(),
        }
    }
}

/// The kind of thing a request waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum WaitKind {
    /// A mutex or read-write lock.
    Lock,
    /// A channel's other end.
    Channel,
    /// A permit.
    Semaphore,
    /// A timer.
    Timer,
    /// Another task.
    Task,
    /// The blocking pool.
    BlockingPool,
    /// A socket.
    Socket,
    /// A file or pipe.
    File,
    /// A child process.
    Child,
    /// The request's own client.
    Client,
    /// A thing we have no word for; `what` names it.
    Other,
}

/// A parameter, header, size or client more frequent among one fingerprint's requests than among
/// normal ones, and not by chance.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct OverRepresented {
    /// Such as `query.q`; see [`Feature::name`].
    pub name: String,
    /// What they share of it.
    #[serde(default, skip_serializing_if = "FeatureKind::is_value")]
    pub kind: FeatureKind,
    /// The shared value, class or bound; see [`Feature::value`].
    #[serde(default)]
    pub value: String,
    /// Requests of this fingerprint that have it.
    pub with: u64,
    /// Requests of this fingerprint.
    pub of: u64,
    /// Normal requests of the same route that have it.
    pub baseline_with: u64,
    /// Normal requests of the same route that were sampled.
    pub baseline_of: u64,
    /// The probability that this is chance: Fisher's exact test, one-sided, corrected for all that
    /// was compared (Holm).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p: Option<f64>,
}

impl OverRepresented {
    /// What the requests share.
    pub fn feature(&self) -> Feature {
        Feature::new(&self.name, self.kind, &self.value)
    }
}
