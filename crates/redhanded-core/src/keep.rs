//! ⑦ Which requests are exported whole: those that are caught, those that fail, and a thin baseline.
//!
//! The baseline is decided by the trace id, as OpenTelemetry's `TraceIdRatioBased` does it, so that
//! every service that keeps the same share keeps the same traces. A request without a `traceparent`
//! has no id before somebody asks for it: it is chosen by its thread's countdown instead, and gets an
//! id that says the same.

use crate::case::Message;
use crate::copied::{TraceIds, kind, parse};
use crate::engine::Engine;
use crate::family;
use crate::registry::{Fact, Label, Slot, Stage};
use crate::story::{self, Detached};
use rand::RngExt;
use redhanded_capture::monotonic_ns;
use redhanded_report::{How, Outcome, Request};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::mpsc::SyncSender;
use std::time::{Duration, SystemTime};

/// Why a request is exported whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Why {
    /// It was caught; it may be running still.
    Caught,
    /// It was answered with a status of 5xx, or it panicked.
    Failed,
    /// It is one of the baseline, and like many others.
    Sampled,
}

impl Why {
    /// In one word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Caught => "caught",
            Self::Failed => "failed",
            Self::Sampled => "sampled",
        }
    }
}

/// A request that is exported whole, redacted.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Kept {
    /// Why.
    pub why: Why,
    /// The id that its reports carry, if it was caught.
    pub id: Option<String>,
    /// W3C trace id, 32 hex digits.
    pub trace_id: String,
    /// Span id of the request's own SERVER span, 16 hex digits.
    pub span_id: String,
    /// Span id of the caller.
    pub parent_span_id: Option<String>,
    /// What was asked.
    pub request: Request,
    /// When it began.
    pub started: SystemTime,
    /// How it ended; `None` while it runs.
    pub outcome: Option<Outcome>,
    /// What it has told of itself.
    pub told: crate::told::Told,
    /// Until when that was told before, in nanoseconds since its start: what ended before then is known.
    pub told_until_ns: Option<u64>,
}

impl Kept {
    /// One of which nothing more is known; for those who test a sink.
    pub fn new(why: Why, started: SystemTime) -> Self {
        Self {
            why,
            id: None,
            trace_id: String::new(),
            span_id: String::new(),
            parent_span_id: None,
            request: Request::default(),
            started,
            outcome: None,
            told: crate::told::Told::default(),
            told_until_ns: None,
        }
    }
}

/// A request that is to be kept, as its own thread has left it.
pub(crate) struct Finished {
    pub(crate) why: Why,
    pub(crate) copied: Vec<Fact>,
    pub(crate) labels: Vec<Label>,
    pub(crate) trace: TraceIds,
    pub(crate) how: How,
    pub(crate) status: Option<u16>,
    pub(crate) started_ns: u64,
    pub(crate) started: SystemTime,
    pub(crate) total_ns: u64,
    pub(crate) story: Option<Detached>,
}

/// Whom an install tells of requests that it keeps, and which.
#[derive(Debug)]
pub(crate) struct Keeping {
    clerk: SyncSender<Message>,
    rule: Rule,
    /// Requests that wait for the clerk.
    waiting: AtomicU32,
    failures: Failures,
}

/// Requests that may wait for the clerk: what is caught comes the same way, and must find room.
const WAITING: u32 = 64;
/// Failures that are kept in one second: a database that dies fails every request, and a hundred say why.
const FAILURES_A_SECOND: u32 = 100;

/// How many failures there were in the present second: which one above, how many below.
#[derive(Debug, Default)]
struct Failures(AtomicU64);

impl Failures {
    /// Whether one more is kept at `now_ns`.
    fn admit(&self, now_ns: u64) -> bool {
        let second = (now_ns / 1_000_000_000) << 32;
        let count = |seen: u64| {
            if seen >> 32 << 32 == second {
                seen as u32
            } else {
                0
            }
        };
        let next = |seen| {
            let count = count(seen);
            (count < FAILURES_A_SECOND).then_some(second | u64::from(count + 1))
        };
        let (set, fetch) = (Ordering::Relaxed, Ordering::Relaxed);
        self.0.fetch_update(set, fetch, next).is_ok()
    }
}

impl Keeping {
    pub(crate) fn new(clerk: SyncSender<Message>, one_in: u32) -> Self {
        Self {
            clerk,
            rule: Rule::one_in(one_in),
            waiting: AtomicU32::new(0),
            failures: Failures::default(),
        }
    }

    /// Hands a request to the clerk; `false` if there is no room for it.
    fn send(&self, finished: impl FnOnce() -> Finished) -> bool {
        if self.waiting.fetch_add(1, Ordering::Relaxed) < WAITING {
            let message = Message::Kept(Box::new(finished()));
            if self.clerk.try_send(message).is_ok() {
                return true;
            }
        }
        self.taken();
        false
    }

    /// The clerk has taken one.
    pub(crate) fn taken(&self) {
        self.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

/// One trace id of so many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rule {
    one_in: u32,
}

/// Of the low half of a trace id these bits say whether it is kept.
const BITS: u32 = 63;

impl Rule {
    /// None for zero.
    pub(crate) const fn one_in(one_in: u32) -> Self {
        Self { one_in }
    }

    /// What lies below is kept. In the sampler's arithmetic, which knows a ratio as a `f64`: else the ids next to the
    /// bound were judged differently.
    fn bound(self) -> u64 {
        let ratio = 1.0 / f64::from(self.one_in.max(1));
        (ratio * (1_u64 << BITS) as f64) as u64
    }

    fn keeps(self, low: u64) -> bool {
        self.one_in != 0 && low >> 1 < self.bound()
    }

    /// Whether a trace id, 32 hex digits, is kept.
    pub(crate) fn keeps_id(self, trace_id: &str) -> bool {
        let low = trace_id.get(16..).map(|low| u64::from_str_radix(low, 16));
        low.is_some_and(|low| low.is_ok_and(|low| self.keeps(low)))
    }

    /// A random trace id that is kept, or is not.
    pub(crate) fn new_id(self, kept: bool) -> String {
        let mut random = rand::rng();
        let high: u64 = random.random();
        let bound = self.bound();
        let low = match (self.one_in, kept) {
            // There is no such id: any will do.
            (0, _) | (1, false) => random.random_range(1..=u64::MAX),
            (_, true) => random.random_range(0..bound) << 1 | 1,
            (_, false) => random.random_range(bound..1 << BITS) << 1 | random.random_range(0..=1),
        };
        format!("{high:016x}{low:016x}")
    }

    /// Whether a request is kept that was picked for `counted` of its like.
    fn keeps_one_of(self, counted: u16) -> bool {
        self.one_in != 0 && rand::random_range(0..self.one_in) < u32::from(counted)
    }
}

/// The rule that a trace id is made by, where nobody keeps anything.
pub(crate) const NONE: Rule = Rule::one_in(0);

impl Engine {
    /// The rule of the install of `slot`.
    pub(crate) fn rule_of(slot: &Slot) -> Rule {
        let engine = Self::try_of(slot.key);
        let keeping = engine.and_then(|engine| engine.keeping.get());
        keeping.map_or(NONE, |keeping| keeping.rule)
    }

    /// How many requests a pick may stand for on average, so that the baseline gets its share: one may stand for
    /// twice as many, and none for more than the baseline has one of.
    pub(crate) fn at_most_one_in(&self) -> u32 {
        match self.keeping.get().map_or(0, |keeping| keeping.rule.one_in) {
            0 => u32::MAX,
            one_in => one_in / 2 + one_in % 2,
        }
    }
}

/// The request that is being opened in `slot` brings a `traceparent`: that decides.
#[cold]
#[inline(never)]
pub(crate) fn decide(slot: &Slot, traceparent: &[u8]) {
    let rule = Engine::rule_of(slot);
    if rule != NONE && parse(traceparent).is_some_and(|(id, ..)| rule.keeps_id(&id)) {
        slot.set_keep();
    }
}

/// The request that is being opened in `slot` was picked for `counted` of its like.
pub(crate) fn picked(slot: &Slot, counted: u16) {
    if Engine::rule_of(slot).keeps_one_of(counted) && !slot.has_fact(kind::TRACEPARENT) {
        slot.set_keep();
    }
}

/// Why the request in `slot` is kept, which ends `how`, if it is not for having been caught.
fn why(slot: &Slot, how: How) -> Option<Why> {
    let failed = how == How::Panicked || slot.status().is_some_and(|status| status >= 500);
    match (failed, slot.is_keep()) {
        (true, _) => Some(Why::Failed),
        (false, true) => Some(Why::Sampled),
        (false, false) => None,
    }
}

/// Whether somebody is told of the request in `slot`, which ends `how`: its trace is there to be found.
#[cold]
pub(crate) fn is_kept(slot: &Slot, how: How) -> bool {
    let kept = || Engine::try_of(slot.key).is_some_and(|engine| engine.keeping.get().is_some());
    slot.hand.is_kept() || (why(slot, how).is_some() && kept())
}

/// The request in `slot` ends, and it may be one that is kept. Its thread waits for nobody.
#[cold]
#[inline(never)]
pub(crate) fn offer(slot: &Slot, how: How) {
    // Who was caught is told of by the watchdog.
    if slot.is_child() || slot.stage() == Stage::Head || slot.hand.is_kept() {
        return;
    }
    let Some(why) = why(slot, how) else {
        return;
    };
    let Some(engine) = Engine::try_of(slot.key) else {
        return;
    };
    if let Some(keeping) = engine.keeping.get() {
        let is_one_too_many = why == Why::Failed && !keeping.failures.admit(monotonic_ns());
        if is_one_too_many || !keeping.send(|| finish(slot, why, how)) {
            engine.counts.lost_kept();
        }
    }
}

fn finish(slot: &Slot, why: Why, how: How) -> Finished {
    let generation = slot.hand.generation();
    let copied = slot.facts.read();
    let trace = family::with_trace(slot, generation, TraceIds::clone);
    let trace = trace.unwrap_or_else(|| TraceIds::of(&copied, Engine::rule_of(slot), false));
    let labels = slot.extra_if_any(generation, |extra| extra.labels().0);
    let total_ns = monotonic_ns().saturating_sub(slot.started_ns());
    let now = SystemTime::now();
    Finished {
        why,
        copied,
        labels: labels.unwrap_or_default(),
        trace,
        how,
        status: slot.status(),
        started_ns: slot.started_ns(),
        started: now
            .checked_sub(Duration::from_nanos(total_ns))
            .unwrap_or(now),
        total_ns,
        story: story::detach(slot),
    }
}

#[cfg(all(test, not(redhanded_loom)))]
mod tests {
    use super::*;

    #[test]
    fn an_id_says_whether_it_is_kept() {
        for one_in in [1, 2, 3, 1000, u32::MAX] {
            let rule = Rule::one_in(one_in);
            for _ in 0..1000 {
                assert!(rule.keeps_id(&rule.new_id(true)));
                assert_eq!(rule.keeps_id(&rule.new_id(false)), one_in == 1);
            }
        }
        assert!(!NONE.keeps_id(&NONE.new_id(true)));
        for odd in ["", "0af7651916cd43dd", "0af7651916cd43ddé448eb211c80319c"] {
            assert!(!Rule::one_in(1).keeps_id(odd));
        }
    }

    #[test]
    fn the_share_is_kept() {
        let rule = Rule::one_in(1000);
        let kept = (0..1_000_000).filter(|_| rule.keeps(rand::random()));
        let kept = kept.count();
        assert!((800..1200).contains(&kept), "{kept} of a million");
        // Requests that are picked one in 256 stand for 256.
        let kept = (0..4_000).filter(|_| rule.keeps_one_of(256)).count();
        assert!((900..1150).contains(&kept), "{kept} of 4,000");
    }

    #[test]
    fn failures_are_bounded_by_the_second() {
        let failures = Failures::default();
        for second in 5..8_u64 {
            let admitted = (0..1000).filter(|n| failures.admit(second * 1_000_000_000 + n));
            assert_eq!(admitted.count(), FAILURES_A_SECOND as usize);
        }
    }

    #[test]
    fn the_bound_is_that_of_a_ratio() {
        // That OpenTelemetry's sampler decides alike is tested beside the exporter, with the real one.
        let id = |low: u64| format!("{:016x}{low:016x}", 1);
        for (one_in, ratio) in [(2, 0.5_f64), (3, 1.0 / 3.0), (1000, 0.001)] {
            let rule = Rule::one_in(one_in);
            let bound = (ratio * 2_f64.powi(63)) as u64;
            assert!(rule.keeps_id(&id((bound - 1) << 1 | 1)));
            assert!(!rule.keeps_id(&id(bound << 1)));
        }
    }
}
