//! Work that neither the user's `tracing` subscriber nor OpenTelemetry sees: an export that is itself traced is
//! exported, and so on for ever.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

/// Runs `work` unseen.
pub(crate) fn unseen<T>(work: impl FnOnce() -> T) -> T {
    let _suppressed = opentelemetry::Context::enter_telemetry_suppressed_scope();
    tracing_core::dispatcher::with_default(&tracing_core::Dispatch::none(), work)
}

/// A future that is polled unseen, and waits in the open: a scoped subscriber anywhere makes every `tracing` event of
/// the process a little slower.
pub(crate) struct Unseen<F>(Pin<Box<F>>);

impl<F> Unseen<F> {
    pub(crate) fn new(work: F) -> Self {
        Self(Box::pin(work))
    }
}

impl<F: Future> Future for Unseen<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        unseen(|| self.0.as_mut().poll(cx))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};

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
                SEEN.fetch_add(1, Ordering::SeqCst);
            }
            fn enter(&self, _: &tracing::span::Id) {}
            fn exit(&self, _: &tracing::span::Id) {}
        }
        static SEEN: AtomicU32 = AtomicU32::new(0);
        tracing::subscriber::with_default(Loud, || {
            tracing::error!(seen = true);
            unseen(|| tracing::error!(hidden = true));
            assert!(unseen(
                opentelemetry::Context::is_current_telemetry_suppressed
            ));
            let mut work = Unseen::new(async { tracing::error!(hidden = true) });
            let mut cx = Context::from_waker(std::task::Waker::noop());
            assert!(Pin::new(&mut work).poll(&mut cx).is_ready());
            tracing::error!(seen = true);
        });
        assert_eq!(SEEN.load(Ordering::SeqCst), 2);
    }
}
