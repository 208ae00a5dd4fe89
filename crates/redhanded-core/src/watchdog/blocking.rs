//! A blocking pool that does not begin what requests have handed to it.

use super::Watchdog;
use super::episodes::Episodes;
use super::standing::ms;
use super::trouble::Told;
use crate::case::Sampled;
use crate::child::Born;
use crate::family;
use crate::runtimes;
use crate::verdict::{PoolFull, judge_pool_full};
use crate::worker::{BLOCKING, Worker};
use redhanded_report::{Evidence, Machine};

/// In so many rounds on end a closure must be found waiting for too long.
const ROUNDS: u32 = 3;
/// Stacks that a record carries.
const STACKS: usize = 4;
/// Threads that are looked at to count those of the pool.
const THREADS: usize = 4096;

/// What is remembered of the pool from round to round.
pub(super) struct PoolLooks {
    episodes: Episodes<()>,
    slow_after_ns: u64,
}

/// A thread that runs a closure of a request.
struct Holder {
    id: String,
    for_ms: f64,
    thread: Option<String>,
    stack: Option<Sampled>,
}

impl PoolLooks {
    /// A closure may wait for `slow_after_ns`.
    pub(super) fn new(slow_after_ns: u64) -> Self {
        Self {
            episodes: Episodes::new(ROUNDS, 0),
            slow_after_ns,
        }
    }
}

impl Watchdog {
    /// Tells once of closures that wait too long for a thread, and again only after none did. tokio begins a
    /// closure at once while it may have another thread, so that a long wait is that of a pool that is full.
    pub(super) fn look_at_blocking_pool(&mut self, now_ns: u64) {
        let waiting = self.engine.closures.waiting();
        let charged = |since_ns| self.pauses.charged(since_ns, now_ns);
        let late = waiting.filter(|w| charged(w.since_ns) >= self.pool.slow_after_ns);
        let began = self.pool.episodes.note((), late.is_some(), now_ns);
        let (Some(_), Some(late)) = (began, late) else {
            return;
        };
        let lasted_ns = self.pauses.charged(late.since_ns, now_ns);
        let holders = self.holders(now_ns);
        let held = holders.len() as u32;
        let name = holders.iter().find_map(|h| h.thread.clone());
        let threads = name
            .and_then(|name| threads_called(&name))
            .map(|n| n.max(held));
        let mut machine = Machine::default();
        machine.blocking_threads = threads.or(Some(held).filter(|held| *held > 0));
        let mut evidence = Evidence::default();
        evidence.machine = Some(machine);
        let stacks = holders.iter().filter_map(|h| h.stack.clone());
        let stacks = stacks.take(STACKS).collect();
        let verdict = judge_pool_full(&PoolFull {
            waiting: late.closures,
            for_ms: ms(lasted_ns),
            holders: holders.into_iter().map(|h| (h.id, h.for_ms)).collect(),
            held,
            threads,
        });
        let told = Told {
            verdict,
            lasted_ns,
            evidence,
            stacks,
        };
        self.file_told(&"blocking pool", told, now_ns);
    }

    /// Who has threads of the pool, those first that have had them longest.
    fn holders(&self, now_ns: u64) -> Vec<Holder> {
        let standing = self.standing.others(None, 0, now_ns);
        let blocking = standing.filter(|(slot, standing)| {
            standing.worker.runtime() == BLOCKING && slot.is_child() && Born::of(slot).blocking
        });
        let holder = |(slot, standing): (_, &super::standing::Standing)| Holder {
            id: family::id_of(slot),
            for_ms: ms(now_ns.saturating_sub(standing.since_ns)),
            thread: standing.worker.thread().name(),
            stack: standing.stacks().into_iter().next(),
        };
        let mut holders: Vec<Holder> = blocking.map(holder).collect();
        holders.sort_by(|a, b| b.for_ms.total_cmp(&a.for_ms));
        holders
    }
}

/// Threads of the blocking pools of all runtimes that have worker threads; `workers` are the living threads that have
/// polled watched requests.
pub(crate) fn blocking_threads(workers: &[&'static Worker]) -> u32 {
    let of_pools = workers.iter().filter(|worker| worker.runs_tasks());
    let mut names: Vec<String> = of_pools
        .filter_map(|worker| worker.thread().name())
        .collect();
    names.sort();
    names.dedup();
    names.iter().filter_map(|name| threads_called(name)).sum()
}

/// Threads of this process with the name that the pool gives to its own; less the workers, which have the same.
/// `None` where `/proc` does not say.
pub(super) fn threads_called(name: &str) -> Option<u32> {
    let tasks = std::fs::read_dir("/proc/self/task").ok()?;
    let called = tasks.flatten().take(THREADS).filter(|task| {
        std::fs::read_to_string(task.path().join("comm")).is_ok_and(|comm| comm.trim_end() == name)
    });
    let called = called.count() as u32;
    let mut workers = Worker::all();
    workers.retain(|w| w.thread().is_alive());
    let alive: Vec<u64> = workers.iter().map(|w| w.runtime()).collect();
    let same = |w: &&&'static Worker| w.thread().name().is_some_and(|theirs| theirs == name);
    let named: Vec<u64> = workers.iter().filter(same).map(|w| w.runtime()).collect();
    let of_runtimes = runtimes::all(&alive)
        .into_iter()
        .filter(|r| !r.one_thread && named.contains(&r.number))
        .map(|r| r.workers);
    Some(called.saturating_sub(of_runtimes.sum()))
}
