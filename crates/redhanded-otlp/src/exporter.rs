//! The exporter's thread: takes batches off the queue and sees each through.

use crate::error::Error;
use crate::ids;
use crate::names;
use crate::queue::{Batch, Queue};
use crate::transport::{Answer, Transport};
use bytes::Bytes;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::InstrumentationScope;
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::sync::mpsc;
use std::task::Poll;
use std::time::Duration;
use tokio::runtime::Runtime;
use tokio::time::{Instant, sleep_until, timeout_at};

/// First pause before another attempt; it doubles.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// Everything the thread needs.
pub(crate) struct Exporter {
    pub(crate) queue: Arc<Queue>,
    pub(crate) transport: Transport,
    pub(crate) resource: Resource,
    /// For one batch with all its attempts and pauses.
    pub(crate) patience: Duration,
}

impl Exporter {
    /// Starts the thread; it ends after [`Queue::stop`].
    pub(crate) fn start(self) -> Result<(), Error> {
        let (started, start) = mpsc::sync_channel(1);
        let thread = move || {
            // Made and dropped here: a runtime must not be dropped inside of another one, and the
            // caller may well be inside of one.
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .thread_name("redhanded-dns")
                .max_blocking_threads(1)
                .build();
            let runtime = match runtime {
                Ok(runtime) => runtime,
                Err(error) => return drop(started.send(Err(error))),
            };
            drop(started.send(Ok(())));
            self.run(&runtime);
            // A name look-up that hangs is left behind.
            runtime.shutdown_background();
            self.queue.ended();
        };
        let spawned = std::thread::Builder::new()
            .name("redhanded-otlp".to_owned())
            .spawn(thread);
        spawned.map_err(|error| Error::start(error.to_string()))?;
        match start.recv() {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(Error::start(error.to_string())),
            Err(_) => Err(Error::start("its thread ended at once")),
        }
    }

    fn run(&self, runtime: &Runtime) {
        // Waiting for work is not under `unseen` and not inside the runtime: a scoped subscriber
        // anywhere makes every `tracing` event of the process a little slower.
        while let Some(batch) = self.queue.next_batch() {
            let reports = batch.reports;
            let send = AssertUnwindSafe(|| unseen(|| runtime.block_on(self.send(batch))));
            let lost = catch_unwind(send).unwrap_or(reports);
            self.queue.finished(reports, lost);
        }
    }

    /// How much of the batch was lost.
    async fn send(&self, batch: Batch) -> u64 {
        let all = batch.reports;
        let body = Bytes::from(self.request(batch.spans).encode_to_vec());
        unless(self.queue.stopped(), self.see_through(body))
            .await
            .flatten()
            .unwrap_or(all)
    }

    /// Attempts and pauses until the batch is taken (with that many spans rejected), refused, or
    /// time is up.
    async fn see_through(&self, body: Bytes) -> Option<u64> {
        let until = Instant::now() + self.patience;
        let mut pause = FIRST_PAUSE;
        loop {
            let after = match timeout_at(until, self.transport.post(body.clone())).await {
                Ok(Answer::Taken { rejected }) => return Some(rejected),
                Ok(Answer::Later(after)) => after,
                Ok(Answer::Refused) | Err(_) => return None,
            };
            let next = Instant::now() + after.unwrap_or_default().max(jittered(pause));
            if next >= until {
                return None;
            }
            sleep_until(next).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    fn request(&self, spans: Vec<Span>) -> ExportTraceServiceRequest {
        let scope = InstrumentationScope {
            name: "redhanded".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            ..InstrumentationScope::default()
        };
        let schema_url = names::SCHEMA_URL.to_owned();
        let scope_spans = vec![ScopeSpans {
            scope: Some(scope),
            spans,
            schema_url: schema_url.clone(),
        }];
        let resource = Some(self.resource.clone());
        ExportTraceServiceRequest {
            resource_spans: vec![ResourceSpans {
                resource,
                scope_spans,
                schema_url,
            }],
        }
    }
}

/// Half to one and a half times `pause`, so that a fleet does not come back in step.
fn jittered(pause: Duration) -> Duration {
    let random = ids::random().first().copied().unwrap_or(0);
    pause.mul_f64(0.5 + f64::from(random) / 255.0)
}

/// Runs `work` so that neither the user's `tracing` subscriber nor OpenTelemetry sees anything of
/// it: an export that is itself traced is exported, and so on for ever.
fn unseen<T>(work: impl FnOnce() -> T) -> T {
    let _suppressed = opentelemetry::Context::enter_telemetry_suppressed_scope();
    tracing_core::dispatcher::with_default(&tracing_core::Dispatch::none(), work)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_differ_within_bounds() {
        let pauses: Vec<_> = (0..100)
            .map(|_| jittered(Duration::from_millis(200)))
            .collect();
        assert!(
            pauses
                .iter()
                .all(|pause| (100..=300).contains(&pause.as_millis())),
            "{pauses:?}"
        );
        assert!(pauses.iter().any(|pause| pause != &pauses[0]));
    }

    #[test]
    fn what_is_unseen_is_unseen() {
        struct Loud;
        impl tracing::Subscriber for Loud {
            fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
                true
            }
            fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
                tracing::span::Id::from_u64(1)
            }
            fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}
            fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}
            fn event(&self, event: &tracing::Event<'_>) {
                let field = event.metadata().fields().field("seen");
                assert!(field.is_some(), "an event of ours reached the subscriber");
                SEEN.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            }
            fn enter(&self, _: &tracing::span::Id) {}
            fn exit(&self, _: &tracing::span::Id) {}
        }
        static SEEN: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        tracing::subscriber::with_default(Loud, || {
            tracing::error!(seen = true);
            unseen(|| tracing::error!(hidden = true));
            assert!(unseen(
                opentelemetry::Context::is_current_telemetry_suppressed
            ));
            tracing::error!(seen = true);
        });
        assert_eq!(SEEN.load(std::sync::atomic::Ordering::SeqCst), 2);
    }
}
