//! One look at an overdue request: what it is made of, who else is there, and how it answers to a wake.

use super::children::ChildLooks;
use super::pool_probe::PoolSeen;
use super::spinning::{self, Counted, Spinning};
use super::standing::ms;
use super::{Parts, burst, calls, crowd, holders, sockets};
use crate::case::Sampled;
use crate::connection::Word;
use crate::engine::Engine;
use crate::registry::{Mail, Slot, Stage};
use crate::verdict::{Asked, At, Crowd, Look, Observed, Received, Referred};
use crate::worker::{BLOCKING, Worker};
use redhanded_capture::{LeafKind, PollOutcome, RawStack};

/// Samples that a verdict about a standing poll wants.
const ENOUGH_SAMPLES: usize = 5;
/// A woken request that nobody polls for so long was not heard.
const UNHEARD_NS: u64 = 60_000_000;
/// So long it is left alone before it is woken for a look, unless it does not come to rest: who is
/// woken by others at that moment is polled meanwhile.
const RESTS_NS: u64 = 10_000_000;
const MOVES_NS: u64 = 30_000_000;
/// A crowded machine gives few samples; after this time one is enough.
const HURRY_NS: u64 = 60_000_000;
/// Whatever has been found by then is judged.
const PATIENCE_NS: u64 = 500_000_000;
/// How often a look begins anew because of a pause; on a machine that pauses all the time it must
/// come to an end, too.
const STARTS: u32 = 3;
/// How often a look is repeated whose budget was used up.
const LOOKS: u32 = 3;

/// A look that is under way.
#[derive(Default)]
pub(super) struct Gathering {
    since_ns: u64,
    /// What it found; then its children are looked at.
    pub(super) found: Option<Found>,
    pub(super) children: Option<ChildLooks>,
    /// Threads of a blocking pool that does not begin what it is given.
    pub(super) full_pool: Option<u32>,
    woken_at_ns: Option<u64>,
    no_waker: bool,
    wakes: u32,
    asked: Asked,
    /// For how long it had rested when it was asked first.
    rests_ms: Option<f64>,
    futures: RawStack,
    /// The poll after which it rests, and since when that was seen.
    sequence: Option<u64>,
    rests_since_ns: u64,
    starts: u32,
    spinning: Spinning,
}

/// What a look found.
pub(super) struct Found {
    pub(super) observed: Observed,
    pub(super) thread: Option<redhanded_report::Thread>,
    pub(super) stacks: Vec<Sampled>,
    /// What it is made of, for when no stack tells.
    pub(super) futures: RawStack,
    /// Further ones that only its fingerprint is made of.
    pub(super) more: Vec<Sampled>,
}

impl Gathering {
    /// What an answer has brought that is the last one.
    fn answered(
        &mut self,
        slot: &'static Slot,
        mail: &Mail,
        parts: &mut Parts<'_>,
        now_ns: u64,
    ) -> Found {
        if self.asked.silent_polls == 0 {
            self.note(mail);
        }
        let mut found = polled(slot, mail, at(slot), parts, now_ns);
        found.observed.asked = Some(self.asked);
        found.observed.rests_ms = self.rests_ms.or(found.observed.rests_ms);
        found.futures = std::mem::take(&mut self.futures);
        found
    }

    /// Takes down how it answered to a wake; returns the number of polls on end in which nobody kept
    /// its waker.
    fn note(&mut self, mail: &Mail) -> u32 {
        let woken_at_ns = self.woken_at_ns.unwrap_or(mail.at_ns);
        let pending = mail.waiting.outcome == PollOutcome::Pending;
        let silent = pending && mail.waiting.leaves.is_empty() && !mail.budget_exhausted;
        self.asked.silent_polls = if silent {
            self.asked.silent_polls + 1
        } else {
            0
        };
        self.asked.answered_ms = ms(mail.at_ns.saturating_sub(woken_at_ns));
        self.asked.silent_polls
    }

    pub(super) fn begin(now_ns: u64) -> Self {
        Self {
            since_ns: now_ns,
            ..Self::default()
        }
    }

    /// After a pause a look begins anew: it could not know whether anybody had a chance to answer.
    pub(super) fn start_over(&mut self, now_ns: u64) {
        if self.starts < STARTS {
            *self = Self {
                starts: self.starts + 1,
                ..Self::begin(now_ns)
            };
        }
    }
}

/// Whether the blocking pool of its runtime begins what it is given.
pub(super) fn ask_pool(slot: &'static Slot, parts: &mut Parts<'_>, now_ns: u64) -> PoolSeen {
    match Worker::at(slot.poll_mark().worker) {
        Some(worker) => parts.probes.ask(worker, now_ns),
        None => PoolSeen::Begins,
    }
}

pub(super) fn gather(
    slot: &'static Slot,
    gathering: &mut Gathering,
    parts: &mut Parts<'_>,
    now_ns: u64,
) -> Option<Found> {
    if slot.hand.has_ended() {
        return Some(ended(slot, gathering, parts, now_ns));
    }
    let looked_ns = now_ns.saturating_sub(gathering.since_ns);
    let age_ns = parts.pauses.charged(slot.started_ns(), now_ns);
    let spinning = &mut gathering.spinning;
    match spinning.advance(slot, (age_ns, looked_ns), now_ns) {
        Counted::NotYet => return None,
        Counted::Yes(mail, polling) => {
            let mut found = polled(slot, &mail, at(slot), parts, now_ns);
            found.observed.polling = Some(polling);
            return Some(found);
        }
        Counted::No => {}
    }
    let out_of_patience = looked_ns >= PATIENCE_NS;
    if slot.poll_mark().inside() {
        let hurry = looked_ns >= HURRY_NS;
        return gather_inside(slot, parts, now_ns, hurry, out_of_patience);
    }
    match slot.stage() {
        stage if stage.awaits_client() => {
            Some(pending(slot, None, At::AwaitsClient, parts, now_ns))
        }
        Stage::Head => Some(half_come(slot, parts, now_ns)),
        _ => gather_pending(slot, gathering, parts, now_ns, out_of_patience),
    }
}

/// It is over. If our wake was enough to end it, that says why it was late.
fn ended(
    slot: &'static Slot,
    gathering: &mut Gathering,
    parts: &mut Parts<'_>,
    now_ns: u64,
) -> Found {
    let mail = slot.mailbox.try_lock().and_then(|mut m| m.take());
    let was_ready = |mail: &Mail| mail.waiting.outcome == PollOutcome::Ready;
    let answer = mail.filter(|mail| gathering.wakes == 1 && was_ready(mail));
    match answer.filter(|_| gathering.woken_at_ns.is_some()) {
        Some(mail) => gathering.answered(slot, &mail, parts, now_ns),
        None => pending(slot, None, At::Ended, parts, now_ns),
    }
}

/// Inside a poll: samples, most of which were taken before the request was overdue.
fn gather_inside(
    slot: &'static Slot,
    parts: &mut Parts<'_>,
    now_ns: u64,
    hurry: bool,
    out_of_patience: bool,
) -> Option<Found> {
    let worker = Worker::at(slot.poll_mark().worker)?;
    parts.standing.watch(slot, worker, now_ns);
    let standing = parts.standing.get_mut(slot.key)?;
    if standing.samples.len() < ENOUGH_SAMPLES {
        standing.take_sample(slot, parts.sampler, now_ns);
    }
    let stood = now_ns.saturating_sub(standing.since_ns) >= parts.pace.early_ns;
    let blind = standing.samples.is_empty() && standing.missing.is_some();
    let some = !standing.samples.is_empty() && hurry;
    let enough = standing.samples.len() >= ENOUGH_SAMPLES || some || blind;
    if !(stood && enough || out_of_patience) {
        return None;
    }
    let (poll, thread) = standing.observe(parts.sampler, parts.clocks, now_ns);
    let near = standing.samples.back().map(|sample| sample.near.clone());
    let stacks = standing.stacks();
    let more = if burst::disagree(&stacks) && parts.bursts.may_take(now_ns) {
        standing.sample_more(slot, parts.sampler)
    } else {
        Vec::new()
    };
    let missing = standing.missing.clone().into_iter().collect();
    parts
        .engine
        .counts
        .lost_stacks(std::mem::take(&mut standing.lost));
    let referred = match near.filter(|near| !near.is_empty()) {
        Some(near) => holders::of_blocked(slot, &near, parts.sampler),
        None => Referred::default(),
    };
    let observed = Observed {
        poll: Some(poll),
        referred,
        missing,
        ..seen(slot, at(slot), parts, now_ns)
    };
    Some(Found {
        observed,
        thread: Some(thread),
        stacks,
        futures: RawStack::default(),
        more,
    })
}

/// A request that is not whole has nothing that could be woken.
fn half_come(slot: &'static Slot, parts: &mut Parts<'_>, now_ns: u64) -> Found {
    let mut found = pending(slot, None, At::Head, parts, now_ns);
    found.observed.crowd = crowd(slot, parts, now_ns);
    let received = Word::from_word(slot.connection()).and_then(Word::received);
    found.observed.received = received.map(|(bytes, handshake)| Received { bytes, handshake });
    found
}

/// Between polls: wake it, and see what its next poll does.
fn gather_pending(
    slot: &'static Slot,
    gathering: &mut Gathering,
    parts: &mut Parts<'_>,
    now_ns: u64,
    out_of_patience: bool,
) -> Option<Found> {
    let at = at(slot);
    if !parts.engine.config.wake_to_look {
        return Some(pending(slot, Some(Look::Forbidden), at, parts, now_ns));
    }
    let mail = slot.mailbox.try_lock().and_then(|mut m| m.take());
    // What lies there before we have asked is the answer to an older question.
    if let Some(mail) = mail.filter(|_| gathering.woken_at_ns.is_some()) {
        if spinning::is_restless(&mail) && gathering.spinning.begin(slot, now_ns) {
            return None;
        }
        let silent = gathering.note(&mail) == 1;
        let once_more = mail.budget_exhausted || silent;
        let again = once_more && gathering.wakes < LOOKS && !out_of_patience;
        if !again {
            return Some(gathering.answered(slot, &mail, parts, now_ns));
        }
        gathering.woken_at_ns = None;
    }
    let Some(woken_at_ns) = gathering.woken_at_ns else {
        // Who is woken by others at this moment is given the time to be polled for that.
        let sequence = slot.poll_mark().sequence;
        if gathering.sequence != Some(sequence) {
            gathering.sequence = Some(sequence);
            gathering.rests_since_ns = now_ns;
        }
        let rested_ns = now_ns.saturating_sub(gathering.rests_since_ns);
        let waited_ns = now_ns.saturating_sub(gathering.since_ns);
        if gathering.wakes == 0 && rested_ns < RESTS_NS && waited_ns < MOVES_NS {
            return None;
        }
        if gathering.wakes == 0 {
            gathering.asked.rested_ms = ms(rested_ns);
            // A server may poll it more than once for one wake of ours.
            let since_ns = slot.rests_since_ns();
            gathering.rests_ms = Some(ms(parts.pauses.charged(since_ns, now_ns)));
            // Before it is polled: it may be done then, and nothing is left of it.
            gathering.futures = holders::futures(slot, parts.sampler);
        }
        gathering.no_waker = !wake(slot, parts.engine);
        gathering.wakes += 1;
        gathering.woken_at_ns = Some(now_ns);
        return None;
    };
    let for_ns = now_ns.saturating_sub(woken_at_ns);
    if for_ns < UNHEARD_NS && !out_of_patience {
        return None;
    }
    let look = Look::Unanswered {
        for_ms: ms(for_ns),
        no_waker: gathering.no_waker,
    };
    let mut found = pending(slot, Some(look), at, parts, now_ns);
    let mut crowd = crowd(slot, parts, now_ns);
    crowd.asleep = crowd::asleep(slot, parts.sampler);
    found.observed.crowd = crowd;
    found.futures = std::mem::take(&mut gathering.futures);
    Some(found)
}

/// A closure that no thread of the blocking pool has begun.
pub(super) fn queued(slot: &'static Slot, look: Look, parts: &mut Parts<'_>, now_ns: u64) -> Found {
    let mut found = pending(slot, Some(look), At::Handler, parts, now_ns);
    found.observed.crowd = crowd_of(BLOCKING, None, slot, parts, now_ns);
    found
}

fn pending(
    slot: &'static Slot,
    look: Option<Look>,
    at: At,
    parts: &Parts<'_>,
    now_ns: u64,
) -> Found {
    Found {
        observed: Observed {
            look,
            ..seen(slot, at, parts, now_ns)
        },
        thread: None,
        stacks: Vec::new(),
        futures: RawStack::default(),
        more: Vec::new(),
    }
}

/// What the capturing poll brought.
fn polled(slot: &'static Slot, mail: &Mail, at: At, parts: &mut Parts<'_>, now_ns: u64) -> Found {
    let registered = mail
        .waiting
        .leaves
        .iter()
        .filter(|l| l.kind == LeafKind::Registered);
    let look = Look::Polled {
        pending: mail.waiting.outcome == PollOutcome::Pending,
        leaves: registered.clone().count() as u32,
        woke_itself: mail
            .waiting
            .leaves
            .iter()
            .any(|l| l.kind == LeafKind::WokeItself),
        budget_exhausted: mail.budget_exhausted,
    };
    parts
        .engine
        .counts
        .lost_stacks(u64::from(mail.waiting.dropped));
    let mut found = pending(slot, Some(look), at, parts, now_ns);
    found.observed.sockets = sockets::of(slot, mail);
    calls::join_sockets(&mut found.observed);
    calls::join_connections(&mut found.observed);
    let observed = &mut found.observed;
    let told = observed.calls.iter().any(|call| call.polled);
    if !told && observed.sockets.is_empty() && mail.waiting.outcome == PollOutcome::Pending {
        let own = calls::Known::of(slot).connected();
        observed.connections = sockets::of_others(observed.elapsed_ms, &own);
        observed.linked = sockets::of_tasks(slot, parts.sampler);
    }
    if spinning::is_often_polled(observed.polls, observed.elapsed_ms) {
        let own = calls::Known::of(slot).connected();
        observed.own_sockets = sockets::in_memory(slot, parts.sampler, &own);
    }
    if mail.waiting.outcome == PollOutcome::Pending {
        found.observed.referred = holders::of_pending(slot, mail, parts.sampler);
    }
    for leaf in &mail.waiting.leaves {
        let mut stack = parts.sampler.locate(&leaf.ips);
        stack.complete = leaf.complete;
        found.stacks.push(Sampled::of_future(stack));
    }
    found
}

fn at(slot: &Slot) -> At {
    match slot.status() {
        None => At::Handler,
        Some(_) => At::Body,
    }
}

fn seen(slot: &'static Slot, at: At, parts: &Parts<'_>, now_ns: u64) -> Observed {
    let mut observed = Observed {
        elapsed_ms: ms(parts.pauses.charged(slot.started_ns(), now_ns)),
        slow_after_ms: ms(slot.slow_after_ns()),
        polls: slot.poll_mark().polls(),
        rests_ms: Some(ms(parts.pauses.charged(slot.rests_since_ns(), now_ns))),
        at,
        ..Observed::default()
    };
    calls::observe(&mut observed, slot, parts.pauses, now_ns);
    parts.growths.observe(&mut observed, slot);
    observed
}

/// Who else keeps the workers of this request's runtime.
fn crowd(slot: &'static Slot, parts: &mut Parts<'_>, now_ns: u64) -> Crowd {
    match Worker::at(slot.poll_mark().worker) {
        Some(mine) => crowd_of(mine.runtime(), Some(mine), slot, parts, now_ns),
        None => Crowd::default(),
    }
}

fn crowd_of(
    runtime: u64,
    mine: Option<&'static Worker>,
    slot: &'static Slot,
    parts: &Parts<'_>,
    now_ns: u64,
) -> Crowd {
    let (polls, early_ns) = (&*parts.standing, parts.pace.early_ns);
    crowd::crowd_of(runtime, mine, Some(slot), polls, early_ns, now_ns)
}

/// Wakes a request for a look. The waker is cloned under the lock and used outside of it: a wake
/// may run anybody's code. `false` if there is no waker.
fn wake(slot: &'static Slot, engine: &'static Engine) -> bool {
    slot.want_capture(true);
    let waker = slot.waker.try_lock().and_then(|w| w.clone());
    let Some(waker) = waker else { return false };
    let woken = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| waker.wake()));
    if woken.is_err() {
        engine.counts.internal_error();
    }
    true
}
