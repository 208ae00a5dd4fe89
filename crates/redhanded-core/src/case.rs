//! What the watchdog hands to the clerk: everything about one look at one request, still raw.

use crate::calls::CallState;
use crate::copied::TraceIds;
use crate::keep::Finished;
use crate::recorder::note::RecordAt;
use crate::referred::Referred;
use crate::registry::{Ending, Fact, Label};
use crate::story::Snapshot;
use crate::verdict::Observed;
use redhanded_capture::RawStack;
use redhanded_report::{Confidence, Event, Evidence, Phase, Role, StackKind, Thread, Verdict};
use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::time::SystemTime;

/// A message to the clerk.
pub(crate) enum Message {
    /// A request was looked at and judged.
    Case(Box<Case>),
    /// A caught request has ended.
    Ended(Box<Ended>),
    /// A request has ended that is to be exported whole.
    Kept(Box<Finished>),
    /// Trouble of the process that no request is guilty of.
    Process(Box<Trouble>),
    /// Something may be caught soon: have the symbols of this stack ready.
    Prepare(RawStack),
    /// Answer when everything before this has been filed, and say whether all that dead processes left is, too.
    Flush(SyncSender<bool>),
}

/// One look at one request.
pub(crate) struct Case {
    pub(crate) event: Event,
    pub(crate) id: String,
    pub(crate) fingerprint: u64,
    pub(crate) occurrences: u64,
    pub(crate) copied: Vec<Fact>,
    pub(crate) labels: Vec<Label>,
    pub(crate) children: Vec<ChildSeen>,
    pub(crate) trace: TraceIds,
    /// Its record in the flight recorder.
    pub(crate) record: Option<RecordAt>,
    pub(crate) phase: Phase,
    pub(crate) at: SystemTime,
    pub(crate) started: SystemTime,
    pub(crate) elapsed_ns: u64,
    pub(crate) slow_after_ns: u64,
    pub(crate) verdict: Verdict,
    /// The process shuts down, and it was not overdue.
    pub(crate) is_early: bool,
    /// The verdict if names show that it yields to the scheduler where it seems to wait.
    pub(crate) if_it_yields: Option<Verdict>,
    pub(crate) observed: Observed,
    pub(crate) thread: Option<Thread>,
    pub(crate) stacks: Vec<Sampled>,
    /// The functions that drop its futures, for when no stack tells.
    pub(crate) futures: RawStack,
    /// Its outbound calls, the open ones first, in the order in which they were begun.
    pub(crate) calls: Vec<Arc<CallState>>,
    /// What it has told of itself, if it has.
    pub(crate) story: Option<Snapshot>,
    /// When the request began and when it was looked at, in nanoseconds of the monotonic clock.
    pub(crate) started_ns: u64,
    pub(crate) looked_ns: u64,
    /// For how long the CPU quota has throttled the process meanwhile, summed over its CPUs.
    pub(crate) throttled_ns: Option<u64>,
}

impl Case {
    /// Who was only still at work when the process was shut down is accused of nothing.
    pub(crate) fn spare(&self, verdict: &mut Verdict) {
        if self.is_early {
            verdict.confidence = Confidence::Suspected;
            if verdict.role == Role::Culprit {
                verdict.role = Role::Bystander;
            }
        }
    }
}

/// What a look at a child of a request found.
pub(crate) struct ChildSeen {
    pub(crate) name: Option<String>,
    /// File, line and column.
    pub(crate) spawned_at: Option<String>,
    pub(crate) verdict: Verdict,
    /// It is inside a poll that does not return, and was sampled so often.
    pub(crate) stands: bool,
    /// What it has allocated and not freed, where that is counted.
    pub(crate) held_bytes: u64,
    pub(crate) samples: u32,
    pub(crate) referred: Referred,
    pub(crate) stacks: Vec<Sampled>,
}

/// A stack and how often it was seen.
#[derive(Clone, Debug)]
pub(crate) struct Sampled {
    pub(crate) kind: StackKind,
    pub(crate) samples: u32,
    pub(crate) stack: RawStack,
    /// How many of its innermost frames the poll of the request has called; `None` if its own is not among them.
    pub(crate) called: Option<usize>,
}

impl Sampled {
    /// The stack of a pending future: the two functions that capture it are the outermost of it.
    pub(crate) fn of_future(stack: RawStack) -> Self {
        let called = stack.complete.then(|| stack.frames.len().saturating_sub(2));
        Self {
            kind: StackKind::Await,
            samples: 1,
            stack,
            called,
        }
    }

    /// The stack of a thread; `frame` is an address in the frame of the function that polls.
    pub(crate) fn of_thread(stack: RawStack, frame: u64) -> Self {
        let inside = |sp: Option<u64>| sp.is_some_and(|sp| sp <= frame);
        let below = stack.frames.iter().take_while(|f| inside(f.sp)).count();
        // The last of them is the function that polls, if its caller is there too.
        let called = below.checked_sub(1).filter(|_| below < stack.frames.len());
        Self {
            kind: StackKind::Thread,
            samples: 1,
            stack,
            called,
        }
    }
}

/// Equal stacks become one with a count, the most frequent first.
pub(crate) fn fold(stacks: impl Iterator<Item = Sampled>) -> Vec<Sampled> {
    let mut folded: Vec<Sampled> = Vec::new();
    let addresses = |stack: &RawStack| stack.frames.iter().map(|f| f.address).collect::<Vec<_>>();
    for stack in stacks {
        let same = |s: &&mut Sampled| addresses(&s.stack) == addresses(&stack.stack);
        match folded.iter_mut().find(same) {
            Some(known) => known.samples += stack.samples,
            None => folded.push(stack),
        }
    }
    folded.sort_by_key(|s| std::cmp::Reverse(s.samples));
    folded
}

/// The end of a request that was caught.
pub(crate) struct Ended {
    pub(crate) id: String,
    pub(crate) ending: Ending,
    pub(crate) at: SystemTime,
    pub(crate) started: SystemTime,
    pub(crate) started_ns: u64,
    pub(crate) total_ns: u64,
    /// What it has told of itself, and when that was first looked at.
    pub(crate) story: Option<Snapshot>,
    pub(crate) told_ns: Option<u64>,
}

/// Trouble without a guilty request: one record with [`Event::Process`].
pub(crate) struct Trouble {
    pub(crate) id: String,
    pub(crate) fingerprint: u64,
    /// How often it was seen in this process, those without a line among them.
    pub(crate) occurrences: u64,
    pub(crate) at: SystemTime,
    /// How long it lasted, or has lasted so far.
    pub(crate) lasted_ns: u64,
    pub(crate) verdict: Verdict,
    /// What the verdict rests on; the clerk adds the load of the machine.
    pub(crate) evidence: Evidence,
    /// Where those stand who have something to do with it.
    pub(crate) stacks: Vec<Sampled>,
}
