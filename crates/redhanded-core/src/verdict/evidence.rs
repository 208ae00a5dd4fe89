//! What the rules judge: numbers and facts, no threads, no clock, no addresses.

pub use crate::calls::{CallSeen, CallTotal};
pub use crate::referred::Referred;
use redhanded_report::{Peer, WaitingFor};
use serde::{Deserialize, Serialize};

/// Everything observed about one request at one look.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Observed {
    /// Age in milliseconds.
    pub elapsed_ms: f64,
    /// The threshold in milliseconds.
    pub slow_after_ms: f64,
    /// How often it was polled.
    pub polls: u64,
    /// Where in its life it is.
    pub at: At,
    /// The poll it is inside of, if it is inside one.
    pub poll: Option<StandingPoll>,
    /// What came of asking its future where it waits; `None` inside a poll.
    pub look: Option<Look>,
    /// How it answered when it was asked.
    #[serde(default)]
    pub asked: Option<Asked>,
    /// For how long it has been pending without a poll but those of looks, in milliseconds, as far as that is known.
    #[serde(default)]
    pub rests_ms: Option<f64>,
    /// Other ends of the sockets that the pending future's leaves had at hand, its own client left out. Which of them it
    /// waits for is known only if there is one.
    #[serde(default)]
    pub sockets: Vec<Peer>,
    /// Connections that other tasks have and that owe an answer, to hosts whose calls nobody tells. No
    /// rule looks at them: whether it waits for one is known when its stack has names.
    #[serde(default)]
    pub connections: Vec<Peer>,
    /// Other ends of sockets whose tasks share something with it, such as a channel. No rule looks at them: whether it
    /// waits for such a task is known when its stack has names.
    #[serde(default)]
    pub linked: Vec<Peer>,
    /// Sockets of its own, asked for where it is polled all the time.
    #[serde(default)]
    pub own_sockets: Vec<OwnSocket>,
    /// The outbound calls that it has open, in the order in which they were begun.
    #[serde(default)]
    pub calls: Vec<CallSeen>,
    /// Connections of pools that it has taken: it waits for none of them, but they know whose a socket is.
    #[serde(default)]
    pub held: Vec<CallSeen>,
    /// Its finished outbound calls, summed up per host.
    #[serde(default)]
    pub totals: Vec<CallTotal>,
    /// The poll it is inside of is work on a thread of its own, where blocking is no harm to others.
    #[serde(default)]
    pub on_blocking_thread: bool,
    /// How it is polled, where that is often.
    #[serde(default)]
    pub polling: Option<Polling>,
    /// What it has allocated, where that is counted.
    #[serde(default)]
    pub memory: Option<Memory>,
    /// The workers of its runtime.
    pub crowd: Crowd,
    /// Who has what it waits for, where the memory of futures tells. No rule looks at it: whether what it
    /// waits for can be held is known when its stack has names.
    #[serde(default)]
    pub referred: Referred,
    /// Threads of the blocking pool of its runtime, if it does not begin what it is given. No rule looks at it:
    /// whether it waits for one is known when its stack has names.
    #[serde(default)]
    pub full_pool: Option<u32>,
    /// What has come of a request that is not whole.
    #[serde(default)]
    pub received: Option<Received>,
    /// What could not be observed here, in plain words.
    pub missing: Vec<String>,
}

/// Where in its life a request is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum At {
    /// No response yet.
    #[default]
    Handler,
    /// The body is being made.
    Body,
    /// A frame of the body waits for the client to take it.
    AwaitsClient,
    /// No request yet: part of its head has come.
    Head,
    /// It ended between becoming overdue and the first look.
    Ended,
}

/// What has come of a request that is not whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Received {
    /// Bytes of it.
    pub bytes: u64,
    /// They are those of a TLS handshake.
    pub handshake: bool,
}

/// One poll that has not returned, as it was watched.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct StandingPoll {
    /// How long it has been seen standing, in milliseconds; its true age is a little more.
    pub stood_ms: f64,
    /// Over which time the counters below were taken, in milliseconds.
    pub window_ms: f64,
    /// Name of the thread, or its id.
    pub thread: String,
    /// Samples whose poll was the same before and after.
    pub samples: u32,
    /// Those that found the thread on the CPU or waiting for one.
    pub on_cpu: u32,
    /// Those that found it asleep in the kernel.
    pub asleep: u32,
    /// CPU time it used in the window.
    pub cpu_ms: Option<f64>,
    /// Time it was runnable without a CPU in the window.
    pub run_queue_wait_ms: Option<f64>,
    /// For how long the CPU quota may have kept it from running in the window, at most.
    #[serde(default)]
    pub throttled_ms: Option<f64>,
    /// Time slices it got in the window: zero means that it never ran.
    pub timeslices: Option<u64>,
    /// The system call of all sleeping samples, if it was one and the same.
    pub syscall: Option<String>,
    /// What that call waits for.
    pub waiting_for: Option<WaitingFor>,
    /// The remote end of that call.
    pub peer: Option<Peer>,
    /// Physical frames that all samples share, counted from the thread's start.
    pub shared_frames: u32,
}

/// What came of waking a pending request and watching its next poll.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Look {
    /// It may not be woken, by configuration.
    Forbidden,
    /// It was woken, and nobody polled it for so long.
    Unanswered {
        /// Milliseconds since the wake.
        for_ms: f64,
        /// There was no waker to wake: it has never been pending.
        no_waker: bool,
    },
    /// A closure that waits for a thread of the blocking pool.
    Queued {
        /// Milliseconds since it was handed over.
        for_ms: f64,
    },
    /// It was polled, and this is what the poll did.
    Polled {
        /// The poll was pending, as it should be.
        pending: bool,
        /// Leaves that registered a waker.
        leaves: u32,
        /// It woke itself inside the poll.
        woke_itself: bool,
        /// tokio's budget was used up: "pending" means nothing.
        budget_exhausted: bool,
    },
}

/// A socket that a request has itself.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct OwnSocket {
    /// The other end; `elapsed_ms` is how long nothing has come from it.
    pub peer: Peer,
    /// About how often it was asked and answered.
    pub rounds: u32,
}

/// How a pending request answered when it was woken for a look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Asked {
    /// For how long nobody had polled it before, as far as was looked, in milliseconds.
    pub rested_ms: f64,
    /// From the wake to its poll, in milliseconds.
    pub answered_ms: f64,
    /// Captured polls on end in which nobody kept its waker.
    pub silent_polls: u32,
}

/// Polls of a request that is polled all the time, counted over a while, some of them captured.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Polling {
    /// Over which time, in milliseconds.
    pub window_ms: f64,
    /// Polls a second.
    pub polls_per_second: f64,
    /// Frames of its body a second.
    pub frames_per_second: f64,
    /// Polls that were captured.
    pub captures: u32,
    /// Those among them in which it woke itself.
    pub woke_itself: u32,
    /// Those that ended because tokio's budget was used up.
    pub budget_exhausted: u32,
    /// Names have shown that it yields to the scheduler.
    pub yields: bool,
}

/// What a request and its children have allocated.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Memory {
    /// Bytes allocated.
    pub allocated_bytes: u64,
    /// Bytes allocated and not freed; an upper bound, because what others free for it is not seen.
    pub held_bytes: u64,
    /// What its children hold of that.
    pub by_children_bytes: u64,
    /// How that came about lately; `None` for who holds little, or has done so for a short time only.
    pub growth: Option<Growth>,
}

/// Readings of what a request holds, at equal distances.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Growth {
    /// From the first reading to the last, in milliseconds.
    pub window_ms: f64,
    /// How many there were.
    pub readings: u32,
    /// Those that were higher than the one before.
    pub rises: u32,
    /// By how much the last is higher than the first, in bytes.
    pub rose_bytes: u64,
    /// How much of that in the second half of the time.
    pub rose_late_bytes: u64,
    /// The largest rise from one to the next.
    pub largest_rise_bytes: u64,
    /// All falls from one to the next.
    pub fell_bytes: u64,
    /// Since the last rise, in milliseconds.
    pub still_ms: f64,
    /// By how much the whole process has grown in the same time, in bytes; what is freed for a request
    /// by others is missing here.
    pub process_rose_bytes: u64,
    /// By how much what is in nobody's books has shrunk in the same time, in bytes: so much was freed for
    /// others at most.
    #[serde(default)]
    pub unowned_fell_bytes: u64,
}

/// The workers of a request's runtime.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Crowd {
    /// Workers that ever polled a watched request and are alive.
    pub workers: u32,
    /// Those inside a watched poll that stands.
    pub standing: u32,
    /// Those whose thread sleeps outside of any watched poll, where that was looked at.
    #[serde(default)]
    pub asleep: u32,
    /// The request that stands longest, on this request's own worker if there is one.
    pub hog: Option<Hog>,
}

/// A request that keeps a worker from the others.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Hog {
    /// Its id.
    pub id: String,
    /// The thread it stands on.
    pub thread: String,
    /// How long it has been seen standing, in milliseconds.
    pub stood_ms: f64,
    /// It stands on the worker that polled this request last.
    pub same_worker: bool,
}

impl Crowd {
    /// Every worker was seen asleep, with nothing to do.
    pub(crate) fn is_idle(&self) -> bool {
        self.workers > 0 && self.standing == 0 && self.asleep >= self.workers
    }

    /// No worker is left for anybody else.
    pub(crate) fn all_stand(&self) -> bool {
        self.workers > 0 && self.standing >= self.workers && self.hog.is_some()
    }
}

impl StandingPoll {
    /// It sleeps in the kernel, as far as samples and counters tell.
    pub(crate) fn is_mostly_asleep(&self) -> bool {
        let mostly_asleep =
            self.asleep > 0 && f64::from(self.asleep) >= 0.5 * f64::from(self.samples);
        mostly_asleep && self.busy_share().is_none_or(|share| share < 0.5)
    }

    /// How much of its wait for a CPU the quota may be the reason of, in milliseconds, if that is most of the window.
    pub(crate) fn mostly_throttled_ms(&self) -> Option<f64> {
        let kept_ms = self.run_queue_wait_ms?.min(self.throttled_ms?);
        (self.window_ms >= 50.0 && kept_ms >= 0.5 * self.window_ms).then_some(kept_ms)
    }

    /// CPU time and time spent waiting for a CPU, as a share of the window; `None` for windows so
    /// short that the clock may stand still on a busy machine.
    pub(crate) fn busy_share(&self) -> Option<f64> {
        let busy = self.cpu_ms? + self.run_queue_wait_ms.unwrap_or(0.0);
        (self.window_ms >= 50.0).then(|| busy / self.window_ms)
    }
}
