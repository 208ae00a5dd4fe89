//! The threads that poll watched requests, and what each is polling now.
//!
//! A thread registers itself when it first polls a watched request; no runtime builder hook is
//! needed. Its record is shared by all installs of the process and is given to another thread when
//! this one has ended, so that there are never more records than threads at once.

use crate::baseline::Pace;
use crate::engine::Engine;
use crate::registry::{Key, Slot};
use crate::runtimes::{self, Here};
use parking_lot::{Mutex, RwLock};
use redhanded_capture::Thread;
use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

thread_local! {
    // const and without Drop: runtimes shut down in any order, and this may be read until the end
    static HERE: Cell<Option<&'static Worker>> = const { Cell::new(None) };
}

/// The runtime of threads that run blocking closures, and of those outside of any.
pub(crate) const BLOCKING: u64 = 0;

static WORKERS: Mutex<Vec<&'static Worker>> = Mutex::new(Vec::new());

/// One thread that has polled a watched request. On a line of its own: it is written at every poll,
/// and a neighbour on the same line would be another thread's.
#[derive(Debug)]
#[repr(align(128))]
pub(crate) struct Worker {
    index: u16,
    /// Key of the request that is being polled, innermost; 0 when none is.
    current: AtomicU64,
    /// Number of the tokio runtime it works for, 0 outside of one.
    runtime: AtomicU64,
    /// How many workers that runtime has; 0 outside of one.
    pool: AtomicU32,
    /// It registered itself inside of a task, which is what workers run.
    runs_tasks: AtomicBool,
    thread: RwLock<Arc<Thread>>,
    /// When the next request of a route is to be sampled.
    pub(crate) pace: Pace,
}

impl Worker {
    /// The record of this thread.
    #[inline]
    pub(crate) fn here() -> &'static Self {
        HERE.try_with(Cell::get)
            .ok()
            .flatten()
            .unwrap_or_else(Self::register)
    }

    /// The record of this thread, if it has one.
    #[inline]
    pub(crate) fn known() -> Option<&'static Self> {
        HERE.try_with(Cell::get).ok().flatten()
    }

    /// Registers a thread that runs blocking closures: it is nobody's worker.
    pub(crate) fn here_blocking() {
        if Self::known().is_none() {
            Self::register_for(Here::default());
        }
    }

    #[cold]
    fn register() -> &'static Self {
        Self::register_for(runtimes::here())
    }

    fn register_for(here: Here) -> &'static Self {
        let runs_tasks = here.number != BLOCKING && tokio::task::try_id().is_some();
        let thread = Arc::new(Thread::current());
        let mut workers = WORKERS.lock();
        let ended = workers.iter().find(|w| !w.thread().is_alive());
        let worker = match ended {
            Some(worker) => {
                *worker.thread.write() = thread;
                worker.current.store(0, Ordering::Release);
                worker.runtime.store(here.number, Ordering::Release);
                worker.pool.store(here.workers, Ordering::Release);
                worker.runs_tasks.store(runs_tasks, Ordering::Release);
                worker.pace.begin();
                worker
            }
            None => {
                let index = u16::try_from(workers.len()).unwrap_or(u16::MAX);
                let new: &'static Self = Box::leak(Box::new(Self {
                    index,
                    current: AtomicU64::new(0),
                    runtime: AtomicU64::new(here.number),
                    pool: AtomicU32::new(here.workers),
                    runs_tasks: AtomicBool::new(runs_tasks),
                    thread: RwLock::new(thread),
                    pace: Pace::new(),
                }));
                workers.push(new);
                new
            }
        };
        let _ = HERE.try_with(|h| h.set(Some(worker)));
        worker
    }

    /// All records. Short lock, no allocation of ours inside but the copy.
    pub(crate) fn all() -> Vec<&'static Self> {
        WORKERS.lock().clone()
    }

    /// The record with this index.
    pub(crate) fn at(index: u16) -> Option<&'static Self> {
        WORKERS.lock().get(index as usize).copied()
    }

    #[inline]
    pub(crate) fn index(&self) -> u16 {
        self.index
    }
    pub(crate) fn runtime(&self) -> u64 {
        self.runtime.load(Ordering::Acquire)
    }
    /// How many workers its runtime has, itself among them or not; 0 outside of one.
    pub(crate) fn pool(&self) -> u32 {
        self.pool.load(Ordering::Acquire)
    }
    /// Whether it runs tasks, as far as was seen when it registered itself.
    pub(crate) fn runs_tasks(&self) -> bool {
        self.runs_tasks.load(Ordering::Acquire)
    }
    pub(crate) fn thread(&self) -> Arc<Thread> {
        self.thread.read().clone()
    }
    /// The request that this thread is polling, innermost.
    pub(crate) fn current(&self) -> Option<Key> {
        Key::from_word(self.current.load(Ordering::Acquire))
    }

    /// The slot of that request.
    pub(crate) fn current_slot(&self) -> Option<&'static Slot> {
        let key = self.current()?;
        Engine::of(key)?.registry.slot(key)
    }

    /// Sets the current request; returns what to give to [`restore`](Self::restore) afterwards.
    #[inline]
    pub(crate) fn replace(&self, key: Key) -> u64 {
        let outer = self.current.load(Ordering::Relaxed);
        self.current.store(key.word(), Ordering::Release);
        outer
    }
    #[inline]
    pub(crate) fn restore(&self, outer: u64) {
        self.current.store(outer, Ordering::Release);
    }
}

#[cfg(all(test, not(redhanded_loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_given_on_when_its_thread_has_ended() {
        for _ in 0..200 {
            std::thread::spawn(|| Worker::here().index())
                .join()
                .expect("no panic");
        }
        assert!(
            Worker::all().len() < 100,
            "{} records for a few threads at once",
            Worker::all().len()
        );
    }

    #[test]
    fn a_thread_keeps_its_record() {
        assert!(std::ptr::eq(Worker::here(), Worker::here()));
    }
}
