//! A runtime none of whose workers turns to another task, whoever keeps them.

use super::Watchdog;
use super::episodes::Episodes;
use super::standing::ms;
use super::trouble::Told;
use crate::case::Sampled;
use crate::family;
use crate::runtimes::{self, RuntimeSeen};
use crate::verdict::{Stands, Wedged, judge_wedged};
use crate::worker::Worker;
use redhanded_report::{Evidence, Machine};
use std::collections::HashMap;

/// Workers are looked at no more often than that.
const EVERY_NS: u64 = 100_000_000;
/// In so many looks on end none of them may have moved.
const LOOKS: u32 = 3;
/// Samples of a worker that is in no watched poll.
const SAMPLES: u32 = 3;
/// Stacks that a record carries.
const STACKS: usize = 4;

/// What is remembered of runtimes from look to look.
pub(super) struct WorkerLooks {
    episodes: Episodes<u64>,
    seen: HashMap<u64, Steps>,
    next_ns: u64,
}

/// What changes when a worker turns to another task.
#[derive(PartialEq)]
pub(super) struct Steps {
    /// What the runtime publishes of its workers: not at each task, but at every 61st or when there is none.
    published: Vec<(u64, u64)>,
    /// The watched poll that each registered thread is in.
    polls: Vec<(u16, u64, u64)>,
}

impl WorkerLooks {
    /// A worker may stand for `slow_after_ns`.
    pub(super) fn new(slow_after_ns: u64) -> Self {
        Self {
            episodes: Episodes::new(LOOKS, slow_after_ns),
            seen: HashMap::new(),
            next_ns: 0,
        }
    }

    /// Notes what the workers of `runtimes` did; returns those whose episode has begun, and since when they stand.
    fn look(
        &mut self,
        runtimes: Vec<RuntimeSeen>,
        threads: &[&'static Worker],
        now_ns: u64,
    ) -> Vec<(RuntimeSeen, u64)> {
        let mut before = std::mem::take(&mut self.seen);
        let mut wedged = Vec::new();
        for runtime in runtimes {
            let number = runtime.number;
            let steps = steps(&runtime, threads);
            let same = steps.is_some() && steps == before.remove(&number);
            before.remove(&number);
            let began = self.episodes.note(number, same, now_ns);
            wedged.extend(began.map(|began| (runtime, began.since_ns)));
            self.seen.extend(steps.map(|steps| (number, steps)));
        }
        for gone in before.into_keys() {
            self.episodes.note(gone, false, now_ns);
        }
        wedged
    }

    /// Nobody moves while nobody runs.
    pub(super) fn start_over(&mut self) {
        self.episodes.start_over();
        self.seen.clear();
    }
}

/// What is to be compared; `None` where a worker is parked, or nothing is left to do.
pub(super) fn steps(runtime: &RuntimeSeen, threads: &[&'static Worker]) -> Option<Steps> {
    let published = runtime.moves.clone()?;
    let poll = |worker: &&'static Worker| {
        let slot = worker.current_slot()?;
        Some((worker.index(), slot.key.word(), slot.poll_mark().sequence))
    };
    let own = threads.iter().filter(|w| w.runtime() == runtime.number);
    let polls: Vec<_> = own.filter_map(poll).collect();
    // Whoever stands in a task keeps it from ending; a runtime that has ended has none. One that nobody drives
    // has tasks and no thread, and does not count as parked.
    let stands = if runtime.one_thread {
        !polls.is_empty()
    } else {
        runtime.tasks >= runtime.workers as usize
    };
    stands.then_some(Steps { published, polls })
}

impl Watchdog {
    /// Tells once of every runtime whose workers all stand, and again only after one of them has moved.
    pub(super) fn look_at_workers(&mut self, now_ns: u64) {
        if now_ns < self.workers.next_ns {
            return;
        }
        self.workers.next_ns = now_ns + EVERY_NS;
        let mut threads = Worker::all();
        threads.retain(|w| w.thread().is_alive());
        let alive: Vec<u64> = threads.iter().map(|w| w.runtime()).collect();
        let seen = runtimes::all(&alive);
        self.judge_health(&seen, &threads, now_ns);
        let wedged = self.workers.look(seen, &threads, now_ns);
        for (runtime, since_ns) in wedged {
            threads.retain(|w| w.runtime() == runtime.number);
            self.file_wedged(&runtime, &threads, since_ns, now_ns);
        }
    }

    fn file_wedged(
        &mut self,
        runtime: &RuntimeSeen,
        threads: &[&'static Worker],
        since_ns: u64,
        now_ns: u64,
    ) {
        let mut found: Vec<(Stands, Option<Sampled>)> = threads
            .iter()
            .filter_map(|worker| self.stands(worker, since_ns, now_ns))
            .collect();
        found.sort_by(|(a, _), (b, _)| {
            let rank = |s: &Stands| (s.request.is_none(), -s.for_ms);
            rank(a)
                .partial_cmp(&rank(b))
                .unwrap_or(std::cmp::Ordering::Equal)
        });
        // A thread that has given its worker away in `block_in_place` is one too many.
        found.truncate(runtime.workers as usize);
        let in_requests = found.iter().filter(|(s, _)| s.request.is_some()).count() as u64;
        let (stand, stacks): (Vec<_>, Vec<_>) = found.into_iter().unzip();
        let verdict = judge_wedged(&Wedged {
            workers: runtime.workers,
            for_ms: ms(now_ns.saturating_sub(since_ns)),
            stand,
            waiting: (self.engine.in_flight() as u64).saturating_sub(in_requests),
        });
        let mut machine = Machine::default();
        machine.workers_total = Some(runtime.workers);
        machine.workers_busy = Some(runtime.workers);
        let mut evidence = Evidence::default();
        evidence.machine = Some(machine);
        let told = Told {
            verdict,
            lasted_ns: now_ns.saturating_sub(since_ns),
            evidence,
            stacks: stacks.into_iter().flatten().take(STACKS).collect(),
        };
        self.file_told(&"workers", told, now_ns);
    }

    /// Where a worker stands; `None` for a thread that is no worker and in no watched poll.
    fn stands(
        &mut self,
        worker: &'static Worker,
        since_ns: u64,
        now_ns: u64,
    ) -> Option<(Stands, Option<Sampled>)> {
        let thread = worker.thread();
        let name = thread.name().unwrap_or_else(|| thread.tid().to_string());
        let in_poll = worker.current_slot().and_then(|slot| {
            let standing = self.standing.get_mut(slot.key)?;
            let stands = Stands {
                thread: name.clone(),
                request: Some(family::id_of(slot)),
                for_ms: ms(now_ns.saturating_sub(standing.since_ns)),
                asleep: standing.is_asleep(),
            };
            Some((stands, standing.stacks().into_iter().next()))
        });
        if in_poll.is_some() || !worker.runs_tasks() {
            return in_poll;
        }
        let mut take = || self.sampler.sample(&thread, super::standing::PATIENCE).ok();
        let samples: Vec<_> = (0..SAMPLES).filter_map(|_| take()).collect();
        let asleep = samples.iter().filter(|s| !s.on_cpu).count() * 2 > samples.len();
        let stands = Stands {
            thread: name,
            request: None,
            for_ms: ms(now_ns.saturating_sub(since_ns)),
            asleep: (!samples.is_empty()).then_some(asleep),
        };
        let stack = samples
            .into_iter()
            .next()
            .map(|s| Sampled::of_thread(s.stack, 0));
        Some((stands, stack))
    }
}

#[cfg(all(test, not(redhanded_loom)))]
mod tests {
    use super::*;

    fn seen(moves: Option<&[(u64, u64)]>, tasks: usize) -> Vec<RuntimeSeen> {
        vec![RuntimeSeen {
            number: 7,
            workers: 2,
            tasks,
            moves: moves.map(<[_]>::to_vec),
            ..RuntimeSeen::default()
        }]
    }

    /// How often it is told in looks that are 10 ns apart.
    fn told(looks: Vec<Vec<RuntimeSeen>>) -> usize {
        let mut workers = WorkerLooks::new(30);
        let look = |(at, runtimes)| workers.look(runtimes, &[], at as u64 * 10).len();
        looks.into_iter().enumerate().map(look).sum()
    }

    #[test]
    fn workers_that_do_not_move_are_told_once_an_episode() {
        let (stand, later) = ([(4, 10), (6, 20)], [(4, 10), (6, 30)]);
        let looks = |n| (0..n).map(|_| seen(Some(&stand), 2)).collect::<Vec<_>>();
        assert_eq!(told(looks(4)), 0, "not long enough");
        assert_eq!(told(looks(20)), 1);
        let mut again = looks(10);
        again.push(seen(Some(&later), 2));
        again.extend(looks(10));
        assert_eq!(told(again), 2);
    }

    #[test]
    fn a_parked_worker_a_busy_one_and_a_runtime_without_tasks_are_well() {
        let stand = [(4, 10), (6, 20)];
        assert_eq!(told((0..20).map(|_| seen(None, 2)).collect()), 0);
        assert_eq!(told((0..20).map(|_| seen(Some(&stand), 1)).collect()), 0);
        let busy = |at| seen(Some(&[(4, 10), (6, at)]), 2);
        assert_eq!(told((0..20).map(busy).collect()), 0);
        let undriven = |_| {
            let mut seen = seen(Some(&stand), 2);
            seen[0].one_thread = true;
            seen
        };
        assert_eq!(told((0..20).map(undriven).collect()), 0);
    }

    #[test]
    fn what_is_gone_is_forgotten() {
        let mut workers = WorkerLooks::new(0);
        workers.look(seen(Some(&[(0, 0), (0, 0)]), 2), &[], 0);
        workers.look(Vec::new(), &[], 10);
        assert!(workers.seen.is_empty());
    }
}
