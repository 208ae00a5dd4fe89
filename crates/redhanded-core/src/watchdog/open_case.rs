//! A request that became overdue, from the first look until its end.

use super::children::ChildLooks;
use super::fingerprint::fingerprint;
use super::growth::Growths;
use super::look::{self, Found, Gathering};
use super::pool_probe::PoolSeen;
use super::standing::Pace;
use super::{Parts, calls, spinning};
use crate::case::{Case, ChildSeen};
use crate::child::Born;
use crate::copied::{TraceIds, kind};
use crate::engine::Engine;
use crate::family;
use crate::recorder::note::RecordAt;
use crate::registry::{Fact, Label, Slot, Stage};
use crate::story;
use crate::verdict::{At, Look, Observed, grows, judge, was_not_seen};
use redhanded_capture::monotonic_ns;
use redhanded_report::{Event, Phase, Verdict};
use std::time::{Duration, SystemTime};

/// One overdue request. Its slot is kept: it is not recycled before this is released.
pub(super) struct OpenCase {
    pub(super) slot: &'static Slot,
    pub(super) id: String,
    pub(super) route: u64,
    pub(super) fingerprint: Option<u64>,
    /// A line about it was written, so its end is worth one too.
    pub(super) filed: bool,
    /// Its like have had lines enough: nothing more is to be said about it.
    pub(super) dismissed: bool,
    /// It is not overdue: it is here because it grows, and only that is told of it.
    pub(super) for_growth: bool,
    /// It was not overdue: it is here because the process shuts down.
    pub(super) at_shutdown: bool,
    /// It was judged to keep its worker by being polled all the time.
    pub(super) spins: bool,
    /// What it held when a look found that it grows.
    held_bytes: u64,
    pub(super) looks: u32,
    /// Until when its story was told in its first line.
    pub(super) told_ns: Option<u64>,
    pub(super) next_look_ns: u64,
    pub(super) gathering: Option<Gathering>,
    copied: Vec<Fact>,
    trace: TraceIds,
    /// Wall time of its beginning, reckoned once: all its lines say the same.
    pub(super) started: SystemTime,
}

impl OpenCase {
    pub(super) fn new(
        slot: &'static Slot,
        id: String,
        copied: Vec<Fact>,
        route: u64,
        now_ns: u64,
    ) -> Self {
        let generation = slot.hand.generation();
        let trace = family::with_trace(slot, generation, TraceIds::clone);
        let trace = trace.unwrap_or_else(|| TraceIds::of(&copied, Engine::rule_of(slot), false));
        let age = Duration::from_nanos(monotonic_ns().saturating_sub(slot.started_ns()));
        let now = SystemTime::now();
        let started = now.checked_sub(age).unwrap_or(now);
        let gathering = Some(Gathering::begin(now_ns));
        Self {
            slot,
            id,
            route,
            fingerprint: None,
            filed: false,
            dismissed: false,
            for_growth: false,
            at_shutdown: false,
            spins: false,
            held_bytes: 0,
            looks: 0,
            told_ns: None,
            next_look_ns: u64::MAX,
            gathering,
            copied,
            trace,
            started,
        }
    }

    /// Begins another look when its time has come, and there is something to tell.
    pub(super) fn look_again(&mut self, growths: &Growths, now_ns: u64) {
        let is_time = self.gathering.is_none() && now_ns >= self.next_look_ns;
        if is_time && (!self.for_growth || growths.has(self.slot)) {
            self.gathering = Some(Gathering::begin(now_ns));
        }
    }

    /// It grows, and holds `held_bytes`: if no look has found that yet, or half of it, the next one is
    /// due.
    pub(super) fn hurry(&mut self, held_bytes: u64, now_ns: u64) {
        if held_bytes / 2 >= self.held_bytes {
            self.next_look_ns = self.next_look_ns.min(now_ns);
        }
    }

    pub(super) fn start_over(&mut self, now_ns: u64) {
        if let Some(gathering) = &mut self.gathering {
            gathering.start_over(now_ns);
        }
    }

    /// ④ ⑤ Goes on with a look; returns the judged case when it is done.
    pub(super) fn advance(&mut self, parts: &mut Parts<'_>, now_ns: u64) -> Option<Case> {
        let mut gathering = self.gathering.take()?;
        if gathering.found.is_none() {
            gathering.found = look::gather(self.slot, &mut gathering, parts, now_ns);
        }
        let Some(found) = &gathering.found else {
            self.gathering = Some(gathering);
            return None;
        };
        if may_wait_for_a_child(&found.observed) {
            let children = gathering
                .children
                .get_or_insert_with(|| ChildLooks::begin(self.slot, now_ns));
            if !children.advance(parts, now_ns) {
                self.gathering = Some(gathering);
                return None;
            }
        }
        if may_wait_for_a_thread(&gathering) {
            match look::ask_pool(self.slot, parts, now_ns) {
                PoolSeen::NotYet => {
                    self.gathering = Some(gathering);
                    return None;
                }
                PoolSeen::Full(threads) => gathering.full_pool = Some(threads),
                PoolSeen::Begins => {}
            }
        }
        self.slot.want_capture(false);
        let children = gathering
            .children
            .map(ChildLooks::close)
            .unwrap_or_default();
        let mut found = gathering.found?;
        found.observed.full_pool = gathering.full_pool;
        if self.is_moot(&found.observed) {
            self.next_look_ns = now_ns.saturating_add(self.slot.slow_after_ns());
            self.dismissed = !self.filed;
            return None;
        }
        Some(self.close_look(found, children, parts, now_ns))
    }

    /// There is nothing to tell: it was to be told that it grows, and does so no more, or the poll that
    /// a later look found was not seen.
    fn is_moot(&mut self, observed: &Observed) -> bool {
        let memory = observed.memory.as_ref();
        let growing = memory.filter(|memory| grows(memory, observed.slow_after_ms));
        if let Some(memory) = growing {
            self.held_bytes = self.held_bytes.max(memory.held_bytes);
        }
        let nothing_new = self.filed && observed.poll.as_ref().is_some_and(was_not_seen);
        nothing_new || self.for_growth && growing.is_none()
    }

    fn phase(&self, observed: &Observed) -> Phase {
        if self.copied.iter().any(|fact| fact.kind == kind::JOB) {
            Phase::Job
        } else if observed.at == At::Handler {
            Phase::Handler
        } else if self.slot.stage() == Stage::Head {
            Phase::RequestHead
        } else {
            Phase::ResponseBody
        }
    }

    /// What the application said about it; what there was no room for is missing evidence.
    fn labels(&self, observed: &mut Observed) -> Vec<Label> {
        let generation = self.slot.hand.generation();
        let labels = self.slot.extra(generation, |extra| extra.labels());
        let (labels, dropped) = labels.unwrap_or_default();
        if dropped > 0 {
            let missing = format!("{dropped} labels: a request may have 16");
            observed.missing.push(missing);
        }
        labels
    }

    /// A child that goes on without its request is no request: the cause says so.
    fn name_child(&self, verdict: &mut Verdict) {
        if !self.slot.is_child() {
            return;
        }
        let born = Born::of(self.slot);
        let what = if born.blocking { "closure" } else { "task" };
        let name = born.name.map(|name| format!(" {name}")).unwrap_or_default();
        let at = born.at.unwrap_or_default();
        verdict.cause = format!(
            "{what}{name} of this request, spawned at {at}: {}",
            verdict.cause
        );
    }

    fn close_look(
        &mut self,
        mut found: Found,
        (children, missing): (Vec<ChildSeen>, Vec<String>),
        parts: &mut Parts<'_>,
        now_ns: u64,
    ) -> Case {
        let mut verdict = judge(&found.observed);
        // A child that stands in a poll is more than the place where its request waits for it.
        let fingerprint = match children.iter().find(|child| child.stands) {
            Some(child) => fingerprint(child.verdict.class, &child.stacks, self.route),
            None => {
                let all = [found.stacks.as_slice(), &found.more].concat();
                fingerprint(verdict.class, &all, self.route)
            }
        };
        self.name_child(&mut verdict);
        let mut if_it_yields = spinning::if_it_yields(&found.observed);
        if let Some(verdict) = &mut if_it_yields {
            self.name_child(verdict);
        }
        let labels = self.labels(&mut found.observed);
        found.observed.missing.extend(missing);
        let calls = calls::Known::of(self.slot);
        found.observed.missing.extend(calls.missing());
        self.looks += 1;
        // Read anew: what the look itself took belongs to the time until the verdict.
        let elapsed_ns = parts.pauses.charged(self.slot.started_ns(), monotonic_ns());
        self.next_look_ns = now_ns.saturating_add(elapsed_ns.max(self.slot.slow_after_ns()));
        if let Some(victims) = parts.victims.get(&self.id) {
            verdict.victims = Some(victims.count);
            verdict.victim_ids = victims.first.clone();
        }
        if let Some(hog) = &verdict.victim_of {
            parts
                .victims
                .entry(hog.clone())
                .or_default()
                .add(&self.id, self.looks == 1);
        }
        if self.at_shutdown {
            let cause = verdict.cause;
            verdict.cause = format!("in flight when the process was shut down; {cause}");
        }
        let story = story::snapshot(self.slot);
        // Of a later look the story is not handed on: its end tells what has happened since the first.
        if !self.filed {
            self.told_ns = story.as_ref().map(story::Snapshot::at_ns);
        }
        let mut case = Case {
            event: if self.filed {
                Event::Updated
            } else {
                Event::Caught
            },
            id: self.id.clone(),
            fingerprint,
            occurrences: 0,
            copied: self.copied.clone(),
            labels,
            children,
            trace: self.trace.clone(),
            record: RecordAt::of(self.slot),
            phase: self.phase(&found.observed),
            at: SystemTime::now(),
            started: self.started,
            elapsed_ns,
            slow_after_ns: self.slot.slow_after_ns(),
            verdict,
            is_early: self.at_shutdown && elapsed_ns < self.slot.slow_after_ns(),
            if_it_yields,
            observed: found.observed,
            thread: found.thread,
            stacks: found.stacks,
            futures: found.futures,
            calls: calls.open.into_iter().chain(calls.recent).collect(),
            story,
            started_ns: self.slot.started_ns(),
            looked_ns: now_ns,
            throttled_ns: parts.clocks.throttled_since(self.slot.started_ns()),
        };
        let mut verdict = std::mem::take(&mut case.verdict);
        case.spare(&mut verdict);
        case.verdict = verdict;
        case
    }
}

/// Whether what a look has found may be the wait for a child: anything but a poll that stands.
fn may_wait_for_a_child(observed: &Observed) -> bool {
    let memory = observed.memory.as_ref();
    // Whoever it is that fills a channel.
    let grows = memory.is_some_and(|m| m.by_children_bytes > 0 && grows(m, observed.slow_after_ms));
    let waits = matches!(
        observed.look,
        Some(Look::Polled { pending: true, .. } | Look::Forbidden)
    );
    (waits || grows) && observed.poll.is_none()
}

/// Whether what a look has found may be the wait for a closure of which nothing can be seen: no child, no host, and a
/// leaf that is not woken.
fn may_wait_for_a_thread(gathering: &Gathering) -> bool {
    let is_alone = gathering
        .children
        .as_ref()
        .is_some_and(ChildLooks::is_empty);
    let found = gathering.found.as_ref().map(|found| &found.observed);
    found.is_some_and(|observed| {
        let waits = matches!(
            observed.look,
            Some(Look::Polled { pending: true, leaves, .. }) if leaves > 0
        );
        let elsewhere = !observed.calls.is_empty() || !observed.sockets.is_empty();
        is_alone && waits && !elsewhere && observed.polling.is_none()
    })
}

/// How often and how early standing polls are sampled, from the shortest threshold.
pub(super) fn pace(shortest_ns: u64) -> Pace {
    Pace {
        early_ns: (shortest_ns / 4).min(100_000_000),
        every_ns: (shortest_ns / 24).clamp(5_000_000, 100_000_000),
    }
}
