//! ③ to ⑤: the thread outside of every runtime that sees who is overdue, looks, and judges.
//!
//! It never does I/O but reading `/proc`, never takes a lock that a request waits for, and works
//! when every worker is blocked. What it finds it hands to the clerk.

mod blocking;
mod burst;
mod calls;
mod children;
mod clocks;
mod crowd;
mod episodes;
mod fingerprint;
mod growth;
mod health;
mod holders;
mod last_look;
mod listeners;
mod look;
mod open_case;
mod pauses;
mod pool_probe;
mod record;
mod sockets;
mod spinning;
mod standing;
mod storm;
mod trouble;
mod wedged;

use crate::case::{Case, Ended, Message};
use crate::engine::{Engine, nanos};
use crate::family;
use crate::memory;
use crate::metrics::Judged;
use crate::pulse;
use crate::registry::{After, Fact, Key, Slot, Stage};
use crate::story;
pub(crate) use blocking::blocking_threads;

use blocking::PoolLooks;
use burst::Bursts;
use clocks::Clocks;
use growth::Growths;
use health::HealthLooks;
use last_look::LastLook;
use listeners::ListenerLooks;
use open_case::OpenCase;
use pauses::Pauses;
use pool_probe::PoolProbes;
use redhanded_capture::Sampler;
use redhanded_capture::{monotonic_ns as now_ns, thread_cpu_ns, tune_quick_ns};
use redhanded_report::Event;
use standing::{Pace, StandingPolls};
use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{SyncSender, TrySendError};
use std::time::{Duration, SystemTime};
use storm::{Storm, route_of};
use wedged::WorkerLooks;

/// While a look is under way.
const LOOKING_NS: u64 = 1_000_000;
/// While requests become overdue that are only counted, as nearly all of a storm's are: so many at a time cost less.
const STORM_NS: u64 = 10_000_000;
/// Without a request in flight it keeps on for so long before it parks.
const LINGER_NS: u64 = 1_000_000_000;
/// With a listener it parks for no longer than that: its queue has to be looked at.
const PARKED_AT_MOST: Duration = Duration::from_secs(1);
/// Caught requests that are followed until they end; beyond that they are only counted.
const OPEN_CASES: usize = 1000;
/// How many victims a culprit names.
const NAMED_VICTIMS: usize = 10;

/// The watchdog of one install.
pub(crate) struct Watchdog {
    engine: &'static Engine,
    clerk: SyncSender<Message>,
    sampler: Sampler,
    pauses: Pauses,
    clocks: Clocks,
    /// A pause of this length has a record.
    long_pause_ns: u64,
    listeners: ListenerLooks,
    workers: WorkerLooks,
    health: HealthLooks,
    last_look: Option<LastLook>,
    pool: PoolLooks,
    probes: PoolProbes,
    storm: Storm,
    standing: StandingPolls,
    bursts: Bursts,
    growths: Growths,
    open: Vec<OpenCase>,
    victims: HashMap<String, Victims>,
    pace: Pace,
    /// Time between two rounds with nothing special going on.
    round_ns: u64,
    idle_since_ns: Option<u64>,
    /// In this round somebody was overdue whose like had been looked at often enough.
    passed_over: bool,
    prepared: bool,
    /// Progress of bodies, and since when there was no more of it.
    progress: HashMap<Key, Progress>,
    /// When all records of the flight recorder were brought up to date.
    recorded_ns: u64,
}

/// What a body had sent when it was last seen to move.
struct Progress {
    generation: u32,
    frames: u32,
    since_ns: u64,
}

/// What a case needs of the watchdog.
struct Parts<'a> {
    engine: &'static Engine,
    sampler: &'a mut Sampler,
    standing: &'a mut StandingPolls,
    bursts: &'a mut Bursts,
    growths: &'a Growths,
    pauses: &'a Pauses,
    clocks: &'a Clocks,
    probes: &'a mut PoolProbes,
    victims: &'a mut HashMap<String, Victims>,
    pace: Pace,
}

/// Who is late because of one request.
#[derive(Default)]
struct Victims {
    count: u64,
    first: Vec<String>,
}

impl Victims {
    fn add(&mut self, id: &str, new: bool) {
        self.count += u64::from(new);
        if new && self.first.len() < NAMED_VICTIMS {
            self.first.push(id.to_owned());
        }
    }
}

/// When to run again.
enum Next {
    At(u64),
    WhenWoken,
}

impl Watchdog {
    pub(crate) fn new(
        engine: &'static Engine,
        sampler: Sampler,
        clerk: SyncSender<Message>,
    ) -> Self {
        let rules = engine.config.routes.iter();
        let routes = rules.filter_map(|(_, rule)| rule.slow_after.map(nanos));
        let shortest_ns = routes
            .chain([engine.slow_after_ns])
            .min()
            .unwrap_or(engine.slow_after_ns);
        Self {
            engine,
            clerk,
            sampler,
            pauses: Pauses::default(),
            clocks: Clocks::open(),
            long_pause_ns: trouble::long_pause_ns(shortest_ns),
            listeners: ListenerLooks::new(engine.slow_after_ns),
            workers: WorkerLooks::new(engine.slow_after_ns),
            health: HealthLooks::new(engine.health.limits()),
            last_look: None,
            pool: PoolLooks::new(engine.slow_after_ns),
            probes: PoolProbes::default(),
            storm: Storm::default(),
            standing: StandingPolls::default(),
            bursts: Bursts::new(),
            growths: Growths::default(),
            open: Vec::new(),
            victims: HashMap::new(),
            pace: open_case::pace(shortest_ns),
            round_ns: (shortest_ns / 8).clamp(5_000_000, 100_000_000),
            idle_since_ns: None,
            passed_over: false,
            prepared: false,
            progress: HashMap::new(),
            recorded_ns: 0,
        }
    }

    /// Runs until the engine ends. A panic of ours is counted and the round forgotten.
    pub(crate) fn run(mut self) {
        memory::keep_own_books();
        self.pauses.expect(now_ns());
        while !self.engine.has_ended() {
            let now_ns = now_ns();
            let asked = self.sampler.asked();
            let next = catch_unwind(AssertUnwindSafe(|| self.tick(now_ns))).unwrap_or_else(|_| {
                self.engine.counts.internal_error();
                self.standing.forget();
                Next::At(now_ns + self.round_ns)
            });
            self.tell_punctuality(now_ns);
            let samples = self.sampler.asked() - asked;
            let may_take_ns = samples.saturating_mul(nanos(standing::PATIENCE));
            self.sleep(next, now_ns.saturating_add(may_take_ns));
        }
        self.file_ends();
    }

    /// Tells for metrics how long the round took that began at `began_ns`.
    fn tell_punctuality(&self, began_ns: u64) {
        if let Some(counted) = self.engine.meter.counted() {
            let watch = &counted.watch;
            watch.rounds.record(now_ns().saturating_sub(began_ns));
            watch.late.record(self.pauses.late_ns(began_ns));
            watch.set_cpu_ns(thread_cpu_ns().unwrap_or(0));
        }
    }

    /// Until the next round, after one that may have taken until `may_end_ns`.
    fn sleep(&mut self, next: Next, may_end_ns: u64) {
        match next {
            Next::At(at_ns) => {
                let now_ns = now_ns();
                std::thread::park_timeout(Duration::from_nanos(at_ns.saturating_sub(now_ns)));
                self.pauses.expect_after_round(at_ns, now_ns, may_end_ns);
            }
            Next::WhenWoken => {
                self.engine.parking();
                // Looked at after the announcement: who opened before it is seen here, who opens
                // after it sees the announcement.
                if !self.engine.registry.any_live() && !self.engine.has_ended() {
                    if self.engine.listeners.any() {
                        std::thread::park_timeout(PARKED_AT_MOST);
                    } else {
                        std::thread::park();
                    }
                }
                let by_itself = self.engine.watching();
                let now_ns = now_ns();
                // After a look at the listeners it parks again; only a request makes it linger.
                self.idle_since_ns = by_itself.then_some(now_ns.saturating_sub(LINGER_NS));
                self.pauses.expect(now_ns);
                self.clocks.note(now_ns);
            }
        }
    }

    /// One round: who is overdue, who stands still, what do they do, what is the verdict.
    fn tick(&mut self, now_ns: u64) -> Next {
        pulse::set(now_ns);
        tune_quick_ns();
        self.engine.health.beat(now_ns);
        self.notice_pause(now_ns); // ③
        self.clocks.note(now_ns);
        self.keep_records(now_ns);
        let earliest = self.find_overdue(now_ns); // ③
        self.standing.notice(now_ns); // ③
        self.watch_growth(now_ns); // ③
        self.look_at_late_hogs(now_ns); // ③
        self.sample_standing(now_ns); // ④
        self.look_before_the_end(now_ns); // ③
        self.look_at_open_cases(now_ns); // ④ ⑤
        self.file_ends();
        self.look_at_listeners(now_ns); // ③ ⑤
        self.look_at_workers(now_ns); // ③ ④ ⑤
        self.look_at_blocking_pool(now_ns); // ③ ⑤
        self.engine.baseline.collect();
        let next = self.next(now_ns, earliest);
        self.next_before_the_end(next, now_ns)
    }

    fn find_overdue(&mut self, now_ns: u64) -> Option<u64> {
        let mut overdue = Vec::new();
        let earliest = self.engine.registry.due(now_ns, |slot| overdue.push(slot));
        // Looks are few: who stands in a poll is what the others may wait for.
        overdue.sort_by_key(|slot: &&'static Slot| !slot.poll_mark().inside());
        for slot in overdue {
            self.overdue(slot, now_ns);
        }
        earliest
    }

    /// A slot whose time has come: catches its request, unless time or a stream's frames excuse it.
    fn overdue(&mut self, slot: &'static Slot, now_ns: u64) {
        let Some(generation) = slot.hand.pin(None) else {
            return;
        };
        if slot.hand.is_kept() {
            // Caught before another threshold was set, or a child that is being looked at.
            slot.rearm(now_ns.saturating_add(slot.slow_after_ns()));
            let _ = slot.hand.unpin(false);
            return;
        }
        let keep = match self.excused_until(slot, generation, now_ns) {
            Some(due_ns) => {
                slot.rearm(due_ns);
                false
            }
            None => {
                slot.rearm(u64::MAX);
                slot.set_ended_ns(0);
                self.catch(slot, now_ns)
            }
        };
        if slot.hand.unpin(keep) == After::Recycle {
            slot.recycle_seen();
        }
    }

    /// When to look again at a slot that is not overdue after all.
    fn excused_until(&mut self, slot: &'static Slot, generation: u32, now_ns: u64) -> Option<u64> {
        let age_ns = self.pauses.charged(slot.started_ns(), now_ns);
        let slow_after_ns = slot.slow_after_ns();
        if age_ns < slow_after_ns {
            return Some(now_ns + (slow_after_ns - age_ns));
        }
        if let Some(told_ns) = slot.told_ns() {
            let idle_ns = self.pauses.charged(told_ns, now_ns);
            if idle_ns < slow_after_ns {
                return Some(now_ns + (slow_after_ns - idle_ns));
            }
        }
        if !std::ptr::eq(family::reported_by(slot), slot) {
            return Some(now_ns + slow_after_ns);
        }
        match slot.stage() {
            Stage::LongLived => self.stands_until(slot, now_ns),
            stage if stage.is_stream() || stage.awaits_client() => {
                let stands_ns = self.stands_until(slot, now_ns)?;
                Some(stands_ns.min(self.moves_until(slot, generation, now_ns)?))
            }
            _ => None,
        }
    }

    /// When the poll that it is inside of will have stood for too long, or one that begins now;
    /// `None` if it has. A stream that works is found inside a poll most of the time, and each of
    /// them has only just begun.
    fn stands_until(&self, slot: &Slot, now_ns: u64) -> Option<u64> {
        let stood_ns = self.standing.stood_ns(slot, now_ns);
        let left_ns = slot.slow_after_ns().saturating_sub(stood_ns);
        (left_ns > 0).then_some(now_ns + left_ns)
    }

    /// When a body will have been idle for too long, if it moves no more; `None` if it has been.
    fn moves_until(&mut self, slot: &Slot, generation: u32, now_ns: u64) -> Option<u64> {
        let frames = slot.progress();
        let known = self.progress.get(&slot.key);
        let same = known.filter(|p| (p.generation, p.frames) == (generation, frames));
        let since_ns = same.map_or(now_ns, |p| p.since_ns);
        if same.is_none() {
            let progress = Progress {
                generation,
                frames,
                since_ns,
            };
            self.progress.insert(slot.key, progress);
        }
        let idle_ns = self.pauses.charged(since_ns, now_ns);
        let left_ns = slot.slow_after_ns().saturating_sub(idle_ns);
        (left_ns > 0).then_some(now_ns + left_ns)
    }

    /// Catches an overdue request; `false` when its like were looked at enough for now. Counted either way.
    fn catch(&mut self, slot: &'static Slot, now_ns: u64) -> bool {
        self.engine.counts.caught();
        let opened = self.open_case(slot, now_ns);
        if !opened {
            self.engine.counts.repeat();
            self.passed_over = true;
            // In a storm of thousands nothing of them is copied for nobody.
            if self.engine.meter.counted().is_some() {
                self.count(&slot.facts.read(), Judged::Unlooked);
            }
        }
        opened
    }

    /// Opens a case; `false` when its like were looked at enough for now.
    fn open_case(&mut self, slot: &'static Slot, now_ns: u64) -> bool {
        let route = route_of(&slot.facts);
        if self.open.len() >= OPEN_CASES {
            self.storm.pass(route, now_ns);
            return false;
        }
        if !self.storm.may_look(route, now_ns) {
            return false;
        }
        let (id, copied) = (family::id_of(slot), slot.facts.read());
        self.open
            .push(OpenCase::new(slot, id, copied, route, now_ns));
        true
    }

    /// Who was caught as a victim, or passed over because its like had lines enough, and now keeps a worker
    /// for a whole threshold itself, is looked at for that.
    fn look_at_late_hogs(&mut self, now_ns: u64) {
        for (slot, generation) in self.standing.unseen(now_ns) {
            let is_its = |case: &&mut OpenCase| std::ptr::eq(case.slot, slot);
            if let Some(case) = self.open.iter_mut().find(is_its) {
                case.next_look_ns = case.next_look_ns.min(now_ns);
                continue;
            }
            // Who was not caught yet is when it is overdue, and a child by its request.
            let was_caught = slot.due_ns() == u64::MAX;
            let is_own = std::ptr::eq(family::reported_by(slot), slot);
            if !(was_caught && is_own) || slot.hand.pin(Some(generation)).is_none() {
                continue;
            }
            let mut keep = false;
            if !slot.hand.is_kept() {
                slot.set_ended_ns(0);
                keep = self.open_case(slot, now_ns);
            }
            if slot.hand.unpin(keep) == After::Recycle {
                slot.recycle_seen();
            }
        }
    }

    fn sample_standing(&mut self, now_ns: u64) {
        let any = self.standing.sample(&mut self.sampler, self.pace, now_ns);
        if any && !self.prepared {
            let stack = self.standing.any_stack();
            self.prepared =
                stack.is_some_and(|stack| self.clerk.try_send(Message::Prepare(stack)).is_ok());
        }
    }

    fn look_at_open_cases(&mut self, now_ns: u64) {
        let mut parts = Parts {
            engine: self.engine,
            sampler: &mut self.sampler,
            standing: &mut self.standing,
            bursts: &mut self.bursts,
            growths: &self.growths,
            pauses: &self.pauses,
            clocks: &self.clocks,
            probes: &mut self.probes,
            victims: &mut self.victims,
            pace: self.pace,
        };
        let mut found = Vec::new();
        for (index, open) in self.open.iter_mut().enumerate() {
            open.look_again(parts.growths, now_ns);
            found.extend(open.advance(&mut parts, now_ns).map(|case| (index, case)));
        }
        for (index, case) in found {
            self.file(index, case, now_ns);
        }
    }

    /// Hands a judged case to the clerk, unless its like have had lines enough.
    fn file(&mut self, index: usize, mut case: Case, now_ns: u64) {
        let Some(open) = self.open.get_mut(index) else {
            return;
        };
        open.spins = health::spins(&case.verdict);
        let slot = open.slot;
        self.record_case(slot, &case, now_ns);
        let Some(open) = self.open.get_mut(index) else {
            return;
        };
        let first = case.event == Event::Caught;
        if first {
            let booked = self.storm.book(open.route, case.fingerprint, now_ns);
            open.fingerprint = Some(case.fingerprint);
            case.occurrences = booked.occurrences;
            self.engine.counts.evicted(self.storm.take_evicted());
            if !(booked.line || open.at_shutdown) {
                self.engine.counts.repeat();
                open.dismissed = true;
                self.count(&case.copied, Judged::As(&case.verdict));
                return;
            }
        }
        case.fingerprint = open.fingerprint.unwrap_or(case.fingerprint);
        case.occurrences = case
            .occurrences
            .max(self.storm.occurrences(case.fingerprint));
        let filed = self.send_case(case, first);
        if let Some(open) = self.open.get_mut(index) {
            open.filed |= filed;
        }
    }

    /// Counts for metrics a caught request that the clerk does not hear of.
    fn count(&self, copied: &[Fact], judged: Judged<'_>) {
        if let Some(counted) = self.engine.meter.counted() {
            counted.runaways.count(copied, judged, None);
        }
    }

    /// Closes the cases whose requests have ended, and those that need no line.
    ///
    /// One by one, so that a panic of ours costs one case and keeps no other's slot.
    fn file_ends(&mut self) {
        // Not while a look is under way: its line comes before its end.
        let is_over = |case: &OpenCase| {
            case.gathering.is_none() && (case.dismissed || case.slot.hand.has_ended())
        };
        while let Some(index) = self.open.iter().position(is_over) {
            let case = self.open.swap_remove(index);
            self.close(&case);
        }
    }

    fn close(&mut self, case: &OpenCase) {
        let slot = case.slot;
        let ending = slot.ending();
        let at_ns = ending.at_ns.unwrap_or_else(now_ns);
        let total_ns = self.pauses.charged(slot.started_ns(), at_ns);
        if case.filed {
            let id = case.id.clone();
            self.send(Message::Ended(Box::new(Ended {
                id,
                ending,
                at: SystemTime::now(),
                started: case.started,
                started_ns: slot.started_ns(),
                total_ns,
                story: story::snapshot(slot),
                told_ns: case.told_ns,
            })));
        }
        self.victims.remove(&case.id);
        self.progress.remove(&slot.key);
        if slot.hand.release() == After::Recycle {
            slot.recycle_seen();
        }
    }

    /// The clerk counts the cases that it gets; one that it does not get is counted here, if it is the first of its
    /// request.
    fn send_case(&self, case: Case, first: bool) -> bool {
        let refused = self.offer(Message::Case(Box::new(case))).err();
        if let Some(Message::Case(case)) = &refused
            && first
            && !case.is_early
        {
            self.count(&case.copied, Judged::As(&case.verdict));
        }
        refused.is_none()
    }

    fn send(&self, message: Message) -> bool {
        self.offer(message).is_ok()
    }

    /// Never waits: a clerk that hangs on a disk must not blind us. Gives back what could not be handed over, counted as
    /// lost.
    fn offer(&self, message: Message) -> Result<(), Message> {
        self.clerk.try_send(message).map_err(|refused| {
            self.engine.counts.lost_report();
            let (TrySendError::Full(message) | TrySendError::Disconnected(message)) = refused;
            message
        })
    }

    fn next(&mut self, now_ns: u64, earliest_ns: Option<u64>) -> Next {
        let passed_over = std::mem::take(&mut self.passed_over);
        if self.open.iter().any(|c| c.gathering.is_some()) {
            return Next::At(now_ns + LOOKING_NS);
        }
        // A chunk's due time outlives its requests: whether any is in flight is seen by looking.
        let quiet = self.open.is_empty() && self.standing.is_empty() && self.health.is_settled();
        let idle = quiet && (earliest_ns.is_none() || !self.engine.registry.any_live());
        if !idle {
            self.idle_since_ns = None;
            let soonest_ns = now_ns + if passed_over { STORM_NS } else { LOOKING_NS };
            let due_ns = earliest_ns.unwrap_or(u64::MAX).max(soonest_ns);
            return Next::At((now_ns + self.round_ns).min(due_ns));
        }
        // Nobody is in flight: what is remembered of requests is of no use to anybody.
        self.progress.clear();
        self.victims.clear();
        let since_ns = *self.idle_since_ns.get_or_insert(now_ns);
        if now_ns.saturating_sub(since_ns) >= LINGER_NS {
            self.idle_since_ns = None;
            if let Some(recorder) = &self.engine.recorder {
                recorder.rests();
            }
            return Next::WhenWoken;
        }
        Next::At(now_ns + self.round_ns)
    }
}
