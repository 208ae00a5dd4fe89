//! Which workers are held by what stands in this process: what readiness goes by.
//!
//! Whether a poll is late does not count, and whoever sleeps on a socket waits for somebody else: that a database is
//! dead must not take its clients out of service as well. What cannot be told counts as somebody else's doing.

use super::Watchdog;
use super::standing::Standing;
use super::wedged::{Steps, steps};
use crate::copied::kind;
use crate::family;
use crate::health::{Holder, Limits, Node, RuntimeLook, plain};
use crate::registry::Slot;
use crate::runtimes::RuntimeSeen;
use crate::worker::Worker;
use redhanded_capture::{Activity, SleepsOn, any_waits_for_a_peer, sleeps_on};
use redhanded_report::{Class, Confidence, Role, Verdict};
use std::collections::HashMap;

/// Who was told to sleep, or backs off, goes on by itself: it has to stand for so many times the limit.
const SLEEPS: u64 = 10;
/// Who is on the CPU has to have used up one part in so many of the limit: on a crowded machine many a poll stands
/// because it waits for a CPU.
const RAN: u64 = 3;

/// What is remembered from look to look.
pub(super) struct HealthLooks {
    node: Node,
    limits: Limits,
    runtimes: HashMap<u64, Remembered>,
}

/// A runtime whose workers may stand.
#[derive(Default)]
struct Remembered {
    /// What none of its workers has changed, since when.
    steps: Option<(Steps, u64)>,
    /// What each worker has not changed, since when.
    each: Vec<Option<((u64, u64), u64)>>,
    /// Of threads in no watched poll, what they had done then.
    unwatched: HashMap<u32, Activity>,
    /// For how long none of its workers had changed anything at the last look.
    all_ns: u64,
}

/// Whose doing it is that a poll does not return.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Doing {
    /// Its own: it runs.
    Loops,
    /// Its own: nobody reads what it writes.
    Blocked,
    /// That of whoever has the lock.
    Waits,
    /// Its own, and it will go on.
    Sleeps,
    /// Somebody else's, or it is not known whose.
    Others,
}

/// A watched poll that stands on a worker.
struct Stand {
    slot: &'static Slot,
    tid: u32,
    for_ns: u64,
    doing: Doing,
}

impl HealthLooks {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            node: Node::new(limits),
            limits,
            runtimes: HashMap::new(),
        }
    }

    /// Nothing is told that has to be taken back, and nothing stands.
    pub(super) fn is_settled(&self) -> bool {
        let stands = |known: &Remembered| known.all_ns > 0;
        self.node.is_settled() && !self.runtimes.values().any(stands)
    }

    /// For `lasted_ns` nobody ran; who stood before has stood without that.
    pub(super) fn after_pause(&mut self, lasted_ns: u64) {
        self.node.after_pause(lasted_ns);
        for known in self.runtimes.values_mut() {
            let each = known.each.iter_mut().flatten().map(|(_, since)| since);
            let all = known.steps.iter_mut().map(|(_, since)| since);
            each.chain(all)
                .for_each(|since_ns| *since_ns = since_ns.saturating_add(lasted_ns));
        }
    }
}

impl Remembered {
    /// Notes what the workers did; returns for how long all have stood, and how many stand by themselves for
    /// `limit_ns`.
    fn note(
        &mut self,
        runtime: &RuntimeSeen,
        steps: Option<Steps>,
        limit_ns: u64,
        now_ns: u64,
    ) -> (u64, u32) {
        let before = self.steps.take();
        self.steps = steps.map(|steps| match before {
            Some((known, since_ns)) if known == steps => (known, since_ns),
            _ => (steps, now_ns),
        });
        if self
            .steps
            .as_ref()
            .is_none_or(|(_, since)| *since == now_ns)
        {
            self.unwatched.clear();
        }
        let before = std::mem::take(&mut self.each);
        let each = runtime.each.iter().enumerate().map(|(at, moves)| {
            let known = before.get(at).copied().flatten();
            let same = known.filter(|(known, _)| Some(*known) == *moves);
            moves.map(|moves| (moves, same.map_or(now_ns, |(_, since_ns)| since_ns)))
        });
        self.each = each.collect();
        let stood_ns = |since_ns: u64| now_ns.saturating_sub(since_ns);
        let all_ns = self.steps.as_ref().map_or(0, |(_, since)| stood_ns(*since));
        self.all_ns = all_ns;
        let still = self.each.iter().flatten();
        let still = still.filter(|(_, since)| stood_ns(*since) >= limit_ns);
        (all_ns, still.count() as u32)
    }
}

/// Whether it was judged to keep its worker by being polled all the time.
pub(super) fn spins(verdict: &Verdict) -> bool {
    verdict.class == Class::SpinLoop
        && verdict.role == Role::Culprit
        && verdict.confidence >= Confidence::Likely
}

/// Whose doing it is that a thread stands which did `before` and does `now`.
fn doing(before: Option<&Activity>, now: &Activity, mostly_asleep: bool, limit_ns: u64) -> Doing {
    match (&now.syscall, mostly_asleep) {
        (Some(syscall), _) => match sleeps_on(syscall) {
            SleepsOn::Lock => Doing::Waits,
            SleepsOn::Output => Doing::Blocked,
            SleepsOn::Timer => Doing::Sleeps,
            _ => Doing::Others,
        },
        // It has just been woken, and sleeps again soon.
        (None, true) => Doing::Others,
        (None, false) => {
            let before = before.and_then(|before| before.cpu_ns);
            let ran_ns = now
                .cpu_ns
                .zip(before)
                .map(|(now, then)| now - then.min(now));
            match ran_ns {
                Some(ran_ns) if ran_ns >= limit_ns / RAN => Doing::Loops,
                _ => Doing::Others,
            }
        }
    }
}

impl Stand {
    /// It holds its worker, and this process is to blame; `locks_are_local` says whether it is for locks.
    fn is_local(&self, locks_are_local: bool, limit_ns: u64) -> bool {
        match self.doing {
            Doing::Loops | Doing::Blocked => true,
            Doing::Waits => locks_are_local,
            Doing::Sleeps => self.for_ns >= limit_ns.saturating_mul(SLEEPS),
            Doing::Others => false,
        }
    }

    fn holder(&self) -> Holder {
        let class = match self.doing {
            Doing::Loops => Class::CpuLoop,
            _ => Class::BlockedThread,
        };
        holder(self.slot, class, self.for_ns)
    }
}

/// A request that keeps a worker, by its route: a path or a parameter may be a secret.
fn holder(slot: &'static Slot, class: Class, for_ns: u64) -> Holder {
    let facts = slot.facts.read();
    let find = |kind| facts.iter().find(|fact| fact.kind == kind);
    let text = |kind| find(kind).map(|fact| plain(&fact.bytes));
    let job = text(kind::JOB);
    Holder {
        id: family::id_of(slot),
        class,
        method: job
            .as_ref()
            .map(|_| "JOB".to_owned())
            .or(text(kind::METHOD)),
        route: job.or(text(kind::ROUTE)),
        for_ms: for_ns as f64 / 1e6,
    }
}

impl Watchdog {
    /// Tells whether this process is ready and alive, from what its workers did since the last look.
    pub(super) fn judge_health(
        &mut self,
        seen: &[RuntimeSeen],
        threads: &[&'static Worker],
        now_ns: u64,
    ) {
        let gone = |number: &u64| seen.iter().any(|runtime| runtime.number == *number);
        self.health.runtimes.retain(|number, _| gone(number));
        let looks: Vec<RuntimeLook> = seen
            .iter()
            .map(|runtime| self.look_at_runtime(runtime, threads, now_ns))
            .collect();
        let state = self.health.node.look(&looks, now_ns);
        self.engine.health.tell(state);
    }

    fn look_at_runtime(
        &mut self,
        runtime: &RuntimeSeen,
        threads: &[&'static Worker],
        now_ns: u64,
    ) -> RuntimeLook {
        let limit_ns = self.health.limits.unready_ns;
        let steps = steps(runtime, threads);
        let known = self.health.runtimes.entry(runtime.number).or_default();
        let (all_ns, still) = known.note(runtime, steps, limit_ns, now_ns);
        let mut own = threads.to_vec();
        own.retain(|worker| worker.runtime() == runtime.number);
        let stands = self.stands_of(&own, now_ns);
        // A lock that is held by whoever waits for a peer is that peer's doing.
        let waits = stands.iter().any(|stand| stand.doing == Doing::Waits);
        let locks_are_local = !(waits && any_waits_for_a_peer());
        let mut local: Vec<&Stand> = stands
            .iter()
            .filter(|stand| stand.is_local(locks_are_local, limit_ns))
            .collect();
        local.sort_by_key(|stand| std::cmp::Reverse(stand.for_ns));
        let unwatched = if all_ns >= limit_ns {
            self.unwatched_loops(runtime.number, &own, &stands)
        } else {
            0
        };
        let workers = runtime.workers as usize;
        let all_local = workers > 0 && local.len() + unwatched >= workers;
        let spinning = self.spinning_on(runtime.number);
        let culprit = match (local.first(), spinning.first()) {
            (Some(stand), _) => Some(stand.holder()),
            (None, Some(slot)) => {
                let age_ns = self.pauses.charged(slot.started_ns(), now_ns);
                Some(holder(slot, Class::SpinLoop, age_ns))
            }
            (None, None) => None,
        };
        // A thread that has given its worker away stands, and holds none.
        local.truncate(still as usize);
        RuntimeLook {
            workers: runtime.workers,
            all_stand_ns: if all_local { all_ns } else { 0 },
            all_known: unwatched == 0,
            held_ns: local.iter().map(|stand| stand.for_ns).collect(),
            spinning: spinning.len() as u32,
            culprit,
        }
    }

    /// The watched polls that have stood for the limit on these threads, and whose doing that is.
    fn stands_of(&mut self, own: &[&'static Worker], now_ns: u64) -> Vec<Stand> {
        let limit_ns = self.health.limits.unready_ns;
        let (standing, sampler) = (&mut self.standing, &mut self.sampler);
        let stand = |worker: &&'static Worker| {
            let slot = worker.current_slot()?;
            let poll: &Standing = standing.get_mut(slot.key)?;
            let for_ns = now_ns.saturating_sub(poll.since_ns);
            if !poll.still(slot) || for_ns < limit_ns {
                return None;
            }
            let asleep = poll.is_asleep().unwrap_or(false);
            let now = sampler.activity(&poll.thread);
            Some(Stand {
                slot,
                tid: poll.thread.tid(),
                for_ns,
                doing: doing(poll.first.as_ref(), &now, asleep, limit_ns),
            })
        };
        own.iter().filter_map(stand).collect()
    }

    /// How many of these threads loop in what nobody watches, as far as that was seen since the last look.
    fn unwatched_loops(
        &mut self,
        runtime: u64,
        own: &[&'static Worker],
        stands: &[Stand],
    ) -> usize {
        let limit_ns = self.health.limits.unready_ns;
        let Some(known) = self.health.runtimes.get_mut(&runtime) else {
            return 0;
        };
        let mut loops = 0;
        for worker in own.iter().filter(|worker| worker.runs_tasks()) {
            let thread = worker.thread();
            if stands.iter().any(|stand| stand.tid == thread.tid()) {
                continue;
            }
            let now = self.sampler.activity(&thread);
            let before = known.unwatched.get(&thread.tid());
            loops += usize::from(doing(before, &now, false, limit_ns) == Doing::Loops);
            known.unwatched.entry(thread.tid()).or_insert(now);
        }
        loops
    }

    /// Requests that were judged to spin, and do so on this runtime.
    fn spinning_on(&self, runtime: u64) -> Vec<&'static Slot> {
        let on_it = |slot: &Slot| {
            let worker = Worker::at(slot.poll_mark().worker);
            worker.is_some_and(|worker| worker.runtime() == runtime)
        };
        let spin = self.open.iter().filter(|case| case.spins);
        let live = spin.filter(|case| !case.slot.hand.has_ended() && on_it(case.slot));
        live.map(|case| case.slot).collect()
    }
}

#[cfg(all(test, not(redhanded_loom)))]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;
    const LIMIT: u64 = 300 * MS;

    fn activity(cpu_ms: u64) -> Activity {
        let mut activity = Activity::default();
        activity.state = Some('R');
        activity.cpu_ns = Some(cpu_ms * MS);
        activity
    }

    #[test]
    fn who_runs_loops_if_it_has_used_a_cpu_meanwhile() {
        let of =
            |ran_ms: u64, asleep| doing(Some(&activity(50)), &activity(50 + ran_ms), asleep, LIMIT);
        assert_eq!(of(100, false), Doing::Loops);
        assert_eq!(of(99, false), Doing::Others, "it waits for a CPU");
        assert_eq!(of(200, true), Doing::Others, "it sleeps most of the time");
        let unknown = doing(None, &activity(9_000), false, LIMIT);
        assert_eq!(unknown, Doing::Others, "nobody knows since when");
    }

    fn seen(each: [Option<(u64, u64)>; 2]) -> RuntimeSeen {
        RuntimeSeen {
            number: 7,
            workers: 2,
            tasks: 2,
            moves: each.iter().copied().collect(),
            each: each.to_vec(),
            ..RuntimeSeen::default()
        }
    }

    /// What comes of looks that are 100 ms apart.
    fn noted(looks: &[[Option<(u64, u64)>; 2]]) -> Vec<(u64, u32)> {
        let mut known = Remembered::default();
        let note = |(n, each): (usize, &[_; 2])| {
            let runtime = seen(*each);
            let steps = steps(&runtime, &[]);
            let (all_ns, still) = known.note(&runtime, steps, 2 * 100 * MS, n as u64 * 100 * MS);
            (all_ns / MS, still)
        };
        looks.iter().enumerate().map(note).collect()
    }

    #[test]
    fn workers_that_stand_are_counted_each_and_all() {
        let (one, two) = (Some((2, 10)), Some((4, 20)));
        let all = noted(&[[one, two], [one, two], [one, two], [one, two]]);
        assert_eq!(all, [(0, 0), (100, 0), (200, 2), (300, 2)]);
        let moved = noted(&[[one, two], [one, two], [one, Some((4, 21))], [one, None]]);
        assert_eq!(moved, [(0, 0), (100, 0), (0, 1), (0, 1)]);
    }

    #[test]
    fn what_is_told_of_a_pause_is_left_out() {
        let (one, two) = (Some((2, 10)), Some((4, 20)));
        let mut looks = HealthLooks::new(Limits {
            unready_ns: LIMIT,
            restart_ns: 100 * LIMIT,
        });
        let runtime = seen([one, two]);
        let note = |looks: &mut HealthLooks, at_ms: u64| {
            let known = looks.runtimes.entry(7).or_default();
            known.note(&runtime, steps(&runtime, &[]), LIMIT, at_ms * MS)
        };
        note(&mut looks, 0);
        assert!(looks.is_settled());
        note(&mut looks, 100);
        assert!(!looks.is_settled(), "it may stand");
        looks.after_pause(60_000 * MS);
        assert_eq!(note(&mut looks, 60_200), (200 * MS, 0));
    }
}
