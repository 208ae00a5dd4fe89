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
use redhanded_otlp::{Export, Otlp};
use redhanded_report::Service;
use std::process::Command;
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

/// How often the exporter's threads were given a core.
fn switches() -> u64 {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    let ours = tasks.flatten().filter(|task| {
        let name = std::fs::read_to_string(task.path().join("comm"));
        name.is_ok_and(|name| name.trim() == "redhanded-otlp")
    });
    ours.flat_map(|task| std::fs::read_to_string(task.path().join("status")))
        .flat_map(|status| {
            let counts = status.lines().filter(|line| line.contains("ctxt_switches"));
            let counts = counts.filter_map(|line| line.rsplit('\t').next()?.parse::<u64>().ok());
            counts.collect::<Vec<_>>()
        })
        .sum()
}

fn export_something() {
    let collector = Collector::ok();
    let env = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url.as_str()),
        ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=ours"),
    ];
    let configured = Otlp::from_env(&Service::default(), |name| {
        let value = env.iter().find(|(key, _)| *key == name);
        value.map(|(_, value)| (*value).to_owned())
    });
    let Export::On(otlp) = configured.export else {
        panic!("off")
    };
    otlp.accept(&Arc::new(caught()), None);
    assert!(otlp.flush(Duration::from_secs(5)));
    let request = &collector.requests()[0];
    assert_eq!(request.line, "POST /v1/traces HTTP/1.1");
    assert_eq!(request.headers["authorization"], "ours");
    assert_eq!(request.headers["content-type"], "application/x-protobuf");
    let mut headers: Vec<_> = request.headers.keys().map(String::as_str).collect();
    headers.sort_unstable();
    let ours = [
        "authorization",
        "content-length",
        "content-type",
        "host",
        "user-agent",
    ];
    assert_eq!(headers, ours);
    assert!(!request.resource().contains_key("theirs"));
    if cfg!(target_os = "linux") {
        // What follows an answer takes a moment.
        std::thread::sleep(Duration::from_millis(100));
        let before = switches();
        std::thread::sleep(Duration::from_secs(1));
        assert_eq!(switches(), before, "an exporter with nothing to do sleeps");
    }
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

/// What the environment closure does not say is not so, whatever the process environment says;
/// and the builder's complaints about that are heard by nobody.
#[test]
fn the_process_environment_is_not_ours() {
    let test = "nothing_global_is_touched_and_no_thread_stays";
    let mut again = Command::new(std::env::current_exe().unwrap());
    again.args(["--exact", test]).envs([
        (
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
            "http://127.0.0.1:9/theirs",
        ),
        (
            "OTEL_EXPORTER_OTLP_TRACES_HEADERS",
            "authorization=theirs,content-type=text/plain,x-theirs=1",
        ),
        ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "1"),
        ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "grpc"),
        ("OTEL_EXPORTER_OTLP_TRACES_COMPRESSION", "lzma"),
        ("OTEL_RESOURCE_ATTRIBUTES", "theirs=1"),
    ]);
    let output = again.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("1 passed"), "{said}");
}
