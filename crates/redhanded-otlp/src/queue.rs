//! The bounded queue between the engine's thread and the exporter's.

use crate::size;
use opentelemetry_sdk::trace::SpanData;
use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::Notify;

/// What may wait. A collector that is away must not cost the application its memory.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    pub(crate) reports: usize,
    pub(crate) bytes: usize,
    pub(crate) batch_reports: usize,
    pub(crate) batch_bytes: usize,
    /// How long the first of a batch waits for company.
    pub(crate) linger: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            reports: 2048,
            bytes: 32 << 20,
            batch_reports: 512,
            // Collectors take 4 MiB (gRPC's limit) to 20 MiB.
            batch_bytes: 4 << 20,
            linger: Duration::from_millis(30),
        }
    }
}

/// The spans of one report.
struct Entry {
    spans: Vec<SpanData>,
    bytes: usize,
    since: Instant,
}

/// Reports that go out in one request.
#[derive(Default)]
pub(crate) struct Batch {
    pub(crate) spans: Vec<SpanData>,
    pub(crate) reports: u64,
    bytes: usize,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Entry>,
    waiting_bytes: usize,
    /// Of the batch that is being sent; it is held until it has arrived, so it counts.
    sending: u64,
    sending_bytes: usize,
    accepted: u64,
    /// Accepted and done with: arrived, or lost after all.
    finished: u64,
    /// Of those finished, the ones that did not arrive.
    failed: u64,
    /// `failed`, and what was never accepted.
    lost: u64,
    /// Somebody waits in `flush`: do not linger.
    flushing: usize,
    stopping: bool,
    ended: bool,
}

pub(crate) struct Queue {
    bounds: Bounds,
    state: Mutex<State>,
    work: Condvar,
    progress: Condvar,
    stop: Notify,
}

impl Queue {
    pub(crate) fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
            state: Mutex::default(),
            work: Condvar::new(),
            progress: Condvar::new(),
            stop: Notify::new(),
        }
    }

    /// Takes the spans of one report, or counts it as lost; says whether it was taken.
    pub(crate) fn push(&self, spans: Vec<SpanData>) -> bool {
        let bytes = spans.iter().map(size::bytes).sum();
        let mut state = self.lock();
        let reports = state.waiting.len() as u64 + state.sending;
        let full = reports >= self.bounds.reports as u64
            || state.waiting_bytes + state.sending_bytes + bytes > self.bounds.bytes;
        if full || state.stopping {
            state.lost += 1;
            return false;
        }
        state.accepted += 1;
        state.waiting_bytes += bytes;
        state.waiting.push_back(Entry {
            spans,
            bytes,
            since: Instant::now(),
        });
        drop(state);
        self.work.notify_one();
        true
    }

    /// Waits for something to send; `None` when the exporter is to end.
    pub(crate) fn next_batch(&self) -> Option<Batch> {
        let mut state = self.lock();
        loop {
            if state.stopping {
                return None;
            }
            state = match self.lingers(&state) {
                Wait::Forever => self
                    .work
                    .wait(state)
                    .unwrap_or_else(PoisonError::into_inner),
                Wait::For(rest) => {
                    self.work
                        .wait_timeout(state, rest)
                        .unwrap_or_else(PoisonError::into_inner)
                        .0
                }
                Wait::No => return Some(self.take(&mut state)),
            }
        }
    }

    fn lingers(&self, state: &State) -> Wait {
        let Some(first) = state.waiting.front() else {
            return Wait::Forever;
        };
        let rest = self.bounds.linger.saturating_sub(first.since.elapsed());
        let full = state.waiting.len() >= self.bounds.batch_reports
            || state.waiting_bytes >= self.bounds.batch_bytes;
        if full || state.flushing > 0 || rest.is_zero() {
            Wait::No
        } else {
            Wait::For(rest)
        }
    }

    fn take(&self, state: &mut State) -> Batch {
        let mut batch = Batch::default();
        while let Some(next) = state.waiting.front() {
            // A single report that is over the limit goes alone; the collector may judge it.
            let over = batch.bytes + next.bytes > self.bounds.batch_bytes && batch.reports > 0;
            if over || batch.reports >= self.bounds.batch_reports as u64 {
                break;
            }
            let Some(entry) = state.waiting.pop_front() else {
                break;
            };
            batch.bytes += entry.bytes;
            batch.reports += 1;
            batch.spans.extend(entry.spans);
        }
        state.waiting_bytes -= batch.bytes;
        (state.sending, state.sending_bytes) = (batch.reports, batch.bytes);
        batch
    }

    /// The batch that was taken last is done with, and that much of it was lost.
    pub(crate) fn finished(&self, reports: u64, lost: u64) {
        let mut state = self.lock();
        (state.sending, state.sending_bytes) = (0, 0);
        state.finished += reports;
        state.failed += lost;
        state.lost += lost;
        drop(state);
        self.progress.notify_all();
    }

    /// Waits until what was accepted before this call is done with; whether all of it arrived.
    pub(crate) fn flush(&self, deadline: Duration) -> bool {
        // A deadline beyond what a clock can express is none.
        let until = Instant::now().checked_add(deadline);
        let mut state = self.lock();
        let (target, failed) = (state.accepted, state.failed);
        state.flushing += 1;
        self.work.notify_one();
        while state.finished < target && !state.ended {
            let rest = until.map_or(deadline, |until| {
                until.saturating_duration_since(Instant::now())
            });
            if rest.is_zero() {
                break;
            }
            state = self
                .progress
                .wait_timeout(state, rest)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
        state.flushing -= 1;
        state.finished >= target && state.failed == failed
    }

    /// How many were lost so far.
    pub(crate) fn lost(&self) -> u64 {
        self.lock().lost
    }

    /// Tells the exporter to end now; what still waits is lost.
    pub(crate) fn stop(&self) {
        let mut state = self.lock();
        state.stopping = true;
        let waiting = state.waiting.len() as u64;
        state.waiting.clear();
        state.waiting_bytes = 0;
        state.finished += waiting;
        state.failed += waiting;
        state.lost += waiting;
        drop(state);
        self.work.notify_one();
        self.stop.notify_one();
        self.progress.notify_all();
    }

    /// Resolves when the exporter is to end.
    pub(crate) async fn stopped(&self) {
        self.stop.notified().await;
    }

    /// The exporter's last word.
    pub(crate) fn ended(&self) {
        self.lock().ended = true;
        self.progress.notify_all();
    }

    /// Waits for the exporter's last word.
    pub(crate) fn wait_ended(&self, deadline: Duration) {
        let state = self.lock();
        let wait = self
            .progress
            .wait_timeout_while(state, deadline, |state| !state.ended);
        drop(wait.unwrap_or_else(PoisonError::into_inner));
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing panics while it holds the lock; if it did, the counts would still be sound.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

enum Wait {
    No,
    For(Duration),
    Forever,
}
