//! Whether a blocking pool begins what it is given: tokio does not say how many threads it may have, so a closure
//! that does nothing is handed to it and watched.
//!
//! The pool begins closures in the order in which they came, so that one which is begun has none before it. At most
//! one of ours waits in each pool, and only a pool that has threads gets one: without any, tokio might have none
//! to give, and panic.

use super::blocking::threads_called;
use crate::runtimes;
use crate::worker::Worker;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A closure that was not begun for so long waits for a thread.
const QUEUED_NS: u64 = 60_000_000;
/// So long an answer is good for other requests as well.
const FRESH_NS: u64 = 20_000_000;
/// Pools that are watched at once.
const POOLS: usize = 64;

/// The closures of ours that pools have.
#[derive(Default)]
pub(super) struct PoolProbes(HashMap<u64, Probe>);

struct Probe {
    handed_ns: u64,
    /// Begun, or dropped with its pool.
    is_over: Arc<AtomicBool>,
    threads: u32,
}

/// What is known of a pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PoolSeen {
    NotYet,
    /// It begins what it is given, or cannot be asked.
    Begins,
    /// It does not, and has so many threads.
    Full(u32),
}

/// Says that the closure is over, in whatever way.
struct Over(Arc<AtomicBool>);

impl Drop for Over {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

impl PoolProbes {
    /// Asks the blocking pool of the runtime of `worker`, or says what has come of it.
    pub(super) fn ask(&mut self, worker: &Worker, now_ns: u64) -> PoolSeen {
        let number = worker.runtime();
        let known = self.0.get(&number).map(|probe| probe.seen(now_ns));
        if let Some(Some(seen)) = known {
            return seen;
        }
        self.0.remove(&number);
        let name = worker.thread().name();
        let threads = name.and_then(|name| threads_called(&name)).unwrap_or(0);
        if threads == 0 || self.0.len() >= POOLS {
            return PoolSeen::Begins;
        }
        match Probe::hand_over(number, threads, now_ns) {
            Some(probe) => {
                self.0.insert(number, probe);
                PoolSeen::NotYet
            }
            None => PoolSeen::Begins,
        }
    }
}

impl Probe {
    fn hand_over(number: u64, threads: u32, now_ns: u64) -> Option<Self> {
        let is_over = Arc::new(AtomicBool::new(false));
        let over = Over(is_over.clone());
        let handed = runtimes::hand_over(number, move || drop(over));
        handed.then_some(Self {
            handed_ns: now_ns,
            is_over,
            threads,
        })
    }

    /// `None` if it was answered too long ago.
    fn seen(&self, now_ns: u64) -> Option<PoolSeen> {
        let for_ns = now_ns.saturating_sub(self.handed_ns);
        match self.is_over.load(Ordering::Acquire) {
            true if for_ns < FRESH_NS => Some(PoolSeen::Begins),
            // It took longer than we have watched, and is begun now.
            true => None,
            false if for_ns < QUEUED_NS => Some(PoolSeen::NotYet),
            false => Some(PoolSeen::Full(self.threads)),
        }
    }
}

#[cfg(all(test, not(redhanded_loom)))]
mod tests {
    use super::*;
    use std::sync::mpsc::sync_channel;
    use std::time::{Duration, Instant};

    const MS: u64 = 1_000_000;

    fn until(what: impl Fn() -> bool) -> bool {
        let begun = Instant::now();
        while !what() && begun.elapsed() < Duration::from_secs(5) {
            std::thread::sleep(Duration::from_millis(1));
        }
        what()
    }

    #[test]
    fn a_pool_whose_threads_are_taken_does_not_begin_and_one_that_has_a_thread_does() {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .max_blocking_threads(1)
            .build()
            .expect("a runtime");
        let number = runtime.block_on(async { runtimes::here().number });
        let free = Probe::hand_over(number, 1, 0).expect("a runtime that is known");
        assert!(until(|| free.is_over.load(Ordering::Acquire)));
        assert_eq!(free.seen(10 * MS), Some(PoolSeen::Begins));
        assert_eq!(free.seen(30 * MS), None, "asked anew");
        let (go, stands) = sync_channel::<()>(0);
        runtime.spawn_blocking(move || stands.recv());
        let full = Probe::hand_over(number, 1, 0).expect("a runtime that is known");
        std::thread::sleep(Duration::from_millis(20));
        assert_eq!(full.seen(10 * MS), Some(PoolSeen::NotYet));
        assert_eq!(full.seen(70 * MS), Some(PoolSeen::Full(1)));
        drop(go);
        assert!(until(|| full.is_over.load(Ordering::Acquire)));
        assert_eq!(full.seen(70 * MS), None, "begun after all");
    }

    #[test]
    fn what_a_pool_that_ends_drops_does_not_wait() {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .max_blocking_threads(1)
            .build()
            .expect("a runtime");
        let number = runtime.block_on(async { runtimes::here().number });
        let (go, stands) = sync_channel::<()>(0);
        runtime.spawn_blocking(move || stands.recv());
        let queued = Probe::hand_over(number, 1, 0).expect("a runtime that is known");
        runtime.shutdown_background();
        drop(go);
        assert!(until(|| queued.is_over.load(Ordering::Acquire)));
    }
}
