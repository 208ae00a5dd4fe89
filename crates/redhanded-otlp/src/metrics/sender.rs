//! The thread that sends a snapshot every interval, and one when somebody waits for it.

use super::encode::Encoder;
use crate::answer::Answer;
use crate::error::Error;
use crate::refusal::Refusals;
use crate::transport::Transport;
use crate::{pace, thread};
use redhanded_core::metrics::Snapshot;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

/// What is known on both sides.
#[derive(Default)]
pub(super) struct Shared {
    state: Mutex<State>,
    progress: Condvar,
    news: Notify,
}

#[derive(Default)]
struct State {
    /// How often somebody has asked for what there is.
    asked: u64,
    /// Of those, how many were answered, and whether the last one arrived.
    done: u64,
    arrived: bool,
    stopping: bool,
    ended: bool,
}

pub(super) struct Sender {
    pub(super) shared: Arc<Shared>,
    pub(super) transport: Transport,
    pub(super) interval: Duration,
    pub(super) encoder: Encoder,
    pub(super) source: Box<dyn Fn() -> Snapshot + Send>,
    pub(super) lost: Box<dyn Fn(Option<String>) + Send>,
    pub(super) refusals: Refusals,
    pub(super) url: String,
    /// The collector has asked for patience until then.
    pub(super) not_before: Option<Instant>,
}

impl Shared {
    /// Has what there is now sent; whether it arrived before `deadline`.
    pub(super) fn flush(&self, deadline: Duration) -> bool {
        let mut state = self.lock();
        state.asked += 1;
        let mine = state.asked;
        self.news.notify_one();
        let waits = |state: &mut State| state.done < mine && !state.ended;
        let waited = self.progress.wait_timeout_while(state, deadline, waits);
        let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        state.done >= mine && state.arrived
    }

    pub(super) fn stop(&self) {
        self.lock().stopping = true;
        self.news.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing panics while it holds the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn answered(&self, asked: u64, arrived: bool) {
        let mut state = self.lock();
        (state.done, state.arrived) = (asked, arrived);
        drop(state);
        self.progress.notify_all();
    }
}

impl Sender {
    /// Starts the thread; it ends after [`Shared::stop`].
    pub(super) fn start(mut self) -> Result<(), Error> {
        thread::start("redhanded-meter", move |runtime| {
            let panicked = |it: &mut Self| (it.lost)(None);
            thread::work(runtime, &mut self, Self::until_stopped, panicked);
            self.shared.lock().ended = true;
            self.shared.progress.notify_all();
        })
    }

    async fn until_stopped(&mut self) {
        let mut next = Instant::now() + self.interval;
        loop {
            let (asked, is_asked, stopping) = {
                let state = self.shared.lock();
                (state.asked, state.asked > state.done, state.stopping)
            };
            if stopping {
                return;
            }
            if !is_asked && Instant::now() < next {
                let shared = Arc::clone(&self.shared);
                drop(timeout_at(next, shared.news.notified()).await);
                continue;
            }
            let arrived = self.send().await;
            self.shared.answered(asked, arrived);
            next = Instant::now() + self.interval;
        }
    }

    /// One attempt with what there is now; whether it arrived. Stopping ends it.
    async fn send(&mut self) -> bool {
        if self.not_before.is_some_and(|at| Instant::now() < at) {
            (self.lost)(None);
            return false;
        }
        let encoded = self.encoder.encode(&(self.source)());
        let shared = Arc::clone(&self.shared);
        let stopped = async {
            while !shared.lock().stopping {
                shared.news.notified().await;
            }
        };
        let attempt = self.transport.send(encoded.body.clone(), false);
        let answer = unless(stopped, attempt).await;
        let answer = answer.unwrap_or(Answer::Later(None));
        self.not_before = None;
        match answer {
            Answer::Taken { rejected } => {
                // Rejected points would be rejected again.
                self.encoder.delivered(encoded);
                self.refusals.taken();
                (0..rejected.min(1)).for_each(|_| (self.lost)(None));
                rejected == 0
            }
            Answer::Later(asked) => {
                self.not_before = Some(Instant::now() + pace::patience(asked));
                (self.lost)(None);
                false
            }
            Answer::Refused(refusal) => {
                self.refusals.refused(refusal);
                (self.lost)(self.refusals.news("metrics", &self.url));
                false
            }
        }
    }
}

/// What `work` gives, unless `stop` comes first.
async fn unless<T>(stop: impl Future<Output = ()>, work: impl Future<Output = T>) -> Option<T> {
    let (mut stop, mut work) = (pin!(stop), pin!(work));
    poll_fn(|cx| match work.as_mut().poll(cx) {
        Poll::Ready(done) => Poll::Ready(Some(done)),
        Poll::Pending => stop.as_mut().poll(cx).map(|()| None),
    })
    .await
}
