//! The exporter's thread: takes batches off the queue and hands each to `opentelemetry-otlp`.

use crate::client::Client;
use crate::error::Error;
use crate::queue::{Batch, Queue};
use crate::text::bounded;
use opentelemetry_http::HttpClient;
use opentelemetry_otlp::{
    Compression, ExporterBuildError, Protocol, RetryPolicy, SpanExporter, WithExportConfig,
    WithHttpConfig,
};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SpanExporter as _;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::sync::mpsc;
use std::task::Poll;
use std::time::Duration;
use tokio::runtime::Runtime;

/// Everything the thread needs.
pub(crate) struct Exporter {
    pub(crate) queue: Arc<Queue>,
    pub(crate) client: Arc<Client>,
    pub(crate) url: String,
    pub(crate) timeout: Duration,
    pub(crate) compression: Option<Compression>,
    pub(crate) resource: Resource,
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
                Err(error) => return drop(started.send(Err(error.to_string()))),
            };
            // Built here as well: what the builder has to say is not for the caller's subscriber.
            let exporter = match unseen(|| self.exporter()) {
                Ok(exporter) => exporter,
                // It repeats the URL, which may be long.
                Err(error) => return drop(started.send(Err(bounded(&error.to_string(), 512)))),
            };
            drop(started.send(Ok(())));
            self.run(&runtime, &exporter);
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
            Ok(Err(error)) => Err(Error::start(error)),
            Err(_) => Err(Error::start("its thread ended at once")),
        }
    }

    /// What is set here wins over the process environment, which the builder reads for the rest.
    fn exporter(&self) -> Result<SpanExporter, ExporterBuildError> {
        let client = Arc::clone(&self.client) as Arc<dyn HttpClient>;
        let mut builder = SpanExporter::builder()
            .with_http()
            .with_shared_http_client(client)
            // Its retries are in the client, where they end when the application does.
            .with_retry_policy(RetryPolicy::disabled())
            .with_protocol(Protocol::HttpBinary)
            .with_endpoint(&self.url)
            .with_timeout(self.timeout);
        if let Some(compression) = self.compression {
            builder = builder.with_compression(compression);
        }
        let mut exporter = builder.build()?;
        exporter.set_resource(&self.resource);
        Ok(exporter)
    }

    fn run(&self, runtime: &Runtime, exporter: &SpanExporter) {
        // Waiting for work is not under `unseen` and not inside the runtime: a scoped subscriber
        // anywhere makes every `tracing` event of the process a little slower.
        while let Some(batch) = self.queue.next_batch() {
            let reports = batch.reports;
            let send = || unseen(|| runtime.block_on(self.send(exporter, batch)));
            let lost = catch_unwind(AssertUnwindSafe(send)).unwrap_or(reports);
            self.queue.finished(reports, lost);
        }
    }

    /// How much of the batch was lost.
    async fn send(&self, exporter: &SpanExporter, batch: Batch) -> u64 {
        let export = exporter.export(batch.spans);
        match unless(self.queue.stopped(), export).await {
            Some(Ok(())) => self.client.rejected(),
            Some(Err(_)) | None => batch.reports,
        }
    }
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
