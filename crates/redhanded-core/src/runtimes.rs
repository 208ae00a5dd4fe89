//! The tokio runtimes that poll watched requests: how many workers each has, and whether they move.
//!
//! A worker that never polled a watched request is known here too: the runtime counts when a worker parks and
//! what it has done, without `tokio_unstable`.

use parking_lot::Mutex;
use tokio::runtime::{Handle, RuntimeFlavor, RuntimeMetrics};

/// Runtimes that are remembered at once; of further ones only the threads that poll watched requests are known.
const REMEMBERED: usize = 64;

static KNOWN: Mutex<Vec<Known>> = Mutex::new(Vec::new());

struct Known {
    number: u64,
    /// Keeps what all handles of a runtime share, not the runtime, until none of its threads is left.
    metrics: RuntimeMetrics,
    handle: Handle,
    one_thread: bool,
}

/// Where this thread runs.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Here {
    /// Number of the runtime, 0 outside of one.
    pub(crate) number: u64,
    /// How many workers it has.
    pub(crate) workers: u32,
}

/// One runtime as it is now.
#[derive(Debug, Default)]
pub(crate) struct RuntimeSeen {
    pub(crate) number: u64,
    pub(crate) workers: u32,
    /// Tasks that have not ended.
    pub(crate) tasks: usize,
    /// Tasks in its global queue.
    pub(crate) queue_depth: usize,
    /// How long its workers have worked so far, as far as each has published it; 0 where nothing is counted.
    pub(crate) busy_ns: u64,
    /// All its tasks run on whichever thread is in `block_on`, and on none when no thread is.
    pub(crate) one_thread: bool,
    /// Of each worker that is not parked, how often it has parked and how long it has worked: a worker that
    /// turns to another task publishes anew. `None` if any worker is parked, or where nothing is counted.
    pub(crate) moves: Option<Vec<(u64, u64)>>,
    /// The same of each worker by itself; `None` for one that is parked. Empty where nothing is counted.
    pub(crate) each: Vec<Option<(u64, u64)>>,
}

/// The runtime of this thread; remembers it. Allocates: for the registration of a thread.
pub(crate) fn here() -> Here {
    let Ok(handle) = Handle::try_current() else {
        return Here::default();
    };
    let number = handle.id().to_string().parse().unwrap_or(0);
    let metrics = handle.metrics();
    let here = Here {
        number,
        workers: u32::try_from(metrics.num_workers()).unwrap_or(u32::MAX),
    };
    let mut known = KNOWN.lock();
    if known.iter().all(|k| k.number != number) && known.len() < REMEMBERED {
        known.push(Known {
            number,
            metrics,
            handle: handle.clone(),
            one_thread: handle.runtime_flavor() == RuntimeFlavor::CurrentThread,
        });
    }
    here
}

/// All runtimes with a thread in `alive`, the numbers of living threads' runtimes; forgets the others.
pub(crate) fn all(alive: &[u64]) -> Vec<RuntimeSeen> {
    let mut gone = Vec::new();
    let mut known = KNOWN.lock();
    for at in (0..known.len()).rev() {
        if !alive.contains(&known[at].number) {
            gone.push(known.swap_remove(at));
        }
    }
    let seen = known.iter().map(Known::seen).collect();
    drop(known);
    // What a runtime leaves may run code of the application: not under our lock.
    drop(gone);
    seen
}

/// Hands `closure` to the blocking pool of a runtime that is known; `false` if it is not, or has no worker
/// threads. tokio panics if the pool has no thread and the machine gives it none: only for a pool that has one.
pub(crate) fn hand_over(number: u64, closure: impl FnOnce() + Send + 'static) -> bool {
    let handle = {
        let known = KNOWN.lock();
        // The threads of a pool are not to be told by their name where no worker has the same.
        let mut with_workers = known.iter().filter(|k| !k.one_thread);
        let found = with_workers.find(|k| k.number == number);
        found.map(|k| k.handle.clone())
    };
    let Some(handle) = handle else { return false };
    drop(handle.spawn_blocking(closure));
    true
}

impl Known {
    fn seen(&self) -> RuntimeSeen {
        let each = each(&self.metrics);
        let all = each.iter().copied().collect::<Option<Vec<_>>>();
        RuntimeSeen {
            number: self.number,
            workers: u32::try_from(self.metrics.num_workers()).unwrap_or(u32::MAX),
            tasks: self.metrics.num_alive_tasks(),
            queue_depth: self.metrics.global_queue_depth(),
            busy_ns: busy_ns(&self.metrics),
            one_thread: self.one_thread,
            moves: all.filter(|all| !all.is_empty()),
            each,
        }
    }
}

#[cfg(target_has_atomic = "64")]
fn each(metrics: &RuntimeMetrics) -> Vec<Option<(u64, u64)>> {
    let of = |worker| {
        let parks = metrics.worker_park_unpark_count(worker);
        let busy = metrics.worker_total_busy_duration(worker);
        // An odd count is that of a worker that is parked.
        parks
            .is_multiple_of(2)
            .then(|| (parks, crate::engine::nanos(busy)))
    };
    (0..metrics.num_workers()).map(of).collect()
}

#[cfg(target_has_atomic = "64")]
fn busy_ns(metrics: &RuntimeMetrics) -> u64 {
    let of = |worker| crate::engine::nanos(metrics.worker_total_busy_duration(worker));
    (0..metrics.num_workers()).map(of).sum()
}

#[cfg(not(target_has_atomic = "64"))]
fn busy_ns(_: &RuntimeMetrics) -> u64 {
    0
}

#[cfg(not(target_has_atomic = "64"))]
fn each(_: &RuntimeMetrics) -> Vec<Option<(u64, u64)>> {
    Vec::new()
}

#[cfg(all(test, not(redhanded_loom)))]
mod tests {
    use super::*;
    use std::sync::mpsc::sync_channel;
    use std::time::Duration;

    fn seen(number: u64) -> Option<RuntimeSeen> {
        let known = KNOWN.lock();
        known.iter().find(|k| k.number == number).map(Known::seen)
    }

    #[test]
    fn workers_that_stand_are_seen_and_those_that_are_parked_too() {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .build()
            .expect("a runtime");
        let here = runtime.block_on(async { here() });
        assert_eq!(here.workers, 2);
        let moves = || seen(here.number).expect("remembered").moves;
        let until = |what: &dyn Fn() -> bool| {
            (0..500).any(|_| {
                what() || {
                    std::thread::sleep(Duration::from_millis(10));
                    false
                }
            })
        };
        assert!(until(&|| moves().is_none()), "idle workers are parked");
        let (go, stands) = sync_channel::<()>(0);
        let (go_too, stands_too) = sync_channel::<()>(0);
        runtime.spawn(async move { stands.recv().is_ok() });
        std::thread::sleep(Duration::from_millis(50));
        assert!(moves().is_none(), "one is left");
        runtime.spawn(async move { stands_too.recv().is_ok() });
        assert!(until(&|| moves().is_some()), "none is left");
        let before = moves();
        std::thread::sleep(Duration::from_millis(50));
        assert_eq!(moves(), before);
        assert_eq!(seen(here.number).expect("remembered").tasks, 2);
        drop((go, go_too));
        assert!(until(&|| moves() != before), "they go on");
    }
}
