//! What the exporter leaves untouched in a process: a test of its own, because it is about
//! everything in the process.
#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on says so by panicking"
)]

#[expect(dead_code, reason = "the other tests use the rest")]
#[path = "wire/collector.rs"]
mod collector;

use collector::{Collector, caught, small};
use opentelemetry::trace::{SpanContext, TraceContextExt, Tracer};
use redhanded_core::sink::Sink;
use redhanded_otlp::Otlp;
use redhanded_report::Service;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// A subscriber that wants everything and counts it.
struct Everything;

static SEEN: AtomicUsize = AtomicUsize::new(0);

impl tracing::Subscriber for Everything {
    fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
        true
    }
    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        SEEN.fetch_add(1, Ordering::SeqCst);
        tracing::span::Id::from_u64(1)
    }
    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}
    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}
    fn event(&self, _: &tracing::Event<'_>) {
        SEEN.fetch_add(1, Ordering::SeqCst);
    }
    fn enter(&self, _: &tracing::span::Id) {}
    fn exit(&self, _: &tracing::span::Id) {}
}

fn threads() -> usize {
    let Ok(tasks) = std::fs::read_dir("/proc/self/task") else {
        return 0;
    };
    let names =
        tasks.filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("comm")).ok());
    names.filter(|name| name.trim() == "redhanded-otlp").count()
}

fn export_something() {
    let collector = Collector::ok();
    let otlp = Otlp::to(&collector.url, &Service::default()).unwrap();
    otlp.accept(&Arc::new(caught()), None);
    assert!(otlp.flush(Duration::from_secs(5)));
    // And one that fails.
    let nobody = Otlp::to("http://127.0.0.1:9", &Service::default()).unwrap();
    nobody.accept(&small(1), None);
    nobody.flush(Duration::from_millis(300));
    if cfg!(target_os = "linux") {
        assert_eq!(threads(), 2, "one thread each");
    }
}

#[test]
fn nothing_global_is_touched_and_no_thread_stays() {
    tracing::subscriber::set_global_default(Everything).unwrap();
    export_something();
    assert_eq!(
        SEEN.load(Ordering::SeqCst),
        0,
        "the user's subscriber saw the exporter"
    );
    tracing::info!("the user's own");
    assert_eq!(SEEN.load(Ordering::SeqCst), 1, "and still sees the user");

    let tracer = opentelemetry::global::tracer("user");
    let span = tracer.start("user");
    let context = opentelemetry::Context::new().with_span(span);
    assert_eq!(
        context.span().span_context(),
        &SpanContext::empty_context(),
        "a provider was set"
    );
    opentelemetry::global::get_text_map_propagator(|propagator| {
        assert_eq!(propagator.fields().count(), 0)
    });

    let until = Instant::now() + Duration::from_secs(1);
    while threads() > 0 {
        assert!(Instant::now() < until, "a thread stayed");
        std::thread::sleep(Duration::from_millis(5));
    }
}
