//! The bounded queue between the engine's thread and the exporter's.

use crate::outbox::Tally;
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
    /// The same while the collector is away and nobody is kept waiting by it.
    pub(crate) linger_away: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            reports: 2048,
            bytes: 6 << 20,
            batch_reports: 512,
            // Collectors take 4 MiB (gRPC's limit) to 20 MiB; and it is in memory several times while it is encoded.
            batch_bytes: 1 << 20,
            linger: Duration::from_millis(30),
            linger_away: Duration::from_millis(250),
        }
    }
}

/// What a flush leaves of its deadline for the disk.
const SPARE: Duration = Duration::from_millis(200);
const FOR_EVER: Duration = Duration::from_secs(1 << 30);

/// The spans of one report.
struct Entry {
    spans: Vec<SpanData>,
    bytes: usize,
    since: Instant,
}

/// Reports that become one request.
#[derive(Default)]
pub(crate) struct Batch {
    pub(crate) spans: Vec<SpanData>,
    pub(crate) reports: u32,
    bytes: usize,
}

/// What the exporter has to know.
#[derive(Default)]
pub(crate) struct Look {
    /// What is ready.
    pub(crate) batch: Option<Batch>,
    /// When something will be.
    pub(crate) ready_at: Option<Instant>,
    /// Somebody waits for what was accepted.
    pub(crate) flushing: bool,
    /// And will not wait for much longer; perhaps the process ends then.
    pub(crate) urgent: bool,
    /// The exporter is to end.
    pub(crate) stopping: bool,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Entry>,
    waiting_bytes: usize,
    accepted: u64,
    /// Accepted and done with: arrived, or lost after all, or left for another process.
    finished: u64,
    /// Of those finished, the ones that did not arrive.
    failed: u64,
    /// What is gone for good, accepted or not.
    lost: u64,
    /// Somebody waits in `flush`: do not linger.
    flushing: usize,
    urgent: bool,
    /// The collector is away, as the exporter said when it last looked.
    away: bool,
    stopping: bool,
    ended: bool,
}

pub(crate) struct Queue {
    bounds: Bounds,
    state: Mutex<State>,
    work: Notify,
    progress: Condvar,
}

impl Queue {
    pub(crate) fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
            state: Mutex::default(),
            work: Notify::new(),
            progress: Condvar::new(),
        }
    }

    /// Takes the spans of one report, or counts it as lost; says whether it was taken.
    pub(crate) fn push(&self, spans: Vec<SpanData>) -> bool {
        self.push_ranked(spans, true)
    }

    /// The same for what is no runaway: it does not wait for a collector that is away, and leaves half of the queue to
    /// runaways. Of it comes a lot, and it would drive them out of memory and disk.
    pub(crate) fn push_rest(&self, spans: Vec<SpanData>) -> bool {
        self.push_ranked(spans, false)
    }

    fn push_ranked(&self, spans: Vec<SpanData>, runaway: bool) -> bool {
        let bytes = spans.iter().map(size::bytes).sum();
        let mut state = self.lock();
        let share = if runaway { 1 } else { 2 };
        let full = state.waiting.len() >= self.bounds.reports / share
            || state.waiting_bytes + bytes > self.bounds.bytes / share;
        if full || state.stopping || (state.away && !runaway) {
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
        // The exporter sleeps until its first one is due; it need not hear of the others one by one.
        let news = state.waiting.len() == 1 || self.is_full_batch(&state);
        drop(state);
        if news {
            self.work.notify_one();
        }
        true
    }

    /// Looks for something to send; `away` lets more of it come together.
    pub(crate) fn look(&self, away: bool) -> Look {
        let mut state = self.lock();
        state.away = away;
        let mut look = Look {
            flushing: state.flushing > 0 || state.urgent,
            urgent: std::mem::take(&mut state.urgent),
            stopping: state.stopping,
            ..Look::default()
        };
        let Some(first) = state.waiting.front() else {
            return look;
        };
        let linger = if away {
            self.bounds.linger_away
        } else {
            self.bounds.linger
        };
        let ready_at = first.since + linger;
        let now = look.flushing || look.stopping || self.is_full_batch(&state);
        if now || ready_at <= Instant::now() {
            look.batch = Some(self.take(&mut state));
        } else {
            look.ready_at = Some(ready_at);
        }
        look
    }

    fn is_full_batch(&self, state: &State) -> bool {
        state.waiting.len() >= self.bounds.batch_reports
            || state.waiting_bytes >= self.bounds.batch_bytes
    }

    fn take(&self, state: &mut State) -> Batch {
        let mut batch = Batch::default();
        while let Some(next) = state.waiting.front() {
            // A single report that is over the limit goes alone; the collector may judge it.
            let over = batch.bytes + next.bytes > self.bounds.batch_bytes && batch.reports > 0;
            if over || batch.reports as usize >= self.bounds.batch_reports {
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
        batch
    }

    /// Resolves when it is time to look again.
    pub(crate) async fn news(&self) {
        self.work.notified().await;
    }

    /// What became of some reports.
    pub(crate) fn settle(&self, tally: Tally) {
        if tally == Tally::default() {
            return;
        }
        let mut state = self.lock();
        state.finished += tally.finished;
        state.failed += tally.failed;
        state.lost += tally.lost;
        drop(state);
        self.progress.notify_all();
    }

    /// Waits until what was accepted before this call is done with; whether all of it arrived.
    ///
    /// Near the deadline what has not gone out is brought to disk, if there is one.
    pub(crate) fn flush(&self, deadline: Duration) -> bool {
        let mut state = self.lock();
        let (target, failed) = (state.accepted, state.failed);
        state.flushing += 1;
        self.work.notify_one();
        let spare = (deadline / 4).min(SPARE);
        let now = Instant::now();
        state = self.wait_finished(state, target, deadline.saturating_sub(spare));
        if state.finished < target && !state.ended {
            state.urgent = true;
            self.work.notify_one();
            state = self.wait_finished(state, target, deadline.saturating_sub(now.elapsed()));
        }
        state.flushing -= 1;
        state.finished >= target && state.failed == failed
    }

    fn wait_finished<'a>(
        &self,
        state: MutexGuard<'a, State>,
        target: u64,
        deadline: Duration,
    ) -> MutexGuard<'a, State> {
        // A deadline beyond what a clock can express is none.
        let wait = self
            .progress
            .wait_timeout_while(state, deadline.min(FOR_EVER), |state| {
                state.finished < target && !state.ended
            });
        wait.unwrap_or_else(PoisonError::into_inner).0
    }

    /// How many were lost so far.
    pub(crate) fn lost(&self) -> u64 {
        self.lock().lost
    }

    /// Tells the exporter to end now.
    pub(crate) fn stop(&self) {
        self.lock().stopping = true;
        self.work.notify_one();
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

#[cfg(test)]
mod tests {
    use super::*;

    fn spans() -> Vec<SpanData> {
        let report = redhanded_report::Report::new(redhanded_report::Event::Caught, "id");
        crate::mapping::runaway(
            "redhanded.caught",
            &report,
            &mut crate::told::Told::default(),
        )
    }

    #[test]
    fn what_is_no_runaway_does_not_wait_for_a_collector_that_is_away() {
        let queue = Queue::new(Bounds::default());
        queue.look(false);
        assert!(queue.push_rest(spans()));
        queue.look(true);
        assert!(!queue.push_rest(spans()));
        assert_eq!(queue.lost(), 1);
        assert!(queue.push(spans()));
        queue.look(false);
        assert!(queue.push_rest(spans()), "it is back");
    }

    #[test]
    fn half_of_the_queue_is_for_runaways() {
        let bounds = Bounds {
            reports: 4,
            ..Bounds::default()
        };
        let queue = Queue::new(bounds);
        let rest: Vec<_> = (0..3).map(|_| queue.push_rest(spans())).collect();
        assert_eq!(rest, [true, true, false]);
        let runaways: Vec<_> = (0..3).map(|_| queue.push(spans())).collect();
        assert_eq!(runaways, [true, true, false]);
        assert_eq!(queue.lost(), 2);
    }
}
