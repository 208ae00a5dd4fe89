//! The exporter's thread: makes requests of what is queued, sends them, and keeps what cannot be sent.

use crate::answer::Answer;
use crate::error::Error;
use crate::outbox::{Outbox, Request, Tally};
use crate::pace::Pace;
use crate::queue::{Batch, Queue};
use crate::refusal::Refusals;
use crate::thread;
use crate::transport::Transport;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::transform::common::tonic::ResourceAttributesWithSchema;
use opentelemetry_proto::transform::trace::tonic::group_spans_by_resource_and_scope;
use prost::Message;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::task::Poll;
use std::time::Duration;
use tokio::runtime::Runtime;
use tokio::time::{Instant, sleep_until};

/// An attempt that takes longer may take for ever: meanwhile what waits goes to disk.
const SLOW: Duration = Duration::from_secs(1);

/// How long what a dead process left may lie there while the collector answers us.
const ADOPT: Duration = Duration::from_secs(60);

/// Everything the thread needs.
pub(crate) struct Exporter {
    pub(crate) queue: Arc<Queue>,
    pub(crate) transport: Arc<Transport>,
    pub(crate) resource: ResourceAttributesWithSchema,
    pub(crate) outbox: Outbox,
    pub(crate) pace: Pace,
    pub(crate) gauges: Arc<Gauges>,
    pub(crate) refusals: Arc<Refusals>,
    /// When it was last looked for what dead processes left.
    pub(crate) adopted: Instant,
}

/// How much waits, for others to read.
#[derive(Debug, Default)]
pub(crate) struct Gauges {
    pub(crate) requests: AtomicUsize,
    pub(crate) memory_bytes: AtomicUsize,
    pub(crate) disk_bytes: AtomicU64,
}

/// A request that is on its way.
struct Attempt {
    answer: Pin<Box<dyn Future<Output = Answer>>>,
    since: Instant,
}

impl Exporter {
    /// Starts the thread; it ends after [`Queue::stop`].
    pub(crate) fn start(mut self) -> Result<(), Error> {
        thread::start("redhanded-otlp", move |runtime| self.run(runtime))
    }

    fn run(&mut self, runtime: &Runtime) {
        thread::work(runtime, self, Self::until_stopped, |it| {
            // Whatever it was about must not come again.
            it.outbox.refused();
            it.tell();
        });
        self.queue.stop();
        let close = AssertUnwindSafe(|| self.close());
        drop(catch_unwind(close));
        self.tell();
        self.queue.ended();
    }

    async fn until_stopped(&mut self) {
        let mut attempt: Option<Attempt> = None;
        loop {
            let look = self.queue.look(self.pace.is_away());
            let mut wake = look.ready_at.map(Instant::from_std);
            if let Some(batch) = look.batch {
                self.take_in(batch);
                // There may be another one.
                wake = Some(Instant::now());
            }
            if look.stopping {
                return;
            }
            let due = self.pace.due(look.flushing);
            if attempt.is_none() && due.is_none_or(|at| at <= Instant::now()) {
                attempt = self.begin();
            }
            if look.urgent {
                self.outbox.persist();
            }
            let next = self.attend(attempt.as_ref(), look.flushing);
            let wake = wake.into_iter().chain(next).min();
            self.tell();
            if let Some(answer) = self.something(&mut attempt, wake).await {
                attempt = None;
                self.judge(&answer);
            }
        }
    }

    /// Brings to disk what may have to wait for long; when to look again.
    fn attend(&mut self, attempt: Option<&Attempt>, hurry: bool) -> Option<Instant> {
        let slow = attempt.map(|attempt| attempt.since + SLOW);
        let is_slow = slow.is_some_and(|at| at <= Instant::now());
        if self.pace.is_away() || is_slow {
            self.outbox.persist();
        }
        match slow {
            Some(_) if is_slow => None,
            Some(at) => Some(at),
            None if self.outbox.is_empty() => None,
            None => self.pace.due(hurry),
        }
    }

    /// Waits for an answer, for news, or until `wake`.
    async fn something(
        &self,
        attempt: &mut Option<Attempt>,
        wake: Option<Instant>,
    ) -> Option<Answer> {
        let mut news = pin!(self.queue.news());
        let mut timer = pin!(async {
            match wake {
                Some(at) => sleep_until(at).await,
                None => std::future::pending().await,
            }
        });
        poll_fn(|cx| {
            if let Some(attempt) = attempt
                && let Poll::Ready(answer) = attempt.answer.as_mut().poll(cx)
            {
                return Poll::Ready(Some(answer));
            }
            if news.as_mut().poll(cx).is_ready() || timer.as_mut().poll(cx).is_ready() {
                return Poll::Ready(None);
            }
            Poll::Pending
        })
        .await
    }

    /// Makes a request of a batch.
    fn take_in(&mut self, batch: Batch) {
        let (reports, spans) = (batch.reports, batch.spans.len());
        let encode = || {
            let resource_spans = group_spans_by_resource_and_scope(batch.spans, &self.resource);
            ExportTraceServiceRequest { resource_spans }.encode_to_vec()
        };
        let Ok(body) = catch_unwind(AssertUnwindSafe(encode)) else {
            let lost = u64::from(reports);
            return self.queue.settle(Tally {
                finished: lost,
                failed: lost,
                lost,
            });
        };
        self.outbox.add(Request {
            body: body.into(),
            reports,
            spans: u32::try_from(spans).unwrap_or(u32::MAX),
        });
    }

    fn begin(&mut self) -> Option<Attempt> {
        if self.outbox.is_empty() {
            return None;
        }
        let Some(parcel) = self.outbox.take() else {
            if !self.outbox.is_empty() {
                // It is there and cannot be read now.
                self.pace.failed(None);
            }
            return None;
        };
        let transport = Arc::clone(&self.transport);
        Some(Attempt {
            answer: Box::pin(async move { transport.send(parcel.body, parcel.more).await }),
            since: Instant::now(),
        })
    }

    fn judge(&mut self, answer: &Answer) {
        match answer {
            Answer::Taken { rejected } => {
                self.refusals.taken();
                self.outbox.delivered(*rejected);
                // Those who waited for the collector as we did may be gone.
                if self.pace.is_away() || self.adopted.elapsed() > ADOPT {
                    self.outbox.adopt();
                    self.adopted = Instant::now();
                }
                self.pace.answered();
            }
            Answer::Refused(refusal) => {
                self.refusals.refused(*refusal);
                self.outbox.refused();
                self.pace.answered();
            }
            Answer::Later(after) => {
                self.outbox.unanswered();
                self.pace.failed(*after);
            }
        }
    }

    /// The end: what is still queued goes where the rest goes.
    fn close(&mut self) {
        while let Some(batch) = self.queue.look(true).batch {
            self.take_in(batch);
            self.outbox.persist();
        }
        self.outbox.close();
    }

    fn tell(&mut self) {
        let (gauges, outbox) = (&self.gauges, &self.outbox);
        let relaxed = Ordering::Relaxed;
        gauges.requests.store(outbox.requests(), relaxed);
        gauges.memory_bytes.store(outbox.memory_bytes(), relaxed);
        gauges.disk_bytes.store(outbox.disk_bytes(), relaxed);
        self.queue.settle(self.outbox.tally());
    }
}
